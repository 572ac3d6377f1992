"""What a call used, by token class: every provider's own shape mapped into one normal form that adds up.

Sources: OpenAI's, Anthropic's, Google's, DeepSeek's, Mistral's and OpenRouter's API references; vLLM's and llama.cpp's
servers. Recorded examples of each are in tests/wire/test_usage.py.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.wire.usage_shapes import (
    ABSENT,
    CLASSES,
    PROMPT_CLASSES,
    AnthropicUsage,
    BedrockUsage,
    GeminiUsage,
    Modality,
    OpenAIUsage,
    Provenance,
    ResponsesUsage,
    TokenClasses,
)

__all__ = [
    "CLASSES",
    "PROMPT_CLASSES",
    "Provenance",
    "TokenClasses",
    "Usage",
    "usage_as_anthropic",
    "usage_as_gemini",
    "usage_as_openai",
    "usage_as_responses",
    "usage_from_anthropic",
    "usage_from_bedrock",
    "usage_from_gemini",
    "usage_from_openai",
    "usage_from_responses",
]

_astuple: Final = msgspec.structs.astuple
_ABSENT: Final = ABSENT
_openai: Final = msgspec.json.Decoder(OpenAIUsage)
_responses: Final = msgspec.json.Decoder(ResponsesUsage)
_anthropic: Final = msgspec.json.Decoder(AnthropicUsage)
_gemini: Final = msgspec.json.Decoder(GeminiUsage)
_bedrock: Final = msgspec.json.Decoder(BedrockUsage)


class Usage:
    """`classes`: one number for each of `CLASSES`. `balanced` is False when they do not add up to the totals that the
    provider gave. `priced`: the provider's own cost stands beside them."""

    __slots__ = ("balanced", "classes", "completion", "priced", "prompt")

    def __init__(self, classes: tuple[int, ...], prompt: int, completion: int, balanced: bool = True) -> None:
        self.classes = classes
        self.prompt = prompt
        self.completion = completion
        self.balanced = balanced
        self.priced = False

    @property
    def tokens(self) -> TokenClasses:
        """The classes by name."""
        return TokenClasses._make(self.classes)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Usage)
            and (self.classes, self.prompt, self.completion, self.balanced)
            == (other.classes, other.prompt, other.completion, other.balanced)
        )  # fmt: skip

    def __hash__(self) -> int:
        return hash((self.classes, self.prompt, self.completion, self.balanced))

    def __repr__(self) -> str:
        return f"Usage({self.tokens}, {self.prompt}, {self.completion}, {self.balanced})"


def usage_from_openai(raw: bytes | Raw) -> Usage | None:
    """OpenAI's `usage` and everyone's who follows it: vLLM, SGLang, llama.cpp, Mistral, DeepSeek, OpenRouter, xAI.
    None when it is missing, not usable or all zero: a call that worked has used something."""
    try:
        given: tuple[Any, ...] = _astuple(_openai.decode(raw))  # one call instead of one for each attribute
    except msgspec.DecodeError:
        return None
    prompt: int = given[0] or 0
    completion: int = given[1] or 0
    if not prompt and not completion:
        return None
    total: int | None = given[2]
    cached: int = given[5] or 0
    written = image = audio = reasoning = audio_out = 0
    if given[3] is not None:
        inside: tuple[Any, ...] = _astuple(given[3])
        cached = inside[0] or cached
        audio, image, written = inside[1] or 0, inside[2] or 0, inside[3] or 0
    if given[4] is not None:
        outside: tuple[Any, ...] = _astuple(given[4])
        reasoning, audio_out = outside[0] or 0, outside[1] or 0
    if reasoning and total == prompt + completion + reasoning:
        completion += reasoning  # xAI counts reasoning beside the completion, everyone else inside it
    fresh = prompt - cached - written - image - audio
    plain = completion - reasoning - audio_out
    balanced = total is None or total == prompt + completion
    classes: tuple[int, ...] = (fresh, cached, written, 0, image, audio, plain, reasoning, audio_out, 1)
    if fresh >= 0 and plain >= 0:
        usage = Usage(classes, prompt, completion, balanced)
    else:
        usage = _normal(classes, prompt, completion, balanced)
    usage.priced = (
        given[7] is not _ABSENT or given[8] is not _ABSENT or given[9] is not _ABSENT or given[10] is not _ABSENT
    )
    return usage


