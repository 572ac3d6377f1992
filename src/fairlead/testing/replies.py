"""What a scripted upstream is told to answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Fault(Enum):
    """One way for an upstream to misbehave. docs/reference/testing.md: what each does to streamed and whole answers."""

    CLOSE_AT_ONCE = "close_at_once"
    HANG = "hang"
    HANG_IN_THE_MIDDLE = "hang_in_the_middle"
    RESET = "reset"
    EOF = "eof"
    ERROR_EVENT = "error_event"
    MALFORMED_JSON = "malformed_json"
    MALFORMED_FRAME = "malformed_frame"
    HTML = "html"
    EMPTY_CHOICES = "empty_choices"
    MISSING_USAGE = "missing_usage"
    ZERO_USAGE = "zero_usage"
    HUGE_FRAME = "huge_frame"
    ONE_BYTE_AT_A_TIME = "one_byte_at_a_time"
    SPLIT_UTF8 = "split_utf8"
    CRLF = "crlf"
    COMMENTS = "comments"
    STALE_KEEP_ALIVE = "stale_keep_alive"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the scripted model makes. `arguments` is JSON text, sent as it is; `id` is made up when None."""

    name: str
    arguments: str = "{}"
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """One scripted answer.

    Streamed word by word or whole, as the request asks. `delay_seconds` passes before the first byte,
    `chunk_delay_seconds` before every event but the first. `after_chunks` is the number of events (the first one only
    bears the role) sent before a fault that strikes in the middle. `completion_tokens` None counts the words.
    `finish_reason` None is "tool_calls" when there are any, else "stop". `usage` replaces the whole usage object.
    With `continues` a last message of the assistant is the beginning of `text`, and only the rest is sent.
    `thinking` comes first, where the API spoken has a place for it; with its `signature`, where it has one for that.
    With a `status` other than 200 the answer is an error in vLLM's shape, with `body` (text or bytes) it is just that.
    """

    text: str = "This is a scripted answer."
    tool_calls: tuple[ToolCall, ...] = ()
    prompt_tokens: int = 12
    completion_tokens: int | None = None
    finish_reason: str | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | bytes | None = None
    delay_seconds: float = 0.0
    chunk_delay_seconds: float = 0.0
    fault: Fault | None = None
    after_chunks: int = 2
    continues: bool = False
    usage: Mapping[str, Any] | None = None
    thinking: str = ""
    signature: str = "c2lnbmVk"
