"""`multipart/form-data` (RFC 7578): where its parts are. Nothing is copied but names and short values."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from fairlead.errors import InvalidRequest, UnsupportedEncoding
from fairlead.http.eager import others_first
from fairlead.http.request import Request
from fairlead.http.upload import MemoryUpload, Upload

STEP_BYTES: Final = 1_048_576
MOST_PARTS: Final = 64
HEAD_BYTES: Final = 8_192
LONGEST_VALUE: Final = 262_144
MOST_VALUES: Final = 524_288  # all of them together: unlike files, they are kept in memory
_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# Of a header: a token or a quoted text without escapes. A boundary without quotes may have more than a token in
# practice, and a file's name may have escapes.
_PARAMETER: Final = re.compile(
    rb';[ \t]*(?:(boundary)=([^\s;"\\]+)|(filename)="((?:[^"\\]|\\.)*)"|(%b)=(?:"([^"\\]*)"|(%b)))[ \t]*'
    % (_TOKEN, _TOKEN),
    re.IGNORECASE,
)
_HEADER: Final = re.compile(rb"(%b):([^\r\n\0]*)" % _TOKEN)
LONGEST_BOUNDARY: Final = 70
_UNCODED: Final = frozenset({b"7bit", b"8bit", b"binary"})
_NO_FORM: Final = "The body must be multipart/form-data with a boundary."
_NO_NAME: Final = "A part of the body has no name in its Content-Disposition header."


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
    """In steps, between which others get their turn. What parsers of forms read differently is refused, because a
    provider's must find the same parts: its model would be another one than the one that is paid. Raises
    InvalidRequest, UnsupportedEncoding."""
    encoding = (request.header(b"content-encoding") or b"identity").strip().lower()
    if encoding not in (b"", b"identity"):
        raise UnsupportedEncoding("A form cannot be compressed: send it without Content-Encoding.")
    kind = request.header(b"content-type") or b""
    boundary = (_parameters(kind, b"multipart/form-data") or {}).get(b"boundary", b"")
    if not 0 < len(boundary) <= LONGEST_BOUNDARY:
        raise InvalidRequest(_NO_FORM)
    delimiter = b"\r\n--" + boundary
    source = request.outline if isinstance(request.outline, Upload) else MemoryUpload(request.body)
    places = await _places(source, delimiter)
    parts: list[FormPart] = []
    values = 0
    for at, begin in enumerate(places[:-1]):
        head = source.read(begin + len(delimiter), HEAD_BYTES)
        part = _part(source, head, begin, begin + len(delimiter), places[at + 1])
        values += 0 if part.is_file else part.end - part.start
        if values > MOST_VALUES:
            raise InvalidRequest(f"The parts of the body that are no files are longer than {MOST_VALUES:,} bytes.")
        parts.append(part)
    if not parts:
        raise InvalidRequest("The body has no parts.")
    return Form(source, kind, parts)


def _parameters(value: bytes, kind: bytes) -> dict[bytes, bytes] | None:
    """Of a header's value that is `kind`; None when it is not, or has one twice or in a form that can be misread."""
    if value[: len(kind)].lower() != kind:
        return None
    found: dict[bytes, bytes] = {}
    rest = value[len(kind) :].strip(b" \t")
    at = 0
    while at < len(rest):
        one = _PARAMETER.match(rest, at)
        if one is None:
            return None if rest[at:] != b";" else found
        name = (one[1] or one[3] or one[5]).lower()
        if name in found:
            return None
        found[name] = next((group for group in (one[2], one[4], one[6], one[7]) if group is not None), b"")
        at = one.end()
    return found


async def _places(source: Upload | MemoryUpload, delimiter: bytes) -> list[int]:
    """Where delimiters begin. The first one may stand without the line's end before it: -2 then. Raises
    InvalidRequest when the last one is missing, when something stands before the first or behind the last one, or a
    line ends with LF alone before one."""
    line = delimiter[1:]
    start = source.read(0, len(delimiter))
    if not start.startswith(delimiter[2:]) and start != delimiter:
        raise InvalidRequest("The body must begin with its boundary.")
    places = [] if start == delimiter else [-2]
    at = 0
    while at < source.size:
        block = source.read(at, STEP_BYTES + len(delimiter) + 2)
        begin = block.find(line)
        while begin >= 0 and begin < STEP_BYTES:
            place = at + begin - 1
            if place < 0 or source.read(place, 1) != b"\r":
                raise InvalidRequest("Lines of the body must end with CR LF before a boundary.")
            places.append(place)
            if len(places) > MOST_PARTS + 1:
                raise InvalidRequest(f"The body has more than {MOST_PARTS} parts.")
            if block[begin + len(line) : begin + len(line) + 2] == b"--":
                if source.read(place + len(delimiter) + 2, HEAD_BYTES).strip():
                    raise InvalidRequest("The body goes on after its last boundary.")
                return places
            begin = block.find(line, begin + 1)
        at += STEP_BYTES
        await others_first()
    raise InvalidRequest("The body ends before its last boundary.")


def _part(source: Upload | MemoryUpload, head: bytes, begin: int, head_at: int, end: int) -> FormPart:
    length = head.find(b"\r\n\r\n")
    start = head_at + length + 4
    if not head.startswith(b"\r\n") or length < 2 or start > end:
        raise InvalidRequest(_NO_NAME)
    disposition = _disposition(head[2:length])
    name = disposition.get(b"name")
    if name is None:
        raise InvalidRequest(_NO_NAME)
    shown = name.decode("utf-8", "replace")[:256]
    if b"filename" in disposition or b"filename*" in disposition:
        return FormPart(shown, True, begin, start, end, "")
    if end - start > LONGEST_VALUE:
        raise InvalidRequest(f"{shown} is longer than {LONGEST_VALUE:,} bytes.", param=shown)
    try:
        value = source.read(start, end - start).decode()
    except UnicodeDecodeError:
        raise InvalidRequest(f"{shown} is not valid UTF-8.", param=shown) from None
    return FormPart(shown, False, begin, start, end, value)


def _disposition(lines: bytes) -> dict[bytes, bytes]:
    """The parameters of a part's Content-Disposition. Raises InvalidRequest."""
    found: dict[bytes, bytes] | None = None
    for line in lines.split(b"\r\n"):
        header = _HEADER.fullmatch(line)
        if header is None:
            raise InvalidRequest("A part of the body has a header that cannot be read.")
        name, value = header[1].lower(), header[2].strip()
        if name == b"content-disposition":
            if found is not None:
                raise InvalidRequest("A part of the body has Content-Disposition twice.")
            found = _parameters(value, b"form-data")
            if found is None:
                raise InvalidRequest(_NO_NAME)
        elif name == b"content-transfer-encoding" and value.lower() not in _UNCODED:
            raise InvalidRequest("A part of the body has a Content-Transfer-Encoding: send it as it is.")
    return found or {}
