"""Conversations of nothing but texts, which every API has: they are carried over as they are written, text by text."""

from __future__ import annotations

import struct
from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.wire.bounds import MOST_MESSAGES
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.plain_shapes import PlainContent, PlainItem, PlainTurn

# A longer one is not worth it: what is saved is the reading of short ones.
LONGEST: Final = 131_072
# Up to here it is read as one by its door, in the hope that it is one and will be translated. Agents' are longer, and
# none.
SHORT: Final = 16_384
_byte: Final = struct.Struct("B").unpack_from
_astuple: Final = msgspec.structs.astuple
_turns: Final = msgspec.json.Decoder(list[PlainTurn])
_items: Final = msgspec.json.Decoder(list[PlainItem])
_contents: Final = msgspec.json.Decoder(list[PlainContent])


class PlainTurns:
    """`system`: what the operator of the caller says before everything else, with the role; `turns`: role and text of
    the others, the user's and the assistant's by turns. All texts are JSON strings that are not empty."""

    __slots__ = ("system", "turns")

    def __init__(self, system: list[tuple[str, Raw]], turns: list[tuple[str, Raw]]) -> None:
        self.system = system
        self.turns = turns

    @property
    def opening(self) -> Raw:
        """What the user says first; null: nothing."""
        turns = self.turns
        if turns[0][0] == "user":
            return turns[0][1]
        return turns[1][1] if len(turns) > 1 else NULL


def _is_text(raw: Raw) -> bool:
    return len(raw) > 2 and bool(_byte(raw)[0] == 0x22)


def taken(pairs: list[tuple[str, Raw]]) -> PlainTurns | None:
    """Of (role, content). None: they are more than texts, or not by turns."""
    system: list[tuple[str, Raw]] = []
    turns: list[tuple[str, Raw]] = []
    before = ""
    if len(pairs) > MOST_MESSAGES:
        return None
    for pair in pairs:
        role, content = pair
        if not _is_text(content):
            return None
        if role == "system" or role == "developer":
            if turns:
                return None
            system.append(pair)
        elif role == before:  # what follows each other is one turn in some APIs
            return None
        else:
            before = role
            turns.append(pair)
    return PlainTurns(system, turns) if turns else None


def plain_turns(messages: Raw) -> PlainTurns | None:
    """Of a chat completion's messages, or of Anthropic's. None: they have more than texts."""
    if len(messages) > LONGEST:
        return None
    try:
        return taken([_astuple(one) for one in _turns.decode(messages)])
    except (msgspec.DecodeError, RecursionError):
        return None


def plain_items(input_: Raw) -> PlainTurns | None:
    """The same of an `input` of Responses."""
    if len(input_) > LONGEST:
        return None
    if _byte(input_)[0] == 0x22:
        return taken([("user", input_)])
    try:
        pairs: list[tuple[str, Raw]] = []
        for item in _items.decode(input_):
            members: tuple[Any, ...] = _astuple(item)
            pairs.append((members[0], members[1]))
    except (msgspec.DecodeError, RecursionError):
        return None
    return taken(pairs)


def plain_contents(contents: Raw) -> PlainTurns | None:
    """The same of Gemini's contents."""
    if len(contents) > LONGEST:
        return None
    try:
        return turns_of_contents(_contents.decode(contents))
    except (msgspec.DecodeError, RecursionError):
        return None


def turns_of_contents(contents: list[PlainContent]) -> PlainTurns | None:
    pairs: list[tuple[str, Raw]] = []
    for content in contents:
        members: tuple[Any, ...] = _astuple(content)
        pairs.append(("assistant" if members[0] == "model" else "user", members[1][0].text))
    return taken(pairs)


def chat_messages(system: bytes, turns: list[tuple[str, Raw]]) -> Raw:
    """The messages of a chat completion. `system`: the first of them, with a comma behind it, or nothing."""
    pieces: list[bytes | Raw] = [b"[", system]
    separator = b""
    for role, text in turns:
        pieces += (separator, b'{"role":"user","content":' if role == "user" else _ASSISTANT, text)
        separator = b"},"
    pieces.append(b"}]")
    return Raw(b"".join(pieces))


_ASSISTANT: Final = b'{"role":"assistant","content":'
