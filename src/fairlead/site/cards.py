"""Tables that are cards on narrow screens: a row is a card, the heads of columns are the labels of its figures. Pure.

The style sheet draws the cards (`.cards-of` in `site.css`). A browser that lays out a table as blocks may forget that
it is one, so each part has its role as an attribute: screen readers find rows, columns and heads as before.
"""

from __future__ import annotations

import re
from typing import Final

from markupsafe import Markup, escape

_PART: Final = re.compile(r"<(table|thead|tbody|tfoot|tr|td|th)\b([^>]*)>")
_ROLES: Final = {"table": "table", "thead": "rowgroup", "tbody": "rowgroup", "tfoot": "rowgroup", "tr": "row"}
# What stands in a head besides its name: a unit below it, and words that are not seen.
_BESIDE: Final = re.compile(r"<small\b.*?</small>|<svg\b.*?</svg>", re.DOTALL)
_MARKUP: Final = re.compile(r"<[^>]*>")
_CLASS: Final = re.compile(r'\bclass="')
_SPAN: Final = re.compile(r'\bcolspan="(\d+)"')


def cards(made: Markup) -> Markup:
    """The same table with a label on each cell of its body, from the head of its column, and with roles. A cell that
    spans several columns has none. Attributes may not contain ">", which templates escape."""
    # Text, and for each part its name, its attributes and the text behind it. As a str: each slice of a Markup would be
    # one, which takes ten times as long.
    pieces = _PART.split(str(made))
    parts = [pieces[0]]
    labels: list[str] = []
    known: dict[tuple[str, str, int], tuple[str, int]] = {}  # the cells of a column are alike
    head, column = False, 0
    for name, attributes, behind in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
        if name in ("td", "th"):
            if head:
                written, span = _cell(name, attributes, "columnheader", "")
                labels.append(_text(behind.partition(f"</{name}>")[0]))
            elif (found := known.get((name, attributes, column))) is not None:
                written, span = found
            else:
                label = labels[column] if column < len(labels) else ""
                written, span = known[name, attributes, column] = _cell(name, attributes, "rowheader", label)
            column += span
        else:
            if name == "tr":
                column = 0
            elif name == "table":
                attributes = _with_class(attributes, "cards-of")
            else:
                head = name == "thead"
                known.clear()
            written = f'<{name}{attributes} role="{_ROLES[name]}">'
        head = head and "</thead>" not in behind
        parts += (written, behind)
    return Markup("".join(parts))  # noqa: S704 - markup of a template, with its own words as attributes


def _cell(name: str, attributes: str, role: str, label: str) -> tuple[str, int]:
    """The beginning of a cell, and how many columns it spans. `role`: of a head."""
    span = int(one[1]) if (one := _SPAN.search(attributes)) else 1
    shown = f' data-label="{label}"' if label and span == 1 else ""
    return f'<{name}{attributes} role="{role if name == "th" else "cell"}"{shown}>', span


def _text(head: str) -> str:
    """The words of a head, as an attribute."""
    plain = " ".join(_MARKUP.sub("", _BESIDE.sub("", head)).split())
    return str(escape(Markup(plain).unescape()))  # noqa: S704 - taken from markup


def _with_class(attributes: str, name: str) -> str:
    if _CLASS.search(attributes):
        return _CLASS.sub(f'class="{name} ', attributes, count=1)
    return f'{attributes} class="{name}"'
