"""Errors as OpenAI's API writes them."""

from __future__ import annotations

import msgspec

from fairlead.errors import FairleadError


class ErrorDetail(msgspec.Struct, frozen=True):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(msgspec.Struct, frozen=True):
    error: ErrorDetail


def error_body(error: FairleadError) -> bytes:
    """The JSON document `{"error": {...}}`."""
    return msgspec.json.encode(ErrorBody(ErrorDetail(error.message, error.type, error.param, error.code)))


def error_event(error: FairleadError) -> bytes:
    """The same as the last event of a stream that has begun; no `[DONE]` follows it."""
    return b"data: %b\n\n" % error_body(error)
