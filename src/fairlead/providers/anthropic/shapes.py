"""The shapes of the Messages API's answers, as far as they are read."""

from __future__ import annotations

from msgspec import Raw, Struct

from fairlead.providers.anthropic.errors import ErrorBody
from fairlead.wire.chat_shapes import NULL


class Block(Struct, gc=False):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""
    id: str = ""
    name: str = ""
    input: Raw = Raw(b"{}")


class Message(Struct, gc=False):
    id: str = ""
    type: str = ""
    model: str = ""
    content: list[Block] = []
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: Raw = NULL
    error: ErrorBody | None = None


class Delta(Struct, gc=False):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None


class StreamEvent(Struct, gc=False):
    type: str
    index: int = 0
    message: Message | None = None
    content_block: Block | None = None
    delta: Delta | None = None
    usage: Raw = NULL
    error: ErrorBody | None = None


class SaidBlock(Struct, gc=False):
    type: str = ""
    text: Raw = NULL


class SaidMessage(Struct, gc=False):
    """A whole message, to find out whether it is one text and nothing else."""

    content: list[SaidBlock] = []
    id: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: Raw = NULL
    error: Raw = NULL


class PassedBlock(Struct, gc=False):
    type: str = ""
    text: str = ""
    thinking: str = ""
    name: str = ""
    input: Raw = Raw(b"{}")


class PassedDelta(Struct, gc=False):
    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class PassedMessage(Struct, gc=False):
    model: Raw = NULL
    usage: Raw = NULL


class PassedEvent(Struct, gc=False):
    type: str
    message: PassedMessage | None = None
    content_block: PassedBlock | None = None
    delta: PassedDelta | None = None
    usage: Raw = NULL
    error: ErrorBody | None = None


class PassedDocument(Struct, gc=False):
    type: str = ""
    model: Raw = NULL
    content: list[Raw] = []
    stop_reason: str | None = None
    usage: Raw = NULL
    error: ErrorBody | None = None


class ErrorText(Struct, gc=False):
    type: str
    message: str = ""


class ErrorDocument(Struct, gc=False):
    type: str
    error: ErrorText
