"""Errors inside a stream or an answer of OpenAI's dialect."""

from __future__ import annotations

import msgspec

from fairlead.errors import FairleadError, UpstreamFailed
from fairlead.providers.failures import CONTEXT_CODES, REQUEST_CODES, upstream_error


def event_error(raw: msgspec.Raw) -> FairleadError:
    """The error of our tree for one inside an answer, whose status, if any, is in its `code`."""
    try:
        error = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        error = None
    status = error.get("code") if isinstance(error, dict) else None
    if isinstance(status, str) and len(status) == 3 and status.isdecimal():
        status = int(status)
    elif isinstance(error, dict) and _is_of_the_request(status, error.get("type")):
        status = 400
    if isinstance(status, int) and 400 <= status < 600:
        return upstream_error(status, (), b'{"error":%b}' % bytes(raw))
    return UpstreamFailed("The provider failed in the middle of its answer.")


def _is_of_the_request(code: object, kind: object) -> bool:
    if isinstance(code, str) and (code in REQUEST_CODES or code in CONTEXT_CODES):
        return True
    return code is None and kind == "invalid_request_error"