def usage_from_responses(raw: bytes | Raw) -> Usage | None:
    """OpenAI's `usage` in Responses: the same counts under other names. None as above."""
    try:
        given = _responses.decode(raw)
    except msgspec.DecodeError:
        return None
    prompt, completion = given.input_tokens or 0, given.output_tokens or 0
    if not prompt and not completion:
        return None
    cached = written = reasoning = 0
    if given.input_tokens_details is not None:
        inside: tuple[Any, ...] = _astuple(given.input_tokens_details)
        cached, written = inside[0] or 0, inside[1] or 0
    if given.output_tokens_details is not None:
        reasoning = given.output_tokens_details.reasoning_tokens or 0
    total = given.total_tokens
    classes: tuple[int, ...] = (
        prompt - cached - written,
        cached,
        written,
        0,
        0,
        0,
        completion - reasoning,
        reasoning,
        0,
        1,
    )
    return _normal(classes, prompt, completion, total is None or total == prompt + completion)


def usage_as_responses(usage: Usage) -> bytes:
    """The `usage` of a response, for callers."""
    tokens = usage.tokens
    return (
        b'{"input_tokens":%d,"input_tokens_details":{"cached_tokens":%d,"cache_write_tokens":%d},"output_tokens":%d,'
        b'"output_tokens_details":{"reasoning_tokens":%d},"total_tokens":%d}'
        % (
            usage.prompt,
            tokens.cached_input,
            tokens.cache_write_5m + tokens.cache_write_1h,
            usage.completion,
            tokens.reasoning,
            usage.prompt + usage.completion,
        )
    )


def usage_from_anthropic(raw: bytes | Raw) -> Usage | None:
    """Anthropic's `usage`: `input_tokens` are the fresh ones alone. None as above."""
    try:
        given = _anthropic.decode(raw)
    except msgspec.DecodeError:
        return None
    fresh, output = given.input_tokens or 0, given.output_tokens or 0
    read, written = given.cache_read_input_tokens or 0, given.cache_creation_input_tokens or 0
    short, long = written, 0
    balanced = True
    if given.cache_creation is not None:
        short, long = given.cache_creation.ephemeral_5m_input_tokens, given.cache_creation.ephemeral_1h_input_tokens
        balanced = given.cache_creation_input_tokens is None or short + long == written
    prompt = fresh + read + short + long
    if not prompt and not output:
        return None
    thought = given.output_tokens_details.thinking_tokens if given.output_tokens_details is not None else 0
    return _normal((fresh, read, short, long, 0, 0, output - thought, thought, 0, 1), prompt, output, balanced)


def usage_from_bedrock(raw: bytes | Raw) -> Usage | None:
    """Converse's `usage`: `inputTokens` are the fresh ones alone. None as above."""
    try:
        given = _bedrock.decode(raw)
    except msgspec.DecodeError:
        return None
    fresh, output = given.input_tokens or 0, given.output_tokens or 0
    read, written = given.cache_read_input_tokens or 0, given.cache_write_input_tokens or 0
    long = sum(detail.input_tokens for detail in given.cache_details or () if detail.ttl == "1h")
    prompt = fresh + read + written
    if not prompt and not output:
        return None
    balanced = given.total_tokens is None or given.total_tokens in (prompt + output, fresh + output)
    return _normal((fresh, read, written - long, long, 0, 0, output, 0, 0, 1), prompt, output, balanced)


def usage_as_openai(usage: Usage) -> bytes:
    """The normal form as OpenAI's `usage`, with OpenRouter's `cache_write_tokens`."""
    tokens = usage.tokens
    return msgspec.json.encode(
        {
            "prompt_tokens": usage.prompt,
            "completion_tokens": usage.completion,
            "total_tokens": usage.prompt + usage.completion,
            "prompt_tokens_details": {
                "cached_tokens": tokens.cached_input,
                "cache_write_tokens": tokens.cache_write_5m + tokens.cache_write_1h,
                "audio_tokens": tokens.audio_input,
                "image_tokens": tokens.image,
            },
            "completion_tokens_details": {
                "reasoning_tokens": tokens.reasoning,
                "audio_tokens": tokens.audio_output,
            },
        }
    )


