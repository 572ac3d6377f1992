"""Prompts read in one pass: `wire/chat` looks at every body twice, which is most of the cost of a long one.

What SDKs write is compact, has each member once, and its messages are a role and a text each. Then everything but the
messages' own bytes is known to its length, and they are found by exclusion. Whatever is not like that, good or bad, is
left to the two passes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.wire.chat_shapes import PlainMessage

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


class Once:
    """A body that was read: its members, the text of a last assistant message, the content of the first user's."""

    __slots__ = ("fields", "opening", "prefill")

    def __init__(self, fields: dict[str, Raw], prefill: str | None, opening: Raw) -> None:
        self.fields = fields
        self.prefill = prefill
        self.opening = opening


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
        size = 1
        opening: Raw | None = None
        messages: list[tuple[str, Raw]] = []
        for message in values[0]:
            said: tuple[str, Raw] = _astuple(message)
            if opening is None and said[0] == "user":
                opening = said[1]
            size += 23 + len(said[0]) + len(said[1])
            messages.append(said)
        total = 13 + size
        fields: dict[str, Raw] = {}
        at = 1
        for name in self._names:
            value: Raw = values[at]
            at += 1
            if value is not _ABSENT:
                fields[name] = value
                total += 4 + len(name) + len(value)
        if total != len(body) or not messages:
            return None
        options = fields.get("stream_options")
        if options is not None and options != _WITH_USAGE:
            return None
        start = body.find(b'"messages":[') + 11
        at = start + 1
        for role, content in messages:
            # Nothing takes more bytes than it must, so that every content is where it has to be, behind its role or
            # before it.
            if body[at + 21 + len(role) if body[at + 2] == 0x72 else at + 11] != 0x22:
                return None
            at += 23 + len(role) + len(content)
        fields["messages"] = Raw(memoryview(body)[start : start + size])
        return _read(fields, role, content, opening)

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
        fields = _members(body, given, size)
        if fields is None:
            return None
        return _read(fields, messages[-1].role, messages[-1].content, opening)


def _read(fields: dict[str, Raw], role: str, content: Raw, opening: Raw | None) -> Once | None:
    """`role`, `content`: of the last message."""
    prefill: str | None = None
    if role == "assistant":
        try:
            prefill = _string.decode(content)
        except msgspec.DecodeError:  # half of a surrogate pair
            return None
    return Once(fields, prefill, Raw(b"null") if opening is None else opening)


def _members(body: bytes, given: dict[bytes, Raw], size: int) -> dict[str, Raw] | None:
    """The members in their order, the messages among them as the `size` bytes where they stand."""
    fields: dict[str, Raw] = {}
    at = 1
    end = len(body)
    while at < end:
        stop = body.find(b'"', at + 1)
        name = body[at + 1 : stop]
        at = stop + 2
        if name == b"messages":
            fields["messages"] = Raw(memoryview(body)[at : at + size])
            at += size + 1
            continue
        value = given.get(name)
        if value is None:  # a name with escapes in it
            return None
        fields[name.decode()] = value
        at += len(value) + 1
    return fields if len(fields) == len(given) + 1 else None
