"""What Converse answers, as pieces: whole documents, and streams of frames."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from fairlead.errors import UpstreamCut, UpstreamInvalid
from fairlead.providers.bedrock.errors import failure
from fairlead.providers.bedrock.event_stream import Frame, FrameReader
from fairlead.providers.translated import Piece, Whole, arguments_of, decoded
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.usage import Usage, usage_from_bedrock

FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
FORMAT = "bedrock-converse-v1"


class _ReasoningText(Struct):
    text: str = ""
    signature: str = ""


class _Reasoning(Struct, rename="camel"):
    """In a stream the members stand here, in a document in `reasoningText`."""

    text: str = ""
    signature: str = ""
    redacted_content: str = ""
    reasoning_text: _ReasoningText | None = None


class _ToolUse(Struct, rename="camel"):
    tool_use_id: str = ""
    name: str = ""
    input: Raw = Raw(b"{}")


class _Block(Struct, rename="camel"):
    text: str | None = None
    tool_use: _ToolUse | None = None
    reasoning_content: _Reasoning | None = None


class _Message(Struct):
    content: list[_Block] = []


class _Output(Struct):
    message: _Message = msgspec.field(default_factory=_Message)


class _Document(Struct, rename="camel"):
    output: _Output = msgspec.field(default_factory=_Output)
    stop_reason: str | None = None
    usage: Raw = NULL


class _Event(Struct, rename="camel"):
    """Any event of a stream: its name is in the frame's headers."""

    content_block_index: int = 0
    start: _Block | None = None
    delta: _Block | None = None
    stop_reason: str | None = None
    usage: Raw = NULL


_document = msgspec.json.Decoder(_Document)
_event = msgspec.json.Decoder(_Event)
_string = msgspec.json.Decoder(str)


def _finish(reason: str) -> str:
    if reason in ("malformed_model_output", "malformed_tool_use"):
        raise UpstreamInvalid(f"The provider's model ended with {reason}.")
    return FINISHES.get(reason, "stop")


def _thought(text: str, signature: str, redacted: str, index: int) -> list[Piece]:
    if redacted:
        return [Piece(detail={"type": "reasoning.encrypted", "data": redacted, "format": FORMAT, "index": index})]
    if signature:
        detail = {"type": "reasoning.text", "text": text, "signature": signature, "format": FORMAT, "index": index}
        return [Piece(detail=detail)]
    return []


def from_document(body: bytes) -> Whole:
    """A whole answer. Raises UpstreamInvalid."""
    document: _Document = decoded(_document, body, "an answer")
    pieces: list[Piece] = []
    calls = 0
    for index, block in enumerate(document.output.message.content):
        if block.tool_use is not None:
            use = block.tool_use
            arguments = arguments_of(use.input)
            pieces.append(Piece(call=calls, call_id=use.tool_use_id, call_name=use.name, arguments=arguments))
            calls += 1
        elif block.reasoning_content is not None:
            thought = block.reasoning_content.reasoning_text or _ReasoningText()
            pieces.append(Piece(reasoning=thought.text))
            pieces += _thought(thought.text, thought.signature, block.reasoning_content.redacted_content, index)
        elif block.text:
            pieces.append(Piece(content=block.text))
    if document.stop_reason is not None:
        pieces.append(Piece(finish=_finish(document.stop_reason)))
    return Whole("", pieces, usage_from_bedrock(document.usage) if document.usage != NULL else None)


class ConverseReader:
    """Reads a stream of frames: complete with `messageStop`, done with the `metadata` that bears the usage."""

    __slots__ = ("_calls", "_frames", "_stopped", "_thoughts", "_usage_raw", "done", "id")

    def __init__(self) -> None:
        self._frames = FrameReader()
        self._calls: dict[int, int] = {}
        self._thoughts: dict[int, list[str]] = {}
        self._usage_raw = NULL
        self._stopped = False
        self.id = ""
        self.done = False

    @property
    def usage(self) -> Usage | None:
        return None if self._usage_raw == NULL else usage_from_bedrock(self._usage_raw)

    def feed(self, data: bytes) -> list[Piece]:
        return [piece for frame in self._frames.feed(data) for piece in self._take(frame)]

    def last(self) -> list[Piece]:
        if not self._stopped or self._frames.in_the_middle:
            raise UpstreamCut("The provider's stream ended before the answer was complete.")
        return []

    def _take(self, frame: Frame) -> list[Piece]:
        kind = frame.headers.get(":message-type", "event")
        if kind != "event":
            name = frame.headers.get(":exception-type") or frame.headers.get(":error-code") or ""
            raise failure(name, frame.payload)
        event: _Event = decoded(_event, frame.payload, "an event")
        name = frame.headers.get(":event-type", "")
        index = event.content_block_index
        if name == "contentBlockDelta" and event.delta is not None:
            return self._delta(event.delta, index)
        if name == "contentBlockStart" and event.start is not None and event.start.tool_use is not None:
            number = self._calls[index] = len(self._calls)
            use = event.start.tool_use
            return [Piece(call=number, call_id=use.tool_use_id, call_name=use.name)]
        if name == "contentBlockStop":
            text, signature, redacted = self._thoughts.pop(index, ("", "", ""))
            return _thought(text, signature, redacted, index)
        if name == "messageStop" and event.stop_reason is not None:
            self._stopped = True
            return [Piece(finish=_finish(event.stop_reason))]
        if name == "metadata":
            self.done = self._stopped
            self._usage_raw = Raw(bytes(event.usage))
        return []

    def _delta(self, delta: _Block, index: int) -> list[Piece]:
        if delta.text:
            return [Piece(content=delta.text)]
        if delta.tool_use is not None and index in self._calls:
            arguments = decoded(_string, bytes(delta.tool_use.input), "a tool call")
            return [Piece(call=self._calls[index], arguments=arguments)] if arguments else []
        thought = delta.reasoning_content
        if thought is not None:
            kept = self._thoughts.setdefault(index, ["", "", ""])
            kept[0] += thought.text
            kept[1] += thought.signature
            kept[2] += thought.redacted_content
            return [Piece(reasoning=thought.text)] if thought.text else []
        return []
