"""Long prompts read in one pass: `wire/chat` looks at every body twice, which is most of the cost of a long one.

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

# Shorter bodies gain nothing.
LEAST_BYTES: Final = 8_192
_ABSENT: Final = Raw(b"")
_string: Final = msgspec.json.Decoder(str)
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
        last = messages[-1]
        prefill: str | None = None
        if last.role == "assistant":
            try:
                prefill = _string.decode(last.content)
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
