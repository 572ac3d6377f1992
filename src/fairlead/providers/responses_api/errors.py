"""Errors inside a stream or a document of the Responses API."""

from __future__ import annotations

from typing import Any

import msgspec

from fairlead.errors import FairleadError, UpstreamDenied, UpstreamFailed
from fairlead.providers.failures import CONTEXT_CODES, REQUEST_CODES, upstream_error
from fairlead.providers.responses_api.shapes import EVENT, FAILURE, Failure
from fairlead.providers.scrub import scrubbed
from fairlead.wire.apis import RESPONSES
from fairlead.wire.chat_shapes import NULL

# https://platform.openai.com/docs/guides/error-codes
STATUSES = {"rate_limit_exceeded": 429, "insufficient_quota": 402, "server_error": 500, "server_is_overloaded": 503}
LONGEST_ERROR_BYTES = 65_536


def failure_of(failure: Failure | None) -> FairleadError:
    """The error of our tree for the `error` of a response that failed, or of an `error` event."""
    if failure is None:
        return UpstreamFailed("The provider failed in the middle of its answer.")
    code = failure.code if isinstance(failure.code, str) else None
    if code in CONTEXT_CODES or code in REQUEST_CODES or (code is None and failure.type == "invalid_request_error"):
        status = 400
    else:
        status = STATUSES.get(code or "", 500)
    body: dict[str, Any] = {"message": failure.message, "type": failure.type, "code": code, "param": failure.param}
    return upstream_error(status, (), msgspec.json.encode({"error": body}))


def failure_in_event(payload: bytes) -> FairleadError:
    """Of an `error` event: its members stand in it, or in `error`."""
    event = EVENT.decode(payload)
    if event.error != NULL:
        try:
            return failure_of(FAILURE.decode(event.error))
        except msgspec.DecodeError:
            return failure_of(None)
    return failure_of(Failure(event.code, event.message or "", None, event.param))


def with_native(error: FairleadError, body: bytes) -> FairleadError:
    """The same with what the provider has written, for callers of its API: as it came, unless it is about the
    operator's credential, or holds one."""
    if isinstance(error, UpstreamDenied) or len(body) > LONGEST_ERROR_BYTES:
        return error
    text = body.decode("utf-8", "replace")
    if scrubbed(text) == text:
        error.native_api, error.native_body = RESPONSES, body
    return error