def usage_as_anthropic(usage: Usage) -> bytes:
    """The normal form as Anthropic's `usage`, whose `input_tokens` are the fresh ones alone."""
    tokens = usage.tokens
    short, long = tokens.cache_write_5m, tokens.cache_write_1h
    return msgspec.json.encode(
        {
            "input_tokens": usage.prompt - tokens.cached_input - short - long,
            "cache_creation_input_tokens": short + long,
            "cache_read_input_tokens": tokens.cached_input,
            "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
            "output_tokens": usage.completion,
            "output_tokens_details": {"thinking_tokens": tokens.reasoning},
        }
    )


def usage_as_gemini(usage: Usage) -> bytes:
    """The normal form as Gemini's `usageMetadata`, whose thoughts are counted beside the candidates."""
    tokens = usage.tokens
    text = usage.prompt - tokens.image - tokens.audio_input
    shown = (("TEXT", text), ("IMAGE", tokens.image), ("AUDIO", tokens.audio_input))
    spoken = tokens.audio_output
    found: dict[str, Any] = {
        "promptTokenCount": usage.prompt,
        "candidatesTokenCount": usage.completion - tokens.reasoning,
        "totalTokenCount": usage.prompt + usage.completion,
        "promptTokensDetails": [{"modality": name, "tokenCount": count} for name, count in shown if count],
    }
    if tokens.cached_input:
        found["cachedContentTokenCount"] = tokens.cached_input
    if tokens.reasoning:
        found["thoughtsTokenCount"] = tokens.reasoning
    if spoken:
        found["candidatesTokensDetails"] = [{"modality": "AUDIO", "tokenCount": spoken}]
    return msgspec.json.encode(found)


def usage_from_gemini(raw: bytes | Raw) -> Usage | None:
    """Gemini's `usageMetadata`: thoughts are counted beside the candidates. None as above."""
    try:
        given = _gemini.decode(raw)
    except msgspec.DecodeError:
        return None
    prompt = (given.prompt_token_count or 0) + (given.tool_use_prompt_token_count or 0)
    thoughts = given.thoughts_token_count or 0
    completion = (given.candidates_token_count or 0) + thoughts
    if not prompt and not completion:
        return None
    cached = given.cached_content_token_count or 0
    image = max(0, _of(given.prompt_tokens_details, "IMAGE") - _of(given.cache_tokens_details, "IMAGE"))
    audio = max(0, _of(given.prompt_tokens_details, "AUDIO") - _of(given.cache_tokens_details, "AUDIO"))
    spoken = _of(given.candidates_tokens_details, "AUDIO")
    total = given.total_token_count
    classes: tuple[int, ...] = (
        prompt - cached - image - audio, cached, 0, 0, image, audio, completion - thoughts - spoken, thoughts, spoken,
        1,
    )  # fmt: skip
    return _normal(classes, prompt, completion, total is None or total == prompt + completion)


def _of(details: list[Modality] | None, modality: str) -> int:
    found = 0
    for entry in details or ():
        if entry.modality == modality:
            found += entry.token_count
    return found


def _normal(classes: tuple[int, ...], prompt: int, completion: int, balanced: bool) -> Usage:
    """Parts larger than their whole are cut from the other end, so that the sum stays what was reported."""
    if min(classes) < 0:
        balanced = False
        inside = _fitted(classes[:PROMPT_CLASSES], prompt)
        outside = _fitted(classes[PROMPT_CLASSES:-1], completion)
        classes = (*inside, *outside, classes[-1])
    return Usage(classes, prompt, completion, balanced)


def _fitted(parts: tuple[int, ...], total: int) -> list[int]:
    fitted = []
    rest = total
    for part in parts[1:]:
        fitted.append(min(part, rest))
        rest -= fitted[-1]
    return [rest, *fitted]
