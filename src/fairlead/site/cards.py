"""Tables that are cards on narrow screens: a row is a card, the heads of columns are the labels of its figures. Pure.

The style sheet draws the cards (`.cards-of` in `site.css`). A browser that lays out a table as blocks may forget that
it is one, so each part has its role as an attribute: screen readers find rows, columns and heads as before.
"""

from __future__ import annotations

import re
from typing import Final

from markupsafe import Markup, escape

_PART: Final = re.compile(r"<(/?)(table|thead|tbody|tfoot|tr|td|th)\b([^>]*)>")
_ROLES: Final = {"table": "table", "thead": "rowgroup", "tbody": "rowgroup", "tfoot": "rowgroup", "tr": "row"}
# What stands in a head besides its name: a unit below it, and words that are not seen.
_BESIDE: Final = re.compile(r"<small\b.*?</small>|<svg\b.*?</svg>", re.DOTALL)
_MARKUP: Final = re.compile(r"<[^>]*>")
_CLASS: Final = re.compile(r'\bclass="')
_SPAN: Final = re.compile(r'\bcolspan="(\d+)"')


def cards(made: Markup) -> Markup:
    """The same table with a label on each cell of its body, from the head of its column, and with roles. A cell that
    spans several columns has none. Attributes may not contain ">", which templates escape."""
    table = str(made)  # each slice of a Markup would be one, which takes ten times as long
    parts: list[str] = []
    labels: list[str] = []
    at, head, column, begun = 0, False, 0, 0
    for found in _PART.finditer(table):
        closing, name, attributes = found.groups()
        parts.append(table[at : found.start()])
        at = found.end()
        if closing:
            if head and name in ("td", "th"):
                labels.append(_text(table[begun : found.start()]))
            head = head and name != "thead"
            parts.append(found[0])
            continue
        if name in ("thead", "tbody", "tfoot"):
            head = name == "thead"
        elif name == "tr":
            column = 0
        elif name == "table":
            attributes = _with_class(attributes, "cards-of")
        else:
            begun = at
            span = int(one[1]) if (one := _SPAN.search(attributes)) else 1
            role = ("columnheader" if head else "rowheader") if name == "th" else "cell"
            label = labels[column] if not head and span == 1 and column < len(labels) else ""
            attributes += f' role="{role}"' + (f' data-label="{label}"' if label else "")
            column += span
        if name in _ROLES:
            attributes += f' role="{_ROLES[name]}"'
        parts.append(f"<{name}{attributes}>")
    parts.append(table[at:])
    return Markup("".join(parts))  # noqa: S704 - markup of a template, with its own words as attributes


def _text(head: str) -> str:
    """The words of a head, as an attribute."""
    plain = " ".join(_MARKUP.sub("", _BESIDE.sub("", head)).split())
    return str(escape(Markup(plain).unescape()))  # noqa: S704 - taken from markup


def _with_class(attributes: str, name: str) -> str:
    if _CLASS.search(attributes):
        return _CLASS.sub(f'class="{name} ', attributes, count=1)
    return f'{attributes} class="{name}"'
