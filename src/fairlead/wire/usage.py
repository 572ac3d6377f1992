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
    usage.priced = _has_price(given, 7)
    return usage


def _has_price(given: tuple[Any, ...], at: int) -> bool:
    """Whether one of the four members stands there that tell of a price."""
    return (
        given[at] is not _ABSENT or given[at + 1] is not _ABSENT or given[at + 2] is not _ABSENT
        or given[at + 3] is not _ABSENT
    )  # fmt: skip


def usage_from_responses(raw: bytes | Raw) -> Usage | None:
    """OpenAI's `usage` in Responses: the same counts under other names. None as above."""
    try:
        given: tuple[Any, ...] = _astuple(_responses.decode(raw))
    except msgspec.DecodeError:
        return None
    prompt: int = given[0] or 0
    completion: int = given[1] or 0
    if not prompt and not completion:
        return None
    cached = written = reasoning = 0
    if given[3] is not None:
        inside: tuple[Any, ...] = _astuple(given[3])
        cached, written = inside[0] or 0, inside[1] or 0
    if given[4] is not None:
        reasoning = given[4].reasoning_tokens or 0
    total: int | None = given[2]
    fresh, plain = prompt - cached - written, completion - reasoning
    balanced = total is None or total == prompt + completion
    classes: tuple[int, ...] = (fresh, cached, written, 0, 0, 0, plain, reasoning, 0, 1)
    if fresh >= 0 and plain >= 0:
        usage = Usage(classes, prompt, completion, balanced)
    else:
        usage = _normal(classes, prompt, completion, balanced)
    usage.priced = _has_price(given, 5)
    return usage


def usage_as_responses(usage: Usage) -> bytes:
    """The `usage` of a response, for callers."""
    _, cached, short, long, _, _, _, reasoning, _, _ = usage.classes
    prompt, completion = usage.prompt, usage.completion
    return (
        f'{{"input_tokens":{prompt},"input_tokens_details":{{"cached_tokens":{cached},'
        f'"cache_write_tokens":{short + long}}},"output_tokens":{completion},'
        f'"output_tokens_details":{{"reasoning_tokens":{reasoning}}},"total_tokens":{prompt + completion}}}'
    ).encode()


def usage_from_anthropic(raw: bytes | Raw) -> Usage | None:
    """Anthropic's `usage`: `input_tokens` are the fresh ones alone. None as above."""
    try:
        given: tuple[Any, ...] = _astuple(_anthropic.decode(raw))
    except msgspec.DecodeError:
        return None
    fresh: int = given[0] or 0
    output: int = given[1] or 0
    written: int = given[2] or 0
    read: int = given[3] or 0
    short, long, thought = written, 0, 0
    balanced = True
    if given[4] is not None:
        kept: tuple[Any, ...] = _astuple(given[4])
        short, long = kept[0], kept[1]
        balanced = given[2] is None or short + long == written
    if given[5] is not None:
        thought = given[5].thinking_tokens
    prompt = fresh + read + short + long
    if not prompt and not output:
        return None
    plain = output - thought
    classes: tuple[int, ...] = (fresh, read, short, long, 0, 0, plain, thought, 0, 1)
    usage = Usage(classes, prompt, output, balanced) if plain >= 0 else _normal(classes, prompt, output, balanced)
    usage.priced = _has_price(given, 6)
    return usage


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
    _, cached, short, long, image, audio, _, reasoning, spoken, _ = usage.classes
    prompt, completion = usage.prompt, usage.completion
    return (
        f'{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{prompt + completion},'
        f'"prompt_tokens_details":{{"cached_tokens":{cached},"cache_write_tokens":{short + long},'
        f'"audio_tokens":{audio},"image_tokens":{image}}},'
        f'"completion_tokens_details":{{"reasoning_tokens":{reasoning},"audio_tokens":{spoken}}}}}'
    ).encode()


def usage_as_anthropic(usage: Usage) -> bytes:
    """The normal form as Anthropic's `usage`, whose `input_tokens` are the fresh ones alone."""
    _, cached, short, long, _, _, _, reasoning, _, _ = usage.classes
    return (
        f'{{"input_tokens":{usage.prompt - cached - short - long},"cache_creation_input_tokens":{short + long},'
        f'"cache_read_input_tokens":{cached},"cache_creation":{{"ephemeral_5m_input_tokens":{short},'
        f'"ephemeral_1h_input_tokens":{long}}},"output_tokens":{usage.completion},'
        f'"output_tokens_details":{{"thinking_tokens":{reasoning}}}}}'
    ).encode()


def usage_as_gemini(usage: Usage) -> bytes:
    """The normal form as Gemini's `usageMetadata`, whose thoughts are counted beside the candidates."""
    _, cached, _, _, image, audio, _, reasoning, spoken, _ = usage.classes
    prompt, completion = usage.prompt, usage.completion
    if not image and not audio and prompt:
        details = f'{{"modality":"TEXT","tokenCount":{prompt}}}'
    else:
        counts = (("TEXT", prompt - image - audio), ("IMAGE", image), ("AUDIO", audio))
        details = ",".join([f'{{"modality":"{name}","tokenCount":{count}}}' for name, count in counts if count])
    found = (
        f'{{"promptTokenCount":{prompt},"candidatesTokenCount":{completion - reasoning},'
        f'"totalTokenCount":{prompt + completion},"promptTokensDetails":[{details}]'
    )
    if cached:
        found += f',"cachedContentTokenCount":{cached}'
    if reasoning:
        found += f',"thoughtsTokenCount":{reasoning}'
    if spoken:
        found += f',"candidatesTokensDetails":[{{"modality":"AUDIO","tokenCount":{spoken}}}]'
    return f"{found}}}".encode()


def usage_from_gemini(raw: bytes | Raw) -> Usage | None:
    """Gemini's `usageMetadata`: thoughts are counted beside the candidates. None as above."""
    try:
        given: tuple[Any, ...] = _astuple(_gemini.decode(raw))
    except msgspec.DecodeError:
        return None
    thoughts: int = given[2] or 0
    cached: int = given[3] or 0
    prompt: int = given[0] or 0
    prompt += given[4] or 0
    completion: int = given[1] or 0
    completion += thoughts
    if not prompt and not completion:
        return None
    image = audio = spoken = 0
    if given[6] is not None:
        image, audio = _pictures_and_sounds(given[6])
        if given[7] is not None:
            seen, heard = _pictures_and_sounds(given[7])
            image, audio = max(0, image - seen), max(0, audio - heard)
    if given[8] is not None:
        _, spoken = _pictures_and_sounds(given[8])
    total: int | None = given[5]
    balanced = total is None or total == prompt + completion
    fresh, plain = prompt - cached - image - audio, completion - thoughts - spoken
    classes: tuple[int, ...] = (fresh, cached, 0, 0, image, audio, plain, thoughts, spoken, 1)
    if fresh >= 0 and plain >= 0:
        usage = Usage(classes, prompt, completion, balanced)
    else:
        usage = _normal(classes, prompt, completion, balanced)
    usage.priced = _has_price(given, 9)
    return usage


def _pictures_and_sounds(details: list[Modality]) -> tuple[int, int]:
    image = audio = 0
    for entry in details:
        modality, tokens = entry.modality, entry.token_count
        if modality == "IMAGE":
            image += tokens
        elif modality == "AUDIO":
            audio += tokens
    return image, audio


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
