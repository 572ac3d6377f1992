"""Callers of generateContent at a provider that speaks it: their bytes are passed on.

The model stands in the path, so that a body stays as it is, but for a cap that was lowered here, what the gateway is
told itself, signatures of other providers, and what would be billed beside the price sheet. Errors come back as they
were written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol
from urllib.parse import quote

import msgspec
from msgspec import Struct

from fairlead.errors import FailurePolicy, FairleadError, NotCarried, UnsupportedContent, UpstreamDenied
from fairlead.providers.dialect import Dialect
from fairlead.providers.event_answers import EventAnswer
from fairlead.providers.failures import upstream_error
from fairlead.providers.gemini.native_answers import NativeAnswer, NativeRelay, native_answer
from fairlead.providers.gemini.reader import ContentFormat, ContentReader
from fairlead.providers.scrub import holds_secret
from fairlead.wire.answer import AnswerContext, WriterFactory
from fairlead.wire.apis import GENERATE_CONTENT
from fairlead.wire.body import members_of, with_members
from fairlead.wire.gemini.request import GeminiRequest
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
LONGEST_ERROR_BYTES: Final = 65_536
_encode: Final = msgspec.json.encode


class _Error(Struct):
    code: int
    message: str = ""
    status: str = ""


class _ErrorBody(Struct):
    error: _Error


_error: Final = msgspec.json.Decoder(_ErrorBody)


class NativeCall(Struct, frozen=True, gc=False):
    """A `Call` in the caller's own bytes. `choices`: how many answers it asks for; `echo`: what their writer needs."""

    body: list[bytes | memoryview]
    stream: bool
    dropped: tuple[str, ...]
    path: bytes
    choices: int
    echo: Echo
    headers: bytes = JSON_BODY
    clamped: tuple[str, ...] = ()
    bare: bool = True


class Translating(Protocol):
    """The adapter for callers whose request was rewritten here."""

    def to_vendor(self, payload: Any) -> Any: ...

    def relay(self, call: Any) -> Any: ...

    def assembler(self, call: Any) -> Any: ...

    def plain(self, call: Any, body: bytes) -> Any: ...


class NativeContent:
    """An adapter. `public`: the name of the model that callers use, `model`: the provider's; `writer`: of answers that
    come whole where a stream was asked for."""

    __slots__ = (
        "_billed",
        "_billed_tools",
        "_lacks_modalities",
        "_model",
        "_path",
        "_public",
        "_translating",
        "_writer",
    )
    stream_type: Final = b"text/event-stream"

    def __init__(
        self, dialect: Dialect, public: str, model: str, writer: WriterFactory, translating: Translating
    ) -> None:
        self._public = public
        self._model = model.removeprefix("models/")
        self._path = f"/models/{quote(self._model, safe='')}:".encode()
        self._writer = writer
        self._translating = translating
        self._billed = frozenset(name for name, word in BILLED_MEMBERS.items() if word in dialect.lacks)
        self._billed_tools = frozenset(name for name, word in BILLED_TOOLS.items() if word in dialect.lacks)
        self._lacks_modalities = "modalities" in dialect.lacks

    def to_vendor(self, payload: GeminiRequest) -> Any:
        """Raises InvalidRequest, in strict mode also for what is left out."""
        if not payload.body:  # it was rewritten here
            return self._translating.to_vendor(payload)
        dropped = self._left_out(payload)
        left_out = [name for name in payload.fields if camel(name) in dropped]
        action = b"streamGenerateContent?alt=sse" if payload.stream else b"generateContent"
        if payload.query:
            action += b"%b%b" % (b"&" if payload.stream else b"?", payload.query.encode("latin-1"))
        return NativeCall(
            [payload.native(left_out)], payload.stream, dropped, self._path + action, payload.choices, payload.echo
        )

    def count_call(self, payload: GeminiRequest) -> NativeCall:
        """The call that counts the tokens of a prompt; it costs nothing."""
        body = payload.native()
        fields = members_of(body)
        for name in ("generateContentRequest", "generate_content_request"):
            if name in fields:
                inner = bytes(fields[name])
                model = {"model": _encode(f"models/{self._model}")}
                body = with_members(body, fields, {name: with_members(inner, members_of(inner), model)})
        return NativeCall([body], False, (), self._path + b"countTokens", 1, payload.echo)

    def _left_out(self, payload: GeminiRequest) -> tuple[str, ...]:
        for tool in payload.server_tools:
            if tool in self._billed_tools:
                raise _unpriced("tools", tool)
        if self._lacks_modalities and payload.modalities:
            raise _unpriced("generationConfig.responseModalities", payload.modalities[0])
        dropped = tuple(name for name in payload.members if name in self._billed)
        if dropped and payload.strict:
            raise NotCarried(dropped)
        return dropped

    def relay(self, call: Any) -> Any:
        if not isinstance(call, NativeCall):
            return self._translating.relay(call)
        return NativeRelay(self._public, call.choices, is_array=call.echo.is_array)

    def assembler(self, call: Any) -> Any:
        if isinstance(call, NativeCall):
            return EventAnswer(self._writer(self._context(call)), call.choices, reader=ContentReader(call.choices))
        return self._translating.assembler(call)

    def plain(self, call: Any, body: bytes) -> NativeAnswer | EventAnswer:
        if not isinstance(call, NativeCall):
            made: EventAnswer = self._translating.plain(call, body)
            return made
        if call.stream:  # it ignored that; the events are made here
            return EventAnswer(self._writer(self._context(call)), call.choices, whole=ContentFormat().whole(body))
        return native_answer(body, self._public)

    def _context(self, call: NativeCall) -> AnswerContext:
        return AnswerContext(self._public, 0, choices=call.choices, echo=call.echo)

    def error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> FairleadError:
        """The error of our tree, with what the provider has written: programs match its words, and its status."""
        error = upstream_error(status, headers, body)
        if isinstance(error, UpstreamDenied) or not _is_presentable(body):
            return error  # it is about the operator's credential, or nothing that a caller could read
        error.status = status
        error.native_api, error.native_body = GENERATE_CONTENT, body
        return error


def _is_presentable(body: bytes) -> bool:
    """Whether it is an error in Google's shape and holds nobody's credential."""
    if len(body) > LONGEST_ERROR_BYTES:
        return False
    try:
        text = body.decode()
        _error.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
    return not holds_secret(text)


def _unpriced(where: str, what: str) -> UnsupportedContent:
    error = UnsupportedContent(
        f"{where}: {what[:64]!r} is billed in addition to the price of this model, so this server does not pass "
        "it on. Its operator can allow it (allow_parameters).",
        param=where.partition(".")[0],
    )
    error.policy = FailurePolicy(elsewhere=True)
    return error
