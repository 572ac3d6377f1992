"""Errors of the Messages API: https://platform.claude.com/docs/en/api/errors"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from fairlead.errors import FairleadError
from fairlead.providers.failures import upstream_error

STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_encode = msgspec.json.encode


class ErrorBody(Struct):
    type: str = "api_error"
    message: str = ""


def failure(error: ErrorBody) -> FairleadError:
    status = STATUSES.get(error.type, 500)
    return upstream_error(status, (), _encode({"error": {"type": error.type, "message": error.message}}))
