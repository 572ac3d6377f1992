"""What a call used, in tokens, as its provider counted them."""

from __future__ import annotations

import msgspec


class PromptDetails(msgspec.Struct, frozen=True):
    cached_tokens: int | None = None
    audio_tokens: int | None = None


class CompletionDetails(msgspec.Struct, frozen=True):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class Usage(msgspec.Struct, frozen=True):
    """OpenAI's `usage` object. Cached tokens are part of the prompt's, reasoning tokens part of the completion's."""

    prompt_tokens: int
    completion_tokens: int = 0
    total_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None


_decoder = msgspec.json.Decoder(Usage)


def usage_from_openai(raw: bytes | msgspec.Raw) -> Usage | None:
    """The usage that a provider reported; None when it is not usable as such."""
    try:
        return _decoder.decode(raw)
    except msgspec.DecodeError:
        return None
