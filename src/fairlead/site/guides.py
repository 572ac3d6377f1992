"""/docs: the pages of this version's documentation, rendered from the Markdown files that come with the package."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from posixpath import dirname, join, normpath
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fairlead.site.docs_index import anchor_of, index_of
from fairlead.site.forms import Values, form_of, give, segments
from fairlead.site.page_context import PageContext


def _(message: str) -> str:
    """Marks a word for translation; it is translated where it is shown."""
    return message


FIRST = "README"
# The folders of the documentation in reading order, with their titles.
SECTIONS: Mapping[str, str] = {
    "get-started": _("Get started"),
    "guides": _("Guides"),
    "reference": _("Reference"),
    "internals": _("Internals"),
    "decisions": _("Decisions"),
}
# Where the template puts the button that copies a block of code, in the visitor's language.
COPY_BUTTON = "<!--copy-->"
# What a page may show or hand out beside Markdown.
FILE_TYPES: Mapping[str, str] = {
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webp": "image/webp",
    ".json": "application/json",
    ".yml": "text/plain; charset=utf-8",
    ".yaml": "text/plain; charset=utf-8",
    ".toml": "text/plain; charset=utf-8",
    ".conf": "text/plain; charset=utf-8",
}
_COMMENT = re.compile(r"\s*(?:<!--(?:(?!-->).)*-->\s*)+", re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+\.md)(?:#[^)]*)?\)")


@dataclass(frozen=True, slots=True)
class Heading:
    level: int
    anchor: str
    text: str


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A page that a page leads to."""

    path: str
    title: str


@dataclass(frozen=True, slots=True)
class Section:
    """`title` in English, to be translated. `pages`: in reading order."""

    name: str
    title: str
    pages: tuple[Neighbour, ...]


@dataclass(frozen=True, slots=True)
class Guide:
    """A page of the documentation. `name`: its path below docs/ without ".md". `html` has `COPY_BUTTON` behind every
    block of code."""

    name: str
    title: str
    html: str
    contents: tuple[Heading, ...]
    source: str

    @property
    def path(self) -> str:
        return path_of(self.name)

    @property
    def section(self) -> str:
        return self.name.partition("/")[0]


def folder() -> Traversable:
    """Where the files are: in the installed package, or in the repository beside it."""
    packaged = files("fairlead") / "docs"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "docs"


def path_of(name: str) -> str:
    """The address of a page: the first page of a folder has that of the folder."""
    return f"/docs/{name.removesuffix(FIRST)}".rstrip("/")


class Guides:
    """All pages; each is rendered when it is asked for, and kept by the page cache."""

    def __init__(self, root: Traversable | None = None) -> None:
        self._root = folder() if root is None else root
        # Markup in a page is parsed so that comments can be left out; whatever else there is is shown as text.
        self._markdown = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
        for name in ("html_block", "html_inline"):
            self._markdown.add_render_rule(name, _markup)
        self._markdown.add_render_rule("fence", _fence)

    @cached_property
    def _files(self) -> Mapping[str, Traversable]:
        found: dict[str, Traversable] = {}
        self._collect(self._root, "", found)
        return found

    def _collect(self, where: Traversable, prefix: str, found: dict[str, Traversable]) -> None:
        for entry in where.iterdir():
            if entry.is_dir():
                self._collect(entry, f"{prefix}{entry.name}/", found)
            else:
                found[prefix + entry.name] = entry

    @cached_property
    def sources(self) -> Mapping[str, str]:
        """The text of each page by name, in reading order: as the first page, and then the first page of a section,
        links to them; pages without a link come last."""
        texts = {
            name.removesuffix(".md"): entry.read_text("utf-8")
            for name, entry in self._files.items()
            if name.endswith(".md")
        }
        linked: list[str] = []
        for name in (FIRST, *(f"{section}/{FIRST}" for section in SECTIONS)):
            linked += (normpath(join(dirname(name), target))[:-3] for target in _LINK.findall(texts.get(name, "")))
        sections, place = [*SECTIONS], {name: at for at, name in reversed([*enumerate(linked)])}

        def key(name: str) -> tuple[int, bool, int, str]:
            section = name.partition("/")[0]
            at = sections.index(section) if section in SECTIONS else -1 if name == FIRST else len(sections)
            return at, not name.endswith(FIRST), place.get(name, len(linked)), name

        return {name: texts[name] for name in sorted(texts, key=key)}

    @cached_property
    def titles(self) -> Mapping[str, str]:
        return {name: title_of(text, name) for name, text in self.sources.items()}

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """All pages but the first."""
        found: dict[str, list[Neighbour]] = {}
        for name, title in self.titles.items():
            if name != FIRST:
                section = name.partition("/")[0] if "/" in name else ""
                found.setdefault(section, []).append(Neighbour(path_of(name), title))
        return tuple(Section(name, SECTIONS.get(name, name), tuple(pages)) for name, pages in found.items())

    def neighbours(self, name: str) -> tuple[Neighbour | None, Neighbour | None]:
        """The pages before and after this one."""
        names = [*self.sources]
        at = names.index(name)

        def neighbour(other: int) -> Neighbour | None:
            inside = 0 <= other < len(names)
            return Neighbour(path_of(names[other]), self.titles[names[other]]) if inside else None

        return neighbour(at - 1), neighbour(at + 1)

    def name_at(self, path: str) -> str | None:
        """The name of the page at a path below /docs."""
        for name in (path or FIRST, f"{path}/{FIRST}"):
            if name in self.sources:
                return name
        return None

    def moved(self, path: str) -> str | None:
        """Where a page is now that once was at /docs/NAME."""
        found = [name for name in self.sources if "/" in name and name.rpartition("/")[2] == path]
        return path_of(found[0]) if found and path != FIRST else None

    def file(self, path: str) -> tuple[bytes, str] | None:
        """A picture or a file that a page leads to, with its media type."""
        media_type = FILE_TYPES.get(PurePosixPath(path).suffix)
        entry = self._files.get(path)
        return None if media_type is None or entry is None else (entry.read_bytes(), media_type)

    def index(self) -> bytes:
        """What the search in the page reads."""
        return index_of((path_of(name), self.titles[name], text) for name, text in self.sources.items())

    def get(self, name: str) -> Guide | None:
        return self._render(name, self.sources[name]) if name in self.sources else None

    def _render(self, name: str, source: str) -> Guide:
        tokens = self._markdown.parse(source)
        contents = _anchor(tokens)
        for token in tokens:
            for child in token.children or ():
                if child.type == "link_open":
                    target = self._target(name, str(child.attrGet("href") or ""))
                    child.attrSet("href", target)
                    if target.startswith("http"):
                        child.attrSet("rel", "noopener")
                elif child.type == "image":
                    child.attrSet("src", self._target(name, str(child.attrGet("src") or "")))
                    child.attrSet("loading", "lazy")
        html: str = self._markdown.renderer.render(tokens, self._markdown.options, {})
        html = html.replace("<table>", '<table tabindex="0">')
        return Guide(name, title_of(source, name), html, contents, source)

    def _target(self, name: str, href: str) -> str:
        """Where a link of a page leads on this site. A file that is not served here: the list of pages."""
        if href.startswith(("http:", "https:", "#", "/")):
            return href
        file, _, anchor = href.partition("#")
        place = normpath(join(dirname(name), file))
        page = self.name_at("" if place == "." else place.removesuffix(".md"))
        if page is not None:
            return path_of(page) + (f"#{anchor}" if anchor else "")
        served = place in self._files and PurePosixPath(place).suffix in FILE_TYPES
        return f"/docs/{place}" if served else "/docs"


