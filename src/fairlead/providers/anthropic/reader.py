"""What the Messages API answers, as events: whole messages, and streams."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.errors import UpstreamCut
from fairlead.providers.anthropic.errors import ErrorBody, failure
from fairlead.providers.anthropic.shapes import Block, Delta, Message, SaidMessage, StreamEvent
from fairlead.providers.sse import EventReader
from fairlead.providers.translated import arguments_of, decoded, said, text_in
from fairlead.wire.answer import (
    Event,
    Finish,
    FinishReason,
    OneText,
    Reasoning,
    ReasoningState,
    Start,
    Text,
    ToolArguments,
    ToolCall,
    WholeAnswer,
    is_nothing,
)
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.usage import Usage, usage_from_anthropic

FINISHES: Final[dict[str, FinishReason]] = {
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


_message = msgspec.json.Decoder(Message)
_said = msgspec.json.Decoder(SaidMessage)
_astuple: Final = msgspec.structs.astuple
_event = msgspec.json.Decoder(StreamEvent)
_members = msgspec.json.Decoder(dict[str, Raw])


def _finish(ended: Message | Delta) -> list[Event]:
    reason = ended.stop_reason
    if reason is None:
        return []
    return [Finish(FINISHES.get(reason, "stop"), native=reason, stop_sequence=ended.stop_sequence)]


def _signed(text: str, signature: str, index: int) -> ReasoningState:
    return ReasoningState(FORMAT, text, signature, part=index)


def _redacted(data: str, index: int) -> ReasoningState:
    return ReasoningState(FORMAT, data=data, part=index)


def whole_message(body: bytes) -> WholeAnswer:
    """A whole answer. Raises UpstreamInvalid, or the error that it holds."""
    message: Message = decoded(_message, body, "an answer")
    if message.error is not None:
        raise failure(message.error)
    events: list[Event] = [Start(message.id, model=message.model)]
    calls = 0
    for index, block in enumerate(message.content):
        if block.type == "text" and block.text:
            events.append(Text(block.text, part=index))
        elif block.type == "thinking":
            if block.thinking:
                events.append(Reasoning(block.thinking, part=index))
            if block.signature:
                events.append(_signed(block.thinking, block.signature, index))
        elif block.type == "redacted_thinking":
            events.append(_redacted(block.data, index))
        elif block.type == "tool_use":
            events.append(ToolCall(calls, block.id, block.name, arguments_of(block.input), part=index))
            calls += 1
    usage = usage_from_anthropic(message.usage) if message.usage != NULL else None
    return WholeAnswer(events + _finish(message), usage)


def one_text(body: bytes) -> OneText | None:
    """A whole answer of one text and nothing else; None: another one, or none."""
    given = said(_said, body)
    if given is None or given[2] is None or not is_nothing(given[5]):
        return None
    blocks: list[Any] = given[0]
    block: tuple[Any, ...] = _astuple(blocks[0]) if len(blocks) == 1 else ("", NULL)
    text = text_in(block[1])
    if block[0] != "text" or not text:
        return None
    reason: str = given[2]
    usage: Raw = given[4]
    return OneText(
        text, given[1], FINISHES.get(reason, "stop"), reason,
        None if is_nothing(usage) else usage_from_anthropic(usage), 0, given[3],
    )  # fmt: skip


class MessageReader:
    """Reads a stream of Messages events: complete only with `message_stop`."""

    __slots__ = ("_calls", "_events", "_thoughts", "_usage", "done")

    def __init__(self) -> None:
        self._events = EventReader()
        self._calls: dict[int, int] = {}
        self._thoughts: dict[int, list[str]] = {}
        self._usage: dict[str, Raw] = {}
        self.done = False

    @property
    def usage(self) -> Usage | None:
        return usage_from_anthropic(_encode(self._usage)) if self._usage else None

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        for payload in self._events.feed(data):
            if self.done:
                break
            events += self._take(decoded(_event, payload, "an event"))
        return events

    def last(self) -> list[Event]:
        events = [] if self.done else self.feed(b"\n\n")
        if not self.done:
            raise UpstreamCut("The provider's stream ended before the answer was complete.")
        return events

    def _take(self, event: StreamEvent) -> list[Event]:
        kind = event.type
        if kind == "content_block_delta" and event.delta is not None:
            return self._delta(event.delta, event.index)
        if kind == "content_block_start" and event.content_block is not None:
            return self._start(event.content_block, event.index)
        if kind == "content_block_stop":
            return self._stop(event.index)
        if kind == "message_start" and event.message is not None:
            self._count(event.message.usage)
            return [Start(event.message.id, model=event.message.model)]
        if kind == "message_delta":
            self._count(event.usage)
            return [] if event.delta is None else _finish(event.delta)
        if kind == "message_stop":
            self.done = True
        elif kind == "error":
            raise failure(event.error or ErrorBody())
        return []  # a ping, or something newer

    def _start(self, block: Block, index: int) -> list[Event]:
        if block.type == "tool_use":
            number = self._calls[index] = len(self._calls)
            return [ToolCall(number, block.id, block.name, part=index)]
        if block.type == "thinking":
            self._thoughts[index] = [block.thinking, block.signature]
            return [Reasoning(block.thinking, part=index)] if block.thinking else []
        if block.type == "redacted_thinking":
            return [_redacted(block.data, index)]
        return [Text(block.text, part=index)] if block.text else []

    def _delta(self, delta: Delta, index: int) -> list[Event]:
        if delta.type == "text_delta":
            return [Text(delta.text, part=index)] if delta.text else []
        if delta.type == "input_json_delta" and index in self._calls:
            return [ToolArguments(self._calls[index], delta.partial_json)] if delta.partial_json else []
        if delta.type == "thinking_delta" and index in self._thoughts:
            self._thoughts[index][0] += delta.thinking
            return [Reasoning(delta.thinking, part=index)] if delta.thinking else []
        if delta.type == "signature_delta" and index in self._thoughts:
            self._thoughts[index][1] += delta.signature
        return []

    def _stop(self, index: int) -> list[Event]:
        text, signature = self._thoughts.pop(index, ("", ""))
        return [_signed(text, signature, index)] if signature else []

    def _count(self, usage: Raw) -> None:
        """Counts are cumulative: what comes later stands, and what it leaves out stays."""
        if usage != NULL:
            found = decoded(_members, bytes(usage), "usage")
            self._usage.update((name, Raw(bytes(raw))) for name, raw in found.items() if raw != NULL)


class MessageFormat:
    """An `AnswerFormat`."""

    __slots__ = ()

    def reader(self, _choices: int, _prefill: str = "") -> MessageReader:
        return MessageReader()

    def whole(self, body: bytes) -> WholeAnswer:
        return whole_message(body)
