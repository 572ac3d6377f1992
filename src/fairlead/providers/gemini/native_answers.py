"""Answers of generateContent to callers who speak it: each document passed on byte for byte, but for the model's name
and the cost.

Each is read as far as needed to know that it is one, and for the bill: its usage, and its words in case none is
reported.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.errors import FairleadError, UpstreamCut, UpstreamInvalid
from fairlead.providers.gemini.errors import code_of, failure
from fairlead.providers.gemini.shapes import PassedCandidate, PassedDocument
from fairlead.providers.native_answers import LastMember, NativeAnswer, UsageMember
from fairlead.providers.repeated import RepeatedEvent
from fairlead.providers.sse import EventReader
from fairlead.providers.translated import decoded, text_in
from fairlead.wire.apis import GENERATE_CONTENT
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.gemini.framing import ARRAY_HEAD, Framing
from fairlead.wire.heads import STREAM_HEAD
from fairlead.wire.usage import Usage, usage_as_gemini, usage_from_gemini

USAGE: Final = UsageMember("usageMetadata", usage_from_gemini, usage_as_gemini)
_NULL: Final[Raw] = NULL
_PLACE: Final = LastMember("modelVersion")
_encode: Final = msgspec.json.encode


_document: Final = msgspec.json.Decoder(PassedDocument)
_string: Final = msgspec.json.Decoder(str)
_astuple: Final = msgspec.structs.astuple
_members: Final = msgspec.json.Decoder(dict[str, Raw])


def _said(candidates: list[PassedCandidate]) -> bytes:
    """The words of a document, as they stand in JSON between quotes."""
    said = b""
    for candidate in candidates:
        content = candidate.content
        if content is None:
            continue
        for part in content.parts:
            text, call = text_in(part.text), part.function_call
            if text:
                said += text[1:-1]
            elif call is not None:
                said += _encode(call.name + bytes(call.args).decode("utf-8", "replace"))[1:-1]
    return said


def _words_of(said: bytes) -> str:
    """What `_said` has given, of any number of documents, as text."""
    try:
        return _string.decode(b'"%b"' % said)
    except msgspec.DecodeError:  # half of a pair of escapes
        return said.decode("utf-8", "replace")


def _is_text(candidates: list[PassedCandidate]) -> bool:
    """Whether it is nothing but the text of one part."""
    if len(candidates) != 1 or candidates[0].content is None:
        return False
    parts = candidates[0].content.parts
    return len(parts) == 1 and parts[0].function_call is None and candidates[0].finish_reason is None


def _is_blocked(document: PassedDocument) -> bool:
    feedback = document.prompt_feedback
    return feedback is not None and feedback.block_reason is not None and not document.candidates


class NativeRelay:
    """A `Relay`. Documents without a word are held until one follows, because another candidate may still serve; what
    comes once every candidate has finished waits for `end`, because the cost stands in it."""

    __slots__ = (
        "_choices", "_ending", "_events", "_finished", "_framing", "_held", "_public", "_repeated", "_usage", "_words",
        "head",
    )  # fmt: skip

    def __init__(self, public: bytes, choices: int, *, is_array: bool) -> None:
        self._public = public
        self._choices = choices
        self._events = EventReader()
        self._framing = Framing(is_array=is_array)
        self._held: list[bytes] = []
        self._ending: list[bytes] = []
        self._finished: set[int] = set()
        self._usage = _NULL
        self._repeated = RepeatedEvent()
        self._words = bytearray()  # as `_said` gives them
        self.head = ARRAY_HEAD if is_array else STREAM_HEAD

    @property
    def done(self) -> bool:
        return len(self._finished) >= self._choices

    @property
    def error_event(self) -> Callable[[FairleadError], bytes] | None:
        return self._framing.failed if self._framing.is_array else None

    @property
    def usage(self) -> Usage | None:
        return None if self._usage == _NULL else usage_from_gemini(self._usage)

    @property
    def choices(self) -> int:
        return len(self._finished)

    def delivered(self) -> str:
        """Everything that the model has written so far."""
        return _words_of(bytes(self._words))

    def feed(self, data: bytes) -> bytes:
        out: list[bytes] = []
        repeated = self._repeated
        for payload in self._events.feed(data):
            text = repeated.text_of(payload)
            if text is None:
                self._take(payload, out)
            else:
                self._words += text
                out += (repeated.shown_before, text, repeated.shown_after)
        return b"".join(out)

    def _take(self, payload: bytes, out: list[bytes]) -> None:
        read: PassedDocument = decoded(_document, payload, "an event")
        members: tuple[Any, ...] = _astuple(read)  # one call instead of one for each attribute
        candidates: list[PassedCandidate] = members[0]
        usage: Raw = members[1]
        error: Raw = members[4]
        if error is not _NULL and error != _NULL:
            raise _failed(error, payload)
        if usage is not _NULL and usage != _NULL:
            self._usage = Raw(bytes(usage))
        came, payload = payload, _with_model(payload, members[2], self._public)
        said = _said(candidates)
        if said:
            self._words += said
        for candidate in candidates:
            if candidate.finish_reason is not None:
                self._finished.add(candidate.index)
        if members[3] is not None and _is_blocked(read):
            self._finished.update(range(self._choices))
        if len(self._finished) >= self._choices:
            self._ending.append(payload)
            return
        if not said and not self._words:
            self._held.append(payload)
            return
        self._pass_held(out)
        framed = self._framing.framed(payload)
        out.append(framed)
        # An array has another beginning for its first document. Of several candidates one may have finished.
        if said and self._choices == 1 and not self._framing.is_array and usage is _NULL and _is_text(candidates):
            self._repeated.learn(came, framed, b'"%b"' % said)

    def _pass_held(self, out: list[bytes]) -> None:
        out += [self._framing.framed(payload) for payload in self._held]
        self._held.clear()

    def finish(self) -> bytes:
        """Raises UpstreamCut when the answer is not complete. Fewer candidates than were asked for are complete."""
        out = [] if self.done else [self.feed(b"\n\n")]
        if not self._finished:
            raise UpstreamCut("The provider's stream ended before the answer was complete.")
        self._pass_held(out)
        return b"".join(out)

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        """The last documents, the usage with these members."""
        ending = self._ending or [b"{}"]
        at = max((at for at, one in enumerate(ending) if b'"usageMetadata"' in one), default=len(ending) - 1)
        ending[at] = USAGE.added(ending[at], members, counted)
        return b"".join([self._framing.framed(payload) for payload in ending]) + self._framing.closing


def native_answer(body: bytes, public: bytes) -> NativeAnswer:
    """`public`: the model's name for callers, as JSON. Raises UpstreamInvalid for what is no answer, or the error that
    it holds."""
    document: PassedDocument = decoded(_document, body, "an answer")
    if document.error != _NULL:
        raise _failed(document.error, body)
    candidates = document.candidates
    if not candidates and not _is_blocked(document):
        raise UpstreamInvalid("The provider's answer has no candidates.")
    start, stop = _model_span(body, document.model_version)
    if start == stop and document.model_version != _NULL:
        body, public = _with_model(body, document.model_version, public), b""
    return NativeAnswer(
        body, USAGE, document.usage_metadata, start, stop, public if start < stop else b"",
        partial(_words_in, candidates), max(1, len(candidates)),
    )  # fmt: skip


def _words_in(candidates: list[PassedCandidate]) -> str:
    return _words_of(_said(candidates))


def _failed(error: Raw, body: bytes) -> FairleadError:
    """The error that a provider has sent with 200, for callers as it was written."""
    found = failure(error)
    if found.policy.verdict != "denied":
        found.status = code_of(error) or found.status
        found.native_api, found.native_body = GENERATE_CONTENT, body
    return found


def _model_span(text: bytes, model: Raw) -> tuple[int, int]:
    """Where the name of the model stands: behind the candidates; (0, 0): nowhere that can be found."""
    if model == _NULL:
        return 0, 0
    start = _PLACE.find(text, model)
    return (start, start + len(model)) if start >= 0 else (0, 0)


def _with_model(text: bytes, model: Raw, public: bytes) -> bytes:
    """Another name of the model in a document; the rest byte for byte."""
    if model == _NULL:
        return text
    start, stop = _model_span(text, model)
    if start < stop:
        return b"".join((text[:start], public, text[stop:]))
    fields = _members.decode(text)
    fields["modelVersion"] = Raw(public)
    return _encode(fields)
