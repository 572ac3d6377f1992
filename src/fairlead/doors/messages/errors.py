"""Errors as Anthropic's API writes them: https://platform.claude.com/docs/en/api/errors"""

from __future__ import annotations

from typing import Final

import msgspec

from fairlead.errors import ContextTooLong, FairleadError
from fairlead.wire.apis import MESSAGES
from fairlead.wire.heads import JSON_HEAD

TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
# Claude Code shortens a conversation when it reads this.
TOO_LONG: Final = "prompt is too long"
_encode: Final = msgspec.json.encode


def error_head(error: FairleadError) -> bytes:
    return JSON_HEAD + b"www-authenticate: Bearer\r\n" if error.status == 401 else JSON_HEAD


def error_body(error: FairleadError) -> bytes:
    """`{"type": "error", "error": {...}}`: Anthropic's members, ours (`code`, `param`) and the error's details; or what
    a provider of the same API has written, as it came."""
    if error.native_api == MESSAGES:
        return error.native_body
    kind = TYPES.get(error.status) or ("invalid_request_error" if error.status < 500 else "api_error")
    message = error.message
    if isinstance(error, ContextTooLong) and TOO_LONG not in message.lower():
        message = f"{TOO_LONG}: {message}"
    written = {"type": kind, "message": message, "code": error.code}
    if error.param is not None:
        written["param"] = error.param
    return _encode({"type": "error", "error": {**written, **(error.details or {})}})


def error_event(error: FairleadError) -> bytes:
    """The same as the last event of a stream that has begun; no `message_stop` follows it."""
    return b"event: error\ndata: %b\n\n" % error_body(error).replace(b"\n", b" ").replace(b"\r", b" ")
