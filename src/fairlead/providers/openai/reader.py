"""What OpenAI's dialect answers, as events, for callers of other APIs: chunks of a stream, and whole completions.

Callers of chat completions get the bytes themselves (`answers.py`).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.errors import UpstreamCut, UpstreamInvalid
from fairlead.providers.openai.errors import event_error
from fairlead.providers.sse import EventReader
from fairlead.providers.translated import decoded, said, text_in
from fairlead.wire.answer import NULL, Event, OneText, WholeAnswer, is_nothing
from fairlead.wire.chat_answer import FINISHES, ChoiceReader, events_of, start_of
from fairlead.wire.chat_answer_shapes import Completion, SaidCompletion
from fairlead.wire.usage import Usage, usage_from_openai

DONE: Final = b"[DONE]"
_completion: Final = msgspec.json.Decoder(Completion)
_said: Final = msgspec.json.Decoder(SaidCompletion)
_astuple: Final = msgspec.structs.astuple


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


def one_text(body: bytes) -> OneText | None:
    """A whole answer of one text and nothing else; None: another one, or none."""
    given = said(_said, body)
    if given is None or not is_nothing(given[4]):
        return None
    choices: list[Any] = given[0]
    choice: tuple[Any, ...] = _astuple(choices[0]) if len(choices) == 1 else (None, None, NULL)
    if choice[0] is None or choice[1] is None or not is_nothing(choice[2]):
        return None
    words: tuple[Any, ...] = _astuple(choice[0])
    for at in range(1, len(words)):
        if not is_nothing(words[at]):
            return None
    text = text_in(words[0])
    if not text:
        return None
    reason: str = choice[1]
    usage: Raw = given[3]
    return OneText(
        text, given[1] or "", FINISHES.get(reason, "stop"), reason,
        None if is_nothing(usage) else usage_from_openai(usage), given[2],
    )  # fmt: skip
