"""A canvas for the pictures that networks show of a page: letters, lines and areas, out comes a PNG.

Of our own, because the least library that draws one (Pillow) takes 13 MB of memory for what is 150 lines here. The
letters were drawn once by tools/glyphs.py, from DejaVu Sans (glyphs-licence.txt).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from importlib.resources import files

import msgspec

WIDTH, HEIGHT = 1200, 630
LEVELS = 16
PAPER = (255, 255, 255)
# What is drawn is one of these, in 16 levels from the paper to itself.
INKS: Mapping[str, tuple[int, int, int]] = {
    "ink": (27, 31, 36),
    "quiet": (87, 96, 106),
    "accent": (11, 92, 173),
    "line": (213, 219, 225),
}
UNKNOWN = "?"

# Advance, left, top, width, height, and a level for each dot.
Glyph = tuple[int, int, int, int, int, bytes]


class Letters:
    """The letters of every size: a megabyte and a half, which nobody keeps."""

    def __init__(self) -> None:
        packed = (files("fairlead.site") / "glyphs.bin").read_bytes()
        self._sizes = msgspec.msgpack.decode(zlib.decompress(packed), type=dict[str, tuple[int, dict[str, Glyph]]])

    def of(self, size: str, text: str) -> list[Glyph]:
        glyphs = self._sizes[size][1]
        return [glyphs.get(letter) or glyphs[UNKNOWN] for letter in text]

    def height(self, size: str) -> int:
        return self._sizes[size][0]

    def width(self, size: str, text: str) -> int:
        return sum(glyph[0] for glyph in self.of(size, text))

    def knows(self, text: str) -> bool:
        glyphs = self._sizes["text"][1]
        return all(letter in glyphs for letter in text)

    def lines(self, size: str, text: str, width: int, most: int) -> list[str]:
        """The text in lines of at most that width; the last one ends with an ellipsis where it has to."""
        found: list[str] = []
        line = ""
        words = text.split()
        for at, word in enumerate(words):
            longer = f"{line} {word}".strip()
            if self.width(size, longer) <= width or not line:
                line = longer
                continue
            if len(found) == most - 1:
                found.append(self.cut(size, " ".join([line, *words[at:]]), width))
                return found
            found.append(line)
            line = word
        return [*found, self.cut(size, line, width)] if line else found

    def cut(self, size: str, text: str, width: int) -> str:
        if self.width(size, text) <= width:
            return text
        while text and self.width(size, f"{text}…") > width:
            text = text.rpartition(" ")[0] or text[:-1]
        return f"{text.rstrip(' ,.;:')}…"


class Canvas:
    """White at first. A dot is a byte: the number of its ink times 16, and its level."""

    def __init__(self, letters: Letters) -> None:
        self._letters = letters
        self._dots = bytearray(WIDTH * HEIGHT)
        self._inks = list(INKS)

    def area(self, x: int, y: int, width: int, height: int, ink: str) -> None:
        row = bytes([self._inks.index(ink) * LEVELS + LEVELS - 1]) * width
        for at in range(y, y + height):
            self._dots[at * WIDTH + x : at * WIDTH + x + width] = row

    def text(self, x: int, y: int, size: str, text: str, ink: str) -> int:
        """Writes a line whose top is at y; gives where it ends."""
        first = self._inks.index(ink) * LEVELS
        table = bytes([0, *range(first + 1, first + LEVELS), *range(256 - LEVELS)])
        for advance, left, top, width, height, levels in self._letters.of(size, text):
            for row in range(height):
                at = (y + top + row) * WIDTH + x + left
                drawn = levels[row * width : (row + 1) * width].translate(table)
                under = self._dots[at : at + width]
                # Neighbours may touch: what is drawn covers only where it has ink.
                self._dots[at : at + width] = bytes(new or old for new, old in zip(drawn, under, strict=True))
            x += advance
        return x

    def png(self) -> bytes:
        palette = b"".join(
            bytes(
                round(paper + (colour - paper) * level / (LEVELS - 1))
                for paper, colour in zip(PAPER, ink, strict=True)
            )
            for ink in INKS.values()
            for level in range(LEVELS)
        )  # fmt: skip
        rows = bytearray()
        for at in range(HEIGHT):
            rows += b"\0"
            rows += self._dots[at * WIDTH : (at + 1) * WIDTH]
        return b"".join((
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", palette),
            _chunk(b"IDAT", zlib.compress(rows, 6)),
            _chunk(b"IEND", b""),
        ))  # fmt: skip


def _chunk(kind: bytes, body: bytes) -> bytes:
    """https://www.w3.org/TR/png-3/#5Chunk-layout"""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
