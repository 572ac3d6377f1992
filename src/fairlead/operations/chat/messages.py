"""Chat that was asked for in Anthropic's Messages: what the middle asks is answered without translating the request,
because a provider of the same API gets it as it is."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from msgspec import Raw

from fairlead.errors import CallerError
from fairlead.operations.chat.foreign import ForeignChat
from fairlead.operations.chat.prompt import KEPT_PROMPT_BYTES, kept_prompt
from fairlead.routing.demand import Demand
from fairlead.routing.media_tokens import MOST_FILE_TOKENS, MOST_IMAGE_TOKENS_OF
from fairlead.routing.needs import JSON_SCHEMA, MEDIA_NEEDS, PARAMETER_BITS, PREFILL, TOOLS
from fairlead.routing.prompt import TEMPLATE_TOKENS, DeferredPrompt, Prompt
from fairlead.routing.upstream import MOST_CONTEXT_TOKENS
from fairlead.tokens import Counted
from fairlead.wire.messages.neutral import to_chat
from fairlead.wire.messages.request import MessagesRequest
from fairlead.wire.notes import notes_in_members

# A prompt to which the provider adds, by tools that it runs or a conversation that it keeps, may come to the longest
# context that there is; of a model whose own is known, to that.
BEYOND_TOKENS: Final = 1_000_000
# What its parameters are in the words by which deployments are chosen (`wire/vocabulary.py`).
_WORDS: Final[Mapping[str, int]] = {
    "max_tokens": PARAMETER_BITS["max_tokens"],
    "stop_sequences": PARAMETER_BITS["stop"],
    "temperature": PARAMETER_BITS["temperature"],
    "top_p": PARAMETER_BITS["top_p"],
    "top_k": PARAMETER_BITS["top_k"],
    "tools": PARAMETER_BITS["tools"] | TOOLS,
    "tool_choice": PARAMETER_BITS["tool_choice"],
}
_NOT_IN_PROMPT: Final = frozenset({"max_tokens", "model", "stream", "temperature", "top_k", "top_p", "metadata"})
_FORMAT: Final = b'"format"'


class MessagesChat(ForeignChat):
    """Its payload is a `MessagesRequest`."""

    __slots__ = ()

    def demand(self, payload: MessagesRequest) -> Demand:  # type: ignore[override]
        if not payload.body:  # it was rewritten here
            return super().demand(payload)
        length = _length(payload)
        beyond = BEYOND_TOKENS if payload.needs_provider else 0
        return Demand(
            self, payload, payload.model, _needs(payload), payload.contents.media, length, length + beyond, payload.cap,
            1, payload.stream, payload.strict, payload.emulate, _is_formatted(payload), payload.fallbacks,
            payload.preferences,
        ).noted(notes_in_members(payload.fields, user=payload.user))  # fmt: skip

    def affinity(self, payload: MessagesRequest) -> int:  # type: ignore[override]
        return hash(bytes(payload.contents.opening)) or 1

    def media_tokens(self, payload: MessagesRequest, image_tokens: int) -> int:  # type: ignore[override]
        return payload.contents.images * image_tokens + payload.contents.files * MOST_FILE_TOKENS

    def count(self, payload: MessagesRequest, family: str | None, whole: bool) -> Counted:  # type: ignore[override]
        try:
            return super().count(payload, family, whole)
        except CallerError:
            if not payload.needs_provider:
                raise
            return Counted(-(-_length(payload) // 4), "estimated")

    def kept(self, payload: MessagesRequest) -> Prompt:  # type: ignore[override]
        if payload.translated is not None:
            prompt = super().kept(payload)
        else:
            length = _length(payload)
            most = length + TEMPLATE_TOKENS + self.media_tokens(payload, max(MOST_IMAGE_TOKENS_OF.values()))
            short = length <= KEPT_PROMPT_BYTES
            prompt = (
                DeferredPrompt(length, most, payload.cap, partial(_translated_prompt, payload.fields, payload.cap))
                if short
                else Prompt(length, most, payload.cap, 1)
            )
        if payload.needs_provider:
            prompt.most = MOST_CONTEXT_TOKENS
        return prompt


def _length(payload: MessagesRequest) -> int:
    """The bytes of everything that may come into the prompt."""
    found = 0
    for name, raw in payload.fields.items():
        if name not in _NOT_IN_PROMPT:
            found += len(raw)
    return found


def _needs(payload: MessagesRequest) -> int:
    needs = 0
    for name in payload.fields:
        needs |= _WORDS.get(name, 0)
    media = payload.contents.media
    if media:
        for bit, need in MEDIA_NEEDS.items():
            if media & bit:
                needs |= need
    if payload.contents.prefilled:
        needs |= PREFILL
    if _is_formatted(payload):
        needs |= JSON_SCHEMA | PARAMETER_BITS["response_format"]
    return needs


def _is_formatted(payload: MessagesRequest) -> bool:
    output = payload.fields.get("output_config")
    return output is not None and _FORMAT in bytes(output)


MESSAGES_CHAT: Final = MessagesChat()


def _translated_prompt(fields: Mapping[str, Raw], cap: int) -> Prompt:
    return kept_prompt(to_chat(fields, cap).request)
