"""Answers of generateContent to callers who speak it: each document passed on byte for byte, but for the model's name
and the cost.

Each is read as far as needed to know that it is one, and for the bill: its usage, and its words in case none is
reported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from fairlead.errors import FairleadError, UpstreamCut, UpstreamInvalid
from fairlead.providers.gemini.errors import code_of, failure
from fairlead.providers.sse import EventReader
from fairlead.providers.translated import decoded
from fairlead.wire.apis import GENERATE_CONTENT
from fairlead.wire.gemini.framing import ARRAY_HEAD, Framing
from fairlead.wire.heads import JSON_HEAD, STREAM_HEAD
from fairlead.wire.usage import Usage, usage_as_gemini, usage_from_gemini

NULL: Final = Raw(b"null")
# In `usageMetadata` these are ours: what the caller pays, not what the provider asks of us.
OUR_USAGE_MEMBERS: Final = ("cost", "cost_usd", "usage_source")
_encode: Final = msgspec.json.encode


class _Call(Struct, gc=False):
    name: str = ""
    args: Raw = Raw(b"{}")


class _Part(Struct, gc=False, rename="camel"):
    text: str | None = None
    function_call: _Call | None = None


class _Content(Struct, gc=False):
    parts: list[_Part] = []


class _Candidate(Struct, gc=False, rename="camel"):
    index: int = 0
    content: _Content | None = None
    finish_reason: str | None = None


class _Feedback(Struct, gc=False, rename="camel"):
    block_reason: str | None = None


class _Document(Struct, gc=False, rename="camel"):
    candidates: list[_Candidate] = []
    usage_metadata: Raw = NULL
    model_version: Raw = NULL
    prompt_feedback: _Feedback | None = None
    error: Raw = NULL


_document: Final = msgspec.json.Decoder(_Document)
_members: Final = msgspec.json.Decoder(dict[str, Raw])


def _said(document: _Document) -> str:
    """The words of a document."""
    said: list[str] = []
    for candidate in document.candidates:
        for part in () if candidate.content is None else candidate.content.parts:
            if part.text:
                said.append(part.text)
            elif part.function_call is not None:
                said += (part.function_call.name, bytes(part.function_call.args).decode("utf-8", "replace"))
    return "".join(said)


def _is_blocked(document: _Document) -> bool:
    feedback = document.prompt_feedback
    return feedback is not None and feedback.block_reason is not None and not document.candidates


class NativeRelay:
    """A `Relay`. Documents without a word are held until one follows, because another candidate may still serve; what
    comes once every candidate has finished waits for `end`, because the cost stands in it."""

    __slots__ = (
        "_choices", "_ending", "_events", "_finished", "_framing", "_held", "_public", "_usage", "_words", "head",
    )  # fmt: skip

    def __init__(self, public: str, choices: int, *, is_array: bool) -> None:
        self._public = _encode(public)
        self._choices = choices
        self._events = EventReader()
        self._framing = Framing(is_array=is_array)
        self._held: list[bytes] = []
        self._ending: list[bytes] = []
        self._finished: set[int] = set()
        self._usage = NULL
        self._words: list[str] = []
        self.head = ARRAY_HEAD if is_array else STREAM_HEAD

    @property
    def done(self) -> bool:
        return len(self._finished) >= self._choices

    @property
    def error_event(self) -> Callable[[FairleadError], bytes] | None:
        return self._framing.failed if self._framing.is_array else None

    @property
    def usage(self) -> Usage | None:
        return None if self._usage == NULL else usage_from_gemini(self._usage)

    @property
    def choices(self) -> int:
        return len(self._finished)

    def delivered(self) -> str:
        """Everything that the model has written so far."""
        return "".join(self._words)

    def feed(self, data: bytes) -> bytes:
        out: list[bytes] = []
        for payload in self._events.feed(data):
            self._take(payload, out)
        return b"".join(out)

    def _take(self, payload: bytes, out: list[bytes]) -> None:
        read: _Document = decoded(_document, payload, "an event")
        if read.error != NULL:
            raise _failed(read.error, payload)
        if read.usage_metadata != NULL:
            self._usage = Raw(bytes(read.usage_metadata))
        payload = _with_model(payload, read.model_version, self._public)
        said = _said(read)
        if said:
            self._words.append(said)
        for candidate in read.candidates:
            if candidate.finish_reason is not None:
                self._finished.add(candidate.index)
        if _is_blocked(read):
            self._finished.update(range(self._choices))
        if self.done:
            self._ending.append(payload)
            return
        if not said and not self._words:
            self._held.append(payload)
            return
        self._pass_held(out)
        out.append(self._framing.framed(payload))

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
        ending[at] = with_usage(ending[at], members, counted)
        return b"".join([self._framing.framed(payload) for payload in ending]) + self._framing.closing


class NativeAnswer:
    """A whole answer in one document. `end` gives it with the members that its usage gets."""

    __slots__ = ("_body", "_document")
    head: Final = JSON_HEAD

    def __init__(self, body: bytes, document: _Document) -> None:
        self._body = body
        self._document = document

    @property
    def usage(self) -> Usage | None:
        usage = self._document.usage_metadata
        return None if usage == NULL else usage_from_gemini(usage)

    @property
    def choices(self) -> int:
        return max(1, len(self._document.candidates))

    def delivered(self) -> str:
        """Everything that the model wrote."""
        return _said(self._document)

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        return with_usage(self._body, members, counted)


def native_answer(body: bytes, public: str) -> NativeAnswer:
    """Raises UpstreamInvalid for what is no answer, or the error that it holds."""
    document: _Document = decoded(_document, body, "an answer")
    if document.error != NULL:
        raise _failed(document.error, body)
    if not document.candidates and not _is_blocked(document):
        raise UpstreamInvalid("The provider's answer has no candidates.")
    return NativeAnswer(_with_model(body, document.model_version, _encode(public)), document)


def _failed(error: Raw, body: bytes) -> FairleadError:
    """The error that a provider has sent with 200, for callers as it was written."""
    found = failure(error)
    if found.policy.verdict != "denied":
        found.status = code_of(error) or found.status
        found.native_api, found.native_body = GENERATE_CONTENT, body
    return found


def _with_model(text: bytes, model: Raw, public: bytes) -> bytes:
    """Another name of the model in a document; the rest byte for byte."""
    if model == NULL:
        return text
    old = bytes(model)
    at = text.rfind(b'"modelVersion"')  # it stands behind the candidates
    begin = text.find(old, at)
    if at < 0 or begin < 0 or text[at + 14 : begin].strip(b" \t\r\n") != b":":
        return _members_with(text, "modelVersion", public)
    return b"".join((text[:begin], public, text[begin + len(old) :]))


def _members_with(text: bytes, name: str, value: bytes) -> bytes:
    fields = _members.decode(text)
    fields[name] = Raw(value)
    return _encode(fields)


def with_usage(document: bytes, members: bytes, counted: Usage | None) -> bytes:
    """The document with more members in its usage, or with what was counted here in its place; else byte for byte."""
    fields = _members.decode(document)
    usage = fields.get("usageMetadata", NULL)
    text = bytes(usage)
    if counted is None and usage != NULL and b'"cost' not in text and b"\\" not in text and len(text) > 2:
        end = document.rfind(text) + len(text) - 1
        return b"".join((document[:end], members, document[end:]))
    shown: dict[str, Any] = {}
    if usage != NULL:
        shown = {name: raw for name, raw in _members.decode(usage).items() if name not in OUR_USAGE_MEMBERS}
    if counted is not None:
        shown.update(_members.decode(usage_as_gemini(counted)))
    written = _encode(shown)[:-1] + members + b"}"
    fields["usageMetadata"] = Raw(written.replace(b"{,", b"{", 1) if not shown else written)
    return _encode(fields)
