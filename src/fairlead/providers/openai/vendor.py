"""OpenAI's API, for everyone who speaks it."""

from __future__ import annotations

from fairlead.providers.dialect import Binding, Dialect, OperationAPI, VendorAPI
from fairlead.providers.openai import completions, embeddings, forms, images, moderations, rerank, speech
from fairlead.providers.openai.adapter import OpenAIChat
from fairlead.providers.openai.dialects import ROWS
from fairlead.providers.openai.foreign import ForeignCallers, written_turns
from fairlead.providers.openai.reader import ChunkFormat, one_text
from fairlead.providers.translated import TranslatedChat, translated_chat
from fairlead.wire.apis import (
    CHAT,
    CHAT_COMPLETIONS,
    COMPLETIONS,
    EMBEDDINGS,
    IMAGES,
    MODERATIONS,
    RERANK,
    SPEECH,
)


def _native(binding: Binding) -> OpenAIChat:
    return OpenAIChat(binding.dialect, binding.public_model, binding.upstream_model, binding.defaults)


def _translated_chat(binding: Binding) -> TranslatedChat:
    dialect = binding.dialect
    return translated_chat(
        binding,
        ForeignCallers(_native(binding), keeps_marks=dialect.keeps_marks, takes_words=not dialect.refuses),
        ChunkFormat(),
        None if dialect.parses_control_tokens else written_turns,  # what may be one is made harmless, text by text
        one_text,
    )  # fmt: skip


def _translated(dialect: Dialect) -> frozenset[str]:
    names = set(dialect.renames)
    if dialect.tool_choice != "as_is":
        names.add("tool_choice")
    if dialect.structured != "as_is":
        names.add("structured_outputs")
    return frozenset(names)


CHAT_API = OperationAPI(CHAT_COMPLETIONS, _native, _translated_chat)
OPERATIONS: dict[str, OperationAPI] = {
    CHAT: CHAT_API,
    COMPLETIONS: completions.API,
    EMBEDDINGS: embeddings.API,
    MODERATIONS: moderations.API,
    RERANK: rerank.API,
    IMAGES: images.API,
    **forms.APIS,
    SPEECH: speech.API,
}
OPENAI = VendorAPI("openai", ROWS, OPERATIONS, translated=_translated)
