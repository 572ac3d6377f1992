"""Where the key stands: `x-goog-api-key: KEY`, `?key=KEY`, or `Authorization: Bearer KEY`. Queries are never logged."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote_to_bytes

from fairlead.errors import Unauthenticated
from fairlead.http.request import Request

KEY_EXAMPLE: Final = "x-goog-api-key: sk-fl-..."
# How keys made here begin; others may have been imported.
_OURS: Final = b"sk-fl-"
# Of the query, what is for this gateway alone.
_OWN_NAMES: Final = ("key", "alt", "$alt")


def api_key(head: Request) -> bytes | None:
    """None when there is no key. Of several, the one that was made here: clients also send what they have for Google.
    Raises Unauthenticated for an Authorization header that holds something else."""
    authorization = head.header(b"authorization")
    bearer = None
    if authorization is not None and authorization[:7].lower() == b"bearer ":
        bearer = authorization[7:].strip()
    keys = [key for key in (head.header(b"x-goog-api-key"), _in_query(head.query), bearer) if key]
    if not keys:
        if authorization is not None and bearer is None:
            raise Unauthenticated("The Authorization header must be 'Bearer' and a key.")
        return None
    return next((key for key in keys if key.startswith(_OURS)), keys[0])


def _in_query(query: str) -> bytes | None:
    if "key=" not in query:
        return None
    return next((unquote_to_bytes(value) for name, value in _pairs(query) if name.lower() == "key"), None)


def passed_on(query: str) -> str:
    """What of a query goes on to a provider: never a key."""
    return (
        "&".join([f"{name}={value}" for name, value in _pairs(query) if name.lower() not in _OWN_NAMES])
        if query
        else ""
    )


def is_events(query: str) -> bool:
    """Whether a stream is to be server-sent events."""
    return any(name.lower() in ("alt", "$alt") and value == "sse" for name, value in _pairs(query))


def _pairs(query: str) -> list[tuple[str, str]]:
    """Names are decoded, so that `%6bey` is a key too; values are as they came."""
    found = []
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if pair:
            found.append((unquote_to_bytes(name).decode("latin-1"), value))
    return found
