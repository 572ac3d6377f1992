"""Gemini's generateContent: what it can carry, which models take a prefill, and how a deployment is bound to it."""

from __future__ import annotations

import re

from fairlead.providers.dialect import Binding, Carried, Dialect, OperationAPI, VendorAPI
from fairlead.providers.gemini import embeddings
from fairlead.providers.gemini.native import NativeContent
from fairlead.providers.gemini.reader import ContentFormat, one_text
from fairlead.providers.gemini.request import written_turns
from fairlead.providers.gemini.translator import ContentTranslator
from fairlead.providers.translated import TRANSLATED, TranslatedChat, translated_chat
from fairlead.wire.apis import CHAT, EMBEDDINGS, GENERATE_CONTENT

DIALECT = Dialect(
    "gemini",
    telemetry_name="gcp.gemini",
    carries=TRANSLATED | {"frequency_penalty", "n", "presence_penalty", "seed"},
    speaks="gemini",
    key_header="x-goog-api-key: {key}",
    bills_cut=True,
    incapable=frozenset({"file_ids"}),
    max_inputs=100,
    carried={
        EMBEDDINGS: Carried(lacks=frozenset({"user"}), knows=frozenset({"input_type", "task", "task_type"})),
    },
)

# "Starting with Gemini 3.6 Flash and Gemini 3.5 Flash-Lite, and all future models": an error.
# https://ai.google.dev/gemini-api/docs/latest-model
_MODEL = re.compile(r"gemini-(\d+)(?:\.(\d+))?-")
_LAST_WITH_PREFILL = (3, 5)


def supports_prefill(_dialect: Dialect, model: str) -> bool:
    found = _MODEL.search(model)
    if found is None:
        return False
    version = (int(found[1]), int(found[2] or 0))
    return version <= _LAST_WITH_PREFILL and not (version == _LAST_WITH_PREFILL and "flash-lite" in model)


def _translator(binding: Binding) -> ContentTranslator:
    return ContentTranslator(binding.dialect, binding.upstream_model, binding.defaults)


def _translated(binding: Binding) -> TranslatedChat:
    return translated_chat(binding, _translator(binding), ContentFormat(), written_turns, one_text)


def _native(binding: Binding) -> NativeContent:
    assert binding.new_writer is not None
    return NativeContent(
        binding.dialect, binding.public_model, binding.upstream_model, binding.new_writer, _translated(binding)
    )


CHAT_API = OperationAPI(GENERATE_CONTENT, _native, _translated)
GEMINI = VendorAPI("gemini", (DIALECT,), {CHAT: CHAT_API, EMBEDDINGS: embeddings.API}, supports_prefill)
