"""What OpenAI's dialect answers, as events, for callers of other APIs: chunks of a stream, and whole completions.

Callers of chat completions get the bytes themselves (`answers.py`).
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from fairlead.errors import UpstreamCut, UpstreamInvalid
from fairlead.providers.openai.errors import event_error
from fairlead.providers.sse import EventReader
from fairlead.providers.translated import decoded
from fairlead.wire.answer import NULL, Event, WholeAnswer
from fairlead.wire.chat_answer import ChoiceReader, events_of, start_of
from fairlead.wire.chat_answer_shapes import Completion
from fairlead.wire.usage import Usage, usage_from_openai

DONE: Final = b"[DONE]"
_completion: Final = msgspec.json.Decoder(Completion)


class ChunkReader:
    """Reads a stream of chunks: complete with `[DONE]`, or with its usage, when every choice has a finish reason."""

    __slots__ = ("_choices", "_events", "_finished", "_prefill", "_readers", "_started", "_usage_raw", "done")

    def __init__(self, choices: int, prefill: str) -> None:
        self._choices = choices
        self._prefill = prefill
        self._events = EventReader()
        self._readers: dict[int, ChoiceReader] = {}
        self._finished: set[int] = set()
        self._started = False
        self._usage_raw = NULL
        self.done = False

    @property
    def usage(self) -> Usage | None:
        return None if self._usage_raw == NULL else usage_from_openai(self._usage_raw)

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        for payload in self._events.feed(data):
            if self.done:
                break
            if payload == DONE:
                self.done = True
                break
            self._take(decoded(_completion, payload, "an event"), events)
        return events

    def last(self) -> list[Event]:
        events = [] if self.done else self.feed(b"\n\n")
        ended = self.done or self._usage_raw != NULL
        if not self._finished or (len(self._finished) < self._choices and not ended):
            raise UpstreamCut("The provider's stream ended before the answer was complete.")
        return events

    def _take(self, chunk: Completion, events: list[Event]) -> None:
        if chunk.error != NULL:
            raise event_error(chunk.error)
        if chunk.usage != NULL:
            self._usage_raw = Raw(bytes(chunk.usage))
        if chunk.choices and not self._started:
            self._started = True
            events.append(start_of(chunk))
        for choice in chunk.choices:
            reader = self._readers.get(choice.index)
            if reader is None:
                reader = self._readers[choice.index] = ChoiceReader(choice.index, self._prefill)
            events += reader.take(choice)
            if choice.finish_reason is not None:
                self._finished.add(choice.index)


class ChunkFormat:
    """An `AnswerFormat`."""

    __slots__ = ()

    def reader(self, choices: int, prefill: str = "") -> ChunkReader:
        return ChunkReader(choices, prefill)

    def whole(self, body: bytes) -> WholeAnswer:
        completion: Completion = decoded(_completion, body, "an answer")
        if completion.error != NULL:
            raise event_error(completion.error)
        if not completion.choices:
            raise UpstreamInvalid("The provider's answer has no choices.")
        usage = None if completion.usage == NULL else usage_from_openai(completion.usage)
        return WholeAnswer(events_of(completion), usage)
