"""Answers as Gemini's generateContent: documents in server-sent events or in one JSON array for a stream, one document
for the rest.

Signatures of Gemini's own stay; other providers' reasoning is tagged (`wire/gemini/signatures.py`) and put where
Gemini puts signatures: on the first call of a function, or on the next text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.doors.gemini.shapes import Logprob
from fairlead.errors import FairleadError
from fairlead.wire.answer import (
    AnswerContext,
    Citation,
    Event,
    Extension,
    Finish,
    Logprobs,
    Media,
    OneText,
    Reasoning,
    ReasoningState,
    Refusal,
    Start,
    Text,
    ToolArguments,
    ToolCall,
)
from fairlead.wire.apis import GENERATE_CONTENT
from fairlead.wire.gemini.framing import ARRAY_HEAD, Framing
from fairlead.wire.gemini.shapes import Echo
from fairlead.wire.gemini.signatures import tagged
from fairlead.wire.heads import STREAM_HEAD
from fairlead.wire.random_ids import random_digits
from fairlead.wire.usage import Usage, usage_as_gemini

REASONS: Final = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY"}
# Gemini's own words, where a provider has said one.
NATIVE_REASONS: Final = frozenset({
    "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "LANGUAGE", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII",
    "MODEL_ARMOR", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION",
})  # fmt: skip
NO_USAGE: Final = b'{"promptTokenCount":0,"candidatesTokenCount":0,"totalTokenCount":0}'
_ECHO: Final = Echo({})
_TEXT: Final = b'%b{"text":%b}],"role":"model"},"index":%d}]%b'
_BEFORE: Final = b'{"candidates":[{"content":{"parts":['
_encode: Final = msgspec.json.encode

Part = dict[str, Any] | Raw


class _Call:
    """A call of a function while its arguments come."""

    __slots__ = ("arguments", "event", "signature")

    def __init__(self, event: ToolCall, signature: str | None) -> None:
        self.event = event
        self.signature = signature
        self.arguments = [event.arguments]


class _Candidate:
    """One choice while it is written. `states`: what its provider must get back, until there is a part to put it on."""

    __slots__ = ("calls", "citations", "finish", "logprobs", "refused", "states")

    def __init__(self) -> None:
        self.calls: dict[int, _Call] = {}
        self.states: list[ReasoningState] = []
        self.citations: list[Citation] = []
        self.logprobs: list[Raw] = []
        self.refused = False
        self.finish: Finish | None = None

    def sign(self) -> str | None:
        """The signature of the next part."""
        if not self.states:
            return None
        states, self.states = self.states, []
        return tagged(states)

    def ending(self, names: dict[str, str]) -> list[Part]:
        """Its last parts."""
        parts = [_function_call(call, names) for call in self.calls.values()]
        self.calls = {}
        if (signature := self.sign()) is not None:
            parts.append({"text": "", "thoughtSignature": signature})
        return parts or [{"text": ""}]

    @property
    def reason(self) -> str:
        finish = self.finish
        if finish is None:
            return "STOP"
        if finish.native in NATIVE_REASONS:
            return finish.native
        return "SAFETY" if self.refused else REASONS[finish.reason]

    def facts(self) -> dict[str, Any]:
        """The members of a candidate that follow its content."""
        found: dict[str, Any] = {}
        if self.citations:
            chunks = [{"web": {"uri": one.url, "title": one.title}} for one in self.citations]
            found["groundingMetadata"] = {"groundingChunks": chunks}
        if self.logprobs:
            found["logprobsResult"] = _logprobs(self.logprobs)
        return found


class GeminiWriter:
    """An `AnswerWriter`. A call of a function is sent when it is complete: there are no deltas of its arguments."""

    __slots__ = ("_after", "_candidates", "_context", "_echo", "_framing", "_start", "stream_head")

    def __init__(self, context: AnswerContext) -> None:
        self._context = context
        echo: Echo | None = context.echo
        self._echo = echo or _ECHO
        self._framing = Framing(is_array=self._echo.is_array)
        self._candidates: dict[int, _Candidate] = {}
        self._start = Start()
        self._after = b""
        self.stream_head = ARRAY_HEAD if self._echo.is_array else STREAM_HEAD

    def write(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if type(event) is Text and not self._candidate(event.choice).states:  # as most are
                text = _TEXT % (_BEFORE, _encode(event.text), event.choice, self._behind())
                out.append(self._framing.framed(text))
            elif isinstance(event, Start):
                self._start = event
            else:
                parts = self._parts(event)
                if parts:
                    out.append(self._document([(event.choice, parts)]))
        return b"".join(out)

    def finish(self, finishes: Sequence[Finish]) -> bytes:
        for finish in finishes:
            self._candidate(finish.choice).finish = finish
        return b""  # calls, reasons and usage are one document

    def end(self, usage: Usage | None, members: bytes) -> bytes:
        self._candidate(0)
        candidates = [self._ended(index, one, []) for index, one in sorted(self._candidates.items())]
        return self._framing.framed(self._whole(candidates, usage, members)) + self._framing.closing

    def error(self, error: FairleadError) -> bytes:
        return self._framing.failed(error)

    def whole(self, events: Sequence[Event], usage: Usage | None, members: bytes) -> bytes:
        content: dict[int, list[Part]] = {0: []}
        for event in events:
            if isinstance(event, Start):
                self._start = event
            elif isinstance(event, Finish):
                self._candidate(event.choice).finish = event
            else:
                content.setdefault(event.choice, []).extend(self._parts(event))
        ended = [self._ended(index, self._candidate(index), parts) for index, parts in sorted(content.items())]
        return self._whole(ended, usage, members)

    def one_text(self, found: OneText, usage: Usage | None, members: bytes) -> bytes:
        reason = found.native if found.native in NATIVE_REASONS else REASONS[found.reason]
        counted = NO_USAGE if usage is None else usage_as_gemini(usage)
        return (
            b'{"candidates":[{"content":{"parts":[{"text":%b}],"role":"model"},"finishReason":"%b","index":0}],'
            b'"usageMetadata":%b%b},"modelVersion":%b,"responseId":%b}'
            % (
                found.text, reason.encode(), counted[:-1], members, _encode(self._context.model),
                _encode(found.id or random_digits(24)),
            )
        )  # fmt: skip

    def _candidate(self, choice: int) -> _Candidate:
        found = self._candidates.get(choice)
        if found is None:
            found = self._candidates[choice] = _Candidate()
        return found

    def _behind(self) -> bytes:
        """What ends every document: the same for all of a stream."""
        if not self._after:
            members = _encode({"modelVersion": self._context.model, "responseId": self._id()})
            self._after = b"," + members[1:]
        return self._after

    def _id(self) -> str:
        return self._start.id or random_digits(24)

    def _document(self, candidates: Sequence[tuple[int, list[Part]]]) -> bytes:
        shown = [{"content": {"parts": parts, "role": "model"}, "index": index} for index, parts in candidates]
        return self._framing.framed(b'{"candidates":%b%b' % (_encode(shown), self._behind()))

    def _whole(self, candidates: list[dict[str, Any]], usage: Usage | None, members: bytes) -> bytes:
        counted = NO_USAGE if usage is None else usage_as_gemini(usage)
        return b'{"candidates":%b,"usageMetadata":%b%b}%b' % (
            _encode(candidates), counted[:-1], members, self._behind(),
        )  # fmt: skip

    def _ended(self, index: int, candidate: _Candidate, parts: list[Part]) -> dict[str, Any]:
        ending = candidate.ending(self._echo.names)
        parts = [*parts, *ending] if ending != [{"text": ""}] or not parts else parts
        return {
            "content": {"parts": parts, "role": "model"},
            "finishReason": candidate.reason,
            "index": index,
            **candidate.facts(),
        }

    def _parts(self, event: Event) -> list[Part]:
        """The parts that an event becomes at once."""
        candidate = self._candidate(event.choice)  # type: ignore[union-attr]
        if isinstance(event, Text | Refusal):
            candidate.refused = candidate.refused or isinstance(event, Refusal)
            return [_signed({"text": event.text}, candidate)] if event.text else []
        if isinstance(event, Reasoning):
            return [{"text": event.text, "thought": True}] if self._echo.thoughts and event.text else []
        if isinstance(event, Media):
            part = _media(event)
            return [] if part is None else [_signed(part, candidate)]
        self._note(event, candidate)
        return [event.data] if isinstance(event, Extension) and event.api == GENERATE_CONTENT else []

    def _note(self, event: Event, candidate: _Candidate) -> None:
        """Keeps what the last document is made of."""
        if isinstance(event, ToolCall):
            candidate.calls[event.call] = _Call(event, event.signature or candidate.sign())
        elif isinstance(event, ToolArguments):
            if event.call in candidate.calls:
                candidate.calls[event.call].arguments.append(event.text)
        elif isinstance(event, ReasoningState):
            candidate.states.append(event)
        elif isinstance(event, Citation):
            if event.url:
                candidate.citations.append(event)
        elif isinstance(event, Logprobs):
            candidate.logprobs += event.content


def _signed(part: dict[str, Any], candidate: _Candidate) -> Part:
    signature = candidate.sign()
    return part if signature is None else {**part, "thoughtSignature": signature}


def _function_call(call: _Call, names: dict[str, str]) -> Part:
    event = call.event
    made: dict[str, Any] = {"name": names.get(event.name, event.name), "args": _arguments("".join(call.arguments))}
    if event.id:
        made["id"] = event.id
    part = {"functionCall": made}
    return part if call.signature is None else {**part, "thoughtSignature": call.signature}


def _arguments(arguments: str) -> Any:
    """The arguments as an object. What a model has written that is none is handed on as text, for the caller to see."""
    try:
        return msgspec.json.decode(arguments or "{}", type=dict[str, Raw])
    except (msgspec.DecodeError, RecursionError):
        return {"_raw": arguments}


def _media(event: Media) -> dict[str, Any] | None:
    if event.data:
        return {"inlineData": {"mimeType": event.mime or f"{event.kind}/*", "data": event.data}}
    if event.url:
        return {"fileData": {"mimeType": event.mime, "fileUri": event.url}}
    return {"text": event.transcript} if event.transcript else None


def _logprobs(raws: Sequence[Raw]) -> dict[str, Any]:
    """OpenAI's log probabilities as Gemini writes them."""
    chosen, top = [], []
    for raw in raws:
        one = msgspec.json.decode(raw, type=Logprob, strict=False)
        chosen.append({"token": one.token, "logProbability": one.logprob})
        top.append({"candidates": [{"token": t.token, "logProbability": t.logprob} for t in one.top_logprobs]})
    return {"chosenCandidates": chosen, "topCandidates": top}
