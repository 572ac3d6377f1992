"""Answers of vendors with a dialect of their own, told as OpenAI's: chunks for a stream, one document for the rest.

A vendor's reader turns what comes into pieces; everything here is the same for all of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import msgspec
from msgspec import Raw, Struct

from fairlead.errors import UpstreamCut, UpstreamInvalid
from fairlead.wire.usage import Usage, usage_as_openai

DONE_EVENT = b"data: [DONE]\n\n"
# The parameters that every vendor with a dialect of its own has words for.
TRANSLATED = frozenset({
    "max_completion_tokens", "max_tokens", "parallel_tool_calls", "reasoning_effort", "response_format", "stop",
    "structured_outputs", "temperature", "tool_choice", "tools", "top_k", "top_p",
})  # fmt: skip
_encode = msgspec.json.encode


class TranslatedCall(Struct, frozen=True, gc=False):
    """One request in a vendor's words. `created`: the time that its answer bears, in seconds since 1970."""

    body: list[bytes | memoryview]
    stream: bool
    dropped: tuple[str, ...]
    include_usage: bool
    choices: int
    created: int
    path: bytes | None = None
    headers: bytes = b""
    clamped: tuple[str, ...] = ()


class Piece(Struct, frozen=True, gc=False):
    """What one event adds to the answer. `call` counts the tool calls of a choice from 0; -1: it is about none.
    `detail`: an entry for `reasoning_details`, whole. `finish` ends the choice."""

    index: int = 0
    content: str = ""
    reasoning: str = ""
    call: int = -1
    call_id: str | None = None
    call_name: str | None = None
    arguments: str = ""
    signature: str | None = None
    detail: dict[str, Any] | None = None
    finish: str | None = None


class Reader(Protocol):
    """Reads a vendor's stream. `done`: its last event has been seen. `id` is "" until it is known."""

    @property
    def id(self) -> str: ...

    @property
    def done(self) -> bool: ...

    @property
    def usage(self) -> Usage | None: ...

    def feed(self, data: bytes) -> list[Piece]: ...

    def last(self) -> list[Piece]:
        """What an end without a blank line left behind. Raises UpstreamCut when the vendor's end mark is missing."""


class Whole(NamedTuple):
    """A whole answer: a vendor's document, read."""

    id: str
    pieces: list[Piece]
    usage: Usage | None


def arguments_of(raw: Raw) -> str:
    """An object in a vendor's document, which may be laid out for people, as the compact text of `arguments`."""
    return msgspec.json.format(bytes(raw), indent=-1).decode()


def _call_of(piece: Piece) -> dict[str, Any]:
    call: dict[str, Any] = {"index": piece.call}
    if piece.call_id is not None:
        call |= {"id": piece.call_id, "type": "function"}
        if piece.signature is not None:
            call["extra_content"] = {"google": {"thought_signature": piece.signature}}
        call["function"] = {"name": piece.call_name, "arguments": piece.arguments}
    else:
        call["function"] = {"arguments": piece.arguments}
    return call


class TranslatedRelay:
    """A vendor's stream becomes OpenAI's. A choice's finish reason is held back until the vendor's end was seen, so
    that a cut stream never looks complete; usage and `[DONE]` are given by `end`."""

    __slots__ = ("_begun", "_call", "_finishes", "_public", "_reader", "_said")

    def __init__(self, public: str, call: TranslatedCall, reader: Reader) -> None:
        self._public = public
        self._call = call
        self._reader = reader
        self._begun: set[int] = set()
        self._finishes: dict[int, Piece] = {}
        self._said: list[str] = []

    @property
    def done(self) -> bool:
        return self._reader.done

    @property
    def usage(self) -> Usage | None:
        return self._reader.usage

    @property
    def choices(self) -> int:
        return len(self._finishes)

    def delivered(self) -> str:
        """Everything that the model has written so far."""
        return "".join(self._said)

    def feed(self, data: bytes) -> bytes:
        return b"".join([self._write(piece) for piece in self._reader.feed(data)])

    def finish(self) -> bytes:
        """The last words and the finish reasons. Raises UpstreamCut when a choice that was begun has no end. Fewer
        choices than were asked for are complete, because the reader has seen the vendor's end."""
        out = b"".join([self._write(piece) for piece in self._reader.last()])
        if not self._finishes or self._begun - self._finishes.keys():
            raise UpstreamCut("The provider's stream ended before the answer was complete.")
        return out + b"".join([self._event(self._delta(piece), piece) for piece in self._finishes.values()])

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        usage = self._reader.usage if counted is None else counted
        if not self._call.include_usage or usage is None:
            return DONE_EVENT
        chunk = self._frame([])
        chunk["usage"] = Raw(usage_as_openai(usage)[:-1] + members + b"}")
        return b"data: %b\n\n%b" % (_encode(chunk), DONE_EVENT)

    def _write(self, piece: Piece) -> bytes:
        if piece.index >= self._call.choices:
            raise UpstreamInvalid("The provider sent more choices than were asked for.")
        if piece.finish is not None:
            self._finishes[piece.index] = piece
            return b""
        self._said += (piece.reasoning, piece.content, piece.call_name or "", piece.arguments)
        return self._event(self._delta(piece), piece)

    def _delta(self, piece: Piece) -> dict[str, Any]:
        delta: dict[str, Any] = {}
        if piece.index not in self._begun:
            self._begun.add(piece.index)
            delta["role"] = "assistant"
        if piece.content:
            delta["content"] = piece.content
        if piece.reasoning:
            delta["reasoning_content"] = piece.reasoning
        if piece.detail is not None:
            delta["reasoning_details"] = [piece.detail]
        if piece.call >= 0:
            delta["tool_calls"] = [_call_of(piece)]
        return delta

    def _event(self, delta: dict[str, Any], piece: Piece) -> bytes:
        choice = {"index": piece.index, "delta": delta, "logprobs": None, "finish_reason": piece.finish}
        return b"data: %b\n\n" % _encode(self._frame([choice]))

    def _frame(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._reader.id,
            "object": "chat.completion.chunk",
            "created": self._call.created,
            "model": self._public,
            "choices": choices,
        }


