"""TOML with its syntax in colours, as markup: versions of the configuration and what differs between them. Pure.

`static/colours.js` does the same below the editor's text; a test compares the two. A line is coloured on its own, with
what was open where it begins: a string of several lines, or brackets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from markupsafe import Markup, escape

# A longer text stays plain: a page is made in a few milliseconds.
MOST_LINES: Final = 3_000

_NAME: Final = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|'[^']*')"""
_HEADER: Final = re.compile(rf"\s*\[\[?\s*{_NAME}(?:\s*\.\s*{_NAME})*\s*\]?\](?=\s*(?:#|$))", re.ASCII)
_TOKEN: Final = re.compile(
    rf"(?P<c>\#.*)|(?P<k>{_NAME}(?:\s*\.\s*{_NAME})*(?=\s*=))|(?P<m>\"\"\"|''')|(?P<s>\"(?:\\.|[^\"\\])*\"?|'[^']*'?)"
    r"|(?P<n>(?:true|false|[+-]?(?:inf|nan|\d[\w.:+-]*))(?![\w-]))|(?P<o>[\[{])|(?P<e>[\]}])|[\w-]+|\s+|.",
    re.ASCII,
)
_ENDS: Final = {'"""': re.compile(r'(?:\\.|(?!""")[^\\])*?"{3,5}'), "'''": re.compile(r"(?:(?!''').)*?'{3,5}")}


class _Open(NamedTuple):
    """What is open where a line begins: the quotes of a string, "" for none; brackets."""

    quotes: str = ""
    depth: int = 0


class Line(NamedTuple):
    """A line of a difference: what it is ("add", "cut", "place" or ""), its sign and its text."""

    kind: str
    sign: str
    text: Markup


def coloured(text: str) -> Markup:
    """A whole document."""
    lines = text.split("\n")
    if len(lines) > MOST_LINES:
        return escape(text)
    state, made = _Open(), []
    for line in lines:
        parts, state = _parts(line, state)
        made.append(_markup(parts))
    return Markup("\n").join(made)


def difference(lines: Sequence[str]) -> list[Line]:
    """Lines of a unified difference. What is open is followed in both texts; each place in them
    begins with nothing open."""
    plain = len(lines) > MOST_LINES
    before = after = _Open()
    made = []
    for line in lines:
        sign, text = line[:1], line[1:]
        if line.startswith(("+++", "---", "@@")):
            before = after = _Open()
            made.append(Line("place" if sign == "@" else "", "", escape(line)))
        elif plain:
            made.append(Line({"+": "add", "-": "cut"}.get(sign, ""), sign, escape(text)))
        elif sign == "-":
            parts, before = _parts(text, before)
            made.append(Line("cut", sign, _markup(parts)))
        else:
            parts, after = _parts(text, after)
            before = after if sign != "+" else before
            made.append(Line("add" if sign == "+" else "", sign, _markup(parts)))
    return made


def _markup(parts: Sequence[tuple[str, str]]) -> Markup:
    made = (f'<i class="t-{kind}">{escape(text)}</i>' if kind else str(escape(text)) for kind, text in parts)
    return Markup("".join(made))  # noqa: S704 - each part is escaped; kinds are letters of this module


def _parts(line: str, state: _Open) -> tuple[list[tuple[str, str]], _Open]:
    """The parts of a line with their kinds ("" for none), and what is open behind it."""
    made: list[tuple[str, str]] = []
    quotes, depth, at = state.quotes, state.depth, 0
    if not quotes and not depth and (head := _HEADER.match(line)):
        made.append(("h", head[0]))
        at = head.end()
    while at < len(line):
        if quotes:
            found = _ENDS[quotes].match(line, at)
            end = found.end() if found else len(line)
            made.append(("s", line[at:end]))
            quotes, at = "" if found else quotes, end
            continue
        token = _TOKEN.match(line, at)
        assert token is not None  # any character is one
        kind = token.lastgroup or ""
        at = token.end()
        if kind == "m":
            quotes, kind = token[0], "s"
        elif kind in ("o", "e"):
            depth, kind = max(0, depth + (1 if kind == "o" else -1)), ""
        made.append((kind, token[0]))
    return list(_joined(made)), _Open(quotes, depth)


def _joined(parts: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Neighbours of one kind are one part."""
    kind, text = "", ""
    for one, more in parts:
        if one == kind:
            text += more
            continue
        if text:
            yield kind, text
        kind, text = one, more
    if text:
        yield kind, text
