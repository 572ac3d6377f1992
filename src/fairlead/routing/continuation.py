"""A stream that was cut goes on from the next candidate, from the exact text that the caller has.

What was sent is read from the very bytes that were sent, whatever dialect they were made from. Only plain text is
continued: tool calls, JSON, reasoning, probabilities and several choices are not spliced.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from fairlead.routing.ceiling import cap, named_cap
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


class Splice:
    """The seam of one continuation. `origin`: the caller's own request; `text`: all that was sent before the seam, in
    `tokens`."""

    __slots__ = ("_sent", "_tail", "origin", "text", "tokens")

    def __init__(self, sent: Sent, origin: ChatRequest, text: str, tokens: int, tail: str) -> None:
        self._sent = sent
        self.origin = origin
        self.text = text
        self.tokens = tokens
        self._tail = tail

    def change(self, block: bytes) -> bytes:
        """The continuation as a part of the first stream: its id and time, one role, no white space twice."""
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
        worth = not chunk.get("choices")
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta")
            if isinstance(delta, dict):
                delta.pop("role", None)
                if isinstance(delta.get("content"), str):
                    delta["content"] = self._without_tail(delta["content"])
                    if not delta["content"]:
                        del delta["content"]
            worth = worth or bool(delta) or choice.get("finish_reason") is not None
        return worth

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
            usage["completion_tokens"] = completion + self.tokens
            usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]

    def spliced(self, feed: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
        change = self.change

        def changed(data: bytes) -> bytes:
            out = feed(data)
            return change(out) if out else out

        return changed


def charged(usage: Usage, tokens: int) -> Usage:
    """The usage of a continuation as the caller pays for it: what it was given of the answer's beginning is no prompt
    of the caller's, but has been delivered."""
    if not tokens:
        return usage
    moved = min(tokens, usage.tokens.input)
    classes = usage.tokens._replace(input=usage.tokens.input - moved, output=usage.tokens.output + tokens)
    return Usage(classes, max(0, usage.prompt - moved), usage.completion + tokens, usage.balanced)


def continued(request: ChatRequest, text: str, tokens: int) -> tuple[ChatRequest, str] | None:
    """The request that goes on behind `text`, and the white space at its end that is not sent along. None when the
    caller's cap is reached."""
    body = text.rstrip()
    tail = text[len(body) :]
    given = dict(request.given)
    prefill = (request.prefill or "") + body
    if not prefill:
        return None
    messages = _with_prefill(request.messages, prefill, replaces=request.prefill is not None)
    changed = replace(request, messages=messages, given=given, prefill=prefill)
    most = named_cap(request)
    if most is not None:
        if most <= tokens:
            return None
        cap(changed, most - tokens)
    return changed, tail


def _with_prefill(messages: Raw, prefill: str, *, replaces: bool) -> Raw:
    if not replaces:
        return Raw(bytes(messages)[:-1] + b',{"role":"assistant","content":' + _encode(prefill) + b"}]")
    decoded = msgspec.json.decode(messages, type=list[dict[str, Raw]])
    decoded[-1]["content"] = Raw(_encode(prefill))
    return Raw(_encode(decoded))
