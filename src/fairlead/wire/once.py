"""Prompts read in one pass: `wire/chat` looks at every body twice, which is most of the cost of a long one.

What SDKs write is compact, has each member once, and its messages are a role and a text each. Then everything but the
messages' own bytes is known to its length, and they are found by exclusion. Whatever is not like that, good or bad, is
left to the two passes. Of a body that is an earlier one with other messages, only these are read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.wire.chat_request import LONGEST_FRAME, ChatRequest, Frame
from fairlead.wire.chat_shapes import NULL, PlainMessage

# From here on a body may have any member of the API; a shorter one would not gain by it.
LEAST_BYTES: Final = 8_192
# What short bodies have beside their messages, most of them. No value of these holds the text `"messages":[`.
USUAL: Final = (
    "model", "stream", "stream_options", "temperature", "top_p", "max_tokens", "max_completion_tokens", "n", "seed",
    "stop", "user", "presence_penalty", "frequency_penalty",
)  # fmt: skip
_ABSENT: Final = Raw(b"")
_string: Final = msgspec.json.Decoder(str)
_astuple: Final = msgspec.structs.astuple
_WITH_USAGE: Final = Raw(b'{"include_usage":true}')
_byte: Final = struct.Struct("B").unpack_from
_NULL: Final[Raw] = NULL
_messages: Final = msgspec.json.Decoder(list[PlainMessage]).decode


class Once:
    """A body that was read: its members, the text of a last assistant message, the content of the first user's, and
    where the messages stand."""

    __slots__ = ("end", "fields", "opening", "prefill", "start")

    def __init__(self, fields: dict[str, Raw], prefill: str | None, opening: Raw, start: int, end: int) -> None:
        self.fields = fields
        self.prefill = prefill
        self.opening = opening
        self.start = start
        self.end = end

    def frame(self, body: bytes, request: ChatRequest) -> Frame | None:
        """What is around the messages, to be kept with the request that was made of it all."""
        if self.start + len(body) - self.end > LONGEST_FRAME or request.strict:
            return None
        same = request.copy()  # what is done to the request itself does not count
        same.messages = same.opening = _NULL
        return Frame(body[: self.start], body[self.end :], same)


class OnceReader:
    """Reads bodies whose members are among `names`, beside `messages`."""

    __slots__ = ("_decode", "_names")

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(names)
        members: list[Any] = [("messages", list[PlainMessage])]
        members += [(name, Raw, _ABSENT) for name in self._names]
        shape = msgspec.defstruct("Body", members, forbid_unknown_fields=True, gc=False)
        self._decode = msgspec.json.Decoder(shape).decode

    def read_short(self, body: bytes) -> Once | None:
        """The same for a short body with `USUAL` members, in fewer steps. The order of its members is not kept."""
        try:
            values: tuple[Any, ...] = _astuple(self._decode(body))
        except (msgspec.DecodeError, RecursionError):
            return None
        total = 1 + 12
        fields: dict[str, Raw] = {}
        at = 1
        for name in self._names:
            value: Raw = values[at]
            at += 1
            if value is not _ABSENT:
                fields[name] = value
                total += 4 + len(name) + len(value)
        options = fields.get("stream_options")
        if options is not None and options != _WITH_USAGE:
            return None
        # When nothing takes more bytes than it must, this is where the messages are, and all that is left is theirs.
        start = body.find(b'"messages":[') + 11
        end = start + len(body) - total
        said = _said(values[0], body, start, end) if end <= len(body) else None
        if said is None:
            return None
        fields["messages"] = Raw(body[start:end])
        return _read(fields, said[0], said[1], said[2], start, end)

    def read(self, body: bytes) -> Once | None:
        """None when the two passes have to look at it. `body` is known to be UTF-8."""
        try:
            values = msgspec.structs.astuple(self._decode(body))
        except (msgspec.DecodeError, RecursionError):
            return None
        messages: list[PlainMessage] = values[0]
        if not messages:
            return None
        # Each piece takes at least so many bytes: that all together is the whole body says that none takes more.
        size = 1
        opening: Raw | None = None
        for message in messages:
            content = message.content
            if _byte(content)[0] != 0x22:
                return None
            if opening is None and message.role == "user":
                opening = content
            size += 23 + len(message.role) + len(content)
        total = 1 + 4 + len("messages") + size
        given: dict[bytes, Raw] = {}
        at = 1
        for name in self._names:
            value = values[at]
            at += 1
            if value is not _ABSENT:
                given[name.encode()] = value
                total += 4 + len(name) + len(value)
        if total != len(body):
            return None
        fields: dict[str, Raw] = {}
        start = _members(body, given, size, fields)
        if start < 0:
            return None
        last = messages[-1]
        return _read(fields, last.role, last.content, _NULL if opening is None else opening, start, start + size)


def read_within(frame: Frame, body: bytes, begin: int = 0) -> ChatRequest | None:
    """A body that has this frame, and texts as messages; it begins at `begin` and is known to be UTF-8. None for any
    other."""
    start = begin + len(frame.before)
    end = len(body) - len(frame.after)
    if end <= start or body[begin:start] != frame.before or body[end:] != frame.after:
        return None
    text: bytes | memoryview = body[start:end] if end - start < LEAST_BYTES else memoryview(body)[start:end]
    try:
        said = _said(_messages(text), body, start, end)
        if said is None:
            return None
        prefill: str | None = _string.decode(said[1]) if said[0] == "assistant" else None
    except (msgspec.DecodeError, RecursionError):
        return None
    return frame.around(Raw(text), prefill, said[2])


def _said(messages: list[PlainMessage], body: bytes, start: int, end: int) -> tuple[str, Raw, Raw] | None:
    """Role and content of the last message, and the first user's content, when all are texts and take no more bytes
    than they must, which together are those from `start` to `end`."""
    role = ""
    content = opening = _NULL
    at = start + 1
    for message in messages:
        pair: tuple[str, Raw] = _astuple(message)
        role, content = pair
        length = len(role)
        if at + 21 + length >= end:
            return None
        # The content is behind the role or before it.
        if body[at + 21 + length if body[at + 2] == 0x72 else at + 11] != 0x22:
            return None
        if opening is _NULL and role == "user":
            opening = content
        at += 23 + length + len(content)
    return (role, content, opening) if at == end and role else None


def _read(fields: dict[str, Raw], role: str, content: Raw, opening: Raw, start: int, end: int) -> Once | None:
    """`role`, `content`: of the last message."""
    prefill: str | None = None
    if role == "assistant":
        try:
            prefill = _string.decode(content)
        except msgspec.DecodeError:  # half of a surrogate pair
            return None
    return Once(fields, prefill, opening, start, end)


def _members(body: bytes, given: dict[bytes, Raw], size: int, fields: dict[str, Raw]) -> int:
    """Fills in the members in their order, the messages among them as the `size` bytes where they stand: from there
    on, or -1."""
    start = -1
    at = 1
    end = len(body)
    while at < end:
        stop = body.find(b'"', at + 1)
        name = body[at + 1 : stop]
        at = stop + 2
        if name == b"messages":
            fields["messages"] = Raw(memoryview(body)[at : at + size])
            start = at
            at += size + 1
            continue
        value = given.get(name)
        if value is None:  # a name with escapes in it
            return -1
        fields[name.decode()] = value
        at += len(value) + 1
    return start if len(fields) == len(given) + 1 else -1
