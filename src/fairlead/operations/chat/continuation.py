"""A stream that was cut continues at the next candidate, from the exact text that the caller has.

What was sent is read from the very bytes that were sent, whatever dialect they were made from. Only plain text is
continued: tool calls, JSON, reasoning, probabilities and several choices are not spliced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from fairlead.errors import FairleadError
from fairlead.routing.protocols import Relay
from fairlead.wire.chat import ChatRequest
from fairlead.wire.usage import Usage

NULL = Raw(b"null")
# So many blocks are kept as they were sent; then only their words are.
FRESH_BLOCKS = 64
# What is asked for in one of these must come from one head.
_OF_ONE_PIECE = ("tools", "response_format", "structured_outputs", "logprobs", "audio", "modalities")
_encode = msgspec.json.encode


def may_be_continued(request: ChatRequest) -> bool:
    given = request.given
    return request.choices == 1 and not any(name in given for name in _OF_ONE_PIECE)


class _Delta(Struct, gc=False):
    content: str | None = None
    tool_calls: Raw = NULL
    refusal: Raw = NULL
    reasoning_content: Raw = NULL
    reasoning: Raw = NULL

    @property
    def is_plain(self) -> bool:
        return (
            self.tool_calls == NULL
            and self.refusal == NULL
            and self.reasoning_content == NULL
            and self.reasoning == NULL
        )


class _Choice(Struct, gc=False):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Event(Struct, gc=False):
    id: str = ""
    created: int = 0
    choices: list[_Choice] = []


_event = msgspec.json.Decoder(_Event)


class Sent:
    """What a caller has been sent of a stream. `text` is None when it is not plain text, or is finished."""

    __slots__ = ("_fresh", "_plain", "_said", "created", "id")

    def __init__(self) -> None:
        self._fresh: list[bytes] = []
        self._said: list[str] = []
        self._plain = True
        self.id = ""
        self.created = 0

    def add(self, block: bytes) -> None:
        self._fresh.append(block)
        if len(self._fresh) > FRESH_BLOCKS:
            self._read()

    def _read(self) -> None:
        said: list[str] = []
        for payload in payloads(b"".join(self._fresh)):
            try:
                event = _event.decode(payload)
            except msgspec.DecodeError:
                self._plain = False
                break
            if not self.id:
                self.id, self.created = event.id, event.created
            for choice in event.choices:
                if choice.finish_reason is not None or (choice.delta is not None and not choice.delta.is_plain):
                    self._plain = False
                elif choice.delta is not None and choice.delta.content:
                    said.append(choice.delta.content)
        self._fresh.clear()
        self._said.append("".join(said))

    @property
    def text(self) -> str | None:
        self._read()
        return "".join(self._said) if self._plain else None


def payloads(block: bytes) -> list[bytes]:
    """The events of a block that a relay has made."""
    return [event[6:] for event in block.split(b"\n\n") if event.startswith(b"data: ") and event != b"data: [DONE]"]


class Stops:
    """Looks for stop sequences that begin before the seam and end behind it: the continuing model looks for them only
    in its own words."""

    __slots__ = ("_before", "_held", "_looking", "_stops")

    def __init__(self, before: str, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._before = before[-max(0, max(map(len, stops), default=0) - 1) :] if stops else ""
        self._held = ""
        self._looking = self._may_come("")

    def take(self, text: str) -> str | None:
        """What of the words may be passed on now; None: they end a stop sequence, and so the answer."""
        if not self._looking:
            return text
        held = self._held + text
        if self._has_come(held):
            return None
        if self._may_come(held):
            self._held = held
            return ""
        self._looking, self._held = False, ""
        return held

    def rest(self) -> str:
        """What was held back, at the end of the answer."""
        held, self._held, self._looking = self._held, "", False
        return held

    def _has_come(self, held: str) -> bool:
        whole, seam = self._before + held, len(self._before)
        return any(
            at < seam < at + len(stop) and whole.startswith(stop, at) for stop in self._stops for at in range(seam)
        )

    def _may_come(self, held: str) -> bool:
        whole, seam = self._before + held, len(self._before)
        return any(
            len(whole) - at < len(stop) and stop.startswith(whole[at:]) for stop in self._stops for at in range(seam)
        )


def stops_of(request: ChatRequest) -> tuple[str, ...]:
    raw = request.given.get("stop")
    if raw is None:
        return ()
    found = msgspec.json.decode(raw, type=str | list[str])
    return (found,) if isinstance(found, str) else tuple(found)


class Splice:
    """The seam of one continuation. `origin`: the caller's own request; `text`: all that was sent before the seam, in
    `tokens`. `stopped`: a stop sequence was completed behind the seam, so that nothing of the continuation counts."""

    __slots__ = ("_sent", "_stops", "_tail", "origin", "stopped", "text", "tokens")

    def __init__(self, sent: Sent | None, origin: ChatRequest, text: str, tokens: int, tail: str) -> None:
        self._sent = sent
        self._stops = Stops(text, stops_of(origin))
        self.stopped = False
        self.origin = origin
        self.text = text
        self.tokens = tokens
        self._tail = tail

    def take(self, text: str) -> str | None:
        """What of the words may be passed on now; None: they complete a stop sequence, and nothing of them counts."""
        taken = self._stops.take(self._without_tail(text))
        self.stopped = taken is None
        return taken

    def rest(self) -> str:
        """What was held back, at the end of the answer."""
        return self._stops.rest()

    def change(self, block: bytes) -> bytes:
        """The continuation as a part of the first stream: its id and time, one role, no white space twice."""
        assert self._sent is not None
        out: list[bytes] = []
        for event in block.split(b"\n\n"):
            if not event.startswith(b"data: "):
                continue
            if event == b"data: [DONE]":
                out += (event, b"\n\n")
                continue
            chunk: dict[str, Any] = msgspec.json.decode(event[6:])
            if self._is_worth_it(chunk):
                chunk["id"], chunk["created"] = self._sent.id, self._sent.created
                if chunk.get("usage"):
                    self._add_up(chunk["usage"])
                out += (b"data: ", _encode(chunk), b"\n\n")
        return b"".join(out)

    def _is_worth_it(self, chunk: dict[str, Any]) -> bool:
        choices = chunk.get("choices")
        if not choices:
            return True
        if self.stopped:
            return False
        worth = False
        for choice in choices:
            delta = choice.get("delta")
            if not isinstance(delta, dict):
                delta = choice["delta"] = {}
            delta.pop("role", None)
            self._change_words(delta, choice)
            worth = worth or bool(delta) or choice.get("finish_reason") is not None
        return worth

    def _change_words(self, delta: dict[str, Any], choice: dict[str, Any]) -> None:
        text: str | None = ""
        if isinstance(delta.get("content"), str):
            text = self.take(delta.pop("content"))
        if text is None:
            delta.clear()
            choice["finish_reason"] = "stop"
            return
        if choice.get("finish_reason") is not None:
            text += self.rest()
        if text:
            delta["content"] = text

    def _without_tail(self, text: str) -> str:
        """Takes away white space that the caller has already: engines want a beginning without it, and bring their
        own."""
        while self._tail and text:
            if text[0] != self._tail[0]:
                self._tail = ""
                break
            self._tail = self._tail[1:]
            text = text[1:]
        return text

    def _add_up(self, usage: dict[str, Any]) -> None:
        """The caller's usage: the prompt once, and all that was written."""
        prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if isinstance(prompt, int) and isinstance(completion, int):
            usage["prompt_tokens"] = max(0, prompt - self.tokens)
            usage["completion_tokens"] = (0 if self.stopped else completion) + self.tokens
            usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]


