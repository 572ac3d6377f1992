"""Callers of the Messages API at a provider that speaks it: their bytes are passed on.

Only the model's name changes, and `max_tokens` where a cap was lowered here; what the gateway is told itself is left
out, and what would be billed beside the price sheet. `anthropic-version`, `anthropic-beta` and the query go on as they
came, and errors come back as they were written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from fairlead.errors import FailurePolicy, FairleadError, NotCarried, UnsupportedContent, UpstreamDenied
from fairlead.providers.anthropic.native_answers import NativeAnswer, NativeRelay, native_answer
from fairlead.providers.anthropic.reader import MessageReader, whole_message
from fairlead.providers.dialect import Dialect
from fairlead.providers.event_answers import EventAnswer
from fairlead.providers.failures import upstream_error
from fairlead.providers.scrub import holds_secret
from fairlead.wire.answer import AnswerContext, AnswerWriter, WriterFactory
from fairlead.wire.apis import MESSAGES
from fairlead.wire.body import with_members
from fairlead.wire.messages.request import OURS, MessagesRequest
from fairlead.wire.messages.tagged import without_tagged

# Members that change the price of a call, where the provider has a price sheet here (`providers/billed_parameters.py`).
BILLED_MEMBERS: Final = ("service_tier", "speed", "inference_geo")
# Tools that the provider runs and bills by the call or the hour, by how their types begin.
BILLED_TOOLS: Final = ("web_search", "code_execution")
VERSION: Final = b"anthropic-version:"
JSON_BODY: Final = b"content-type: application/json\r\n"
COUNT_TOKENS: Final = b"/count_tokens"
LONGEST_ERROR_BYTES: Final = 65_536
_encode: Final = msgspec.json.encode


class _Error(Struct):
    type: str
    message: str = ""


class _ErrorBody(Struct):
    type: str
    error: _Error


_error: Final = msgspec.json.Decoder(_ErrorBody)


class NativeCall(Struct, frozen=True, gc=False):
    """A `Call` in the caller's own bytes."""

    body: list[bytes | memoryview]
    stream: bool
    dropped: tuple[str, ...]
    path: bytes
    headers: bytes
    echo: Any = None
    clamped: tuple[str, ...] = ()
    bare: bool = True


class Translating(Protocol):
    """The adapter for callers whose request was rewritten here."""

    def to_vendor(self, payload: Any) -> Any: ...

    def relay(self, call: Any) -> Any: ...

    def assembler(self, call: Any) -> Any: ...

    def plain(self, call: Any, body: bytes) -> Any: ...


class NativeMessages:
    """An adapter. `path`: of a deployment's calls; `writer`: of answers that come whole where a stream was asked
    for."""

    __slots__ = (
        "_billed", "_billed_tools", "_model", "_path", "_public", "_public_name", "_translating", "_version", "_writer",
    )  # fmt: skip
    stream_type: Final = b"text/event-stream"

    def __init__(
        self, dialect: Dialect, public: str, model: str, path: bytes, writer: WriterFactory, translating: Translating
    ) -> None:
        self._model = _encode(model)
        self._public_name = public
        self._public = _encode(public)
        self._path = path
        self._writer = writer
        self._translating = translating
        self._version = dialect.headers
        self._billed = frozenset(name for name in BILLED_MEMBERS if name in dialect.lacks)
        self._billed_tools = tuple(name for name in BILLED_TOOLS if name in dialect.lacks)

    def to_vendor(self, payload: MessagesRequest) -> Any:
        """Raises InvalidRequest, in strict mode also for what is left out."""
        if not payload.body:  # it was rewritten here
            return self._translating.to_vendor(payload)
        changes: dict[str, bytes | None] = {"model": self._model}
        if payload.capped:
            changes["max_tokens"] = b"%d" % payload.cap
        return self._call(payload, changes, self._left_out(payload), b"")

    def count_call(self, payload: MessagesRequest) -> NativeCall:
        """The call that counts the tokens of a prompt; it costs nothing."""
        return self._call(payload, {"model": self._model}, self._left_out(payload), COUNT_TOKENS)

    def _call(
        self, payload: MessagesRequest, changes: dict[str, bytes | None], dropped: tuple[str, ...], more_path: bytes
    ) -> NativeCall:
        fields = payload.fields
        if payload.has_tagged_reasoning:
            changes["messages"] = without_tagged(fields["messages"])
        for name in fields:
            if name in OURS or name in dropped:
                changes[name] = None
        path = self._path + more_path
        if payload.query:
            path = b"%b?%b" % (path, payload.query.encode("latin-1"))
        return NativeCall(
            [with_members(payload.body, fields, changes)], payload.stream, dropped, path,
            JSON_BODY + (payload.headers if VERSION in payload.headers else self._version + payload.headers),
        )  # fmt: skip

    def _left_out(self, payload: MessagesRequest) -> tuple[str, ...]:
        for tool in payload.server_tools:
            if self._billed_tools and tool.startswith(self._billed_tools):
                raise _unpriced(tool)
        if self._billed.isdisjoint(payload.fields):
            return ()
        dropped = tuple(name for name in payload.fields if name in self._billed)
        if payload.strict:
            raise NotCarried(dropped)
        return dropped

    def relay(self, call: Any) -> Any:
        return NativeRelay(self._public) if isinstance(call, NativeCall) else self._translating.relay(call)

    def assembler(self, call: Any) -> Any:
        if isinstance(call, NativeCall):
            return EventAnswer(self._new_writer(), 1, reader=MessageReader())
        return self._translating.assembler(call)

    def plain(self, call: Any, body: bytes) -> NativeAnswer | EventAnswer:
        if not isinstance(call, NativeCall):
            made: EventAnswer = self._translating.plain(call, body)
            return made
        if call.stream:  # it ignored that; the events are made here
            return EventAnswer(self._new_writer(), 1, whole=whole_message(body))
        return native_answer(body, self._public)

    def _new_writer(self) -> AnswerWriter:
        return self._writer(AnswerContext(self._public_name, 0))

    def error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> FairleadError:
        """The error of our tree, with what the provider has written: programs match its words, and its status."""
        error = upstream_error(status, headers, body)
        if isinstance(error, UpstreamDenied) or not _is_presentable(body):
            return error  # it is about the operator's credential, or nothing that a caller could read
        error.status = status
        error.native_api, error.native_body = MESSAGES, body
        for name, value in headers:
            if name == b"x-should-retry":  # Anthropic's SDKs go by it
                error.headers += b"x-should-retry: %b\r\n" % (b"true" if value == b"true" else b"false")
        return error


def _is_presentable(body: bytes) -> bool:
    """Whether it is an error in Anthropic's shape and holds nobody's credential."""
    if len(body) > LONGEST_ERROR_BYTES:
        return False
    try:
        text = body.decode()
        found = _error.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
    return found.type == "error" and not holds_secret(text)


def _unpriced(tool: str) -> UnsupportedContent:
    error = UnsupportedContent(
        f"tools: {tool[:64]!r} is billed in addition to the price of this model, so this server does not pass it "
        "on. Its operator can allow it (allow_parameters).",
        param="tools",
    )
    error.policy = FailurePolicy(elsewhere=True)
    return error
