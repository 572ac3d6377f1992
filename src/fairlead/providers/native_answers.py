"""Answers to callers of a provider's own API, passed on byte for byte but for the model's name and the cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.wire.body import with_members
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.heads import JSON_HEAD
from fairlead.wire.usage import Usage

# In a usage these are ours: what the caller pays, not what the provider asks of us.
OUR_USAGE_MEMBERS: Final = ("cost", "cost_usd", "cost_details", "usage_source")
_NULL: Final[Raw] = NULL
_SPACES: Final = (0x20, 0x0A, 0x0D, 0x09)
_encode: Final = msgspec.json.encode
_members: Final = msgspec.json.Decoder(dict[str, Raw])


class LastMember:
    """Where a member stands whose name may stand elsewhere too, but not behind it. Mostly that is as far from the end
    of a document as in the one before, which saves looking for it."""

    __slots__ = ("_behind", "_key", "_member")

    def __init__(self, name: str) -> None:
        self._key = b'"%b"' % name.encode()
        self._member = self._key + b":"
        self._behind = 0

    def find(self, document: bytes, value: Raw) -> int:
        """Where this value of it begins; -1: not where it should be."""
        member = self._member + bytes(value)
        end = len(document) - self._behind
        begin = end - len(member)
        if begin > 0 and document[begin:end] == member:  # a slice costs less than `startswith` does from a place on
            return end - len(value)
        at = document.rfind(self._key)
        at = value_at(document, at + len(self._key)) if at >= 0 else -1
        if at < 0 or not document.startswith(value, at):
            return -1
        self._behind = len(document) - at - len(value)
        return at


class UsageMember:
    """How one API reports usage: the member `name`, which `read` makes out and `written` writes."""

    __slots__ = ("_place", "name", "read", "written")

    def __init__(
        self, name: str, read: Callable[[bytes | Raw], Usage | None], written: Callable[[Usage], bytes]
    ) -> None:
        self.name = name
        self._place = LastMember(name)
        self.read = read
        self.written = written

    def end_in(self, document: bytes, usage: Raw, *, may_be_priced: bool = True) -> int:
        """Where members may be added to the usage of a document: its closing brace; -1 where that would not do.
        `may_be_priced`: nobody has read it, so that the provider's own cost may stand in it."""
        length = len(usage)
        if length <= 2:
            return -1
        at = self._place.find(document, usage)
        end = at + length
        if at < 0 or document[end - 1] != 0x7D:  # null, or what else no object is
            return -1
        if may_be_priced and (
            document.find(b'"cost', at, end) >= 0
            or document.find(b"\\", at, end) >= 0
            or document.find(b'"usage_source', at, end) >= 0
        ):
            return -1
        return end - 1

    def shown(self, usage: Raw, members: bytes, counted: Usage | None) -> bytes:
        """The usage that the caller sees: the provider's without its own cost, or what was counted here in its
        place."""
        fields: dict[str, Any] = {}
        if memoryview(usage)[0] == 0x7B:  # providers have been seen to send null; others may send anything
            fields = {name: raw for name, raw in _members.decode(usage).items() if name not in OUR_USAGE_MEMBERS}
        if counted is not None:
            fields.update(_members.decode(self.written(counted)))
        written = _encode(fields)[:-1] + members + b"}"
        return written if fields else written.replace(b"{,", b"{", 1)

    def added(self, document: bytes, members: bytes, counted: Usage | None) -> bytes:
        """The document with more members in its usage, or with what was counted here in its place; else byte for
        byte."""
        fields = _members.decode(document)
        usage = fields.get(self.name, _NULL)
        end = self.end_in(document, usage) if counted is None else -1
        if end >= 0:
            return b"".join((document[:end], members, document[end:]))
        return with_members(document, fields, {self.name: self.shown(usage, members, counted)})


def value_at(document: bytes, at: int) -> int:
    """Where a member's value begins, its name ending at `at`; -1: there is no colon."""
    end = len(document)
    while at < end and document[at] in _SPACES:
        at += 1
    if at >= end or document[at] != 0x3A:
        return -1
    at += 1
    while at < end and document[at] in _SPACES:
        at += 1
    return at


class NativeAnswer:
    """A whole answer in one document. `end` gives it with the members that its usage gets.

    What stands from `start` to `stop` is replaced by `model`. `words`: everything that the model wrote, when asked for.
    """

    __slots__ = ("_api", "_body", "_choices", "_may_be_priced", "_model", "_start", "_stop", "_usage", "_words")

    def __init__(
        self, body: bytes, api: UsageMember, usage: Raw, start: int, stop: int, model: bytes,
        words: Callable[[], str], choices: int = 1,
    ) -> None:  # fmt: skip
        self._body = body
        self._api = api
        self._usage = usage
        self._start = start
        self._stop = stop
        self._model = model
        self._words = words
        self._choices = choices
        self._may_be_priced = True  # its usage may have a cost of its own, until it is known to have none

    @property
    def head(self) -> bytes:
        return JSON_HEAD

    @property
    def usage(self) -> Usage | None:
        if self._usage == _NULL:
            return None
        usage: Usage | None = self._api.read(self._usage)
        if usage is not None:
            self._may_be_priced = usage.priced
        return usage

    @property
    def choices(self) -> int:
        return self._choices

    def delivered(self) -> str:
        return self._words()

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        body, start, stop = self._body, self._start, self._stop
        end = -1
        if counted is None:
            end = self._api.end_in(body, self._usage, may_be_priced=self._may_be_priced)
        if end >= stop:
            return b"".join((body[:start], self._model, body[stop:end], members, body[end:]))
        if 0 <= end < start:
            return b"".join((body[:end], members, body[end:start], self._model, body[stop:]))
        return self._api.added(b"".join((body[:start], self._model, body[stop:])), members, counted)
