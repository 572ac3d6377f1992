"""Callers of generateContent at a provider that speaks it.

The model stands in the path, so that a body stays as it is, but for a cap that was lowered here, what the gateway is
told itself, signatures of other providers, and what would be billed beside the price sheet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec

from fairlead.errors import FairleadError, NotCarried
from fairlead.providers.call_shapes import NativeCall
from fairlead.providers.dialect import Dialect
from fairlead.providers.gemini.native_answers import NativeRelay, native_answer
from fairlead.providers.gemini.reader import ContentFormat
from fairlead.providers.gemini.shapes import ErrorDocument
from fairlead.providers.native import NativeAdapter, Translating, unpriced
from fairlead.wire.answer import WriterFactory
from fairlead.wire.apis import GENERATE_CONTENT
from fairlead.wire.body import members_of, with_members
from fairlead.wire.gemini.request import SIGNATURE, GeminiRequest
from fairlead.wire.gemini.schemas import camel
from fairlead.wire.gemini.shapes import Echo

# Members that change the price of a call, and tools that are billed by the call, by the names that operators allow
# them with (`providers/billed_parameters.py`). https://ai.google.dev/gemini-api/docs/pricing
BILLED_MEMBERS: Final[Mapping[str, str]] = {"serviceTier": "service_tier"}
BILLED_TOOLS: Final[Mapping[str, str]] = {
    "googleSearch": "web_search", "googleSearchRetrieval": "web_search", "enterpriseWebSearch": "web_search",
    "googleMaps": "web_search", "fileSearch": "file_search",
}  # fmt: skip
JSON_BODY: Final = b"content-type: application/json\r\n"
_encode: Final = msgspec.json.encode
_error: Final = msgspec.json.Decoder(ErrorDocument)


class NativeContent(NativeAdapter):
    """`model`: the provider's name of the model."""

    __slots__ = ("_billed", "_billed_tools", "_lacks_modalities", "_model", "_path", "_public")

    def __init__(
        self, dialect: Dialect, public: str, model: str, writer: WriterFactory, translating: Translating
    ) -> None:
        super().__init__(public, ContentFormat(), writer, translating)
        self._public = _encode(public)
        self._model = model.removeprefix("models/")
        self._path = f"/models/{quote(self._model, safe='')}:".encode()
        self._billed = frozenset(name for name, word in BILLED_MEMBERS.items() if word in dialect.lacks)
        self._billed_tools = frozenset(name for name, word in BILLED_TOOLS.items() if word in dialect.lacks)
        self._lacks_modalities = "modalities" in dialect.lacks

    def is_changed_inside(self, payload: GeminiRequest) -> bool:
        return payload.has_tagged_signatures

    def call_of(self, payload: GeminiRequest) -> NativeCall:
        dropped = self._left_out(payload)
        left_out = [name for name in payload.fields if camel(name) in dropped] if dropped else []
        action = b"streamGenerateContent?alt=sse" if payload.stream else b"generateContent"
        if payload.query:
            action += b"%b%b" % (b"&" if payload.stream else b"?", payload.query.encode("latin-1"))
        if payload.has_tagged_signatures:
            dropped = (*dropped, SIGNATURE)
        return NativeCall(
            [payload.native(left_out)], payload.stream, dropped, self._path + action, JSON_BODY, payload.choices,
            payload.echo,
        )  # fmt: skip

    def count_call(self, payload: GeminiRequest) -> NativeCall:
        """The call that counts the tokens of a prompt; it costs nothing."""
        body = payload.native()
        fields = members_of(body)
        for name in ("generateContentRequest", "generate_content_request"):
            if name in fields:
                inner = bytes(fields[name])
                model: dict[str, bytes | None] = {"model": _encode(f"models/{self._model}")}
                body = with_members(body, fields, {name: with_members(inner, members_of(inner), model)})
        return NativeCall([body], False, (), self._path + b"countTokens", JSON_BODY, 1, payload.echo)

    def _left_out(self, payload: GeminiRequest) -> tuple[str, ...]:
        for tool in payload.server_tools:
            if tool in self._billed_tools:
                raise unpriced("tools", tool)
        if self._lacks_modalities and payload.modalities:
            raise unpriced("generationConfig.responseModalities", payload.modalities[0])
        dropped = tuple([name for name in payload.members if name in self._billed])
        if dropped and payload.strict:
            raise NotCarried(dropped)
        return dropped

    def new_relay(self, call: NativeCall) -> Any:
        echo: Echo = call.echo
        return NativeRelay(self._public, call.choices, is_array=echo.is_array)

    def whole(self, body: bytes) -> Any:
        return native_answer(body, self._public)

    def is_error(self, body: bytes) -> bool:
        _error.decode(body)
        return True

    def present(self, error: FairleadError, headers: Sequence[tuple[bytes, bytes]]) -> None:  # noqa: ARG002
        error.native_api = GENERATE_CONTENT
