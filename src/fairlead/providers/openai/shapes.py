"""What is decoded of requests to OpenAI's dialect and of answers in it: as little as must be known."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

NULL = Raw(b"null")
ABSENT = Raw(b"")  # where it makes a difference that something is not there
# Nobody gives more choices than OpenAI takes for `n`, or more tool calls.
Index = Annotated[int, Meta(ge=0, le=127)]


class UpstreamCall(Struct, frozen=True, gc=False):
    """One request in the upstream's words: `body` is written as it is, piece by piece."""

    body: list[bytes | memoryview]
    stream: bool
    dropped: tuple[str, ...]
    include_usage: bool
    choices: int
    prefill: str  # what the upstream will repeat and the caller must not get again
    path: bytes | None = None
    headers: bytes = b""
    clamped: tuple[str, ...] = ()
    bare: bool = False


class DetailText(Struct, gc=False):
    """The words of an entry of `reasoning_details`."""

    text: str | None = None


class Kind(Struct):
    type: str


class ToolName(Struct):
    name: str


class ToolEntry(Struct):
    function: ToolName


class Plain(Struct):
    choices: list[Raw] = []
    model: Raw = NULL
    usage: Raw = NULL
    error: Raw = NULL


class Words(Struct, gc=False):
    """What a model wrote, undecoded: providers have more than one shape for each."""

    content: Raw = NULL
    reasoning_content: Raw = NULL
    reasoning: Raw = NULL
    tool_calls: Raw = NULL


class PlainChoice(Struct):
    message: Words = msgspec.field(default_factory=Words)


class Choice(Struct):
    index: Index = 0
    finish_reason: str | None = None
    delta: Words | None = None


class Chunk(Struct):
    """As little of an event as the relay must know."""

    choices: list[Choice] = []
    model: Raw = NULL
    usage: Raw = ABSENT
    error: Raw = NULL


class CallFunction(Struct):
    name: str | None = None
    arguments: str | None = None


class CallDelta(Struct):
    index: int = 0
    id: str | None = None
    type: str | None = None
    function: CallFunction | None = None


class Delta(Struct):
    role: str | None = None
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[CallDelta] | None = None


class LogProbs(Struct):
    content: list[Raw] | None = None
    refusal: list[Raw] | None = None


class FullChoice(Struct):
    index: Index = 0
    delta: Delta | None = None
    finish_reason: str | None = None
    logprobs: LogProbs | None = None


class FullChunk(Struct):
    id: str = ""
    created: int = 0
    choices: list[FullChoice] = []
    system_fingerprint: str | None = None
    service_tier: str | None = None
    usage: Raw = NULL
    error: Raw = NULL
