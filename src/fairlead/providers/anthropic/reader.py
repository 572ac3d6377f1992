"""What the Messages API answers, as pieces: whole messages, and streams of events."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from fairlead.errors import UpstreamCut
from fairlead.providers.anthropic.errors import ErrorBody, failure
from fairlead.providers.sse import EventReader
from fairlead.providers.translated import Piece, Whole, arguments_of, decoded
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.usage import Usage, usage_from_anthropic

FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
FORMAT = "anthropic-claude-v1"
_encode = msgspec.json.encode


class _Block(Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""
    id: str = ""
    name: str = ""
    input: Raw = Raw(b"{}")


class _Message(Struct):
    id: str = ""
    type: str = ""
    content: list[_Block] = []
    stop_reason: str | None = None
    usage: Raw = NULL
    error: ErrorBody | None = None


class _Delta(Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class _Event(Struct):
    type: str
    index: int = 0
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: Raw = NULL
    error: ErrorBody | None = None


_message = msgspec.json.Decoder(_Message)
_event = msgspec.json.Decoder(_Event)
_members = msgspec.json.Decoder(dict[str, Raw])


def _finish(reason: str) -> str:
    return FINISHES.get(reason, "stop")


def _thought_detail(text: str, signature: str, index: int) -> dict[str, Any]:
    return {"type": "reasoning.text", "text": text, "signature": signature, "format": FORMAT, "index": index}


def _redacted_detail(data: str, index: int) -> dict[str, Any]:
    return {"type": "reasoning.encrypted", "data": data, "format": FORMAT, "index": index}


def from_document(body: bytes) -> Whole:
    """A whole answer. Raises UpstreamInvalid, or the error that it holds."""
    message: _Message = decoded(_message, body, "an answer")
    if message.error is not None:
        raise failure(message.error)
    pieces: list[Piece] = []
    calls = 0
    for index, block in enumerate(message.content):
        if block.type == "text":
            pieces.append(Piece(content=block.text))
        elif block.type == "thinking":
            detail = _thought_detail(block.thinking, block.signature, index) if block.signature else None
            pieces.append(Piece(reasoning=block.thinking, detail=detail))
        elif block.type == "redacted_thinking":
            pieces.append(Piece(detail=_redacted_detail(block.data, index)))
        elif block.type == "tool_use":
            arguments = arguments_of(block.input)
            pieces.append(Piece(call=calls, call_id=block.id, call_name=block.name, arguments=arguments))
            calls += 1
    if message.stop_reason is not None:
        pieces.append(Piece(finish=_finish(message.stop_reason)))
    return Whole(message.id, pieces, usage_from_anthropic(message.usage) if message.usage != NULL else None)


class MessageReader:
    """Reads a stream of Messages events: complete only with `message_stop`."""

    __slots__ = ("_calls", "_events", "_thoughts", "_usage", "done", "id")

    def __init__(self) -> None:
        self._events = EventReader()
        self._calls: dict[int, int] = {}
        self._thoughts: dict[int, list[str]] = {}
        self._usage: dict[str, Raw] = {}
        self.id = ""
        self.done = False

    @property
    def usage(self) -> Usage | None:
        return usage_from_anthropic(_encode(self._usage)) if self._usage else None

    def feed(self, data: bytes) -> list[Piece]:
        pieces: list[Piece] = []
        for payload in self._events.feed(data):
            if self.done:
                break
            pieces += self._take(decoded(_event, payload, "an event"))
        return pieces

    def last(self) -> list[Piece]:
        pieces = [] if self.done else self.feed(b"\n\n")
        if not self.done:
            raise UpstreamCut("The provider's stream ended before the answer was complete.")
        return pieces

    def _take(self, event: _Event) -> list[Piece]:
        kind = event.type
        if kind == "content_block_delta" and event.delta is not None:
            return self._delta(event.delta, event.index)
        if kind == "content_block_start" and event.content_block is not None:
            return self._start(event.content_block, event.index)
        if kind == "content_block_stop":
            return self._stop(event.index)
        if kind == "message_start" and event.message is not None:
            self.id = event.message.id
            self._count(event.message.usage)
        elif kind == "message_delta":
            self._count(event.usage)
            if event.delta is not None and event.delta.stop_reason is not None:
                return [Piece(finish=_finish(event.delta.stop_reason))]
        elif kind == "message_stop":
            self.done = True
        elif kind == "error":
            raise failure(event.error or ErrorBody())
        return []  # a ping, or something newer

    def _start(self, block: _Block, index: int) -> list[Piece]:
        if block.type == "tool_use":
            number = self._calls[index] = len(self._calls)
            return [Piece(call=number, call_id=block.id, call_name=block.name)]
        if block.type == "thinking":
            self._thoughts[index] = [block.thinking, block.signature]
            return [Piece(reasoning=block.thinking)] if block.thinking else []
        if block.type == "redacted_thinking":
            return [Piece(detail=_redacted_detail(block.data, index))]
        return [Piece(content=block.text)] if block.text else []

    def _delta(self, delta: _Delta, index: int) -> list[Piece]:
        if delta.type == "text_delta":
            return [Piece(content=delta.text)] if delta.text else []
        if delta.type == "input_json_delta" and index in self._calls:
            return [Piece(call=self._calls[index], arguments=delta.partial_json)] if delta.partial_json else []
        if delta.type == "thinking_delta" and index in self._thoughts:
            self._thoughts[index][0] += delta.thinking
            return [Piece(reasoning=delta.thinking)] if delta.thinking else []
        if delta.type == "signature_delta" and index in self._thoughts:
            self._thoughts[index][1] += delta.signature
        return []

    def _stop(self, index: int) -> list[Piece]:
        text, signature = self._thoughts.pop(index, ("", ""))
        return [Piece(detail=_thought_detail(text, signature, index))] if signature else []

    def _count(self, usage: Raw) -> None:
        """Counts are cumulative: what comes later stands, and what it leaves out stays."""
        if usage != NULL:
            found = decoded(_members, bytes(usage), "usage")
            self._usage.update((name, Raw(bytes(raw))) for name, raw in found.items() if raw != NULL)
