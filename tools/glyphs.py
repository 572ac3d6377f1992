"""Draws the letters of the pictures that networks show of a model's page, once: src/fairlead/site/glyphs.bin.

Needs Pillow, which is no dependency of the package: python -m venv there; there/bin/pip install pillow msgspec.
Usage: there/bin/python tools/glyphs.py DejaVuSans.ttf DejaVuSans-Bold.ttf
"""

from __future__ import annotations

import sys
import zlib
from pathlib import Path

import msgspec
from PIL import Image, ImageDraw, ImageFont

OUT = Path(__file__).resolve().parents[1] / "src" / "fairlead" / "site" / "glyphs.bin"
LETTERS = [chr(code) for code in (*range(32, 127), *range(0xA1, 0x100))] + list("–—‘’“”…•→×−")
# The sizes in pixels of each font, as site/picture.py names them.
SIZES = {"title": (1, 84), "smaller": (1, 60), "figure": (1, 46), "text": (0, 32), "label": (0, 26)}


def glyph(font: ImageFont.FreeTypeFont, letter: str) -> tuple[int, int, int, int, int, bytes]:
    """Advance, left, top (below the top of the line), width, height, and 16 levels of ink."""
    left, top, right, bottom = (int(edge) for edge in font.getbbox(letter))
    width, height = max(0, right - left), max(0, bottom - top)
    image = Image.new("L", (max(1, width), max(1, height)))
    ImageDraw.Draw(image).text((-left, -top), letter, font=font, fill=255)
    levels = bytes((value + 8) // 17 for value in image.tobytes()) if width and height else b""
    return round(font.getlength(letter)), left, top, width if levels else 0, height if levels else 0, levels


def main() -> None:
    fonts = sys.argv[1:3]
    found = {
        name: (sum(ImageFont.truetype(fonts[which], size).getmetrics()), {
            letter: glyph(ImageFont.truetype(fonts[which], size), letter) for letter in LETTERS
        })
        for name, (which, size) in SIZES.items()
    }  # fmt: skip
    OUT.write_bytes(zlib.compress(msgspec.msgpack.encode(found), 9))
    print(f"{OUT}: {OUT.stat().st_size:,} bytes, {len(LETTERS)} letters")


if __name__ == "__main__":
    main()
