"""The output items of a response while they grow, and the events that tell of it.

Each method gives events as (type, members): the writer numbers them. An item is `added` when it begins and `done` when
it is closed; between them its parts and their deltas. `document` is the item as it is when it is closed.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Protocol

import msgspec
from msgspec import Raw

from fairlead.doors.responses.reasoning_state import ITEM, WORDS, Wrapped, wrapped
from fairlead.doors.responses.shapes import ToolName
from fairlead.doors.responses.tools import input_of
from fairlead.wire.answer import Citation, Logprobs, ToolCall
from fairlead.wire.random_ids import random_digits

_encode: Final = msgspec.json.encode
# As the writer begins every event.
_DELTA: Final = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":'


class ItemEvent(NamedTuple):
    """`members`: ready JSON members behind type and sequence number, from `,"` on."""

    kind: str
    members: bytes


class OpenItem(Protocol):
    """An item that has begun. `document`: as it is now, with what only its model may read where `is_private`."""

    def close(self, status: str) -> list[ItemEvent]: ...

    def document(self, status: str, *, is_private: bool = True) -> dict[str, Any]: ...


def new_id(prefix: str) -> str:
    return f"{prefix}_{random_digits(48)}"


def added(index: int, item: dict[str, Any]) -> ItemEvent:
    return ItemEvent("response.output_item.added", b',"output_index":%d,"item":%b' % (index, _encode(item)))


def done(index: int, item: dict[str, Any]) -> ItemEvent:
    return ItemEvent("response.output_item.done", b',"output_index":%d,"item":%b' % (index, _encode(item)))


class _TextPart:
    """A part of a message or of reasoning: `number` is the provider's of it, `place` where its events say it is."""

    __slots__ = ("_name", "_texts", "annotations", "kind", "logprobs", "number", "place")

    def __init__(self, kind: str, number: int, place: bytes) -> None:
        self.kind = kind
        self.number = number
        self.place = place
        self.annotations: list[Any] = []
        self.logprobs: list[Raw] = []
        self._name = "refusal" if kind == "refusal" else "text"
        self._texts: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._texts)

    def continues(self, kind: str, number: int) -> bool:
        return self.kind == kind and self.number == number

    def take(self, text: str) -> None:
        self._texts.append(text)

    def empty(self) -> dict[str, Any]:
        part: dict[str, Any] = {"type": self.kind, self._name: ""}
        return {**part, "annotations": [], "logprobs": []} if self.kind == "output_text" else part

    def document(self) -> dict[str, Any]:
        part: dict[str, Any] = {"type": self.kind, self._name: self.text}
        if self.kind == "output_text":
            part |= {"annotations": self.annotations, "logprobs": self.logprobs}
        return part


