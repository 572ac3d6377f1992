"""A long body with its long strings cut short, so that checking it costs no more than what is left.

A picture or a text of 30 MB is one string, but every reader of JSON walks through it byte by byte, and a request is
read several times: into members, into messages, into parts. Here it is walked through once, in steps of a few hundred
kilobytes between which other callers get their turn, and everything else reads the outline. What a member is in the
outline is found again in the body, and forwarded as it was written.
"""

from __future__ import annotations

import secrets
from bisect import bisect_left
from codecs import utf_8_decode
from typing import Final

import msgspec
from msgspec import Raw

from fairlead.errors import InvalidRequest
from fairlead.wire.bounds import MOST_OUTLINE_BYTES, MOST_STRUCTURE_BYTES

# A shorter body is read as it is.
LONG_BODY_BYTES: Final = 1_310_720
# Strings from here on are cut, behind more bytes than any check looks at.
LONG_STRING_BYTES: Final = 2_048
KEPT_BYTES: Final = 1_280
# An address is checked as a whole: what may be one is kept up to here (`LONGEST_URL`, and escapes).
KEPT_ADDRESS_BYTES: Final = 9_216
# What is looked at in one step. Finding the end of a string costs as much as so many bytes.
STEP_BYTES: Final = 262_144
STRING_BYTES: Final = 64
# What a string counts among what is outside of strings: a million short ones are not looked at one by one.
STRUCTURE_BYTES: Final = 8
# Stands behind what is kept of a string. Nobody can write it into a body: it is another one in each process. The white
# space in it makes it no part of any name or address.
MARK: Final = b" [cut " + secrets.token_hex(12).encode()
DIGITS: Final = 8
QUOTE: Final = b'"'
BACKSLASH: Final = 0x5C
_string: Final = msgspec.json.Decoder(Raw)