class _Gathered:
    """One choice as it grows."""

    __slots__ = ("calls", "content", "details", "finish", "reasoning")

    def __init__(self) -> None:
        self.content: list[str] = []
        self.reasoning: list[str] = []
        self.details: list[dict[str, Any]] = []
        self.calls: dict[int, dict[str, Any]] = {}
        self.finish: str | None = None

    def take(self, piece: Piece) -> None:
        self.content.append(piece.content)
        self.reasoning.append(piece.reasoning)
        if piece.detail is not None:
            self.details.append(piece.detail)
        if piece.finish is not None:
            self.finish = piece.finish
        if piece.call >= 0:
            if piece.call_id is not None:
                call = _call_of(piece)
                del call["index"]
                self.calls[piece.call] = call
            elif piece.call in self.calls:
                self.calls[piece.call]["function"]["arguments"] += piece.arguments
            else:
                raise UpstreamInvalid("The provider sent arguments of a tool call that it never began.")

    def said(self) -> list[str]:
        called = [text for call in self.calls.values() for text in call["function"].values()]
        return [*self.reasoning, *self.content, *called]

    def message(self) -> dict[str, Any]:
        content = "".join(self.content)
        message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
        if reasoning := "".join(self.reasoning):
            message["reasoning_content"] = reasoning
        if self.details:
            message["reasoning_details"] = self.details
        if self.calls:
            message["content"] = content or None
            message["tool_calls"] = [self.calls[number] for number in sorted(self.calls)]
        return message


class TranslatedAnswer:
    """A whole answer in OpenAI's shape, gathered from a vendor's stream or read from its document."""

    __slots__ = ("_call", "_choices", "_public", "_reader", "_whole")

    def __init__(
        self, public: str, call: TranslatedCall, reader: Reader | None = None, whole: Whole | None = None
    ) -> None:
        self._public = public
        self._call = call
        self._reader = reader
        self._whole = whole
        self._choices: dict[int, _Gathered] = {}
        if whole is not None:
            self._take(whole.pieces)
            self._check()

    @property
    def done(self) -> bool:
        return self._reader is None or self._reader.done

    @property
    def choices(self) -> int:
        return len(self._choices)

    @property
    def usage(self) -> Usage | None:
        return self._whole.usage if self._whole is not None else self._reader.usage if self._reader else None

    def feed(self, data: bytes) -> None:
        assert self._reader is not None
        self._take(self._reader.feed(data))

    def finish(self) -> bytes:
        """Raises UpstreamCut when the answer is not complete. There is nothing to be sent before `end`."""
        assert self._reader is not None
        self._take(self._reader.last())
        self._check()
        return b""

    def delivered(self) -> str:
        """Everything that the model has written so far."""
        return "".join(text for one in self._choices.values() for text in one.said())

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        """The complete answer, its usage with these members."""
        usage = self.usage if counted is None else counted
        source = self._whole if self._whole is not None else self._reader
        assert source is not None
        answer: dict[str, Any] = {
            "id": source.id,
            "object": "chat.completion",
            "created": self._call.created,
            "model": self._public,
            "choices": [
                {"index": index, "message": one.message(), "logprobs": None, "finish_reason": one.finish}
                for index, one in sorted(self._choices.items())
            ],
        }
        if usage is not None:
            answer["usage"] = Raw(usage_as_openai(usage)[:-1] + members + b"}")
        return _encode(answer)

    def _take(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            if piece.index >= self._call.choices:
                raise UpstreamInvalid("The provider sent more choices than were asked for.")
            self._choices.setdefault(piece.index, _Gathered()).take(piece)

    def _check(self) -> None:
        if not self._choices or any(one.finish is None for one in self._choices.values()):
            raise UpstreamCut("The provider's answer ended before it was complete.")


def decoded(decoder: msgspec.json.Decoder[Any], data: bytes, what: str) -> Any:
    """Raises UpstreamInvalid when `data` is not what the vendor should have sent."""
    try:
        if not data.isascii():
            data.decode()
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpstreamInvalid(f"The provider sent {what} that breaks its protocol.") from None
