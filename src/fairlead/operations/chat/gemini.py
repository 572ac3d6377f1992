"""Chat that was asked for in Gemini's generateContent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Raw

from fairlead.operations.chat.native import NativeChat
from fairlead.operations.chat.prompt import kept_prompt
from fairlead.routing.needs import CHOICES, JSON_OBJECT, JSON_SCHEMA, PARAMETER_BITS, TOOLS
from fairlead.routing.prompt import Prompt
from fairlead.wire.gemini.neutral import contents_in, given, to_chat
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
        return _Later(payload.model, payload.members, payload.cap)

    def affinity(self, payload: NativeRequest) -> int:  # type: ignore[override]
        if payload.contents.plain:  # which were not taken apart
            for content in contents_in(payload.conversation):
                if content.role != "model":
                    return hash(bytes(content.parts)) or 1
        return super().affinity(payload)


class _Later:
    """Cheaper to make than a `partial`, and nearly never called."""

    __slots__ = ("_cap", "_members", "_model")

    def __init__(self, model: str, members: Mapping[str, Raw], cap: int) -> None:
        self._model = model
        self._members = members
        self._cap = cap

    def __call__(self) -> Prompt:
        return kept_prompt(to_chat(self._model, self._members, {}, cap=self._cap, stream=False).request)


GEMINI_CHAT: Final = GeminiChat()
