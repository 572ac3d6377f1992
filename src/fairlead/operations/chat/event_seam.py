"""The seam of a continued stream whose caller speaks another API than chat completions: among events, not bytes.

The writer of the first stream continues, because it knows what it has started.
"""

from __future__ import annotations

from fairlead.operations.chat.continuation import Splice
from fairlead.providers.event_answers import EventRelay
from fairlead.routing.attempt import charged
from fairlead.wire.answer import AnswerReader, Event, Finish, Start, Text, words
from fairlead.wire.usage import Usage


class SentEvents:
    """What a caller has been sent of a stream: by the relays that wrote it, one after the other."""

    __slots__ = ("relays",)

    def __init__(self, first: EventRelay) -> None:
        self.relays = [first]

    def add(self, block: bytes) -> None:
        """Nothing: the relays know what they wrote."""

    @property
    def text(self) -> str | None:
        texts = [relay.text for relay in self.relays]
        return None if None in texts else "".join(filter(None, texts))


class SplicedReader:
    """The reader of the continuing model: no second beginning, no white space twice, no stop sequence across the seam.
    `said`: all that was written, also when nothing of it counts."""

    __slots__ = ("_part", "_reader", "_splice", "said")

    def __init__(self, reader: AnswerReader, splice: Splice, part: int) -> None:
        self._reader = reader
        self._splice = splice
        self._part = part
        self.said: list[str] = []

    @property
    def done(self) -> bool:
        return self._reader.done or self._splice.stopped

    @property
    def usage(self) -> Usage | None:
        return self._reader.usage

    def feed(self, data: bytes) -> list[Event]:
        return [] if self._splice.stopped else self._changed(self._reader.feed(data))

    def last(self) -> list[Event]:
        return [] if self._splice.stopped else self._changed(self._reader.last())

    def _changed(self, events: list[Event]) -> list[Event]:
        found: list[Event] = []
        for event in events:
            self.said.append(words(event))
            if isinstance(event, Text):
                text = self._splice.take(event.text)
                if text is None:
                    found.append(Finish("stop", native="stop"))
                    break
                if text:
                    found.append(Text(text, part=self._part))
            elif isinstance(event, Finish):
                if rest := self._splice.rest():
                    found.append(Text(rest, part=self._part))
                found.append(event)
            elif not isinstance(event, Start):
                found.append(event)
        return found


class EventSeam(EventRelay):
    """The relay of a continuation, as a continuation of the first stream."""

    __slots__ = ("_splice", "_spliced")

    def __init__(self, relay: EventRelay, splice: Splice, sent: SentEvents) -> None:
        before = sent.relays[-1]
        spliced = SplicedReader(relay.reader, splice, before.part)
        super().__init__(spliced, before.writer, 1)
        self._spliced = spliced
        self._splice = splice
        self._opening = None
        self.part = before.part
        sent.relays.append(self)

    def delivered(self) -> str:
        """What the continuing model has written, also when nothing of it counts."""
        return "".join(self._spliced.said)

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        usage = self.reader.usage if counted is None else counted
        if usage is not None:
            usage = charged(usage, self._splice.tokens, stopped=self._splice.stopped)
        return self.writer.end(usage, members)
