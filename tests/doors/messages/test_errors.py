"""Errors in Anthropic's shape, with its types."""

from __future__ import annotations

import json

import pytest

from fairlead.doors.messages.errors import error_body, error_event, error_head
from fairlead.errors import (
    ContextTooLong,
    FairleadError,
    Forbidden,
    InsufficientCredit,
    InternalError,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    RateLimited,
    RequestTooLarge,
    Unauthenticated,
    UpstreamCut,
    UpstreamTimeout,
)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidRequest("x"), "invalid_request_error"),
        (Unauthenticated("x"), "authentication_error"),
        (InsufficientCredit("x", {}), "billing_error"),
        (Forbidden("x"), "permission_error"),
        (ModelNotFound("x"), "not_found_error"),
        (RequestTooLarge("x"), "request_too_large"),
        (RateLimited("x"), "rate_limit_error"),
        (InternalError("x"), "api_error"),
        (UpstreamCut("x"), "api_error"),
        (Overloaded("x"), "overloaded_error"),
        (UpstreamTimeout("x"), "timeout_error"),
    ],
)
def test_each_error_has_anthropics_type(error: FairleadError, kind: str) -> None:
    body = json.loads(error_body(error))
    assert body["type"] == "error"
    assert body["error"]["type"] == kind
    assert body["error"]["message"] == "x"
    assert body["error"]["code"] == error.code
    assert (b"www-authenticate" in error_head(error)) == (error.status == 401)


def test_a_prompt_that_is_too_long_is_said_in_the_words_that_claude_code_looks_for() -> None:
    body = json.loads(error_body(ContextTooLong("The context has 8,192 tokens.")))
    assert body["error"]["message"] == "prompt is too long: The context has 8,192 tokens."
    said = "Prompt is too long: 9 tokens > 8 maximum"
    assert json.loads(error_body(ContextTooLong(said)))["error"]["message"] == said


def test_what_a_provider_of_the_same_api_has_written_is_passed_on() -> None:
    error = InvalidRequest("x")
    error.native_api, error.native_body = "messages", b'{"type": "error"}'
    assert error_body(error) == b'{"type": "error"}'
    assert error_event(error) == b'event: error\ndata: {"type": "error"}\n\n'
    error.native_api = "responses"
    assert json.loads(error_body(error))["error"]["message"] == "x"