class MessageItem:
    """Texts and refusals: a part for each that its provider keeps apart."""

    __slots__ = ("_index", "_parts", "id")

    def __init__(self, index: int) -> None:
        self._index = index
        self._parts: list[_TextPart] = []
        self.id = new_id("msg")

    def open(self) -> list[ItemEvent]:
        return [added(self._index, self.document("in_progress"))]

    def take(self, kind: str, number: int, text: str) -> list[ItemEvent]:
        """`kind`: output_text or refusal."""
        events: list[ItemEvent] = []
        part = self._parts[-1] if self._parts else None
        if part is None or not part.continues(kind, number):
            events += self._begin(kind, number)
            part = self._parts[-1]
        part.take(text)
        if text:
            delta = b'%b,"delta":%b' % (part.place, _encode(text))
            if kind == "output_text":
                delta += b',"logprobs":[]'
            events.append(ItemEvent(f"response.{kind}.delta", delta))
        return events

    def more(self, number: int, text: str, sequence_number: int) -> bytes | None:
        """The event for more words of the text that is open, written at once; None: they are not that simple."""
        part = self._parts[-1]
        if part.kind != "output_text" or part.number != number or not text:
            return None
        part.take(text)
        return b'%b%d%b,"delta":%b,"logprobs":[]}\n\n' % (_DELTA, sequence_number, part.place, _encode(text))

    def cite(self, citation: Citation) -> list[ItemEvent]:
        events = [] if self._parts and self._parts[-1].kind == "output_text" else self._begin("output_text", 0)
        part = self._parts[-1]
        annotation = {
            "type": "url_citation", "url": citation.url, "title": citation.title,
            "start_index": max(citation.start, 0), "end_index": max(citation.end, 0),
        }  # fmt: skip
        part.annotations.append(annotation)
        members = b'%b,"annotation_index":%d,"annotation":%b' % (
            part.place, len(part.annotations) - 1, _encode(annotation),
        )  # fmt: skip
        return [*events, ItemEvent("response.output_text.annotation.added", members)]

    def note_logprobs(self, logprobs: Logprobs) -> None:
        if self._parts:
            self._parts[-1].logprobs += logprobs.content or logprobs.refusal

    def close(self, status: str) -> list[ItemEvent]:
        return [*self._end_part(), done(self._index, self.document(status))]

    def document(self, status: str, *, is_private: bool = True) -> dict[str, Any]:
        del is_private
        content = [part.document() for part in self._parts]
        return {"id": self.id, "type": "message", "status": status, "role": "assistant", "content": content}

    def _begin(self, kind: str, number: int) -> list[ItemEvent]:
        events = self._end_part()
        place = b',"item_id":"%b","output_index":%d,"content_index":%d' % (
            self.id.encode(), self._index, len(self._parts),
        )  # fmt: skip
        part = _TextPart(kind, number, place)
        self._parts.append(part)
        return [*events, ItemEvent("response.content_part.added", b'%b,"part":%b' % (place, _encode(part.empty())))]

    def _end_part(self) -> list[ItemEvent]:
        if not self._parts:
            return []
        part = self._parts[-1]
        members = b'%b,"%b":%b' % (
            part.place, b"refusal" if part.kind == "refusal" else b"text", _encode(part.text),
        )  # fmt: skip
        if part.kind == "output_text":
            members += b',"logprobs":%b' % _encode(part.logprobs)
        return [
            ItemEvent(f"response.{part.kind}.done", members),
            ItemEvent("response.content_part.done", b'%b,"part":%b' % (part.place, _encode(part.document()))),
        ]


class ReasoningItem:
    """Words of reasoning or of its summary, and what the model must get back."""

    __slots__ = ("_content", "_index", "_is_open", "_summary", "encrypted", "id", "shows_encrypted")

    def __init__(self, index: int, item_id: str = "", *, shows_encrypted: bool) -> None:
        self._index = index
        self._summary: list[_TextPart] = []
        self._content: list[_TextPart] = []
        self._is_open: _TextPart | None = None
        self.encrypted: str | None = None
        self.shows_encrypted = shows_encrypted
        self.id = item_id or f"{ITEM}{random_digits(45)}"

    def open(self) -> list[ItemEvent]:
        return [added(self._index, self.document("in_progress", is_private=False))]

    def take(self, number: int, text: str, *, is_summary: bool) -> list[ItemEvent]:
        kind = "summary_text" if is_summary else "reasoning_text"
        events: list[ItemEvent] = []
        part = self._is_open
        if part is None or part.kind != kind or part.number != number:
            events += self._begin(kind, number)
            part = self._is_open
        assert part is not None
        part.take(text)
        name = "response.reasoning_summary_text.delta" if is_summary else "response.reasoning_text.delta"
        if text:
            events.append(ItemEvent(name, b'%b,"delta":%b' % (part.place, _encode(text))))
        return events

    def close(self, status: str) -> list[ItemEvent]:
        return [*self._end_part(), done(self._index, self.document(status, is_private=self.shows_encrypted))]

    def document(self, status: str, *, is_private: bool = True) -> dict[str, Any]:
        item: dict[str, Any] = {"id": self.id, "type": "reasoning", "status": status}
        item["summary"] = [part.document() for part in self._summary]
        if self._content:
            item["content"] = [part.document() for part in self._content]
        encrypted = self.encrypted
        if encrypted is None and is_private and self._content:  # clients that ask for it send nothing else back
            encrypted = wrapped(Wrapped(WORDS, "".join([part.text for part in self._content])))
        if is_private and encrypted is not None:
            item["encrypted_content"] = encrypted
        return item

    def _begin(self, kind: str, number: int) -> list[ItemEvent]:
        events = self._end_part()
        is_summary = kind == "summary_text"
        parts = self._summary if is_summary else self._content
        place = b',"item_id":"%b","output_index":%d,"%b":%d' % (
            self.id.encode(), self._index, b"summary_index" if is_summary else b"content_index", len(parts),
        )  # fmt: skip
        part = self._is_open = _TextPart(kind, number, place)
        parts.append(part)
        name = "response.reasoning_summary_part.added" if is_summary else "response.content_part.added"
        return [*events, ItemEvent(name, b'%b,"part":%b' % (place, _encode(part.empty())))]

    def _end_part(self) -> list[ItemEvent]:
        part, self._is_open = self._is_open, None
        if part is None:
            return []
        is_summary = part.kind == "summary_text"
        names = (
            ("response.reasoning_summary_text.done", "response.reasoning_summary_part.done")
            if is_summary
            else ("response.reasoning_text.done", "response.content_part.done")
        )
        return [
            ItemEvent(names[0], b'%b,"text":%b' % (part.place, _encode(part.text))),
            ItemEvent(names[1], b'%b,"part":%b' % (part.place, _encode(part.document()))),
        ]