def _markup(_renderer: object, tokens: Sequence[Token], at: int, *_rest: object) -> str:
    content = tokens[at].content
    return "" if _COMMENT.fullmatch(content) else escape(content, quote=False)


def _fence(_renderer: object, tokens: Sequence[Token], at: int, *_rest: object) -> str:
    token = tokens[at]
    code = escape(token.content, quote=False)
    return f'<div class="code"><pre tabindex="0"><code>{code}</code></pre>{COPY_BUTTON}</div>\n'


def title_of(source: str, name: str) -> str:
    found = re.search(r"^# (.+)$", source, re.MULTILINE)
    return found[1].replace("`", "") if found else name


def _anchor(tokens: list[Token]) -> tuple[Heading, ...]:
    """Gives each heading an id and a link to itself; returns the headings below the title."""
    contents: list[Heading] = []
    seen: dict[str, int] = {}
    for at, token in enumerate(tokens):
        if token.type != "heading_open":
            continue
        children = tokens[at + 1].children or []
        text = "".join(child.content for child in children if child.type in ("text", "code_inline"))
        slug = anchor_of(text, seen)
        token.attrSet("id", slug)
        if token.tag in ("h2", "h3", "h4"):
            if not any(child.type == "link_open" for child in children):
                link = Token("link_open", "a", 1, attrs={"href": f"#{slug}", "class": "anchor"})
                tokens[at + 1].children = [link, *children, Token("link_close", "a", -1)]
            if token.tag != "h4":
                contents.append(Heading(int(token.tag[1]), slug, text))
    return tuple(contents)


async def docs(request: Request) -> Response:
    guides: Guides = request.app.state.guides
    cache = PageContext.of(request).cache
    below = "/".join(segments(request)[1:])
    form = form_of(request)
    if (file := guides.file(f"{below}.{form}" if form else below)) is not None:
        body, media_type = file
        return await cache.drawn(request, ("docs", below, form), lambda: body, media_type)
    name = guides.name_at(below)
    if name is None or (name == below and name.endswith(f"/{FIRST}")):
        target = guides.moved(below) if name is None else path_of(name)
        if target is None:
            raise HTTPException(404)
        return RedirectResponse(cache.address(target + (f".{form}" if form else "")), 301)
    source = guides.sources[name]

    def values() -> Values:
        before, after = guides.neighbours(name)
        return {
            "guide": guides.get(name), "sections": guides.sections, "first": guides.titles[FIRST],
            "before": before, "after": after, "copy_button": COPY_BUTTON, "edit": request.app.state.docs_edit_url,
        }  # fmt: skip

    return await give(request, "guide.html", name, values, lambda values: _data(values["guide"]), lambda _: source)


async def search(request: Request) -> Response:
    """/docs/search.json: read by the search of a page; no interface for others."""
    guides: Guides = request.app.state.guides
    return await PageContext.of(request).cache.drawn(request, "docs index", guides.index, "application/json")


def _data(guide: Guide) -> dict[str, Any]:
    return {
        "name": guide.name,
        "title": guide.title,
        "contents": [{"level": one.level, "anchor": one.anchor, "text": one.text} for one in guide.contents],
        "markdown": guide.source,
    }
