"""Errors as the Responses API has them: OpenAI's documents, and `response.failed` in a stream."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from fairlead.errors import ContextTooLong, FairleadError, InsufficientCredit, RateLimited, UpstreamRateLimited

_encode: Final = msgspec.json.encode


def failure_of(error: FairleadError) -> dict[str, Any]:
    """The `error` of a response that failed. Clients branch on OpenAI's codes, and read the seconds after which they
    may come again from the sentence; our own code stands beside."""
    message = error.message
    if error.retry_after_seconds is not None:
        message += f" Please try again in {error.retry_after_seconds}s."
    return {"code": _code_of(error), "message": message, "fairlead_code": error.code}


def _code_of(error: FairleadError) -> str:
    if isinstance(error, ContextTooLong):
        return "context_length_exceeded"
    if isinstance(error, InsufficientCredit):
        return "insufficient_quota"
    if isinstance(error, RateLimited | UpstreamRateLimited):
        return "rate_limit_exceeded"
    return "server_error" if error.status >= 500 else "invalid_prompt"


def error_event(error: FairleadError) -> bytes:
    """The last event of a stream of which nothing more is known than that it has failed."""
    found = failure_of(error)
    body = {"type": "error", "code": found["code"], "message": found["message"], "param": error.param}
    return b"event: error\ndata: %b\n\n" % _encode({**body, "sequence_number": 0})
