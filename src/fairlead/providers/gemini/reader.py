"""What generateContent answers, as events: documents, one or a stream of them."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.errors import UpstreamCut, UpstreamFailed
from fairlead.providers.gemini.errors import failure
from fairlead.providers.gemini.shapes import Answer, Candidate, SaidAnswer
from fairlead.providers.sse import EventReader
from fairlead.providers.translated import arguments_of, decoded, said, text_in
from fairlead.wire.answer import (
    Event,
    Finish,
    FinishReason,
    OneText,
    Reasoning,
    Start,
    Text,
    ToolCall,
    WholeAnswer,
    is_nothing,
)
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.usage import Usage, usage_from_gemini

REFUSED = frozenset({
    "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION",
})  # fmt: skip


_answer = msgspec.json.Decoder(Answer)
_said: Final = msgspec.json.Decoder(SaidAnswer)
_astuple: Final = msgspec.structs.astuple


class _Candidates:
    """Documents, one after the other, become events: each stream event is a document like the whole answer."""

    __slots__ = ("_started", "calls", "finished", "id", "usage_raw")

    def __init__(self) -> None:
        self.calls: dict[int, int] = {}
        self.finished: set[int] = set()
        self.id = ""
        self._started = False
        self.usage_raw = NULL

    @property
    def usage(self) -> Usage | None:
        return None if self.usage_raw == NULL else usage_from_gemini(self.usage_raw)

    def take(self, payload: bytes) -> list[Event]:
        answer: Answer = decoded(_answer, payload, "an answer")
        if answer.error != NULL:
            raise failure(answer.error)
        self.id = self.id or answer.response_id
        if answer.usage_metadata != NULL:
            self.usage_raw = Raw(bytes(answer.usage_metadata))
        events: list[Event] = []
        if not self._started:
            self._started = True
            events.append(Start(self.id, model=answer.model_version))
        for candidate in answer.candidates:
            events += self._candidate(candidate)
        feedback = answer.prompt_feedback
        if feedback is not None and feedback.block_reason is not None and not answer.candidates:
            self.finished.add(0)
            events.append(Finish("content_filter", native=feedback.block_reason))
        return events

    def _candidate(self, candidate: Candidate) -> list[Event]:
        index = candidate.index
        events: list[Event] = []
        for part in candidate.content.parts:
            if part.function_call is not None:
                number = self.calls.get(index, 0)
                self.calls[index] = number + 1
                call = part.function_call
                events.append(
                    ToolCall(
                        number, call.id or f"call_{self.id}_{number}", call.name, arguments_of(call.args), index,
                        signature=part.thought_signature,
                    )
                )  # fmt: skip
            elif part.text and part.thought:
                events.append(Reasoning(part.text, index))
            elif part.text:
                events.append(Text(part.text, index))
        if candidate.finish_reason is not None:
            self.finished.add(index)
            reason = self._finish(candidate.finish_reason, index)
            events.append(Finish(reason, index, candidate.finish_reason))
        return events

    def _finish(self, reason: str, index: int) -> FinishReason:
        if reason == "STOP":
            return "tool_calls" if self.calls.get(index) else "stop"
        found = _ended(reason)
        if found is None:
            raise UpstreamFailed(f"The provider's model ended with {reason[:64]}.")
        return found


def _ended(reason: str) -> FinishReason | None:
    """None: something went wrong."""
    if reason == "STOP":
        return "stop"
    if reason == "MAX_TOKENS":
        return "length"
    return "content_filter" if reason in REFUSED else None


def one_text(body: bytes) -> OneText | None:
    """A whole answer of one text and nothing else; None: another one, or none."""
    given = said(_said, body)
    if given is None or not is_nothing(given[3]):
        return None
    candidates: list[Any] = given[0]
    candidate: tuple[Any, ...] = _astuple(candidates[0]) if len(candidates) == 1 else (None, None, 0)
    if candidate[0] is None or candidate[1] is None or candidate[2]:
        return None
    parts: list[Any] = candidate[0].parts
    part: tuple[Any, ...] = _astuple(parts[0]) if len(parts) == 1 else (NULL, False, NULL)
    text = text_in(part[0])
    native: str = candidate[1]
    reason = _ended(native)
    if not text or part[1] or not is_nothing(part[2]) or reason is None:
        return None
    usage: Raw = given[2]
    return OneText(text, given[1], reason, native, None if is_nothing(usage) else usage_from_gemini(usage))


class ContentReader:
    """Reads a stream of documents: complete when every candidate has its finish reason."""

    __slots__ = ("_candidates", "_choices", "_events")

    def __init__(self, choices: int) -> None:
        self._events = EventReader()
        self._candidates = _Candidates()
        self._choices = choices

    @property
    def done(self) -> bool:
        return len(self._candidates.finished) >= self._choices

    @property
    def usage(self) -> Usage | None:
        return self._candidates.usage

    def feed(self, data: bytes) -> list[Event]:
        return [event for payload in self._events.feed(data) for event in self._candidates.take(payload)]

    def last(self) -> list[Event]:
        events = [] if self.done else self.feed(b"\n\n")
        if not self._candidates.finished:  # fewer than asked for: it does not give as many
            raise UpstreamCut("The provider's stream ended before the answer was complete.")
        return events


class ContentFormat:
    """An `AnswerFormat`."""

    __slots__ = ()

    def reader(self, choices: int, _prefill: str = "") -> ContentReader:
        return ContentReader(choices)

    def whole(self, body: bytes) -> WholeAnswer:
        candidates = _Candidates()
        events = candidates.take(body)
        return WholeAnswer(events, candidates.usage)
