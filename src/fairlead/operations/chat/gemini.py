"""Chat that was asked for in Gemini's generateContent: what the middle asks is answered without translating the
request, because a provider of the same API gets it as it is."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from msgspec import Raw

from fairlead.errors import CallerError
from fairlead.operations.chat.foreign import ForeignChat
from fairlead.operations.chat.messages import BEYOND_TOKENS
from fairlead.operations.chat.prompt import KEPT_PROMPT_BYTES, kept_prompt
from fairlead.routing.demand import Demand
from fairlead.routing.media_tokens import MOST_FILE_TOKENS, MOST_IMAGE_TOKENS_OF, MOST_VIDEO_TOKENS
from fairlead.routing.needs import CHOICES, JSON_OBJECT, JSON_SCHEMA, MEDIA_NEEDS, PARAMETER_BITS, PREFILL, TOOLS
from fairlead.routing.prompt import TEMPLATE_TOKENS, DeferredPrompt, Prompt
from fairlead.routing.upstream import MOST_CONTEXT_TOKENS
from fairlead.tokens import Counted
from fairlead.wire.gemini.neutral import given, to_chat
from fairlead.wire.gemini.request import GeminiRequest
from fairlead.wire.notes import notes_in_members

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
_SCHEMAS: Final = ("responseSchema", "responseJsonSchema")
_NOT_IN_PROMPT: Final = frozenset({"generationConfig", "safetySettings", "toolConfig", "labels", "model"})


class GeminiChat(ForeignChat):
    """Its payload is a `GeminiRequest`."""

    __slots__ = ()

    def demand(self, payload: GeminiRequest) -> Demand:  # type: ignore[override]
        if not payload.body:  # it was rewritten here
            return super().demand(payload)
        length = _length(payload)
        beyond = BEYOND_TOKENS if payload.needs_provider else 0
        return Demand(
            self, payload, payload.model, _needs(payload), payload.contents.media, length, length + beyond, payload.cap,
            payload.choices, payload.stream, payload.strict, payload.emulate, _is_formatted(payload), payload.fallbacks,
            payload.preferences,
        ).noted(notes_in_members(payload.fields))  # fmt: skip

    def affinity(self, payload: GeminiRequest) -> int:  # type: ignore[override]
        return hash(bytes(payload.contents.opening)) or 1

    def media_tokens(self, payload: GeminiRequest, image_tokens: int) -> int:  # type: ignore[override]
        found = payload.contents
        return (
            found.images * image_tokens + found.files * MOST_FILE_TOKENS
            + found.videos * MOST_VIDEO_TOKENS
        )  # fmt: skip

    def count(self, payload: GeminiRequest, family: str | None, whole: bool) -> Counted:  # type: ignore[override]
        try:
            return super().count(payload, family, whole)
        except CallerError:
            if not payload.needs_provider:
                raise
            return Counted(-(-_length(payload) // 4), "estimated")

    def kept(self, payload: GeminiRequest) -> Prompt:  # type: ignore[override]
        if payload.translated is not None:
            prompt = super().kept(payload)
        else:
            length = _length(payload)
            most = length + TEMPLATE_TOKENS + self.media_tokens(payload, max(MOST_IMAGE_TOKENS_OF.values()))
            translated = partial(_translated_prompt, payload.model, payload.members, payload.cap)
            prompt = (
                DeferredPrompt(length, most, payload.cap, translated)
                if length <= KEPT_PROMPT_BYTES and payload.choices == 1
                else Prompt(length, most, payload.cap, payload.choices)
            )
        if payload.needs_provider:
            prompt.most = MOST_CONTEXT_TOKENS
        return prompt


def _length(payload: GeminiRequest) -> int:
    """The bytes of everything that may come into the prompt."""
    found = 0
    for name, raw in payload.members.items():
        if name not in _NOT_IN_PROMPT:
            found += len(raw)
    for name in _SCHEMAS:
        found += len(payload.config.get(name, b""))
    return found


def _is_formatted(payload: GeminiRequest) -> bool:
    return b"application/json" in bytes(payload.config.get("responseMimeType", b""))


def _needs(payload: GeminiRequest) -> int:
    needs = 0
    for name in payload.members:
        needs |= _MEMBERS.get(name, 0)
    for name in payload.config:
        needs |= _CONFIG.get(name, 0)
    media = payload.contents.media
    if media:
        for bit, need in MEDIA_NEEDS.items():
            if media & bit:
                needs |= need
    if payload.contents.prefilled:
        needs |= PREFILL
    if payload.choices > 1:
        needs |= CHOICES | PARAMETER_BITS["n"]
    if _is_formatted(payload):
        has_schema = any(given(payload.config, name) for name in _SCHEMAS)
        needs |= (JSON_SCHEMA if has_schema else JSON_OBJECT) | PARAMETER_BITS["response_format"]
    return needs


def _translated_prompt(model: str, members: Mapping[str, Raw], cap: int) -> Prompt:
    return kept_prompt(to_chat(model, members, {}, cap=cap, stream=False).request)


GEMINI_CHAT: Final = GeminiChat()
