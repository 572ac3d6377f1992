"""Which models go on from the beginning of an answer."""

from __future__ import annotations

import pytest

from fairlead.providers.dialects import DIALECTS
from fairlead.providers.prefill import supports_prefill


@pytest.mark.parametrize(
    ("dialect", "model", "found"),
    [
        ("vllm", "anything", True),
        ("mistral", "mistral-small-latest", True),
        ("openai", "gpt-4.1", None),
        ("generic", "anything", None),
        ("anthropic", "claude-3-5-sonnet-20241022", True),
        ("anthropic", "claude-opus-4-5", True),
        ("anthropic", "claude-opus-4-6", False),
        ("anthropic", "claude-sonnet-5", False),
        ("anthropic", "claude-newfamily-1", None),
        ("anthropic", "MiniMax-M2", None),
        ("bedrock", "us.anthropic.claude-haiku-4-5-20251001-v1:0", True),
        ("bedrock", "anthropic.claude-3-haiku-20240307-v1:0", True),
        ("bedrock", "anthropic.claude-sonnet-4-6", False),
        ("bedrock", "amazon.nova-pro-v1:0", None),
        ("gemini", "gemini-2.0-flash", True),
        ("gemini", "gemini-2.5-pro", True),
        ("gemini", "gemini-3-pro-preview", True),
        ("gemini", "gemini-3.5-flash", True),
        ("gemini", "gemini-3.5-flash-lite", False),
        ("gemini", "gemini-3.6-flash", False),
        ("gemini", "gemini-4-pro", False),
        ("gemini", "gemini-flash-latest", False),
    ],
)
def test_who_goes_on_is_known_by_its_name(dialect: str, model: str, found: bool | None) -> None:
    assert supports_prefill(DIALECTS[dialect], model) is found
