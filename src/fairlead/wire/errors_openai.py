"""Errors as OpenAI's API writes them."""

from __future__ import annotations

import msgspec

from fairlead.errors import FairleadError

_LAST_CHOICE = b',"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}'


def error_body(error: FairleadError) -> bytes:
    """The JSON document `{"error": {...}}`: OpenAI's four members, and the error's details beside them."""
    body = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return msgspec.json.encode({"error": {**body, **(error.details or {})}})


def error_event(error: FairleadError) -> bytes:
    """The same as the last event of a stream that has begun, which ends for this reason; no `[DONE]` follows it."""
    return b"data: %b%b\n\n" % (error_body(error)[:-1], _LAST_CHOICE)
