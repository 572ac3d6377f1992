"""What Converse answers, as events: whole documents, and streams of frames."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from fairlead.errors import UpstreamCut, UpstreamInvalid
from fairlead.providers.bedrock.errors import failure
from fairlead.providers.bedrock.event_stream import Frame, FrameReader
from fairlead.providers.bedrock.shapes import Block, Document, ReasoningText, StreamEvent
from fairlead.providers.translated import arguments_of, decoded
from fairlead.wire.answer import (
    Event,
    Finish,
    FinishReason,
    Reasoning,
    ReasoningState,
    Start,
    Text,
    ToolArguments,
    ToolCall,
    WholeAnswer,
)
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.reasoning_tags import ANTHROPIC
from fairlead.wire.usage import Usage, usage_from_bedrock

FINISHES: Final[dict[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
FORMAT = "bedrock-converse-v1"
# Claude's signatures are the same at every provider.
# https://platform.claude.com/docs/en/build-with-claude/extended-thinking#thinking-encryption
CLAUDE = ANTHROPIC

_document = msgspec.json.Decoder(Document)
_event = msgspec.json.Decoder(StreamEvent)
_string = msgspec.json.Decoder(str)


def _finish(reason: str) -> Finish:
    if reason in ("malformed_model_output", "malformed_tool_use"):
        raise UpstreamInvalid(f"The provider's model ended with {reason}.")
    return Finish(FINISHES.get(reason, "stop"), native=reason)


def _state(text: str, signature: str, redacted: str, index: int, signed: str) -> list[Event]:
    """`signed`: the format of signatures. What is redacted is written otherwise than elsewhere."""
    if redacted:
        return [ReasoningState(FORMAT, data=redacted, part=index)]
    return [ReasoningState(signed, text, signature, part=index)] if signature else []


def whole_document(body: bytes, signed: str = FORMAT) -> WholeAnswer:
    """A whole answer. Raises UpstreamInvalid."""
    document: Document = decoded(_document, body, "an answer")
    events: list[Event] = [Start()]
    calls = 0
    for index, block in enumerate(document.output.message.content):
        if block.tool_use is not None:
            use = block.tool_use
            events.append(ToolCall(calls, use.tool_use_id, use.name, arguments_of(use.input), part=index))
            calls += 1
        elif block.reasoning_content is not None:
            thought = block.reasoning_content.reasoning_text or ReasoningText()
            if thought.text:
                events.append(Reasoning(thought.text, part=index))
            events += _state(thought.text, thought.signature, block.reasoning_content.redacted_content, index, signed)
        elif block.text:
            events.append(Text(block.text, part=index))
    if document.stop_reason is not None:
        events.append(_finish(document.stop_reason))
    return WholeAnswer(events, usage_from_bedrock(document.usage) if document.usage != NULL else None)


class ConverseReader:
    """Reads a stream of frames: complete with `messageStop`, done with the `metadata` that bears the usage."""

    __slots__ = ("_calls", "_frames", "_signed", "_stopped", "_thoughts", "_usage_raw", "done")

    def __init__(self, signed: str = FORMAT) -> None:
        self._signed = signed
        self._frames = FrameReader()
        self._calls: dict[int, int] = {}
        self._thoughts: dict[int, list[str]] = {}
        self._usage_raw = NULL
        self._stopped = False
        self.done = False

    @property
    def usage(self) -> Usage | None:
        return None if self._usage_raw == NULL else usage_from_bedrock(self._usage_raw)

    def feed(self, data: bytes) -> list[Event]:
        return [event for frame in self._frames.feed(data) for event in self._take(frame)]

    def last(self) -> list[Event]:
        if not self._stopped or self._frames.in_the_middle:
            raise UpstreamCut("The provider's stream ended before the answer was complete.")
        return []

    def _take(self, frame: Frame) -> list[Event]:
        kind = frame.headers.get(":message-type", "event")
        if kind != "event":
            name = frame.headers.get(":exception-type") or frame.headers.get(":error-code") or ""
            raise failure(name, frame.payload)
        event: StreamEvent = decoded(_event, frame.payload, "an event")
        name = frame.headers.get(":event-type", "")
        index = event.content_block_index
        if name == "contentBlockDelta" and event.delta is not None:
            return self._delta(event.delta, index)
        if name == "contentBlockStart" and event.start is not None and event.start.tool_use is not None:
            number = self._calls[index] = len(self._calls)
            use = event.start.tool_use
            return [ToolCall(number, use.tool_use_id, use.name, part=index)]
        if name == "contentBlockStop":
            text, signature, redacted = self._thoughts.pop(index, ("", "", ""))
            return _state(text, signature, redacted, index, self._signed)
        if name == "messageStop" and event.stop_reason is not None:
            self._stopped = True
            return [_finish(event.stop_reason)]
        if name == "metadata":
            self.done = self._stopped
            self._usage_raw = Raw(bytes(event.usage))
        return []

    def _delta(self, delta: Block, index: int) -> list[Event]:
        if delta.text:
            return [Text(delta.text, part=index)]
        if delta.tool_use is not None and index in self._calls:
            arguments = decoded(_string, bytes(delta.tool_use.input), "a tool call")
            return [ToolArguments(self._calls[index], arguments)] if arguments else []
        thought = delta.reasoning_content
        if thought is not None:
            kept = self._thoughts.setdefault(index, ["", "", ""])
            kept[0] += thought.text
            kept[1] += thought.signature
            kept[2] += thought.redacted_content
            return [Reasoning(thought.text, part=index)] if thought.text else []
        return []


class ConverseFormat:
    """An `AnswerFormat`. `signed`: the format of its model's signatures."""

    __slots__ = ("_signed",)

    def __init__(self, signed: str = FORMAT) -> None:
        self._signed = signed

    def reader(self, _choices: int, _prefill: str = "") -> ConverseReader:
        return ConverseReader(self._signed)

    def whole(self, body: bytes) -> WholeAnswer:
        return whole_document(body, self._signed)