class Outline:
    """`step` until it returns True; then `text` is the outline. Raises InvalidRequest for what is no JSON or beyond
    the bounds."""

    __slots__ = (
        "_after", "_at", "_before", "_checked", "_cut_to", "_pieces", "_starts", "_string_at", "_structure", "_taken",
        "_view", "body", "text",
    )  # fmt: skip

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.text = b""
        self._view = memoryview(body)
        self._pieces: list[bytes] = []
        self._at = 0  # what is before it has been looked at
        self._taken = 0  # what is before it is in the pieces, or cut
        self._string_at = -1  # where the string begins that `_at` is in, behind its quote
        self._checked = 0  # of a string that is being cut: what has been checked
        self._cut_to = -1  # and its end
        self._structure = 0
        # Of each mark: where it stands in the outline; by how much the body is ahead of it, before and behind.
        self._starts: list[int] = []
        self._before: list[int] = []
        self._after: list[int] = []

    def step(self) -> bool:
        """Goes on by about STEP_BYTES; True when the outline is complete."""
        body = self.body
        size = len(body)
        work = 0
        while work < STEP_BYTES:
            if self._cut_to >= 0:
                work += self._check_cut()
                continue
            at = self._at
            found = body.find(QUOTE, at)
            begin = self._string_at
            if begin < 0:
                end = found if found >= 0 else size
                self._structure += end - at + STRUCTURE_BYTES
                if self._structure > MOST_STRUCTURE_BYTES:
                    raise InvalidRequest(
                        f"The body has more than {MOST_STRUCTURE_BYTES:,} bytes of members, numbers and white space."
                    )
                if found < 0:
                    self._finish()
                    return True
                self._at = self._string_at = found + 1
                work += end - at + STRING_BYTES
                continue
            if found < 0:
                raise InvalidRequest("The body is not valid JSON: Input data was truncated.")
            work += STRING_BYTES + ((found - at) >> 4)
            self._at = found + 1
            back = found
            while back > begin and body[back - 1] == BACKSLASH:
                back -= 1
            if (found - back) & 1:  # the quote is escaped
                continue
            self._string_at = -1
            if found - begin >= LONG_STRING_BYTES:
                self._cut(begin, found)
        return False

    def _cut(self, begin: int, end: int) -> None:
        """Keeps the beginning of a string, up to where neither an escape nor a character is in two parts."""
        body = self.body
        first = body[begin]
        kept = KEPT_ADDRESS_BYTES if first == 0x68 or first == 0x48 or first == BACKSLASH else KEPT_BYTES
        to = begin + kept
        at = begin
        while True:
            at = body.find(b"\\", at, to)
            if at < 0:
                break
            length = 2
            if body[at + 1] == 0x75:  # "u": half of a pair is kept with the other one
                length = 12 if body[at + 2 : at + 3] in b"dD" and body[at + 6 : at + 8] == b"\\u" else 6
            at += length
            to = max(to, at)
        while to < end and body[to] & 0xC0 == 0x80:
            to += 1
        if to + len(MARK) + DIGITS >= end:
            return
        index = len(self._starts)
        piece = body[self._taken : to]
        self._pieces += (piece, MARK, b"%08x" % index)
        before = self._after[index - 1] if index else 0
        start = to - before  # the outline so far has as many bytes as the body, less what was cut
        self._starts.append(start)
        self._before.append(before)
        self._after.append(before + end - to - len(MARK) - DIGITS)
        if start + len(MARK) + DIGITS > MOST_OUTLINE_BYTES:
            raise too_many()
        self._taken = end
        self._checked = to
        self._cut_to = end

    def _check_cut(self) -> int:
        """Goes on with the check of a string's text: that it is UTF-8, and may stand in a string of JSON."""
        at, end = self._checked, self._cut_to
        to = min(at + STEP_BYTES, end)
        piece = self.body[at:to]
        if not piece.isascii():
            try:
                _, used = utf_8_decode(piece, "strict", to == end)
            except UnicodeDecodeError as error:
                raise InvalidRequest(f"The body is not valid UTF-8 (at byte {at + error.start}).") from None
            piece = piece[:used]
        if at + len(piece) < end:
            piece = piece[: _whole(piece)]
        try:
            _string.decode(b'"%b"' % piece)
        except msgspec.DecodeError as error:
            sentence = str(error).partition(" (byte ")[0].rstrip(".")
            raise InvalidRequest(f"The body is not valid JSON: {sentence} (in a string after byte {at}).") from None
        self._checked = at + len(piece)
        if self._checked >= end:
            self._cut_to = -1
        return max(len(piece), STRING_BYTES)

    def _finish(self) -> None:
        self._pieces.append(self.body[self._taken :])
        self.text = b"".join(self._pieces)
        self._pieces = []
        if len(self.text) > MOST_OUTLINE_BYTES:
            raise too_many()

    def whole(self, raw: Raw) -> Raw:
        """What stands in the body for a part of the outline."""
        if not self._starts:
            return raw
        text = bytes(raw)
        first = text.find(MARK)
        if first < 0:
            return raw
        index = _index(text, first)
        last = _index(text, text.rfind(MARK))
        start = self._starts[index] - first
        return Raw(self._view[start + self._before[index] : start + len(text) + self._after[last]])

    def length(self, raw: Raw) -> int:
        """Of the same in the body."""
        return len(self.whole(raw))

    def position(self, at: int) -> int:
        """Of a byte of the outline in the body."""
        index = bisect_left(self._starts, at)
        return at + (self._after[index - 1] if index else 0)


def too_many() -> InvalidRequest:
    return InvalidRequest(f"The body has more than {MOST_OUTLINE_BYTES:,} bytes besides its long strings.")


def _index(text: bytes, at: int) -> int:
    at += len(MARK)
    return int(text[at : at + DIGITS], 16)


def _whole(piece: bytes) -> int:
    """How much of a string's text, which goes on, ends between two characters; the piece begins so."""
    end = _between_escapes(piece, len(piece))
    # The first half of a pair belongs to the other one.
    high = end - 6
    if high >= 0 and piece[high : high + 3] in (b"\\ud", b"\\uD") and piece[high + 3 : high + 4] in b"89abAB":
        return high if _between_escapes(piece, high) == high else end
    return end


def _between_escapes(piece: bytes, size: int) -> int:
    """`size`, or where the escape begins that is in two parts there."""
    last = piece.rfind(b"\\", max(0, size - 6), size)
    if last < 0:
        return size
    run = last + 1 - len(piece[: last + 1].rstrip(b"\\"))
    if run & 1 == 0:
        return size
    return size if last + (6 if piece[last + 1 : last + 2] == b"u" else 2) <= size else last


def complete(body: bytes) -> Outline:
    """The outline of a body, made at once."""
    outline = Outline(body)
    while not outline.step():
        pass
    return outline
