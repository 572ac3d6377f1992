"""What Gemini says when it refuses."""

from __future__ import annotations

import json

from tests.providers.recorded import adapter


def test_gemini_tells_in_the_body_when_to_come_back() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "13.2s"}
    body = json.dumps({"error": {"code": 429, "message": "quota", "details": [info]}}).encode()
    assert adapter("gemini").error(429, [], body).retry_after_seconds == 14
