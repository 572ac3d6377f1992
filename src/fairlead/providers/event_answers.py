"""Answers between a provider's reader and a caller's writer: relayed as they come, or put together whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fairlead.errors import FairleadError, UpstreamCut, UpstreamInvalid
from fairlead.wire.answer import (
    AnswerReader,
    AnswerWriter,
    Event,
    Finish,
    OneText,
    Start,
    Text,
    WholeAnswer,
    merged,
    words,
)
from fairlead.wire.heads import JSON_HEAD
from fairlead.wire.usage import Usage


class EventRelay:
    """A provider's stream becomes the caller's. The finish of a choice is held back until the provider's end was seen,
    so that a cut stream never looks complete; `Start` until something follows it, because another candidate may still
    serve."""

    __slots__ = ("_begun", "_choices", "_finishes", "_opening", "_plain", "_said", "part", "reader", "writer")

    def __init__(self, reader: AnswerReader, writer: AnswerWriter, choices: int) -> None:
        self.reader = reader
        self.writer = writer
        self.part = 0  # of the last text
        self._choices = choices
        self._plain = True
        self._begun: set[int] = set()
        self._finishes: dict[int, Finish] = {}
        self._opening: Start | None = Start()
        self._said: list[str] = []

    @property
    def done(self) -> bool:
        return self.reader.done

    @property
    def usage(self) -> Usage | None:
        return self.reader.usage

    @property
    def choices(self) -> int:
        return len(self._finishes)

    @property
    def head(self) -> bytes:
        return self.writer.stream_head

    @property
    def error_event(self) -> Callable[[FairleadError], bytes]:
        return self.writer.error

    def delivered(self) -> str:
        """Everything that the model has written so far."""
        return "".join(self._said)

    @property
    def text(self) -> str | None:
        """What the caller has been sent, where it is nothing but text and has not ended; None elsewhere."""
        return "".join(self._said) if self._plain and not self._finishes else None

    def feed(self, data: bytes) -> bytes:
        return self._write(self.reader.feed(data))

    def finish(self) -> bytes:
        """The last words, and what ends the choices. Raises UpstreamCut when a choice that was begun has no end. Fewer
        choices than were asked for are complete, because the reader has seen the provider's end."""
        out = self._write(self.reader.last())
        finishes = self._finishes
        if not finishes or self._begun - finishes.keys():
            raise UpstreamCut("The provider's stream ended before the answer was complete.")
        if self._opening is not None:
            out += self.writer.write([self._opening])
        return out + self.writer.finish(list(finishes.values()))

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        return self.writer.end(self.reader.usage if counted is None else counted, members)

    def _write(self, events: list[Event]) -> bytes:
        ready: list[Event] = []
        for event in events:
            if type(event) is Text and event.choice in self._begun:  # as most are
                self.part = event.part
                self._said.append(event.text)
                ready.append(event)
                continue
            if isinstance(event, Start):
                if self._opening is not None:
                    self._opening = event
                continue
            if event.choice >= self._choices:
                raise UpstreamInvalid("The provider sent more choices than were asked for.")
            if isinstance(event, Finish):
                self._finishes[event.choice] = event
                continue
            if self._opening is not None:
                ready.append(self._opening)
                self._opening = None
            if isinstance(event, Text):
                self.part = event.part
            else:
                self._plain = False
            self._begun.add(event.choice)
            self._said.append(words(event))
            ready.append(event)
        return self.writer.write(ready) if ready else b""


class EventAnswer:
    """A whole answer, gathered from a provider's stream or read from its document."""

    __slots__ = ("_choices", "_events", "_reader", "_usage", "_writer")

    def __init__(
        self,
        writer: AnswerWriter,
        choices: int,
        *,
        reader: AnswerReader | None = None,
        whole: WholeAnswer | None = None,
    ) -> None:
        self._writer = writer
        self._choices = choices
        self._reader = reader
        self._events: list[Event] = []
        self._usage: Usage | None = None
        if whole is not None:
            events, self._usage = whole
            self._take(events)
            self._check()

    @property
    def head(self) -> bytes:
        return JSON_HEAD

    @property
    def stream_head(self) -> bytes:
        return self._writer.stream_head

    @property
    def done(self) -> bool:
        return self._reader is None or self._reader.done

    @property
    def usage(self) -> Usage | None:
        return self._usage if self._reader is None else self._reader.usage

    @property
    def choices(self) -> int:
        return len({event.choice for event in self._events if not isinstance(event, Start)})

    def delivered(self) -> str:
        """Everything that the model has written so far."""
        return "".join(map(words, self._events))

    def feed(self, data: bytes) -> None:
        assert self._reader is not None
        self._take(self._reader.feed(data))

    def finish(self) -> bytes:
        """Raises UpstreamCut when the answer is not complete. There is nothing to be sent before `end`."""
        assert self._reader is not None
        self._take(self._reader.last())
        self._check()
        return b""

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        """The complete answer, its usage with these members."""
        return self._writer.whole(self._events, self.usage if counted is None else counted, members)

    def stream(self, members: bytes, counted: Usage | None = None, *, include_usage: bool) -> bytes:
        """The complete answer as a stream, for a caller who asked for one."""
        del include_usage  # the writer knows
        events = [event for event in self._events if not isinstance(event, Finish)]
        finishes = [event for event in self._events if isinstance(event, Finish)]
        writer, usage = self._writer, self.usage if counted is None else counted
        return writer.write(events) + writer.finish(finishes) + writer.end(usage, members)

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if not isinstance(event, Start) and event.choice >= self._choices:
                raise UpstreamInvalid("The provider sent more choices than were asked for.")
        self._events += events

    def _check(self) -> None:
        self._events = merged(self._events)
        finished = {event.choice for event in self._events if isinstance(event, Finish)}
        begun = {event.choice for event in self._events if not isinstance(event, Start)}
        if not finished or begun - finished:
            raise UpstreamCut("The provider's answer ended before it was complete.")
        if not isinstance(self._events[0], Start):
            self._events.insert(0, Start())


class OneTextAnswer:
    """A whole answer that is one text and nothing else."""

    __slots__ = ("_found", "_writer")
    head: Final = JSON_HEAD
    choices: Final = 1

    def __init__(self, writer: AnswerWriter, found: OneText) -> None:
        self._writer = writer
        self._found = found

    @property
    def usage(self) -> Usage | None:
        return self._found.usage

    def delivered(self) -> str:
        return self._found.words()

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        found = self._found
        return self._writer.one_text(found, found.usage if counted is None else counted, members)
