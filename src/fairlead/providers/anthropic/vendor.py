"""Anthropic's Messages API: what it can carry, and how a deployment is bound to it."""

from __future__ import annotations

from fairlead.providers.anthropic.native import NativeMessages
from fairlead.providers.anthropic.reader import MessageFormat, one_text
from fairlead.providers.anthropic.request import written_turns
from fairlead.providers.anthropic.translator import MessagesTranslator
from fairlead.providers.claude import supports_prefill
from fairlead.providers.dialect import Binding, Dialect, OperationAPI, VendorAPI
from fairlead.providers.translated import TRANSLATED, TranslatedChat, translated_chat
from fairlead.wire.apis import CHAT, MESSAGES

DIALECT = Dialect(
    "anthropic",
    telemetry_name="anthropic",
    carries=TRANSLATED | {"safety_identifier", "user"},
    speaks="anthropic",
    key_header="x-api-key: {key}",
    headers=b"anthropic-version: 2023-06-01\r\n",
    path="/messages",
    incapable=frozenset({"json_object", "audio", "video", "file_ids", "assistant_media"}),
)


def _translator(binding: Binding) -> MessagesTranslator:
    return MessagesTranslator(
        binding.dialect, binding.upstream_model, binding.defaults, most_output=binding.most_output
    )


def _supports_prefill(_dialect: Dialect, model: str) -> bool | None:
    return supports_prefill(model)


def _translated(binding: Binding) -> TranslatedChat:
    return translated_chat(binding, _translator(binding), MessageFormat(), written_turns, one_text)


def _native(binding: Binding) -> NativeMessages:
    assert binding.new_writer is not None
    return NativeMessages(
        binding.dialect, binding.public_model, binding.upstream_model, binding.dialect.path_of(binding.upstream_model),
        binding.new_writer, _translated(binding),
    )  # fmt: skip


CHAT_API = OperationAPI(MESSAGES, _native, _translated)
ANTHROPIC = VendorAPI("anthropic", (DIALECT,), {CHAT: CHAT_API}, _supports_prefill)
