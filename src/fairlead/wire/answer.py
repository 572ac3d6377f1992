"""A model's answer in no dialect: events, which a provider's reader makes and a caller's writer writes.

A stream is many events; a whole answer is the same events, few of them, each part complete (`merged`). Their order is
the order of the answer. `choice` counts the alternatives that were asked for (`n`) from 0. `part` numbers the content
parts of a choice where a provider separates them (Anthropic's content blocks, the items of Responses): deltas with the
same number belong together, and two texts with different numbers are two parts. A reader whose provider separates
nothing leaves it 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from fairlead.errors import FairleadError, UpstreamInvalid
from fairlead.wire.answer_shapes import (
    NULL,
    AnswerContext,
    Citation,
    Extension,
    Finish,
    FinishReason,
    Logprobs,
    Media,
    Reasoning,
    ReasoningState,
    Refusal,
    Start,
    Text,
    ToolArguments,
    ToolCall,
)
from fairlead.wire.usage import Usage

__all__ = [
    "NULL",
    "AnswerContext",
    "AnswerFormat",
    "AnswerReader",
    "AnswerWriter",
    "Citation",
    "Event",
    "Extension",
    "Finish",
    "FinishReason",
    "Logprobs",
    "Media",
    "OneText",
    "Reasoning",
    "ReasoningState",
    "Refusal",
    "Start",
    "Text",
    "ToolArguments",
    "ToolCall",
    "WholeAnswer",
    "WriterFactory",
    "is_nothing",
    "merged",
    "words",
]

Event = (
    Start
    | Text
    | Reasoning
    | ReasoningState
    | ToolCall
    | ToolArguments
    | Refusal
    | Media
    | Citation
    | Logprobs
    | Extension
    | Finish
)


class WholeAnswer(NamedTuple):
    """A provider's document, read: `events` as `merged` gives them; `usage`: what it reported, None: nothing usable."""

    events: list[Event]
    usage: Usage | None


class OneText:
    """A whole answer that is one text and nothing else, as most are. `text`: still the JSON string that it came as, not
    empty; `details`: as ready JSON members, each with a comma before it; the rest as in `Start`, `Finish` and
    `WholeAnswer`."""

    __slots__ = ("created", "details", "id", "native", "reason", "stop_sequence", "text", "usage")

    def __init__(
        self,
        text: bytes,
        id: str,  # noqa: A002 - as in `Start`
        reason: FinishReason,
        native: str,
        usage: Usage | None,
        created: int = 0,
        stop_sequence: str | None = None,
        details: bytes = b"",
    ) -> None:
        self.text = text
        self.id = id
        self.reason: str = reason
        self.native = native
        self.usage = usage
        self.created = created
        self.stop_sequence = stop_sequence
        self.details = details

    def words(self) -> str:
        try:
            return _string.decode(self.text)
        except msgspec.DecodeError:  # half of a pair of escapes
            return self.text[1:-1].decode("utf-8", "replace")


class AnswerReader(Protocol):
    """Reads one stream of a provider, framing included. `done`: its last event has been seen. `usage`: what has been
    reported so far, None: nothing usable."""

    @property
    def done(self) -> bool: ...

    @property
    def usage(self) -> Usage | None: ...

    def feed(self, data: bytes, /) -> list[Event]:
        """The events that a block completes; `Start` comes first, once. Raises UpstreamInvalid, or the error that the
        stream holds."""

    def last(self) -> list[Event]:
        """What an end without a blank line left behind. Raises UpstreamCut when the provider's end mark is missing."""


class AnswerFormat(Protocol):
    """How one API of a provider answers. It keeps nothing of a call."""

    def reader(self, choices: int, prefill: str = "", /) -> AnswerReader:
        """For a new stream, of so many choices. `prefill`: what the provider repeats at the beginning of each, and the
        caller must not get again."""

    def whole(self, body: bytes, /) -> WholeAnswer:
        """A whole answer. Raises UpstreamInvalid, or the error that it holds."""


