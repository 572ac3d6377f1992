"""The Responses API: what it can carry, and how a deployment is bound to it."""

from __future__ import annotations

from fairlead.providers.dialect import Binding, Dialect, OperationAPI, VendorAPI
from fairlead.providers.responses_api.dialects import ROWS
from fairlead.providers.responses_api.native import NativeResponses
from fairlead.providers.responses_api.reader import ResponsesFormat, one_text
from fairlead.providers.responses_api.request import CARRIES, SAME, written_turns
from fairlead.providers.responses_api.translator import ResponsesTranslator
from fairlead.providers.translated import TranslatedChat, translated_chat
from fairlead.wire.apis import CHAT, RESPONSES

# Beside the names of parameters, which `priced` puts among what a dialect lacks: tools that are billed by the call.
BILLED = frozenset({"code_interpreter", "file_search", "image_generation", "service_tier", "web_search"})


def _translated(binding: Binding) -> TranslatedChat:
    translator = ResponsesTranslator(binding.dialect, binding.upstream_model, binding.defaults)
    return translated_chat(binding, translator, ResponsesFormat(), written_turns, one_text)


def _native(binding: Binding) -> NativeResponses:
    refused = BILLED & binding.dialect.lacks
    return NativeResponses(binding.public_model, binding.upstream_model, _translated(binding), refused)


def _translated_names(_dialect: Dialect) -> frozenset[str]:
    return CARRIES - SAME


CHAT_API = OperationAPI(RESPONSES, _native, _translated)
RESPONSES_API = VendorAPI("responses_api", ROWS, {CHAT: CHAT_API}, translated=_translated_names)
