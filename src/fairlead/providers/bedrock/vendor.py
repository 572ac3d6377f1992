"""Bedrock's Converse: what it can carry, and how a deployment is bound to it."""

from __future__ import annotations

from urllib.parse import urlsplit

from fairlead.providers.bedrock.reader import CLAUDE, FORMAT, ConverseFormat
from fairlead.providers.bedrock.request import is_claude
from fairlead.providers.bedrock.sigv4 import Signer
from fairlead.providers.bedrock.translator import ConverseTranslator
from fairlead.providers.claude import supports_prefill
from fairlead.providers.dialect import Binding, Dialect, OperationAPI, VendorAPI, prefill_by_dialect
from fairlead.providers.translated import TRANSLATED, TranslatedChat, translated_chat
from fairlead.wire.apis import CHAT, CONVERSE

DIALECT = Dialect(
    "bedrock",
    telemetry_name="aws.bedrock",
    carries=TRANSLATED,
    speaks="bedrock",
    signs=True,
    list_path="",  # it is told elsewhere, under another permission
    stream_type=b"application/vnd.amazon.eventstream",
    bills_cut=True,
    incapable=frozenset({"json_object", "audio", "file_ids", "media_urls", "assistant_media"}),
)


def _translator(binding: Binding) -> ConverseTranslator:
    parts = urlsplit(binding.base_url)
    signer = None
    if binding.aws_keys is not None:
        host = parts.netloc.rpartition("@")[2]  # as it stands in the request
        signer = Signer(*binding.aws_keys, region=binding.region, service="bedrock", host=host)
    return ConverseTranslator(
        binding.dialect, binding.upstream_model, binding.defaults, clock=binding.clock,
        signer=signer, prefix=parts.path, most_output=binding.most_output,
    )  # fmt: skip


def _supports_prefill(dialect: Dialect, model: str) -> bool | None:
    return supports_prefill(model) if is_claude(model) else prefill_by_dialect(dialect, model)


def _translated(binding: Binding) -> TranslatedChat:
    signed = CLAUDE if is_claude(binding.upstream_model) else FORMAT
    return translated_chat(binding, _translator(binding), ConverseFormat(signed))


CHAT_API = OperationAPI(CONVERSE, translated=_translated)
BEDROCK = VendorAPI("bedrock", (DIALECT,), {CHAT: CHAT_API}, _supports_prefill)