class AnswerWriter(Protocol):
    """Writes one answer in a caller's API, as a stream or whole. Made for each attempt by the door's `writer(context)`;
    a stream that continues at another provider keeps its first one.

    Its calls in a stream: `write` for each block, `finish` and `end` once the answer is complete, or `error`.
    `members`: ready JSON members for the usage object: the cost, and who counted (`,"cost":0.1,"cost_usd":"0.1"`).
    `stream_head`: lines for the head of a stream (`wire/heads.py`).
    """

    @property
    def stream_head(self) -> bytes: ...

    def write(self, events: Sequence[Event], /) -> bytes:
        """The first events are `Start` and what follows it, or `Start` alone at the end of an answer without a word.
        There is no `Finish` among them: those are held back, so that a cut stream never looks complete."""

    def finish(self, finishes: Sequence[Finish], /) -> bytes:
        """The provider's end was seen: one for each choice that was begun. What must wait for the usage waits for
        `end`."""

    def end(self, usage: Usage | None, members: bytes, /) -> bytes:
        """The last bytes. The record of the call is stored before they are sent. `usage`: None when nobody knows it."""

    def error(self, error: FairleadError, /) -> bytes:
        """The last bytes of a stream that ends for this reason, once it has begun."""

    def whole(self, events: Sequence[Event], usage: Usage | None, members: bytes, /) -> bytes:
        """A complete answer as one document; `events` as `merged` gives them."""

    def one_text(self, found: OneText, usage: Usage | None, members: bytes, /) -> bytes:
        """The same for an answer of one text, in a third of the time. `usage` counts, not that of `found`."""


WriterFactory = Callable[[AnswerContext], AnswerWriter]


def words(event: Event) -> str:
    """What an event adds to what the model has written: the words that are charged for when no usage is reported."""
    kind = type(event)
    if kind is Text or kind is Reasoning or kind is Refusal or kind is ToolArguments:
        return event.text  # type: ignore[union-attr]
    if kind is ToolCall:
        return event.name + event.arguments  # type: ignore[union-attr]
    if kind is Media:
        return event.transcript  # type: ignore[union-attr]
    return ""


# In a variable of this module's own, which compiled code reads without a look-up.
_NULL: Final[Raw] = NULL
_string: Final = msgspec.json.Decoder(str)


def is_nothing(raw: Raw) -> bool:
    """Whether a member that was not decoded says nothing: null, or an empty string, list or object."""
    return raw is _NULL or len(raw) == 2 or raw == _NULL


def merged(events: Iterable[Event]) -> list[Event]:
    """The same answer in as few events as it has parts: deltas of one part are one event, where the first of them
    stood. Raises UpstreamInvalid for arguments of a call that never began."""
    parts: list[list[Any]] = []
    places: dict[tuple[Any, ...], list[Any]] = {}
    for event in events:
        place = _place(event)
        if place is not None and place in places and not isinstance(event, ToolCall):
            places[place].append(event)
            continue
        if isinstance(event, ToolArguments):
            raise UpstreamInvalid("The provider sent arguments of a tool call that it never began.")
        part = [event]
        parts.append(part)
        if place is not None:
            places[place] = part
    return [part[0] if len(part) == 1 else _joined(part) for part in parts]


def _place(event: Event) -> tuple[Any, ...] | None:
    """What tells the parts of an answer apart; None for an event that is a part by itself."""
    if isinstance(event, Text | Refusal):
        return type(event), event.choice, event.part
    if isinstance(event, Reasoning):
        return Reasoning, event.choice, event.part, event.summary
    if isinstance(event, ToolCall | ToolArguments):
        return ToolCall, event.choice, event.call
    if isinstance(event, Logprobs):
        return Logprobs, event.choice
    if isinstance(event, Media) and event.kind == "audio":
        return Media, event.choice, event.part
    return None


def _joined(part: list[Any]) -> Event:
    first: Any = part[0]
    if isinstance(first, ToolCall):
        return replace(first, arguments=first.arguments + "".join([one.text for one in part[1:]]))
    if isinstance(first, Logprobs):
        content = tuple(one for each in part for one in each.content)
        return Logprobs(content, tuple(one for each in part for one in each.refusal), first.choice)
    if isinstance(first, Media):
        found = {name: next((value for one in part if (value := getattr(one, name))), "") for name in ("id", "mime")}
        data, transcript = ("".join([getattr(one, name) for one in part]) for name in ("data", "transcript"))
        expires_at = max(one.expires_at for one in part)
        return replace(first, data=data, transcript=transcript, expires_at=expires_at, **found)
    found_text: Event = replace(first, text="".join([one.text for one in part]))
    return found_text
