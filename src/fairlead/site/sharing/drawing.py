"""Badges and cards as SVG, drawn as text: no script, nothing loaded, every word escaped. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, Literal

Theme = Literal["light", "dark", "auto"]
THEMES: Final[tuple[Theme, ...]] = ("auto", "light", "dark")

# What no XML document may contain, not even escaped: https://www.w3.org/TR/xml/#charsets
NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Letters that are narrower or wider than most in the fonts that systems have, in parts of the size.
_NARROW: Final = frozenset("iIjlt.,:;'|!()[] fr-")
_WIDE: Final = frozenset("mwMW@%&")
FONT: Final = "system-ui,-apple-system,Segoe UI,Roboto,Helvetica,Arial,sans-serif"
LONGEST_NAME: Final = 40
# Both hold 4.5:1 with white text.
LIGHT: Final[Mapping[str, str]] = {
    "paper": "#ffffff", "ink": "#1f2328", "quiet": "#57606a", "line": "#d0d7de", "label": "#3d444d",
    "up": "#1a7f37", "degraded": "#9a6700", "down": "#cf222e", "none": "#57606a", "plain": "#0b5cad",
    "empty": "#d0d7de",
}  # fmt: skip
DARK: Final[Mapping[str, str]] = {
    "paper": "#0d1117", "ink": "#e6edf3", "quiet": "#9198a1", "line": "#30363d", "label": "#24292f",
    "up": "#238636", "degraded": "#9a6700", "down": "#da3633", "none": "#57606a", "plain": "#1f6feb",
    "empty": "#30363d",
}  # fmt: skip
_BADGE_HEIGHT: Final = 20
_BOLD: Final = 1.12  # so much wider
_WHEN_DARK: Final = "(prefers-color-scheme:dark)"
CARD_WIDTH: Final = 440
CARD_HEIGHT: Final = 168


@dataclass(frozen=True, slots=True)
class Figure:
    """One of a card: `value` is a word where there is no number."""

    title: str
    value: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """`kind` and `state`: of the model, as on the status page; `days`: the uptime of each day, the oldest first, None:
    no traffic."""

    vendor: str
    name: str
    kind: str
    state: str
    figures: tuple[Figure, ...]
    days: tuple[float | None, ...] = ()
    note: str = ""


def said(text: str) -> str:
    """A text as it stands in an SVG, in one line."""
    return escape(NOT_XML.sub("\ufffd", " ".join(text.split())))


def cut(text: str, most: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def width_of(text: str, size: float) -> float:
    """Roughly how wide a text is; `textLength` then makes it exactly so wide."""
    whole = sum(
        0.34 if letter in _NARROW else 0.92 if letter in _WIDE else 1.0 if ord(letter) > 0x2E7F else 0.58
        for letter in text
    )
    return round(whole * size, 1)


class Paint:
    """Colours of a theme. "auto" follows the reader's system, by classes and a style; the others need neither."""

    def __init__(self, theme: Theme, names: Sequence[str]) -> None:
        self._colours = None if theme == "auto" else DARK if theme == "dark" else LIGHT
        self.style = (
            "" if self._colours else f"<style>{_rules(LIGHT, names)}@media{_WHEN_DARK}{{{_rules(DARK, names)}}}</style>"
        )

    def __call__(self, name: str) -> str:
        """The attribute of a shape or text that has this colour."""
        return f'class="f-{name}"' if self._colours is None else f'fill="{self._colours[name]}"'


def _rules(colours: Mapping[str, str], names: Sequence[str]) -> str:
    return "".join(f".f-{name}{{fill:{colours[name]}}}" for name in names)


def badge(label: str, message: str, kind: str, theme: Theme) -> str:
    """Two boxes side by side, 20 pixels high. `kind`: the colour of the right one."""
    label = cut(label, LONGEST_NAME)
    paint = Paint(theme, ("label", kind))
    left, right = (round(width_of(text, 11) + 14) for text in (label, message))
    return "\n".join(
        [
            _head(left + right, _BADGE_HEIGHT, f"{label}: {message}"),
            paint.style,
            f'<path {paint("label")} d="M4 0H{left}V20H4a4 4 0 0 1-4-4V4a4 4 0 0 1 4-4z"/>',
            f'<path {paint(kind)} d="M{left} 0H{left + right - 4}a4 4 0 0 1 4 4V16a4 4 0 0 1-4 4H{left}z"/>',
            f'<g fill="#fff" font-family="{FONT}" font-size="11">',
            _text(7, 14, label, left - 14),
            _text(left + 7, 14, message, right - 14),
            "</g></svg>",
        ]
    )


