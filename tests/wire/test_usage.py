"""Usage as each provider reports it, in our classes. Examples are taken from the providers' public documentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.wire.usage import PROMPT_CLASSES, Usage, usage_from_anthropic, usage_from_gemini, usage_from_openai

Reader = Callable[[bytes], Usage | None]
OPENAI = {
    "prompt_tokens": 2006, "completion_tokens": 300, "total_tokens": 2306,
    "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 192, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
    },
}  # fmt: skip
VLLM = {"prompt_tokens": 7, "total_tokens": 17, "completion_tokens": 10, "prompt_tokens_details": None}
LLAMACPP = {
    "completion_tokens": 12,
    "prompt_tokens": 30,
    "total_tokens": 42,
    "prompt_tokens_details": {"cached_tokens": 20},
}
MISTRAL = {"prompt_tokens": 16, "completion_tokens": 34, "total_tokens": 50}
DEEPSEEK = {
    "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150, "prompt_cache_hit_tokens": 64,
    "prompt_cache_miss_tokens": 36, "completion_tokens_details": {"reasoning_tokens": 20},
}  # fmt: skip
OPENROUTER = {
    "prompt_tokens": 194, "completion_tokens": 2, "total_tokens": 196, "cost": 0.95,
    "cost_details": {"upstream_inference_cost": 19}, "completion_tokens_details": {"reasoning_tokens": 0},
    "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 100, "audio_tokens": 0},
}  # fmt: skip
XAI = {
    "prompt_tokens": 32,
    "completion_tokens": 9,
    "total_tokens": 135,
    "completion_tokens_details": {"reasoning_tokens": 94},
}
ANTHROPIC = {
    "input_tokens": 2048, "cache_read_input_tokens": 1800, "cache_creation_input_tokens": 248, "output_tokens": 503,
    "cache_creation": {"ephemeral_5m_input_tokens": 148, "ephemeral_1h_input_tokens": 100},
}  # fmt: skip
GEMINI = {
    "promptTokenCount": 264, "candidatesTokenCount": 20, "thoughtsTokenCount": 80, "cachedContentTokenCount": 4,
    "totalTokenCount": 364,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 6}, {"modality": "IMAGE", "tokenCount": 258}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("reader", "reported", "classes"),
    [
        (usage_from_openai, OPENAI, {"input": 86, "cached_input": 1920, "output": 108, "reasoning": 192}),
        (usage_from_openai, VLLM, {"input": 7, "output": 10}),
        (usage_from_openai, LLAMACPP, {"input": 10, "cached_input": 20, "output": 12}),
        (usage_from_openai, MISTRAL, {"input": 16, "output": 34}),
        (usage_from_openai, DEEPSEEK, {"input": 36, "cached_input": 64, "output": 30, "reasoning": 20}),
        (usage_from_openai, OPENROUTER, {"input": 94, "cache_write_5m": 100, "output": 2}),
        (usage_from_openai, XAI, {"input": 32, "output": 9, "reasoning": 94}),
        (
            usage_from_anthropic, ANTHROPIC,
            {"input": 2048, "cached_input": 1800, "cache_write_5m": 148, "cache_write_1h": 100, "output": 503},
        ),
        (usage_from_gemini, GEMINI, {"input": 2, "cached_input": 4, "image": 258, "output": 20, "reasoning": 80}),
    ],
    ids=["openai", "vllm", "llamacpp", "mistral", "deepseek", "openrouter", "xai", "anthropic", "gemini"],
)  # fmt: skip
def test_every_shape_becomes_the_same_classes(reader: Reader, reported: Any, classes: dict[str, int]) -> None:
    usage = reader(msgspec.json.encode(reported))
    assert usage is not None
    assert {name: count for name, count in usage.tokens._asdict().items() if count} == {**classes, "request": 1}
    assert usage.balanced
    assert sum(usage.tokens[:PROMPT_CLASSES]) == usage.prompt
    assert sum(usage.tokens[PROMPT_CLASSES:-1]) == usage.completion


@pytest.mark.parametrize("reader", [usage_from_openai, usage_from_anthropic, usage_from_gemini])
@pytest.mark.parametrize(
    "raw",
    [b"", b"null", b"{}", b"[1]", b'"x"', b'{"prompt_tokens":-1}', b'{"prompt_tokens":1e99,"completion_tokens":1}',
     b'{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}', b'{"input_tokens":0,"output_tokens":0}',
     b'{"promptTokenCount":0}', b'{"prompt_tokens":"7"}'],
)  # fmt: skip
def test_nothing_zero_and_nonsense_are_no_usage(reader: Reader, raw: bytes) -> None:
    assert reader(raw) is None


@pytest.mark.parametrize(
    ("reader", "reported"),
    [
        (usage_from_openai, {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 11}),
        (usage_from_openai, {**OPENAI, "prompt_tokens": 10, "total_tokens": 310}),
        (usage_from_anthropic, {**ANTHROPIC, "cache_creation_input_tokens": 1}),
        (usage_from_gemini, {**GEMINI, "totalTokenCount": 365}),
    ],
)
def test_what_does_not_add_up_is_marked(reader: Reader, reported: Any) -> None:
    usage = reader(msgspec.json.encode(reported))
    assert usage is not None
    assert not usage.balanced


_counts = st.integers(0, 5000)


@given(_counts, _counts, _counts, _counts, _counts, _counts)
def test_the_classes_always_sum_up_to_what_was_reported(
    prompt: int, completion: int, cached: int, written: int, audio: int, reasoning: int
) -> None:
    reported = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written, "audio_tokens": audio},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
    usage = usage_from_openai(msgspec.json.encode(reported))
    if usage is None:
        assert prompt == completion == 0
        return
    assert min(usage.tokens) >= 0
    assert sum(usage.tokens[:PROMPT_CLASSES]) == usage.prompt == prompt
    assert sum(usage.tokens[PROMPT_CLASSES:-1]) == usage.completion == completion
    assert usage.balanced == (cached + written + audio <= prompt and reasoning <= completion)
