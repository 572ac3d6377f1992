"""Forms: the token that each carries, and where a request must have come from."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from urllib.parse import urlsplit

from starlette.requests import Request

from fairlead.errors import Forbidden

# Fields of a form.
MOST_FIELDS = 500
FIELD = "form_token"
HEADER = "x-form-token"
_BYTES = 32


class ForgedForm(Forbidden):
    """A form that no page of ours has sent, as far as one can say."""

    action = "form.refuse"


def form_token(token: str) -> str:
    """What a form of the visitor with this cookie carries. Another text for each page, so that its compression does not
    give it away (BREACH)."""
    mask = secrets.token_bytes(_BYTES)
    masked = bytes(one ^ other for one, other in zip(mask, _secret(token), strict=True))
    return base64.urlsafe_b64encode(mask + masked).decode().rstrip("=")


def is_form_token(given: str, token: str) -> bool:
    try:
        raw = base64.urlsafe_b64decode(given[:200] + "==")
    except (binascii.Error, ValueError):
        return False
    if len(raw) != 2 * _BYTES or not token:
        return False
    found = bytes(one ^ other for one, other in zip(raw[:_BYTES], raw[_BYTES:], strict=True))
    return hmac.compare_digest(found, _secret(token))


def check_origin(request: Request, host: str, public_url: str | None) -> None:
    """Raises ForgedForm for a form that another site has sent. Browsers say with every form where it is from; what
    says nothing is no browser, or an extension that hides it."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        raise ForgedForm("This form was sent by another site. Open the page here and send it again.")
    origin = request.headers.get("origin")
    if origin is None and site is None:
        raise ForgedForm(
            "Your browser does not say where this form is from (Origin). Allow it, or use another browser."
        )
    if origin is not None:
        own = {host} | ({urlsplit(public_url).netloc} if public_url else set())
        if not origin.startswith(("http://", "https://")) or urlsplit(origin).netloc not in own:
            raise ForgedForm("This form was sent by another site. Open the page here and send it again.")


def next_page(given: str) -> str:
    """Where to go after signing in: a path of this site, never another host."""
    plain = given.isascii() and given.isprintable() and "\\" not in given and len(given) <= 1_000
    return given if plain and given.startswith("/") and not given.startswith("//") else ""


def _secret(token: str) -> bytes:
    return hashlib.sha256(b"fairlead form\0" + token.encode("utf-8", "surrogatepass")).digest()
