"""The normal form of what a call used, and the shapes in which providers report it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Raw, Struct, field

ABSENT = Raw(b"")
Provenance = Literal["reported", "counted", "estimated"]


class TokenClasses(NamedTuple):
    """One number for each class that can have a price. As tokens the classes are disjoint: `input` is what is neither
    cached, written to a cache, image nor audio; `output` is what is neither reasoning nor audio. Their sum is what the
    provider reported. As rates: picodollars per token, and per request in `request`."""

    input: int = 0
    cached_input: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    image: int = 0
    audio_input: int = 0
    output: int = 0
    reasoning: int = 0
    audio_output: int = 0
    request: int = 0


CLASSES = TokenClasses._fields
PROMPT_CLASSES = 6  # the first six make up the prompt
# For readers of the price reference.
CLASS_MEANINGS: Mapping[str, str] = {
    "input": "prompt tokens that are in none of the other input classes; also those of files and video. For speech: "
    "characters",
    "cached_input": "prompt tokens read from the cache of the provider",
    "cache_write_5m": "prompt tokens written to a cache that is kept for 5 minutes, or as long as the provider chooses",
    "cache_write_1h": "prompt tokens written to a cache that is kept for an hour",
    "image": "prompt tokens of images, where the provider counts them",
    "audio_input": "prompt tokens of audio, where the provider counts them. For transcriptions without token counts: "
    "seconds",
    "output": "completion tokens that are in neither of the other output classes",
    "reasoning": "completion tokens of reasoning",
    "audio_output": "completion tokens of audio",
    "request": "1 for each call. For rerank: 1 for each search unit. For images: 1 for each 1,048,576 pixels of an "
    "image",
}


Count = Annotated[int, Meta(ge=0, le=2**40)]


class PromptDetails(Struct, gc=False):
    cached_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None
    cache_write_tokens: Count | None = None  # OpenRouter


class CompletionDetails(Struct, gc=False):
    reasoning_tokens: Count | None = None
    audio_tokens: Count | None = None


class OpenAIUsage(Struct, gc=False):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    total_tokens: Count | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: Count | None = None  # DeepSeek
    prompt_cache_miss_tokens: Count | None = None
    # The provider's own price, in whatever shape: callers are shown ours in its place.
    cost: Raw = ABSENT
    cost_usd: Raw = ABSENT
    cost_details: Raw = ABSENT
    usage_source: Raw = ABSENT


class ResponsesInput(Struct, gc=False):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None


class ResponsesOutput(Struct, gc=False):
    reasoning_tokens: Count | None = None


class ResponsesUsage(Struct, gc=False):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    total_tokens: Count | None = None
    input_tokens_details: ResponsesInput | None = None
    output_tokens_details: ResponsesOutput | None = None
    # The provider's own price, as above.
    cost: Raw = ABSENT
    cost_usd: Raw = ABSENT
    cost_details: Raw = ABSENT
    usage_source: Raw = ABSENT


class CacheCreation(Struct, gc=False):
    ephemeral_5m_input_tokens: Count = 0
    ephemeral_1h_input_tokens: Count = 0


class OutputDetails(Struct, gc=False):
    thinking_tokens: Count = 0


class AnthropicUsage(Struct, gc=False):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: OutputDetails | None = None
    # The provider's own price, as above.
    cost: Raw = ABSENT
    cost_usd: Raw = ABSENT
    cost_details: Raw = ABSENT
    usage_source: Raw = ABSENT


class CacheDetail(Struct, rename="camel"):
    ttl: str = "5m"
    input_tokens: Count = 0


class BedrockUsage(Struct, rename="camel"):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    total_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_write_input_tokens: Count | None = None
    cache_details: list[CacheDetail] | None = None


class Modality(Struct, rename="camel", gc=False):
    modality: str = "TEXT"
    token_count: Count = 0


class GeminiUsage(Struct, rename="camel", gc=False):
    prompt_token_count: Count | None = None
    candidates_token_count: Count | None = None
    thoughts_token_count: Count | None = None
    cached_content_token_count: Count | None = None
    tool_use_prompt_token_count: Count | None = None
    total_token_count: Count | None = None
    prompt_tokens_details: list[Modality] | None = None
    cache_tokens_details: list[Modality] | None = None
    candidates_tokens_details: list[Modality] | None = None
    # The provider's own price, as above.
    cost: Raw = ABSENT
    cost_usd: Raw = field(default=ABSENT, name="cost_usd")
    cost_details: Raw = field(default=ABSENT, name="cost_details")
    usage_source: Raw = field(default=ABSENT, name="usage_source")
