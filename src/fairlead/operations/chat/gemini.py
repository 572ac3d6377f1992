"""Chat that was asked for in Gemini's generateContent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from msgspec import Raw

from fairlead.operations.chat.native import NativeChat
from fairlead.operations.chat.prompt import kept_prompt
from fairlead.routing.needs import CHOICES, JSON_OBJECT, JSON_SCHEMA, PARAMETER_BITS, TOOLS
from fairlead.routing.prompt import Prompt
from fairlead.wire.gemini.neutral import given, to_chat
from fairlead.wire.gemini.request import SCHEMAS, GeminiRequest
from fairlead.wire.native import NativeRequest

# What its parameters are in the words by which deployments are chosen (`wire/vocabulary.py`).
_MEMBERS: Final[Mapping[str, int]] = {
    "tools": PARAMETER_BITS["tools"] | TOOLS,
    "toolConfig": PARAMETER_BITS["tool_choice"],
}
_CONFIG: Final[Mapping[str, int]] = {
    "maxOutputTokens": PARAMETER_BITS["max_tokens"],
    "stopSequences": PARAMETER_BITS["stop"],
    "temperature": PARAMETER_BITS["temperature"],
    "topP": PARAMETER_BITS["top_p"],
    "topK": PARAMETER_BITS["top_k"],
    "seed": PARAMETER_BITS["seed"],
    "frequencyPenalty": PARAMETER_BITS["frequency_penalty"],
    "presencePenalty": PARAMETER_BITS["presence_penalty"],
}


class GeminiChat(NativeChat):
    """Its payload is a `GeminiRequest`."""

    __slots__ = ()

    def parameters(self, payload: NativeRequest) -> int:
        assert isinstance(payload, GeminiRequest)
        needs = 0
        for name in payload.members:
            needs |= _MEMBERS.get(name, 0)
        for name in payload.config:
            needs |= _CONFIG.get(name, 0)
        if payload.choices > 1:
            needs |= CHOICES | PARAMETER_BITS["n"]
        if self.is_formatted(payload):
            has_schema = any(given(payload.config, name) for name in SCHEMAS)
            needs |= (JSON_SCHEMA if has_schema else JSON_OBJECT) | PARAMETER_BITS["response_format"]
        return needs

    def is_formatted(self, payload: NativeRequest) -> bool:
        assert isinstance(payload, GeminiRequest)
        return b"application/json" in bytes(payload.config.get("responseMimeType", b""))

    def choices(self, payload: NativeRequest) -> int:
        assert isinstance(payload, GeminiRequest)
        return payload.choices

    def later(self, payload: NativeRequest) -> Callable[[], Prompt]:
        assert isinstance(payload, GeminiRequest)
        return partial(_translated_prompt, payload.model, payload.members, payload.cap)


def _translated_prompt(model: str, members: Mapping[str, Raw], cap: int) -> Prompt:
    return kept_prompt(to_chat(model, members, {}, cap=cap, stream=False).request)


GEMINI_CHAT: Final = GeminiChat()
