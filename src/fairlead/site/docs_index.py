"""The index of the documentation's search: every heading with the words below it. It is made of the Markdown, without
rendering a page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

# Shown under a result; of the rest each word is kept once.
SNIPPET_CHARACTERS = 160
_WORD = re.compile(r"[\w.-]*\w")
_FENCE = re.compile(r"\s*(`{3,}|~{3,})")
_HEADING = re.compile(r"(#{1,4})\s+(.+?)\s*#*\s*$")
_COMMENT = re.compile(r"<!--.*?-->")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_SIGNS = re.compile(r"[`*|]|^\s*[-:>]+\s|---+")


class Part(NamedTuple):
    """What stands below a heading, up to the next one. `anchor` "": the beginning of a page. `rest`: tables and code,
    which explain nothing when they are read as a line."""

    anchor: str
    heading: str
    lines: list[str]
    rest: list[str]


def anchor_of(heading: str, seen: dict[str, int]) -> str:
    """The id of a heading, as GitHub makes it, so that links work there and here. `seen`: the page's so far."""
    slug = re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
    number = seen.get(slug, 0)
    seen[slug] = number + 1
    return f"{slug}-{number}" if number else slug


def index_of(pages: Iterable[tuple[str, str, str]]) -> bytes:
    """JSON: a list of [path with anchor, title of the page, heading, snippet, further words]. `pages`: path, title and
    Markdown of each."""
    rows = [
        [path + (f"#{part.anchor}" if part.anchor else ""), title, part.heading, *_words(part)]
        for path, title, text in pages
        for part in parts_of(text)
    ]
    return msgspec.json.encode(rows)


def parts_of(text: str) -> Iterator[Part]:
    seen: dict[str, int] = {}
    part, fence = Part("", "", [], []), ""
    for line in text.splitlines():
        if found := _FENCE.match(line):
            fence = "" if fence and found[1].startswith(fence) else fence or found[1]
            continue
        heading = None if fence else _HEADING.match(line)
        if heading is None:
            (part.rest if fence or line.lstrip().startswith("|") else part.lines).append(line)
            continue
        if part.heading or any(part.lines) or part.rest:
            yield part
        shown = _plain(heading[2])
        anchor = anchor_of(shown, seen)
        is_title = len(heading[1]) == 1
        part = Part("" if is_title else anchor, "" if is_title else shown, [], [])
    yield part


def _plain(line: str) -> str:
    return " ".join(_SIGNS.sub(" ", _LINK.sub(r"\1", _COMMENT.sub("", line))).split()) if line else ""


def _words(part: Part) -> tuple[str, str]:
    text, rest = (" ".join(filter(None, map(_plain, lines))) for lines in (part.lines, part.rest))
    snippet = text if len(text) <= SNIPPET_CHARACTERS else text[:SNIPPET_CHARACTERS].rpartition(" ")[0]
    shown = {*_WORD.findall(snippet.lower())}
    further = dict.fromkeys(
        word for word in _WORD.findall(f"{text[len(snippet) :]} {rest}".lower()) if word not in shown
    )
    return snippet, " ".join(further)
