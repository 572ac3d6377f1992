"""`multipart/form-data` (RFC 7578): where its parts are. Nothing is copied but names and short values."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from fairlead.errors import InvalidRequest
from fairlead.http.eager import others_first
from fairlead.http.request import Request
from fairlead.http.upload import MemoryUpload, Upload

STEP_BYTES: Final = 1_048_576
MOST_PARTS: Final = 64
HEAD_BYTES: Final = 8_192
LONGEST_VALUE: Final = 262_144
_BOUNDARY: Final = re.compile(rb'boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_NAME: Final = re.compile(rb'[;\s]name="([^"\r\n]*)"', re.IGNORECASE)
_FILENAME: Final = re.compile(rb"[;\s]filename\*?=", re.IGNORECASE)


class FormPart(NamedTuple):
    """`begin`, `end`: with its delimiter before it; `start`: of its value, which ends at `end`. `is_file`: it has a
    file name; `value`: of one that has none."""

    name: str
    is_file: bool
    begin: int
    start: int
    end: int
    value: str


class Form(NamedTuple):
    """`kind`: its content type, with the boundary."""

    source: Upload | MemoryUpload
    kind: bytes
    parts: list[FormPart]

    def values(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for part in self.parts:
            if not part.is_file:
                found.setdefault(part.name, []).append(part.value)
        return found


async def read_form(request: Request) -> Form:
    """In steps, between which others get their turn. Raises InvalidRequest."""
    kind = request.header(b"content-type") or b""
    found = _BOUNDARY.search(kind)
    if not kind.lower().startswith(b"multipart/form-data") or found is None:
        raise InvalidRequest("The body must be multipart/form-data with a boundary.")
    delimiter = b"\r\n--" + (found[1] or found[2])
    source = request.outline if isinstance(request.outline, Upload) else MemoryUpload(request.body)
    places = await _places(source, delimiter)
    parts = []
    for at, begin in enumerate(places[:-1]):
        head = source.read(begin + len(delimiter), HEAD_BYTES)
        parts.append(_part(source, head, begin, begin + len(delimiter), places[at + 1]))
    if not parts:
        raise InvalidRequest("The body has no parts.")
    return Form(source, kind, parts)


async def _places(source: Upload | MemoryUpload, delimiter: bytes) -> list[int]:
    """Where delimiters begin. The first one may stand without the line's end before it: -2 then. Raises
    InvalidRequest when the last one is missing."""
    places = [-2] if source.read(0, len(delimiter) - 2) == delimiter[2:] else []
    at = 0
    while at < source.size:
        block = source.read(at, STEP_BYTES + len(delimiter) + 2)
        begin = block.find(delimiter)
        while begin >= 0 and begin < STEP_BYTES:
            places.append(at + begin)
            if len(places) > MOST_PARTS + 1:
                raise InvalidRequest(f"The body has more than {MOST_PARTS} parts.")
            if block[begin + len(delimiter) : begin + len(delimiter) + 2] == b"--":
                return places
            begin = block.find(delimiter, begin + 1)
        at += STEP_BYTES
        await others_first()
    raise InvalidRequest("The body ends before its last boundary.")


def _part(source: Upload | MemoryUpload, head: bytes, begin: int, head_at: int, end: int) -> FormPart:
    length = head.find(b"\r\n\r\n")
    lines = head[:length]
    name = _NAME.search(lines)
    start = head_at + length + 4
    if not lines.startswith(b"\r\n") or length < 0 or name is None or start > end:
        raise InvalidRequest("A part of the body has no name in its Content-Disposition header.")
    shown = name[1].decode("utf-8", "replace")[:256]
    if _FILENAME.search(lines) is not None:
        return FormPart(shown, True, begin, start, end, "")
    if end - start > LONGEST_VALUE:
        raise InvalidRequest(f"{shown} is longer than {LONGEST_VALUE:,} bytes.", param=shown)
    try:
        value = source.read(start, end - start).decode()
    except UnicodeDecodeError:
        raise InvalidRequest(f"{shown} is not valid UTF-8.", param=shown) from None
    return FormPart(shown, False, begin, start, end, value)
