"""Answers of the Responses API: every event in order, numbered, or one document."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.doors.responses.errors import failure_of
from fairlead.doors.responses.items import CallItem, ItemEvent, MessageItem, OpenItem, ReasoningItem, WholeItem, new_id
from fairlead.doors.responses.reasoning_state import GEMINI_FORMAT, Wrapped, wrapped
from fairlead.doors.responses.shapes import Echo
from fairlead.errors import FairleadError
from fairlead.wire.answer import (
    AnswerContext,
    Citation,
    Event,
    Extension,
    Finish,
    Logprobs,
    Media,
    OneText,
    Reasoning,
    ReasoningState,
    Refusal,
    Start,
    Text,
    ToolArguments,
    ToolCall,
)
from fairlead.wire.apis import RESPONSES
from fairlead.wire.heads import STREAM_HEAD
from fairlead.wire.usage import Usage, usage_as_responses

_encode: Final = msgspec.json.encode
_members: Final = msgspec.json.Decoder(dict[str, Raw])
_INCOMPLETE: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
# What answers have in this API when nobody asked through it: emulated ones, and tests.
_NO_ECHO: Final = Echo("", b"", {})


class ResponsesWriter:
    """An `AnswerWriter`. There is one choice: `n` is no parameter of this API."""

    __slots__ = ("_calls", "_context", "_echo", "_id", "_item", "_items", "_number", "_reason", "_text")
    stream_head: Final = STREAM_HEAD

    def __init__(self, context: AnswerContext) -> None:
        self._context = context
        self._echo: Echo = context.echo or _NO_ECHO
        self._id = self._echo.id or new_id("resp")
        self._number = 0
        self._items: list[OpenItem] = []
        self._item: MessageItem | ReasoningItem | None = None  # the one that is open
        self._calls: dict[int, CallItem] = {}  # those that are open, by their number
        self._text: MessageItem | None = None  # the open item, where that is one with a part
        self._reason: str | None = None  # why the answer is incomplete

    def write(self, events: Sequence[Event]) -> bytes:
        out = [] if self._number else self._begin()
        for event in events:
            if type(event) is Text and self._text is not None and event.choice == 0:
                more = self._text.more(event.part, event.text, self._number)
                if more is not None:
                    out.append(more)
                    self._number += 1
                    continue
            if not isinstance(event, Start) and event.choice == 0:
                out += self._numbered(self._take(event))
                self._text = self._item if isinstance(self._item, MessageItem) else None
        return b"".join(out)

    def finish(self, finishes: Sequence[Finish]) -> bytes:
        for finish in finishes:
            if finish.choice == 0:
                self._reason = _INCOMPLETE.get(finish.reason)
        out = [] if self._number else self._begin()
        return b"".join([*out, *self._numbered(self._close_all())])

    def end(self, usage: Usage | None, members: bytes) -> bytes:
        status = "completed" if self._reason is None else "incomplete"
        document = self._document(status, usage_members(usage, members))
        self._keep(status, usage, members)
        return b"".join(self._numbered([ItemEvent(f"response.{status}", b',"response":%b' % document)]))

    def error(self, error: FairleadError) -> bytes:
        out = [] if self._number else self._begin()
        self._reason = "error"
        self._close_all()  # nobody is told that they are done: they are not
        document = self._document("failed", b"null", _encode(failure_of(error)))
        return b"".join([*out, *self._numbered([ItemEvent("response.failed", b',"response":%b' % document)])])

    def whole(self, events: Sequence[Event], usage: Usage | None, members: bytes) -> bytes:
        for event in events:
            if isinstance(event, Start) or event.choice:
                continue
            if isinstance(event, Finish):
                self._reason = _INCOMPLETE.get(event.reason)
            else:
                self._take(event)
        self._close_all()
        status = "completed" if self._reason is None else "incomplete"
        self._keep(status, usage, members)
        return self._document(status, usage_members(usage, members))

    def one_text(self, found: OneText, usage: Usage | None, members: bytes) -> bytes:
        self._reason = _INCOMPLETE.get(found.reason)
        status = self._status
        output = (
            b'[{"id":"%b","type":"message","status":"%b","role":"assistant",'
            b'"content":[{"type":"output_text","text":%b,"annotations":[],"logprobs":[]}]}]'
            % (new_id("msg").encode(), status.encode(), found.text)
        )
        document = self._written(status, usage_members(usage, members), b"null", output)
        if self._echo.keep is not None:
            self._echo.keep(document)
        return document

    def _begin(self) -> list[bytes]:
        document = b',"response":%b' % self._document("in_progress", b"null")
        return self._numbered([ItemEvent("response.created", document), ItemEvent("response.in_progress", document)])

    def _numbered(self, events: list[ItemEvent]) -> list[bytes]:
        out = []
        for kind, members in events:
            name = kind.encode()
            out.append(
                b'event: %b\ndata: {"type":"%b","sequence_number":%d%b}\n\n' % (name, name, self._number, members)
            )
            self._number += 1
        return out

    def _take(self, event: Event) -> list[ItemEvent]:
        if isinstance(event, Text):
            events, message = self._message()
            return [*events, *message.take("output_text", event.part, event.text)]
        if isinstance(event, ToolArguments):
            call = self._calls.get(event.call)
            return [] if call is None else call.take(event.text)
        if isinstance(event, Reasoning):
            events, thought = self._reasoning("")
            return [*events, *thought.take(event.part, event.text, is_summary=event.summary)]
        if isinstance(event, ToolCall):
            return self._call(event)
        return self._take_rare(event)

    def _take_rare(self, event: Event) -> list[ItemEvent]:
        if isinstance(event, ReasoningState):
            return self._remember(Wrapped(event.format, event.text, event.signature, event.data), event.id)
        if isinstance(event, Refusal):
            events, message = self._message()
            return [*events, *message.take("refusal", event.part, event.text)]
        if isinstance(event, Citation):
            events, message = self._message()
            return [*events, *message.cite(event)]
        if isinstance(event, Logprobs):
            if isinstance(self._item, MessageItem):
                self._item.note_logprobs(event)
            return []
        if isinstance(event, Media) and event.kind == "image":
            return self._whole_item(_image(event))
        if isinstance(event, Extension) and event.api == RESPONSES:
            return self._whole_item(_members.decode(event.data))
        return []

    def _message(self) -> tuple[list[ItemEvent], MessageItem]:
        item = self._item
        if isinstance(item, MessageItem):
            return [], item
        events = self._close_all()
        message = self._item = MessageItem(len(self._items))
        self._items.append(message)
        return [*events, *message.open()], message

    def _reasoning(self, item_id: str) -> tuple[list[ItemEvent], ReasoningItem]:
        item = self._item
        if isinstance(item, ReasoningItem):
            return [], item
        events = self._close_all()
        thought = ReasoningItem(len(self._items), item_id, shows_encrypted=self._echo.is_encrypted)
        self._item = thought
        self._items.append(thought)
        return [*events, *thought.open()], thought

    def _remember(self, state: Wrapped, item_id: str) -> list[ItemEvent]:
        """What a model must get back ends a reasoning item: the next words of reasoning are another one."""
        if not isinstance(self._item, ReasoningItem) and not self._echo.is_encrypted and self._echo.keep is None:
            return []
        events, thought = self._reasoning(item_id)
        thought.encrypted = wrapped(state)
        return [*events, *self._close_item()]

    def _call(self, event: ToolCall) -> list[ItemEvent]:
        events = self._close_item()
        for number, call in list(self._calls.items()):
            if call.is_complete:
                events += self._close_call(number)
        if event.signature:
            events += self._remember(Wrapped(GEMINI_FORMAT, signature=event.signature, call=event.id), "")
        made = CallItem(len(self._items), event, self._echo.tools.get(event.name))
        self._items.append(made)
        self._calls[event.call] = made
        return [*events, *made.open(), *made.take(event.arguments)]

    def _whole_item(self, item: dict[str, Any]) -> list[ItemEvent]:
        events = self._close_all()
        made = WholeItem(len(self._items), item)
        self._items.append(made)
        return [*events, *made.open(), *made.close("completed")]

    def _close_all(self) -> list[ItemEvent]:
        events = self._close_item()
        for number in list(self._calls):
            events += self._close_call(number)
        return events

    def _close_item(self) -> list[ItemEvent]:
        item, self._item = self._item, None
        return [] if item is None else item.close(self._status)

    def _close_call(self, number: int) -> list[ItemEvent]:
        return self._calls.pop(number).close(self._status)

    @property
    def _status(self) -> str:
        return "completed" if self._reason is None else "incomplete"

    def _keep(self, status: str, usage: Usage | None, members: bytes) -> None:
        if self._echo.keep is not None:
            self._echo.keep(self._document(status, usage_members(usage, members), is_private=True))

    def _document(self, status: str, usage: bytes, error: bytes = b"null", *, is_private: bool | None = None) -> bytes:
        """The response as it is now. `is_private`: with what only the model may read; None: if the caller wants it."""
        shown = self._echo.is_encrypted if is_private is None else is_private
        last = self._items[-1] if self._items and self._reason is not None else None
        output = [
            item.document("incomplete" if item is last else "completed", is_private=shown) for item in self._items
        ]
        return self._written(status, usage, error, _encode(output))

    def _written(self, status: str, usage: bytes, error: bytes, output: bytes) -> bytes:
        context = self._context
        created: int = context.created
        details = b'{"reason":"%b"}' % (self._reason or "").encode() if status == "incomplete" else b"null"
        return (
            b'{"id":"%b","object":"response","created_at":%b,"status":"%b","completed_at":%b,"error":%b,'
            b'"incomplete_details":%b,"model":%b,"output":%b,"usage":%b%b}'
            % (
                self._id.encode(),
                str(created).encode(),
                status.encode(),
                str(int(time.time())).encode() if status == "completed" else b"null",
                error,
                details,
                _encode(context.model),
                output,
                usage,
                self._echo.members,
            )
        )


def without_output(context: AnswerContext, status: str, error: FairleadError | None) -> bytes:
    """A response of which there is nothing but its status, and why it has failed."""
    said = b"null" if error is None else _encode(failure_of(error))
    return ResponsesWriter(context)._document(status, b"null", said)  # noqa: SLF001


def usage_members(usage: Usage | None, members: bytes) -> bytes:
    """The `usage` of a response, with these members; null where nobody knows it."""
    return b"null" if usage is None else b"%b%b}" % (usage_as_responses(usage)[:-1], members)


def _image(event: Media) -> dict[str, Any]:
    """As of the tool that makes images; one at an address has no data."""
    return {
        "id": new_id("ig"), "type": "image_generation_call", "status": "completed",
        "result": event.data or event.url,
    }  # fmt: skip
