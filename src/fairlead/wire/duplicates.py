"""Two members of one name in a JSON object: readers disagree which of them counts, so that what was checked here might
not be what an engine reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec import Raw

from fairlead.errors import InvalidRequest
from fairlead.wire.bounds import SKELETON_BYTES

LONG_VALUE_BYTES: Final = 256
# What is longer is not searched for doubles inside: up to here it takes a few milliseconds.
STRICT_BYTES: Final = 262_144


def refuse_duplicates(text: bytes, members: dict[str, Raw], what: str = "The body", param: str | None = None) -> None:
    """`members`: of the object `text`, decoded. Raises InvalidRequest when a name stands there twice, or when that
    cannot be found out cheaply. Compact objects and those of Python's `json.dumps` are recognised by their length
    or by a walk from member to member; others are read again, without their long values."""
    compact = 1
    for key, value in members.items():
        compact += 4 + len(key) + len(value)
    if len(text) == compact or not members:
        return
    at = 1
    for key, value in members.items():
        start = f'"{key}": '.encode()
        if not text.startswith(start, at):
            break
        at += len(start) + len(value) + 2
    if at == len(text) + 1:
        return
    pieces: list[bytes] = []
    at = 0
    for value in members.values():
        if len(value) > LONG_VALUE_BYTES:
            found = text.find(value, at)
            if found < 0:
                break
            pieces += (text[at:found], b"0")
            at = found + len(value)
    pieces.append(text[at:])
    skeleton = b"".join(pieces)
    if len(skeleton) > SKELETON_BYTES:
        raise InvalidRequest(f"{what} repeats members, or has far too much white space or too many members.")
    outermost: list[list[str]] = [[]]

    def note(pairs: list[tuple[str, Any]]) -> None:
        outermost[0] = [name for name, _ in pairs]  # the outermost object is complete last

    _look_through(skeleton, note)
    twice = _repeated(outermost[0])
    if twice is not None:
        raise InvalidRequest(f"{what} has {twice[:64]!r} twice.", param=twice[:64] if param is None else param)


def refuse_duplicates_inside(text: bytes) -> None:
    """The same for every object inside, in texts of up to STRICT_BYTES."""
    if len(text) <= STRICT_BYTES:
        _look_through(text, _each_once)


def _look_through(text: bytes, note: Callable[[list[tuple[str, Any]]], None]) -> None:
    try:
        json.loads(text, object_pairs_hook=note, parse_int=str)  # `int` refuses more than 4,300 digits
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply.") from None


def _each_once(pairs: list[tuple[str, Any]]) -> None:
    twice = _repeated([name for name, _ in pairs])
    if twice is not None:
        raise InvalidRequest(f"An object in the body has {twice[:64]!r} twice.", param=twice[:64])


def _repeated(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
