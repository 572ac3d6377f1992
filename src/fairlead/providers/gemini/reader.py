"""What generateContent answers, as events: documents, one or a stream of them."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from fairlead.errors import UpstreamCut, UpstreamFailed
from fairlead.providers.gemini.errors import failure
from fairlead.providers.gemini.shapes import Answer, Candidate
from fairlead.providers.sse import EventReader
from fairlead.providers.translated import arguments_of, decoded
from fairlead.wire.answer import Event, Finish, FinishReason, Reasoning, Start, Text, ToolCall, WholeAnswer
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.usage import Usage, usage_from_gemini

REFUSED = frozenset({
    "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION",
})  # fmt: skip


_answer = msgspec.json.Decoder(Answer)


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
        if reason == "MAX_TOKENS":
            return "length"
        if reason in REFUSED:
            return "content_filter"
        raise UpstreamFailed(f"The provider's model ended with {reason[:64]}.")


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
