"""Answers of the Messages API to callers who speak it: passed on byte for byte, but for the model's name and the cost.

Each event is read as far as needed to know that it is one, and for the bill: its usage, and its words in case none is
reported.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec
from msgspec import Raw

from fairlead.errors import FairleadError, UpstreamCut, UpstreamInvalid
from fairlead.providers.anthropic.errors import STATUSES, ErrorBody, failure
from fairlead.providers.anthropic.shapes import PassedBlock, PassedDelta, PassedDocument, PassedEvent
from fairlead.providers.frames import FrameReader, payload_of
from fairlead.providers.native_answers import NativeAnswer, UsageMember, value_at
from fairlead.providers.repeated import RepeatedEvent
from fairlead.providers.translated import decoded
from fairlead.wire.apis import MESSAGES
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.heads import STREAM_HEAD
from fairlead.wire.usage import Usage, usage_as_anthropic, usage_from_anthropic

USAGE: Final = UsageMember("usage", usage_from_anthropic, usage_as_anthropic)
_NULL: Final[Raw] = NULL
_MODEL: Final = b'"model"'
_encode: Final = msgspec.json.encode


_text: Final = msgspec.json.Decoder(str)
_event: Final = msgspec.json.Decoder(PassedEvent)
_document: Final = msgspec.json.Decoder(PassedDocument)
_block: Final = msgspec.json.Decoder(PassedBlock)
_members: Final = msgspec.json.Decoder(dict[str, Raw])


class NativeRelay:
    """A `Relay`. `message_start` waits for what follows it, because another candidate may still serve; the end waits
    for `end`, because the cost stands in it."""

    __slots__ = ("_ending", "_frames", "_held", "_public", "_repeated", "_usage", "_words", "done", "finished")
    error_event: Final = None  # the door's own
    head: Final = STREAM_HEAD

    def __init__(self, public: bytes) -> None:
        self._public = public
        self._frames = FrameReader()
        self._repeated = RepeatedEvent()
        self._held = b""
        self._ending: list[bytes] = []
        self._usage: dict[str, Raw] = {}
        self._words = bytearray()
        self.finished = False
        self.done = False

    @property
    def usage(self) -> Usage | None:
        return usage_from_anthropic(_encode(self._usage)) if self._usage else None

    @property
    def choices(self) -> int:
        return 1 if self.finished else 0

    def delivered(self) -> str:
        """Everything that the model has written so far."""
        return self._words.decode()

    def feed(self, data: bytes) -> bytes:
        out: list[bytes] = []
        repeated = self._repeated
        for event in self._frames.feed(data):
            if self.done:
                break
            written = None if self._ending else repeated.text_of(event)
            if written is not None:
                self._words += written if written.find(b"\\") < 0 else _text.decode(b'"%b"' % written).encode()
                out.append(event)
                continue
            payload = payload_of(event)
            if not payload:
                self._pass(event, out)
                continue
            read: PassedEvent = decoded(_event, payload, "an event")
            kind = read.type
            if kind == "content_block_delta" and not self._ending:
                if read.delta is not None:
                    self._take_words(read.delta)
                self._let_go(out)
                out.append(event)
                if read.delta is not None and read.delta.text:
                    repeated.learn(event, event, _encode(read.delta.text))
            else:
                self._take(kind, read, event, payload, out)
        return b"".join(out)

    def _take_words(self, delta: PassedDelta) -> None:
        text = delta.text or delta.thinking or delta.partial_json
        if text:
            self._words += text.encode()

    def _let_go(self, out: list[bytes]) -> None:
        if self._held:
            out.append(self._held)
            self._held = b""

    def _pass(self, event: bytes, out: list[bytes]) -> None:
        """An event that says nothing: a ping, a comment."""
        if self._ending:
            self._ending.append(event)
        elif self._held:
            self._held += event
        else:
            out.append(event)

    def _take(self, kind: str, read: PassedEvent, event: bytes, payload: bytes, out: list[bytes]) -> None:
        if kind == "message_start" and read.message is not None:
            self._count(read.message.usage)
            self._held += _with_model(event, read.message.model, self._public)
        elif kind == "message_delta":
            self._count(read.usage)
            self.finished = self.finished or (read.delta is not None and read.delta.stop_reason is not None)
            self._ending.append(event)
        elif kind == "message_stop":
            self._ending.append(event)
            self.done = True
        elif kind == "error":
            raise _failed(read.error or ErrorBody(), payload)
        elif kind == "ping" or self._ending:
            self._pass(event, out)
        else:
            if read.content_block is not None:
                self._words += read.content_block.name.encode()
            self._let_go(out)
            out.append(event)

    def finish(self) -> bytes:
        """Raises UpstreamCut when the answer is not complete."""
        out = b"" if self.done else self.feed(b"\n\n")
        if not self.done or not (self.finished or self._words):  # no word, and no reason why there is none
            raise UpstreamCut("The provider's stream ended before the answer was complete.")
        held, self._held = self._held, b""
        return out + held

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        """The last events, the usage with these members."""
        ending = self._ending
        for at in range(len(ending) - 1, -1, -1):
            payload = payload_of(ending[at])
            read = _event.decode(payload) if payload else None
            if read is not None and read.type == "message_delta":
                if counted is None and read.usage == _NULL:  # only `message_start` had one
                    counted = self.usage
                written = USAGE.added(payload, members, counted)
                ending[at] = (
                    ending[at].replace(payload, written, 1)
                    if payload in ending[at]
                    else b"event: message_delta\ndata: %b\n\n" % written
                )
                break
        return b"".join(ending)

    def _count(self, usage: Raw) -> None:
        """Counts are cumulative: what comes later stands, and what it leaves out stays."""
        if usage != _NULL:
            found = decoded(_members, bytes(usage), "usage")
            self._usage.update((name, Raw(bytes(raw))) for name, raw in found.items() if raw != _NULL)


def native_answer(body: bytes, public: bytes) -> NativeAnswer:
    """Raises UpstreamInvalid for what is no message, or the error that it holds."""
    document: PassedDocument = decoded(_document, body, "an answer")
    if document.error is not None:
        raise _failed(document.error, body)
    if document.type != "message":
        raise UpstreamInvalid("The provider's answer is not a message.")
    if not document.content and document.stop_reason is None:
        raise UpstreamInvalid("The provider's answer has neither content nor a stop reason.")
    start, stop = _model_span(body, document.model)
    return NativeAnswer(
        body, USAGE, document.usage, start, stop, public if start < stop else b"", partial(_words_of, document)
    )


def _words_of(document: PassedDocument) -> str:
    said: list[str] = []
    for raw in document.content:
        try:
            block = _block.decode(raw)
        except msgspec.DecodeError:  # of a shape that is not known here
            continue
        said += (block.text, block.thinking, block.name)
        if block.type == "tool_use":
            said.append(bytes(block.input).decode("utf-8", "replace"))
    return "".join(said)


def _failed(error: ErrorBody, body: bytes) -> FairleadError:
    """The error that a provider has sent with 200, for callers as it was written."""
    found = failure(error)
    if found.policy.verdict != "denied":
        found.status = STATUSES.get(error.type, found.status)
        found.native_api, found.native_body = MESSAGES, body
    return found


def _model_span(text: bytes, model: Raw) -> tuple[int, int]:
    """Where the name of the model stands; (0, 0): nowhere."""
    if model == _NULL:
        return 0, 0
    at = text.find(_MODEL)
    while at >= 0:
        start = value_at(text, at + len(_MODEL))
        if start >= 0 and text.startswith(model, start):
            return start, start + len(model)
        at = text.find(_MODEL, at + 1)
    return 0, 0


def _with_model(text: bytes, model: Raw, public: bytes) -> bytes:
    """Another name of the model in an event; the rest byte for byte."""
    start, stop = _model_span(text, model)
    return b"".join((text[:start], public, text[stop:])) if start < stop else text
