"""Answers of the Messages API to callers who speak it: passed on byte for byte, but for the model's name and the cost.

Each event is read as far as needed to know that it is one, and for the bill: its usage, and its words in case none is
reported.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from fairlead.errors import FairleadError, UpstreamCut, UpstreamInvalid
from fairlead.providers.anthropic.errors import STATUSES, ErrorBody, failure
from fairlead.providers.sse import MAX_EVENT_BYTES
from fairlead.providers.translated import decoded
from fairlead.wire.apis import MESSAGES
from fairlead.wire.heads import JSON_HEAD, STREAM_HEAD
from fairlead.wire.usage import Usage, usage_as_anthropic, usage_from_anthropic

NULL: Final = Raw(b"null")
# In `usage` these are ours: what the caller pays, not what the provider asks of us.
OUR_USAGE_MEMBERS: Final = ("cost", "cost_usd", "usage_source")
_DATA: Final = b"\ndata: "
_ENDS: Final = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LINES: Final = re.compile(rb"\r\n|\n|\r")
_encode: Final = msgspec.json.encode


class _Block(Struct, gc=False):
    type: str = ""
    text: str = ""
    thinking: str = ""
    name: str = ""
    input: Raw = Raw(b"{}")


class _Delta(Struct, gc=False):
    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class _Message(Struct, gc=False):
    model: Raw = NULL
    usage: Raw = NULL


class _Event(Struct, gc=False):
    type: str
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: Raw = NULL
    error: ErrorBody | None = None


class _Document(Struct):
    type: str = ""
    model: Raw = NULL
    content: list[_Block] = []
    stop_reason: str | None = None
    usage: Raw = NULL
    error: ErrorBody | None = None


_event: Final = msgspec.json.Decoder(_Event)
_document: Final = msgspec.json.Decoder(_Document)
_members: Final = msgspec.json.Decoder(dict[str, Raw])


class EventSplitter:
    """`feed` gives the events that a block completes, each as it came, with its blank line."""

    __slots__ = ("_begun", "_length", "_tail")

    def __init__(self) -> None:
        self._begun: list[bytes] = []
        self._length = 0
        self._tail = b""  # the last bytes of what has begun: an end may be split anywhere

    def feed(self, block: bytes) -> list[bytes]:
        if not self._begun and block[-2:] == b"\n\n" and b"\r" not in block:
            if block.find(b"\n\n") == len(block) - 2:  # one whole event, as most blocks are
                return [block]
            return [event + b"\n\n" for event in block[:-2].split(b"\n\n")]
        return self._feed_slowly(block)

    def _feed_slowly(self, block: bytes) -> list[bytes]:
        begun = self._begun
        if begun and block:
            self._length += len(block)
            if self._length > MAX_EVENT_BYTES:
                raise UpstreamInvalid("The provider sent an event larger than an event may be.")
            # Only the seam and what is new can hold the end of an event.
            seam = self._tail + block
            begun.append(block)
            self._tail = seam[-3:]
            if _ENDS.search(seam) is None:
                return []
            block = b"".join(begun)
            begun.clear()
        events = []
        at = 0
        for end in _ENDS.finditer(block):
            events.append(block[at : end.end()])
            at = end.end()
        if at < len(block):
            begun.append(block[at:])
            self._length = len(block) - at
            self._tail = block[at:][-3:]
        return events


def _payload(event: bytes) -> bytes:
    """The `data` of an event; b"" for one that has none."""
    at = event.find(_DATA)
    if at > 0 and event.find(b"\n", at + 7) == len(event) - 2 and b"\r" not in event:
        return event[at + 7 : -2]
    lines = []
    for line in _LINES.split(event):
        name, _, value = line.partition(b":")
        if name == b"data":
            lines.append(value.removeprefix(b" "))
    return b"\n".join(lines)


class NativeRelay:
    """A `Relay`. `message_start` waits for what follows it, because another candidate may still serve; the end waits
    for `end`, because the cost stands in it."""

    __slots__ = ("_ending", "_held", "_public", "_splitter", "_usage", "_words", "done", "finished")
    error_event: Final = None  # the door's own
    head: Final = STREAM_HEAD

    def __init__(self, public: bytes) -> None:
        self._public = public
        self._splitter = EventSplitter()
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
        for event in self._splitter.feed(data):
            if self.done:
                break
            payload = _payload(event)
            if not payload:
                self._pass(event, out)
                continue
            read: _Event = decoded(_event, payload, "an event")
            kind = read.type
            if kind == "content_block_delta" and not self._ending:
                if read.delta is not None:
                    self._take_words(read.delta)
                self._let_go(out)
                out.append(event)
            else:
                self._take(kind, read, event, payload, out)
        return b"".join(out)

    def _take_words(self, delta: _Delta) -> None:
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

    def _take(self, kind: str, read: _Event, event: bytes, payload: bytes, out: list[bytes]) -> None:
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
            payload = _payload(ending[at])
            if payload and _event.decode(payload).type == "message_delta":
                written = with_usage(payload, members, counted)
                ending[at] = (
                    ending[at].replace(payload, written, 1)
                    if payload in ending[at]
                    else b"event: message_delta\ndata: %b\n\n" % written
                )
                break
        return b"".join(ending)

    def _count(self, usage: Raw) -> None:
        """Counts are cumulative: what comes later stands, and what it leaves out stays."""
        if usage != NULL:
            found = decoded(_members, bytes(usage), "usage")
            self._usage.update((name, Raw(bytes(raw))) for name, raw in found.items() if raw != NULL)


class NativeAnswer:
    """A whole answer in one document. `end` gives it with the members that its usage gets."""

    __slots__ = ("_body", "_document")
    head: Final = JSON_HEAD

    def __init__(self, body: bytes, document: _Document) -> None:
        self._body = body
        self._document = document

    @property
    def usage(self) -> Usage | None:
        usage = self._document.usage
        return None if usage == NULL else usage_from_anthropic(usage)

    @property
    def choices(self) -> int:
        return 1

    def delivered(self) -> str:
        """Everything that the model wrote."""
        said: list[str] = []
        for block in self._document.content:
            said += (block.text, block.thinking, block.name)
            if block.type == "tool_use":
                said.append(bytes(block.input).decode("utf-8", "replace"))
        return "".join(said)

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        return with_usage(self._body, members, counted)


def native_answer(body: bytes, public: bytes) -> NativeAnswer:
    """Raises UpstreamInvalid for what is no message, or the error that it holds."""
    document: _Document = decoded(_document, body, "an answer")
    if document.error is not None:
        raise _failed(document.error, body)
    if document.type != "message":
        raise UpstreamInvalid("The provider's answer is not a message.")
    if not document.content and document.stop_reason is None:
        raise UpstreamInvalid("The provider's answer has neither content nor a stop reason.")
    return NativeAnswer(_with_model(body, document.model, public), document)


def _failed(error: ErrorBody, body: bytes) -> FairleadError:
    """The error that a provider has sent with 200, for callers as it was written."""
    found = failure(error)
    if found.policy.verdict != "denied":
        found.status = STATUSES.get(error.type, found.status)
        found.native_api, found.native_body = MESSAGES, body
    return found


def _with_model(text: bytes, model: Raw, public: bytes) -> bytes:
    """Another name of the model in an event or a document; the rest byte for byte."""
    old = bytes(model)
    if model == NULL or old == public:
        return text
    for separator in (b":", b": "):
        needle = b'"model"' + separator + old
        at = text.find(needle)
        if at >= 0:
            return b"".join((text[:at], b'"model"', separator, public, text[at + len(needle) :]))
    return text


def with_usage(document: bytes, members: bytes, counted: Usage | None) -> bytes:
    """The document with more members in its usage, or with what was counted here in its place; else byte for byte."""
    fields = _members.decode(document)
    usage = fields.get("usage", NULL)
    text = bytes(usage)
    if counted is None and usage != NULL and b'"cost' not in text and b"\\" not in text and len(text) > 2:
        at = document.rfind(text)
        end = at + len(text) - 1
        return b"".join((document[:end], members, document[end:]))
    shown: dict[str, Any] = {}
    if usage != NULL:
        shown = {name: raw for name, raw in _members.decode(usage).items() if name not in OUR_USAGE_MEMBERS}
    if counted is not None:
        shown.update(_members.decode(usage_as_anthropic(counted)))
    written = _encode(shown)[:-1] + members + b"}"
    fields["usage"] = Raw(written.replace(b"{,", b"{", 1) if not shown else written)
    return _encode(fields)