def _head(width: int, height: int, words: str) -> str:
    box = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    told = said(words)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img" aria-label="{told}"><title>{told}</title>'


def _text(x: float, y: float, text: str, length: float) -> str:
    place = f'x="{x:g}" y="{y:g}" textLength="{length:g}" lengthAdjust="spacingAndGlyphs"'
    return f"<text {place}>{said(text)}</text>"


def card(given: Card, theme: Theme) -> str:
    """A model in a box of 440 by 168: its state, four figures, and a bar for each day."""
    names = ("paper", "ink", "quiet", "line", "empty", "up", "degraded", "down", "none")
    paint = Paint(theme, names)
    words = f"{given.name}, {given.vendor}: {given.state}. " + "; ".join(
        f"{one.title} {one.value} {one.unit}".strip() for one in given.figures
    )
    parts = [
        _head(CARD_WIDTH, CARD_HEIGHT, words),
        paint.style,
        f'<rect {paint("line")} width="{CARD_WIDTH}" height="{CARD_HEIGHT}" rx="8"/>',
        f'<rect {paint("paper")} x="1" y="1" width="{CARD_WIDTH - 2}" height="{CARD_HEIGHT - 2}" rx="7"/>',
        f'<g font-family="{FONT}">',
        f'<text {paint("quiet")} x="18" y="27" font-size="12">{said(cut(given.vendor, LONGEST_NAME))}</text>',
    ]
    state = cut(given.state, LONGEST_NAME)
    end = CARD_WIDTH - 18
    start = end - width_of(state, 12)
    parts += [
        _sign(given.kind, start - 14, 23, paint),
        f'<text {paint("ink")} x="{end}" y="27" font-size="12" text-anchor="end">{said(state)}</text>',
    ]
    name = cut(given.name, LONGEST_NAME)
    room = CARD_WIDTH - 36
    size = min(20.0, 20 * room / max(1.0, _BOLD * width_of(name, 20)))
    parts.append(
        f'<text {paint("ink")} x="18" y="54" font-size="{size:.1f}" font-weight="600">{said(name)}</text>'
    )  # fmt: skip
    step = (CARD_WIDTH - 36) / max(1, len(given.figures))
    for at, one in enumerate(given.figures):
        x = 18 + at * step
        value = cut(one.value, 18)
        fit = min(16.0, 16 * (step - 14) / max(1.0, _BOLD * width_of(value, 16)))
        parts += [
            f'<text {paint("quiet")} x="{x:g}" y="82" font-size="11">{said(one.title)}</text>',
            f'<text {paint("ink")} x="{x:g}" y="101" font-size="{fit:.1f}" font-weight="600">{said(value)}</text>',
            f'<text {paint("quiet")} x="{x:g}" y="116" font-size="10">{said(one.unit)}</text>',
        ]
    parts += _bars(given.days, paint)
    parts.append(f'<text {paint("quiet")} x="18" y="158" font-size="10">{said(given.note)}</text>')
    parts.append(f'<text {paint("quiet")} x="{end}" y="158" font-size="10" text-anchor="end">Fairlead</text>')
    return "".join((*parts, "</g></svg>"))


def _sign(kind: str, x: float, y: float, paint: Paint) -> str:
    """The mark of a state, which differs in shape, too."""
    shapes = {
        "up": f'<circle cx="{x:g}" cy="{y:g}" r="4"',
        "degraded": f'<path d="M{x:g} {y - 5:g}l5 9h-10z"',
        "down": f'<path d="M{x - 4:g} {y - 4:g}h8v8h-8z"',
    }
    shape = shapes.get(kind, f'<rect x="{x - 4:g}" y="{y - 1:g}" width="8" height="2"')
    return f"{shape} {paint(kind)}/>"


def _bars(days: Sequence[float | None], paint: Paint) -> list[str]:
    if not days:
        return []
    step = (CARD_WIDTH - 36) / len(days)
    found = []
    for at, uptime in enumerate(days):
        kind = "empty" if uptime is None else "up" if uptime >= 0.99 else "degraded" if uptime >= 0.9 else "down"
        height = 4 if uptime is None else 16 if kind == "up" else 12 if kind == "degraded" else 8
        found.append(
            f'<rect {paint(kind)} x="{18 + at * step:.1f}" y="{142 - height}" width="{max(1.0, step - 2):.1f}" '
            f'height="{height}"/>'
        )
    return found