class Seam:
    """The relay of a continuation: what it gives continues the first stream."""

    __slots__ = ("_relay", "_splice")

    def __init__(self, relay: Relay, splice: Splice) -> None:
        self._relay = relay
        self._splice = splice

    @property
    def done(self) -> bool:
        return self._relay.done or self._splice.stopped

    @property
    def usage(self) -> Usage | None:
        return self._relay.usage

    @property
    def choices(self) -> int:
        return self._relay.choices

    @property
    def head(self) -> bytes:
        return self._relay.head

    @property
    def error_event(self) -> Callable[[FairleadError], bytes] | None:
        return self._relay.error_event

    def delivered(self) -> str:
        """What the continuing model has written, also when nothing of it counts."""
        return self._relay.delivered()

    def feed(self, data: bytes) -> bytes:
        if self._splice.stopped:
            return b""
        out = self._relay.feed(data)
        return self._splice.change(out) if out else out

    def finish(self) -> bytes:
        return b"" if self._splice.stopped else self._splice.change(self._relay.finish())

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        return self._splice.change(self._relay.end(members, counted))


def continued(request: ChatRequest, text: str, tokens: int) -> tuple[ChatRequest, str] | None:
    """The request that continues after `text`, and the white space at its end that is not sent along. None when the
    caller's cap is reached."""
    body = text.rstrip()
    tail = text[len(body) :]
    given = dict(request.given)
    prefill = (request.prefill or "") + body
    if not prefill:
        return None
    messages = _with_prefill(request.messages, prefill, replaces=request.prefill is not None)
    changed = request.copy()
    changed.messages, changed.given, changed.prefill = messages, given, prefill
    if request.cap:
        if request.cap <= tokens:
            return None
        changed = changed.with_cap(request.cap - tokens)
    return changed, tail


def _with_prefill(messages: Raw, prefill: str, *, replaces: bool) -> Raw:
    if not replaces:
        return Raw(bytes(messages)[:-1] + b',{"role":"assistant","content":' + _encode(prefill) + b"}]")
    decoded = msgspec.json.decode(messages, type=list[dict[str, Raw]])
    decoded[-1]["content"] = Raw(_encode(prefill))
    return Raw(_encode(decoded))
