"""Forms: the token that each carries, and where a request must have come from."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from fairlead.errors import Forbidden

# Fields of a form.
MOST_FIELDS = 500
FIELD = "form_token"
HEADER = "x-form-token"
_BYTES = 32
# How the fields begin that prove who somebody is, in a form that is sent again.
PROOF: Final = "step-up-"
# Fields whose values are in no page: they are typed again.
SECRETS: Final = frozenset({"key", "code", "password", "current"})
SECRET_START: Final = "secret-"  # noqa: S105 - the beginning of a name


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


class HeldForm(NamedTuple):
    """What was typed into a form that needs a proof first. `fields`: to be sent again; `secrets`, `files`: names of
    those that have to be given again; `given`: names of all that was."""

    fields: tuple[tuple[str, str], ...]
    secrets: tuple[str, ...]
    files: tuple[str, ...]
    given: frozenset[str]


def is_secret(name: str) -> bool:
    return name in SECRETS or name.startswith(SECRET_START)


def hold(form: FormData) -> HeldForm:
    given = [(name, one) for name, one in form.multi_items() if name != FIELD and not name.startswith(PROOF)]
    fields = [(name, one) for name, one in given if isinstance(one, str) and not is_secret(name)]
    secrets = dict.fromkeys(name for name, one in given if is_secret(name) and one)
    files = dict.fromkeys(name for name, one in given if isinstance(one, UploadFile) and one.filename)
    return HeldForm(tuple(fields), tuple(secrets), tuple(files), frozenset((*dict(fields), *secrets, *files)))


def link_token(given: str) -> str:
    """The token of a one-time link: people paste the whole link as well as what follows "#"."""
    return given.strip().rpartition("#")[2]


def next_page(given: str) -> str:
    """Where to go after signing in: a path of this site, never another host."""
    plain = given.isascii() and given.isprintable() and "\\" not in given and len(given) <= 1_000
    return given if plain and given.startswith("/") and not given.startswith("//") else ""


def _secret(token: str) -> bytes:
    return hashlib.sha256(b"fairlead form\0" + token.encode("utf-8", "surrogatepass")).digest()
