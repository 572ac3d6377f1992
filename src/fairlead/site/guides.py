"""/docs: the pages of this version's documentation, rendered from the Markdown files that come with the package."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fairlead.site.forms import Values, give, segments

FIRST = "README"
DECISIONS = "decisions/"
HIDDEN = re.compile(r"<!--.*?-->\n?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Heading:
    level: int
    anchor: str
    text: str


@dataclass(frozen=True, slots=True)
class Guide:
    """A page of the documentation. `name`: its path below docs/ without ".md"."""

    name: str
    title: str
    html: str
    contents: tuple[Heading, ...]
    source: str

    @property
    def path(self) -> str:
        return "/docs" if self.name == FIRST else f"/docs/{self.name}"


def folder() -> Traversable:
    """Where the files are: in the installed package, or in the repository beside it."""
    packaged = files("fairlead") / "docs"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "docs"


class Guides:
    """All pages; each is rendered when it is asked for. What was rendered is kept by the `PageCache`."""

    def __init__(self, root: Traversable | None = None) -> None:
        self._root = folder() if root is None else root
        self._markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])

    @cached_property
    def sources(self) -> Mapping[str, str]:
        """The text of each page by name, the first page first."""
        found: dict[str, str] = {}
        self._collect(self._root, "", found)
        return dict(sorted(found.items(), key=lambda item: (item[0] != FIRST, "/" in item[0], item[0])))

    def _collect(self, where: Traversable, prefix: str, found: dict[str, str]) -> None:
        for entry in where.iterdir():
            if entry.is_dir():
                self._collect(entry, f"{prefix}{entry.name}/", found)
            elif entry.name.endswith(".md"):
                found[f"{prefix}{entry.name.removesuffix('.md')}"] = entry.read_text("utf-8")

    @cached_property
    def titles(self) -> Mapping[str, str]:
        return {name: title_of(text, name) for name, text in self.sources.items()}

    def get(self, name: str) -> Guide | None:
        return self._render(name, self.sources[name]) if name in self.sources else None

    def _render(self, name: str, source: str) -> Guide:
        tokens = self._markdown.parse(HIDDEN.sub("", source))
        contents = _anchor(tokens)
        for token in tokens:
            for child in token.children or ():
                if child.type == "link_open":
                    target = self._target(name, str(child.attrGet("href") or ""))
                    child.attrSet("href", target)
                    if target.startswith("http"):
                        child.attrSet("rel", "noopener")
            if token.type in ("fence", "code_block"):
                token.attrSet("tabindex", "0")
        html: str = self._markdown.renderer.render(tokens, self._markdown.options, {})
        html = html.replace("<pre><code", '<pre tabindex="0"><code').replace("<table>", '<table tabindex="0">')
        return Guide(name, title_of(source, name), html, contents, source)

    def _target(self, name: str, href: str) -> str:
        """Where a link of a page leads on this site. A file that is no page of it is not served: the link goes to the
        list of pages."""
        if href.startswith(("http:", "https:", "#", "/")):
            return href
        file, _, anchor = href.partition("#")
        page = normpath(join(dirname(name), file)).removesuffix(".md")
        end = f"#{anchor}" if anchor else ""
        if page in self.sources:
            return ("/docs" if page == FIRST else f"/docs/{page}") + end
        return "/docs"


def title_of(source: str, name: str) -> str:
    found = re.search(r"^# (.+)$", source, re.MULTILINE)
    return found[1].replace("`", "") if found else name


def anchor_of(heading: str, seen: dict[str, int]) -> str:
    """The id of a heading, as GitHub makes it, so that links work there and here. `seen`: the page's so far."""
    slug = re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
    number = seen.get(slug, 0)
    seen[slug] = number + 1
    return f"{slug}-{number}" if number else slug


def _anchor(tokens: list[Token]) -> tuple[Heading, ...]:
    """Gives each heading an id and a link to itself; says what headings there are below the title."""
    contents: list[Heading] = []
    seen: dict[str, int] = {}
    for at, token in enumerate(tokens):
        if token.type != "heading_open":
            continue
        inline = tokens[at + 1]
        text = "".join(child.content for child in inline.children or () if child.type in ("text", "code_inline"))
        slug = anchor_of(text, seen)
        token.attrSet("id", slug)
        if token.tag in ("h2", "h3"):
            contents.append(Heading(int(token.tag[1]), slug, text))
    return tuple(contents)


async def docs(request: Request) -> Response:
    guides: Guides = request.app.state.guides
    name = "/".join(segments(request)[1:]) or FIRST
    source = guides.sources.get(name)
    if source is None:
        raise HTTPException(404)
    titles = {one: title for one, title in guides.titles.items() if not one.startswith(DECISIONS)}
    further = {one: title for one, title in guides.titles.items() if one.startswith(DECISIONS)}

    def values() -> Values:
        return {"guide": guides.get(name), "titles": titles, "further": further, "first": FIRST}

    return await give(request, "guide.html", name, values, lambda values: _data(values["guide"]), lambda _: source)


def _data(guide: Guide) -> dict[str, Any]:
    return {
        "name": guide.name,
        "title": guide.title,
        "contents": [{"level": one.level, "anchor": one.anchor, "text": one.text} for one in guide.contents],
        "markdown": guide.source,
    }
