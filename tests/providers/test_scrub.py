"""What a provider says about an error, without what is none of the caller's business."""

from __future__ import annotations

import pytest

from fairlead.providers.scrub import scrubbed

SECRETS = [
    ("Incorrect API key provided: sk-proj-abc123DEF456. Check it.", "sk-proj"),
    ("Incorrect API key provided: sk-abcd****wxyz.", "wxyz"),
    ("header Authorization: Bearer abc.def-ghi_123 is wrong", "abc.def"),
    ("authorization=Basic dXNlcjpwYXNz failed", "dXNl"),
    ('{"api_key": "0123456789abcdef"}', "0123456789"),
    ("x-api-key: 77aa88bb99cc", "77aa88"),
    ("GET /v1/models?key=AIzaSyA1234567890abcdef&alt=sse", "AIza"),
    ("url: https://api.example.com/v1/chat?api_key=topsecretvalue#x", "topsecret"),
    ("Key AKIAIOSFODNN7EXAMPLE is not active", "AKIA"),
    ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc", "eyJ"),
    ("hf_abcdefghijklmnop has no access", "hf_"),
    ("gsk_1234567890abcdef was revoked", "gsk_"),
    ("password=hunter22secret", "hunter22"),
    ("could not reach http://10.0.3.17:8000/v1/chat/completions", "10.0.3.17"),
    ("upstream 192.168.1.20:8080 refused", "192.168"),
    ("upstream [fd00::12]:8080 refused", "fd00"),
    ("http://vllm-7f9c:8000/health is down", "vllm-7f9c"),
    ("http://user:secret@api.example.com/x", "secret"),
    ("see http://llm.default.svc.cluster.local/v1", "svc.cluster"),
    ("connect to gpu3.internal:9000 failed", "gpu3"),
    ("connect to localhost:11434 failed", "11434"),
    ("unix:///run/engine/llama.sock", "llama.sock"),
    ("redis://cache:6379/0 is full", "cache:6379"),
    ('File "/usr/lib/python3.12/site-packages/vllm/engine.py", line 7', "site-packages"),
    ("cannot open /home/operator/models/secret.gguf", "operator"),
    (r"cannot open C:\Users\operator\model.gguf", "operator"),
    ("model at LLM.Example.com:8443/v1 failed", "example.com"),
]
KEPT = [
    "This model's maximum context length is 8192 tokens, however you requested 10000 tokens (9000 in the messages).",
    "Invalid 'messages[0].content': string too long. Expected at most 1048576, got 2000000.",
    "max_tokens: 5000000 is above 4096; see https://platform.openai.com/docs/guides/rate-limits.",
    "Version 1.2.3 and/or 4.5 of text/plain, 3/4 tokens: n must be 1.",
    "Your request was rejected by our safety system (content_policy_violation).",
    "tools[0].function.parameters: key 'type' is missing at /properties/city",
    "temperature must be <= 2.0",
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_keys_addresses_and_files_are_hidden(text: str, secret: str) -> None:
    shown = scrubbed(text, host="llm.example.com")
    assert secret.lower() not in shown.lower(), shown
    assert scrubbed(shown, host="llm.example.com") == shown, "and nothing is hidden twice"


@pytest.mark.parametrize("text", KEPT)
def test_what_helps_a_caller_stays(text: str) -> None:
    assert scrubbed(text, host="vllm") == text


def test_a_text_made_to_be_slow_is_not() -> None:
    for piece in ("key=", "://", "a.", "1.", "Bearer ", "sk-", "[", "/usr/", "eyJ."):
        scrubbed(piece * (4_000 // len(piece)))
