"""Callers of the Messages API at a provider that speaks it.

Only the model's name changes, and `max_tokens` where a cap was lowered here; what the gateway is told itself is left
out, and what would be billed beside the price sheet. `anthropic-version`, `anthropic-beta` and the query go on as they
came.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from fairlead.errors import FairleadError, NotCarried
from fairlead.providers.anthropic.native_answers import NativeRelay, native_answer
from fairlead.providers.anthropic.reader import MessageFormat
from fairlead.providers.anthropic.shapes import ErrorDocument
from fairlead.providers.call_shapes import NativeCall
from fairlead.providers.dialect import Dialect
from fairlead.providers.native import NativeAdapter, Translating, unpriced
from fairlead.wire.answer import WriterFactory
from fairlead.wire.apis import MESSAGES
from fairlead.wire.body import with_members
from fairlead.wire.messages.request import OURS, THINKING, MessagesRequest
from fairlead.wire.messages.shapes import NULL
from fairlead.wire.messages.tagged import is_unthought_loop, thinks_with_budget, without_tagged

# Members that change the price of a call, where the provider has a price sheet here (`providers/billed_parameters.py`).
BILLED_MEMBERS: Final = ("service_tier", "speed", "inference_geo")
# Tools that the provider runs and bills by the call or the hour, by how their types begin.
BILLED_TOOLS: Final = ("web_search", "code_execution")
VERSION: Final = b"anthropic-version:"
JSON_BODY: Final = b"content-type: application/json\r\n"
COUNT_TOKENS: Final = b"/count_tokens"
_encode: Final = msgspec.json.encode
_error: Final = msgspec.json.Decoder(ErrorDocument)


class NativeMessages(NativeAdapter):
    """`path`: of a deployment's calls."""

    __slots__ = ("_billed", "_billed_tools", "_model", "_path", "_public", "_version")

    def __init__(
        self, dialect: Dialect, public: str, model: str, path: bytes, writer: WriterFactory, translating: Translating
    ) -> None:
        super().__init__(public, MessageFormat(), writer, translating)
        self._model = _encode(model)
        self._public = _encode(public)
        self._path = path
        self._version = dialect.headers
        self._billed = frozenset(name for name in BILLED_MEMBERS if name in dialect.lacks)
        self._billed_tools = tuple(name for name in BILLED_TOOLS if name in dialect.lacks)

    def is_changed_inside(self, payload: MessagesRequest) -> bool:
        return payload.has_tagged_reasoning

    def call_of(self, payload: MessagesRequest) -> NativeCall:
        changes: dict[str, bytes | None] = {"model": self._model}
        if payload.capped:
            changes["max_tokens"] = b"%d" % payload.cap
        dropped = self._left_out(payload)
        if payload.has_tagged_reasoning:
            dropped = (*dropped, THINKING, *self._unthought(payload))
        return self._call(payload, changes, dropped, b"")

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

    def _unthought(self, payload: MessagesRequest) -> tuple[str, ...]:
        """Members that go only with thinking, where what the assistant has begun with tools begins with no thought of
        this provider's: with a budget that would be an error."""
        fields = payload.fields
        if not thinks_with_budget(fields.get("thinking", NULL)) or not is_unthought_loop(fields["messages"]):
            return ()
        if payload.strict:
            raise NotCarried(("thinking",))
        return tuple([name for name in ("thinking", "context_management") if name in fields])

    def _left_out(self, payload: MessagesRequest) -> tuple[str, ...]:
        for tool in payload.server_tools:
            if self._billed_tools and tool.startswith(self._billed_tools):
                raise unpriced("tools", tool)
        if self._billed.isdisjoint(payload.fields):
            return ()
        dropped = tuple([name for name in payload.fields if name in self._billed])
        if payload.strict:
            raise NotCarried(dropped)
        return dropped

    def new_relay(self, call: NativeCall) -> Any:  # noqa: ARG002 - it is the same for all
        return NativeRelay(self._public)

    def whole(self, body: bytes) -> Any:
        return native_answer(body, self._public)

    def is_error(self, body: bytes) -> bool:
        return bool(_error.decode(body).type == "error")

    def present(self, error: FairleadError, headers: Sequence[tuple[bytes, bytes]]) -> None:
        error.native_api = MESSAGES
        for name, value in headers:
            if name == b"x-should-retry":  # Anthropic's SDKs go by it
                error.headers += b"x-should-retry: %b\r\n" % (b"true" if value == b"true" else b"false")
