"""The shapes of Converse's answers, as far as they are read."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from fairlead.wire.chat_shapes import NULL


class ReasoningText(Struct):
    text: str = ""
    signature: str = ""


class ReasoningContent(Struct, rename="camel"):
    """In a stream the members stand here, in a document in `reasoningText`."""

    text: str = ""
    signature: str = ""
    redacted_content: str = ""
    reasoning_text: ReasoningText | None = None


class ToolUse(Struct, rename="camel"):
    tool_use_id: str = ""
    name: str = ""
    input: Raw = Raw(b"{}")


class Block(Struct, rename="camel"):
    text: str | None = None
    tool_use: ToolUse | None = None
    reasoning_content: ReasoningContent | None = None


class Message(Struct):
    content: list[Block] = []


class Output(Struct):
    message: Message = msgspec.field(default_factory=Message)


class Document(Struct, rename="camel"):
    output: Output = msgspec.field(default_factory=Output)
    stop_reason: str | None = None
    usage: Raw = NULL


class StreamEvent(Struct, rename="camel"):
    """Any event of a stream: its name is in the frame's headers."""

    content_block_index: int = 0
    start: Block | None = None
    delta: Block | None = None
    stop_reason: str | None = None
    usage: Raw = NULL
