"""What generateContent answers, as pieces: documents, one or a stream of them."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from fairlead.errors import UpstreamCut, UpstreamFailed
from fairlead.providers.gemini.errors import failure
from fairlead.providers.sse import EventReader
from fairlead.providers.translated import Piece, Whole, arguments_of, decoded
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.usage import Usage, usage_from_gemini

REFUSED = frozenset({
    "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION",
})  # fmt: skip


class _FunctionCall(Struct):
    name: str
    id: str | None = None
    args: Raw = Raw(b"{}")


class _AnswerPart(Struct, rename="camel"):
    text: str | None = None
    thought: bool = False
    thought_signature: str | None = None
    function_call: _FunctionCall | None = None


class _AnswerContent(Struct):
    parts: list[_AnswerPart] = []


class _Candidate(Struct, rename="camel"):
    index: int = 0
    content: _AnswerContent = msgspec.field(default_factory=_AnswerContent)
    finish_reason: str | None = None


class _Feedback(Struct, rename="camel"):
    block_reason: str | None = None


class _Answer(Struct, rename="camel"):
    candidates: list[_Candidate] = []
    usage_metadata: Raw = NULL
    response_id: str = ""
    prompt_feedback: _Feedback | None = None
    error: Raw = NULL


_answer = msgspec.json.Decoder(_Answer)


class _Candidates:
    """Documents, one after the other, become pieces: each stream event is a document like the whole answer."""

    __slots__ = ("calls", "finished", "id", "usage_raw")

    def __init__(self) -> None:
        self.calls: dict[int, int] = {}
        self.finished: set[int] = set()
        self.id = ""
        self.usage_raw = NULL

    @property
    def usage(self) -> Usage | None:
        return None if self.usage_raw == NULL else usage_from_gemini(self.usage_raw)

    def take(self, payload: bytes) -> list[Piece]:
        answer: _Answer = decoded(_answer, payload, "an answer")
        if answer.error != NULL:
            raise failure(answer.error)
        self.id = self.id or answer.response_id
        if answer.usage_metadata != NULL:
            self.usage_raw = Raw(bytes(answer.usage_metadata))
        pieces = [piece for candidate in answer.candidates for piece in self._candidate(candidate)]
        blocked = answer.prompt_feedback is not None and answer.prompt_feedback.block_reason is not None
        if blocked and not answer.candidates:
            self.finished.add(0)
            pieces.append(Piece(finish="content_filter"))
        return pieces

    def _candidate(self, candidate: _Candidate) -> list[Piece]:
        index = candidate.index
        pieces: list[Piece] = []
        for part in candidate.content.parts:
            if part.function_call is not None:
                number = self.calls.get(index, 0)
                self.calls[index] = number + 1
                call = part.function_call
                pieces.append(
                    Piece(
                        index, call=number, call_id=call.id or f"call_{self.id}_{number}", call_name=call.name,
                        arguments=arguments_of(call.args), signature=part.thought_signature,
                    )
                )  # fmt: skip
            elif part.text and part.thought:
                pieces.append(Piece(index, reasoning=part.text))
            elif part.text:
                pieces.append(Piece(index, content=part.text))
        if candidate.finish_reason is not None:
            self.finished.add(index)
            pieces.append(Piece(index, finish=self._finish(candidate.finish_reason, index)))
        return pieces

    def _finish(self, reason: str, index: int) -> str:
        if reason == "STOP":
            return "tool_calls" if self.calls.get(index) else "stop"
        if reason == "MAX_TOKENS":
            return "length"
        if reason in REFUSED:
            return "content_filter"
        raise UpstreamFailed(f"The provider's model ended with {reason[:64]}.")


def from_document(body: bytes) -> Whole:
    """A whole answer. Raises UpstreamInvalid, or the error that it holds."""
    candidates = _Candidates()
    pieces = candidates.take(body)
    return Whole(candidates.id, pieces, candidates.usage)


class ContentReader:
    """Reads a stream of documents: complete when every candidate has its finish reason."""

    __slots__ = ("_candidates", "_choices", "_events")

    def __init__(self, choices: int) -> None:
        self._events = EventReader()
        self._candidates = _Candidates()
        self._choices = choices

    @property
    def id(self) -> str:
        return self._candidates.id

    @property
    def done(self) -> bool:
        return len(self._candidates.finished) >= self._choices

    @property
    def usage(self) -> Usage | None:
        return self._candidates.usage

    def feed(self, data: bytes) -> list[Piece]:
        return [piece for payload in self._events.feed(data) for piece in self._candidates.take(payload)]

    def last(self) -> list[Piece]:
        pieces = [] if self.done else self.feed(b"\n\n")
        if not self._candidates.finished:  # fewer than asked for: it does not give as many
            raise UpstreamCut("The provider's stream ended before the answer was complete.")
        return pieces
