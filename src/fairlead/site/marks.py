"""The marks of vendors: a shape, a colour and one or two letters. Drawn here; nobody's trademark is copied."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from zlib import crc32

from markupsafe import Markup, escape

# In a square of 32: each shape as a path. Their number and that of the colours have no common divisor, so that a vendor
# seldom has both in common with another one.
SHAPES = (
    "M6 1h20a5 5 0 0 1 5 5v20a5 5 0 0 1-5 5H6a5 5 0 0 1-5-5V6a5 5 0 0 1 5-5z",  # a square
    "M16 1a15 15 0 1 1 0 30a15 15 0 1 1 0-30z",  # a circle
    "M16 1l13.5 7.5v15L16 31 2.5 23.5v-15z",  # a hexagon
    "M10 1h12l9 9v12l-9 9H10l-9-9V10z",  # an octagon
    "M1 1h18a12 12 0 0 1 12 12v18H13A12 12 0 0 1 1 19z",  # a leaf
    "M2 2h28v14a14 14 0 0 1-28 0z",  # a shield
    "M16 1h15v15a15 15 0 1 1-15-15z",  # a drop
)
COLOURS = 8
_NOT_A_NAME = re.compile(r"[^a-z0-9-]")
_BETWEEN = re.compile(r"[\W_]+")
_PARTS = re.compile(r"[A-Z][a-z]+|[A-Z]{2,}$")


def mark(slug: str, name: str, size: int = 32) -> Markup:
    """The mark of a vendor as an image that says nothing: its name stands beside it."""
    inside, colour = _drawn(slug, name)
    return Markup(  # noqa: S704 - numbers, and what is escaped below
        f'<svg class="mark h{colour}" width="{size}" height="{size}" viewBox="0 0 32 32" aria-hidden="true">'
        f"{inside}</svg>"
    )


def sprite(vendors: Iterable[tuple[str, str]]) -> Markup:
    """The marks of several vendors, to be shown by `used`: a list has each of them many times."""
    drawn = "".join(
        f'<symbol id="{mark_id(slug)}" viewBox="0 0 32 32" class="h{colour}">{inside}</symbol>'
        for slug, name in dict(vendors).items()
        for inside, colour in [_drawn(slug, name)]
    )
    return Markup(f'<svg class="sprite" width="0" height="0" aria-hidden="true">{drawn}</svg>')  # noqa: S704


@lru_cache(512)
def used(slug: str, size: int = 24) -> Markup:
    """A mark of the page's `sprite`."""
    return Markup(  # noqa: S704 - a number, and an id of ours
        f'<svg class="mark" width="{size}" height="{size}" aria-hidden="true"><use href="#{mark_id(slug)}"/></svg>'
    )


def mark_id(slug: str) -> str:
    """A word that may stand in an id, another one for every vendor."""
    return f"v-{_NOT_A_NAME.sub('', slug.lower())[:24]}-{crc32(slug.encode()) % 0xFFFF:x}"


@lru_cache(512)
def _drawn(slug: str, name: str) -> tuple[str, int]:
    number = crc32(slug.encode())
    shape, colour, letters = number % len(SHAPES), number // 7 % COLOURS, letters_of(name)
    size = 15 if len(letters) == 1 else 13
    text = f'<text x="16" y="{21 if size == 15 else 20.5}" font-size="{size}" text-anchor="middle">'
    return f'<path d="{SHAPES[shape]}"/>{text}{escape(letters)}</text>', colour


def letters_of(name: str) -> str:
    """The first letters of its first two words, or of the parts of one word that have capitals."""
    words = [word for word in _BETWEEN.split(name) if word]
    if len(words) == 1 and words[0][0].isupper():
        words = _PARTS.findall(words[0]) or words
    return "".join(word[0].upper() for word in words[:2]) or "?"