class CallItem:
    """A call of a function, or of a custom tool. `tool`: what it is called in this API; the arguments of a custom tool
    that was translated become its input when they are complete."""

    __slots__ = ("_arguments", "_index", "_is_translated", "_place", "_tool", "call_id", "id")

    def __init__(self, index: int, call: ToolCall, tool: ToolName | None) -> None:
        self._index = index
        self._tool = tool or ToolName(call.kind, call.name, call.namespace)
        self._is_translated = self.is_custom and call.kind == "function"
        self._arguments: list[str] = []
        self.call_id = call.id or new_id("call")
        self.id = new_id("ctc" if self.is_custom else "fc")
        self._place = b',"item_id":"%b","output_index":%d' % (self.id.encode(), index)

    @property
    def is_custom(self) -> bool:
        return self._tool.kind == "custom"

    @property
    def is_complete(self) -> bool:
        """Whether its arguments are a JSON document, behind which nothing can come."""
        if self.is_custom and not self._is_translated:
            return False
        try:
            msgspec.json.decode("".join(self._arguments))
        except (msgspec.DecodeError, RecursionError):
            return False
        return True

    def open(self) -> list[ItemEvent]:
        return [added(self._index, self.document("in_progress"))]

    def take(self, text: str) -> list[ItemEvent]:
        self._arguments.append(text)
        return [] if self._is_translated or not text else [self._delta(text)]

    def close(self, status: str) -> list[ItemEvent]:
        text = self._written()
        events = [self._delta(text)] if self._is_translated and text else []
        kind, name = (
            ("response.custom_tool_call_input.done", b"input")
            if self.is_custom
            else ("response.function_call_arguments.done", b"arguments")
        )
        members = b'%b,"%b":%b' % (self._place, name, _encode(text))
        if not self.is_custom:
            members += b',"name":%b' % _encode(self._tool.name)
        return [*events, ItemEvent(kind, members), done(self._index, self.document(status))]

    def document(self, status: str, *, is_private: bool = True) -> dict[str, Any]:
        del is_private
        item: dict[str, Any] = {"id": self.id, "type": "custom_tool_call" if self.is_custom else "function_call"}
        item["status"] = status
        item["call_id"] = self.call_id
        item["name"] = self._tool.name
        if self._tool.namespace:
            item["namespace"] = self._tool.namespace
        item["input" if self.is_custom else "arguments"] = "" if status == "in_progress" else self._written()
        return item

    def _written(self) -> str:
        text = "".join(self._arguments)
        return input_of(text) if self._is_translated else text

    def _delta(self, text: str) -> ItemEvent:
        kind = "custom_tool_call_input" if self.is_custom else "function_call_arguments"
        return ItemEvent(f"response.{kind}.delta", b'%b,"delta":%b' % (self._place, _encode(text)))


class WholeItem:
    """An item that comes complete: one that only this API has, or an image."""

    __slots__ = ("_index", "_item")

    def __init__(self, index: int, item: dict[str, Any]) -> None:
        self._index = index
        self._item = item

    def open(self) -> list[ItemEvent]:
        return [added(self._index, self._item)]

    def close(self, status: str) -> list[ItemEvent]:
        del status
        return [done(self._index, self._item)]

    def document(self, status: str, *, is_private: bool = True) -> dict[str, Any]:
        del status, is_private
        return self._item
