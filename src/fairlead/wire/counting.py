"""Lists and objects of a long body, counted before they are decoded: decoding ends at the first element that is one too
many, so that a list of a million costs no more than its bytes."""

from __future__ import annotations

import threading
from typing import Any, Final, Literal

import msgspec
from msgspec import Raw, Struct

from fairlead.wire.chat_shapes import Call, Message, PlainMessage

__all__ = [
    "CountedMessage", "CountedPlainMessage", "Item", "Members", "PartItem", "TextItem", "TooMany",
    "ToolItem", "counted_texts",
    "decode_counted", "decode_members", "holds_more",
]  # fmt: skip


class TooMany(Exception):
    """Not a ValueError, which msgspec would take for a wrong value."""


class _Countdown(threading.local):
    left = 0


_countdown: Final = _Countdown()


class Item(Struct, gc=False):
    """An object in a list; its members are skipped."""

    def __post_init__(self) -> None:
        _countdown.left -= 1
        if _countdown.left < 0:
            raise TooMany


class PartItem(Item, gc=False):
    type: str


class ToolItem(Item, gc=False):
    type: Literal["function"]


class CountedPlainMessage(PlainMessage, frozen=True, forbid_unknown_fields=True, gc=False):
    def __post_init__(self) -> None:
        _countdown.left -= 1
        if _countdown.left < 0:
            raise TooMany


class CountedCall(Call, frozen=True, gc=False):
    def __post_init__(self) -> None:
        _countdown.left -= 1
        if _countdown.left < 0:
            raise TooMany


class CountedMessage(Message, frozen=True, gc=False):
    """It and its tool calls count."""

    tool_calls: list[CountedCall] | None = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        _countdown.left -= 1
        if _countdown.left < 0:
            raise TooMany


def decode_counted(decoder: msgspec.json.Decoder[Any], text: bytes | Raw, most: int) -> Any:
    """What `decoder` makes of a text. Raises TooMany at the object that is one too many, and msgspec.DecodeError."""
    _countdown.left = most
    return decoder.decode(text)


def holds_more(decoder: msgspec.json.Decoder[Any], text: Raw, most: int) -> bool:
    """Whether there are more than `most` Items in what `decoder` decodes. Raises msgspec.DecodeError for the first
    element that is none."""
    _countdown.left = most
    try:
        decoder.decode(text)
    except TooMany:
        return True
    return False


class _Text:
    """A string in a list, which counts."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def _text(_type: type, value: Any) -> _Text:
    if type(value) is not str:
        raise ValueError("not a string")
    _countdown.left -= 1
    if _countdown.left < 0:
        raise TooMany
    return _Text(value)


_texts: Final = msgspec.json.Decoder(list[_Text], dec_hook=_text)


def counted_texts(text: bytes | Raw, most: int) -> list[str]:
    """A list of strings. Raises TooMany at the one that is one too many, and msgspec.DecodeError."""
    _countdown.left = most
    return [one.text for one in _texts.decode(text)]


class TextItem(Item, gc=False):
    """An object in a list with a text."""

    text: str


class _Name:
    """A member's name. Each is an object of its own, so that repeated ones are all there."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


Members = dict[str, Raw]


def _name(_type: type, text: str) -> _Name:
    _countdown.left -= 1
    if _countdown.left < 0:
        raise TooMany
    return _Name(text)


_named: Final = msgspec.json.Decoder(dict[_Name, Raw], dec_hook=_name)


def decode_members(text: bytes | Raw, most: int) -> tuple[Members, str | None]:
    """The members of an object, and a name that stands there twice, if any. Raises msgspec.DecodeError, and TooMany
    beyond `most` members."""
    _countdown.left = most
    members: Members = {}
    twice: str | None = None
    for name, value in _named.decode(text).items():
        if name.text in members:
            twice = name.text
        members[name.text] = value
    return members, twice
