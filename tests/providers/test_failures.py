"""What a provider's error answer means."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fairlead.errors import (
    ContextTooLong,
    FairleadError,
    UpstreamDenied,
    UpstreamFailed,
    UpstreamRateLimited,
    UpstreamRefused,
)
from fairlead.providers.failures import retry_after, upstream_error


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": {"message": "bad tool", "param": "tools"}}, UpstreamRefused),
        (
            400,
            {"error": {"code": 400, "type": "exceed_context_size_error", "message": "too big", "n_ctx": 5}},
            ContextTooLong,
        ),
        (
            400,
            {"object": "error", "message": "This model's maximum context length is 8 tokens", "code": 400},
            ContextTooLong,
        ),
        (400, {"error": {"code": "context_length_exceeded", "message": "x"}}, ContextTooLong),
        (422, {"detail": [{"loc": ["body", "x"], "msg": "bad"}]}, UpstreamRefused),
        (413, "too large", UpstreamRefused),
        (401, {}, UpstreamDenied),
        (402, {}, UpstreamDenied),
        (403, {}, UpstreamDenied),
        (404, {"error": {"message": "no such model"}}, UpstreamFailed),
        (408, {}, UpstreamRateLimited),
        (429, {}, UpstreamRateLimited),
        (500, "<html>", UpstreamFailed),
        (529, {}, UpstreamFailed),
    ],
)
def test_a_providers_error_says_who_is_at_fault(status: int, body: Any, kind: type[FairleadError]) -> None:
    error = upstream_error(status, (), json.dumps(body).encode())
    assert type(error) is kind
    assert error.message
    assert error.policy.elsewhere == (kind not in (UpstreamRefused, ContextTooLong))


def test_messages_of_providers_are_bounded_and_their_own_keys_never_shown() -> None:
    long = upstream_error(400, (), json.dumps({"error": {"message": "a\r\nb" + "x" * 5000}}).encode())
    assert len(long.message) <= 1000
    assert "\n" not in long.message
    denied = upstream_error(401, (), b'{"error":{"message":"Incorrect API key provided: sk-secret"}}')
    assert "sk-secret" not in denied.message


def test_retry_after_is_read_as_seconds_or_date_and_bounded() -> None:
    assert retry_after([(b"retry-after", b"3")]) == 3
    assert retry_after([(b"retry-after", b"0.2")]) == 1
    assert retry_after([(b"retry-after", b"Wed, 21 Oct 2015 07:28:00 GMT")]) == 0
    assert retry_after([(b"retry-after", b"99999999999")]) == 86_400
    for wrong in (b"soon", b"nan", b""):
        assert retry_after([(b"retry-after", wrong)]) is None
    assert retry_after([]) is None
