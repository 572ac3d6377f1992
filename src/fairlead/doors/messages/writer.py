"""Answers as Anthropic's Messages: server-sent events for a stream, one document for the rest.

Blocks of Anthropic's own keep their signatures; other providers' reasoning is tagged (`wire/reasoning_tags.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.doors.messages.errors import error_event
from fairlead.errors import FairleadError
from fairlead.wire.answer import (
    AnswerContext,
    Citation,
    Event,
    Extension,
    Finish,
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
from fairlead.wire.apis import MESSAGES
from fairlead.wire.heads import STREAM_HEAD
from fairlead.wire.random_ids import random_digits
from fairlead.wire.reasoning_tags import ANTHROPIC, TAG, UNSIGNED, tagged, tagged_call
from fairlead.wire.usage import Usage, usage_as_anthropic

REASONS: Final = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
# Anthropic's own words, where a provider has said one.
NATIVE_REASONS: Final = frozenset({
    "end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal", "model_context_window_exceeded",
})  # fmt: skip
PING: Final = b'event: ping\ndata: {"type": "ping"}\n\n'
STOP: Final = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
NO_USAGE: Final = b'{"input_tokens":0,"output_tokens":0}'
_START: Final = b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,"content_block":%b}\n\n'
_DELTA: Final = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":%b}\n\n'
_END: Final = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
_TEXT: Final = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
    b'"delta":{"type":"text_delta","text":%b}}\n\n'
)
_encode: Final = msgspec.json.encode


def message_id(given: str) -> str:
    """The provider's id where it is of Anthropic's shape; else a new one."""
    return given if given.startswith("msg_") else f"msg_{random_digits(24)}"


def stop_reason(finish: Finish, *, refused: bool, called: bool) -> str:
    if finish.native in NATIVE_REASONS:
        return finish.native
    if refused:
        return "refusal"
    if finish.stop_sequence is not None:
        return "stop_sequence"
    return "tool_use" if called and finish.reason == "stop" else REASONS[finish.reason]


class MessagesWriter:
    """An `AnswerWriter`. `_open`: the kind and part of the block that is written now; `_calls`: where the blocks of
    tool calls are, by their numbers."""

    __slots__ = ("_calls", "_context", "_finish", "_index", "_names", "_open", "_refused")
    stream_head: Final = STREAM_HEAD

    def __init__(self, context: AnswerContext) -> None:
        self._context = context
        self._names: dict[str, str] = context.echo or {}
        self._index = -1
        self._open: tuple[str, int] | None = None
        self._calls: dict[int, int] = {}
        self._finish = Finish("stop")
        self._refused = False

    def write(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            self._write(event, out)
        return b"".join(out)

    def finish(self, finishes: Sequence[Finish]) -> bytes:
        if finishes:
            self._finish = finishes[0]
        out: list[bytes] = []
        self._close(out)
        return b"".join(out)

    def end(self, usage: Usage | None, members: bytes) -> bytes:
        delta = {"stop_reason": self._stop_reason(), "stop_sequence": self._finish.stop_sequence}
        return b'event: message_delta\ndata: {"type":"message_delta","delta":%b,"usage":%b}\n\n%b' % (
            _encode(delta), _usage(usage, members), STOP,
        )  # fmt: skip

    def error(self, error: FairleadError) -> bytes:
        return error_event(error)

    def whole(self, events: Sequence[Event], usage: Usage | None, members: bytes) -> bytes:
        blocks = _Blocks(self._names)
        start = Start()
        for event in events:
            if isinstance(event, Start):
                start = event
            elif isinstance(event, Finish):
                self._finish = event
            else:
                self._refused = self._refused or isinstance(event, Refusal)
                blocks.take(event)
        if blocks.called:
            self._calls[0] = 0
        message = self._message(start, blocks.written)
        message["stop_reason"] = self._stop_reason()
        message["stop_sequence"] = self._finish.stop_sequence
        message["usage"] = Raw(_usage(usage, members))
        return _encode(message)

    def one_text(self, found: OneText, usage: Usage | None, members: bytes) -> bytes:
        ended = found.stop_sequence
        reason = found.native
        if reason not in NATIVE_REASONS:
            reason = REASONS[found.reason] if ended is None else "stop_sequence"
        return (
            b'{"id":%b,"type":"message","role":"assistant","model":%b,"content":[{"type":"text","text":%b}],'
            b'"stop_reason":"%b","stop_sequence":%b,"usage":%b}'
            % (
                _encode(message_id(found.id)), _encode(self._context.model), found.text, reason.encode(),
                b"null" if ended is None else _encode(ended), _usage(usage, members),
            )
        )  # fmt: skip

    def _stop_reason(self) -> str:
        return stop_reason(self._finish, refused=self._refused, called=bool(self._calls))

    def _message(self, start: Start, content: list[Any]) -> dict[str, Any]:
        return {
            "id": message_id(start.id),
            "type": "message",
            "role": "assistant",
            "model": self._context.model,
            "content": content,
            "stop_reason": None,
            "stop_sequence": None,
            "usage": Raw(NO_USAGE),
        }

    def _write(self, event: Event, out: list[bytes]) -> None:
        if isinstance(event, Text):
            if self._open != ("text", event.part):
                self._begin("text", event.part, {"type": "text", "text": ""}, out)
            out.append(_TEXT % (self._index, _encode(event.text)))
        elif isinstance(event, ToolArguments):
            # Those of a call that others have begun behind keep its index.
            self._delta({"type": "input_json_delta", "partial_json": event.text}, out, self._calls.get(event.call))
        elif isinstance(event, Start):
            message = _encode(self._message(event, []))
            out += (b'event: message_start\ndata: {"type":"message_start","message":%b}\n\n' % message, PING)
        elif isinstance(event, Reasoning):
            self._think(event, out)
        elif isinstance(event, ReasoningState):
            self._sign(event, out)
        elif isinstance(event, ToolCall):
            self._call(event, out)
        else:
            self._write_rare(event, out)

    def _write_rare(self, event: Event, out: list[bytes]) -> None:
        if isinstance(event, Refusal):
            self._refused = True
            self._write(Text(event.text, part=event.part), out)
        elif isinstance(event, Media):
            if text := _words_of(event):
                self._write(Text(text, part=event.part), out)
        elif isinstance(event, Citation):
            if self._open is not None and self._open[0] == "text":
                self._delta({"type": "citations_delta", "citation": _citation(event)}, out)
        elif isinstance(event, Extension) and event.api == MESSAGES:
            self._begin(event.kind, event.part, event.data, out)
            self._close(out)

    def _begin(self, kind: str, part: int, block: dict[str, Any] | Raw, out: list[bytes]) -> None:
        self._close(out)
        self._index += 1
        self._open = (kind, part)
        out.append(_START % (self._index, _encode(block)))

    def _delta(self, delta: dict[str, Any], out: list[bytes], index: int | None = None) -> None:
        out.append(_DELTA % (self._index if index is None else index, _encode(delta)))

    def _close(self, out: list[bytes]) -> None:
        if self._open is None:
            return
        if self._open[0] == "thinking":  # nobody has signed it
            self._delta({"type": "signature_delta", "signature": UNSIGNED}, out)
        out.append(_END % self._index)
        self._open = None

    def _think(self, event: Reasoning, out: list[bytes]) -> None:
        text = event.text
        if self._open is None or self._open[0] != "thinking" or (self._open[1] != event.part and not event.summary):
            self._begin("thinking", event.part, {"type": "thinking", "thinking": "", "signature": ""}, out)
        elif self._open[1] != event.part:  # the next part of a summary
            text = "\n\n" + text
            self._open = ("thinking", event.part)
        self._delta({"type": "thinking_delta", "thinking": text}, out)

    def _sign(self, event: ReasoningState, out: list[bytes]) -> None:
        thinks = self._open is not None and self._open[0] == "thinking"
        if event.format == ANTHROPIC and not event.signature:
            self._begin("redacted", event.part, {"type": "redacted_thinking", "data": event.data}, out)
        elif thinks or event.signature:
            if not thinks:
                block = {"type": "thinking", "thinking": "", "signature": ""}
                self._begin("thinking", event.part, block, out)
                if event.text:
                    self._delta({"type": "thinking_delta", "thinking": event.text}, out)
            self._delta({"type": "signature_delta", "signature": tagged(event)}, out)
            self._open = ("signed", event.part)
        else:
            self._begin("redacted", event.part, {"type": "redacted_thinking", "data": tagged(event)}, out)
        self._close(out)

    def _call(self, event: ToolCall, out: list[bytes]) -> None:
        block = _tool_use(event, self._names)
        if event.signature is not None:
            data = tagged_call(block["id"], event.signature)
            self._begin("redacted", event.part, {"type": "redacted_thinking", "data": data}, out)
        self._begin("tool_use", event.part, {**block, "input": {}}, out)
        self._calls[event.call] = self._index
        if event.arguments:
            self._delta({"type": "input_json_delta", "partial_json": event.arguments}, out)


class _Blocks:
    """The content of a whole answer, from complete events."""

    __slots__ = ("_names", "called", "written")

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names
        self.written: list[Any] = []
        self.called = False

    def take(self, event: Event) -> None:
        if isinstance(event, Text | Refusal):
            self.written.append({"type": "text", "text": event.text})
        elif isinstance(event, Reasoning):
            last = self.written[-1] if self.written else None
            if event.summary and isinstance(last, dict) and last.get("signature") == UNSIGNED:
                last["thinking"] += "\n\n" + event.text
            else:
                self.written.append({"type": "thinking", "thinking": event.text, "signature": UNSIGNED})
        elif isinstance(event, ReasoningState):
            self._sign(event)
        elif isinstance(event, ToolCall):
            self._call(event)
        elif isinstance(event, Citation):
            last = self.written[-1] if self.written else None
            if isinstance(last, dict) and last["type"] == "text":
                last.setdefault("citations", []).append(_citation(event))
        elif isinstance(event, Media):
            if text := _words_of(event):
                self.written.append({"type": "text", "text": text})
        elif isinstance(event, Extension) and event.api == MESSAGES:
            self.written.append(event.data)

    def _sign(self, event: ReasoningState) -> None:
        last = self.written[-1] if self.written else None
        unsigned = isinstance(last, dict) and last.get("signature") == UNSIGNED
        if event.format == ANTHROPIC and not event.signature:
            self.written.append({"type": "redacted_thinking", "data": event.data})
        elif unsigned and isinstance(last, dict):
            last["signature"] = tagged(event)
        elif event.signature:
            self.written.append({"type": "thinking", "thinking": event.text, "signature": tagged(event)})
        else:
            self.written.append({"type": "redacted_thinking", "data": tagged(event)})

    def _call(self, event: ToolCall) -> None:
        self.called = True
        block = _tool_use(event, self._names)
        if event.signature is not None:
            self.written.append({"type": "redacted_thinking", "data": tagged_call(block["id"], event.signature)})
        self.written.append({**block, "input": _input(event.arguments)})


def _tool_use(event: ToolCall, names: dict[str, str]) -> dict[str, Any]:
    call_id = event.id or f"toolu_{random_digits(24)}"
    return {"type": "tool_use", "id": call_id, "name": names.get(event.name, event.name)}


def _input(arguments: str) -> Any:
    """The arguments as an object. What a model has written that is none is handed on as text, for the caller to see."""
    try:
        found = msgspec.json.decode(arguments or "{}", type=dict[str, Raw])
    except (msgspec.DecodeError, RecursionError):
        return {"_raw": arguments}
    return found


def _words_of(event: Media) -> str:
    """What can be said of media in an API whose answers have none."""
    return event.transcript or (f"![]({event.url})" if event.url and event.kind == "image" else event.url)


def _citation(event: Citation) -> Any:
    if b'"cited_text"' in bytes(event.native):  # as Anthropic writes it
        return event.native
    return {
        "type": "web_search_result_location",
        "url": event.url,
        "title": event.title or None,
        "cited_text": event.cited,
        "encrypted_index": TAG,
    }


def _usage(usage: Usage | None, members: bytes) -> bytes:
    return b"%b%b}" % ((NO_USAGE if usage is None else usage_as_anthropic(usage))[:-1], members)
