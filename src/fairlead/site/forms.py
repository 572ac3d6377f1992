"""A page in its three forms: HTML at its path, the same as JSON at path.json and as Markdown at path.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fairlead.site.page_cache import JSON, MARKDOWN
from fairlead.site.page_context import PageContext

Values = Mapping[str, Any]
_SIGNS = re.compile(r"[\\`<\[\]|]")
FORMS = ("json", "md")
_encode = msgspec.json.Encoder(order="deterministic").encode


def routes(path: str, endpoint: Callable[[Request], Any]) -> list[Route]:
    """A page's path and its two other forms."""
    return [*(Route(f"{path}.{form}", endpoint) for form in FORMS), Route(path, endpoint)]


def form_of(request: Request) -> str:
    """The form that was asked for: "json", "md", or "" for HTML."""
    path: str = request.scope["path"]
    ending = path.rpartition(".")[2]
    return ending if ending in FORMS else ""


def segments(request: Request) -> list[str]:
    """The parts of the path, each unquoted by itself, so that an id with a slash (%2F) stays one part."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    path = raw.decode("latin-1").strip("/")
    form = form_of(request)
    return [unquote(part) for part in (path.removesuffix(f".{form}") if form else path).split("/")]


async def give(
    request: Request,
    template: str,
    depends: Hashable,
    values: Callable[[], Values],
    data: Callable[[Values], object],
    text: Callable[[Values], str],
    shown: Callable[[], Values] | None = None,
) -> Response:
    """The page in the form that was asked for. `data` and `text` are made of the same values as the HTML, which takes
    `shown` instead where some of them are in parts that are kept."""
    context = PageContext.of(request)
    visit = context.visit(request)
    form = form_of(request)
    if form == "json":
        return await context.cache.data(
            request, visit, template, JSON, (form, depends), lambda: _encode(data(values()))
        )
    if form == "md":
        return await context.cache.data(
            request, visit, template, MARKDOWN, (form, depends), lambda: text(values()).encode()
        )
    return await context.cache.page(request, visit, template, depends, shown or values)


@dataclass(frozen=True, slots=True)
class Link:
    """A link in a table of Markdown."""

    text: str
    path: str

    def __str__(self) -> str:
        return f"[{plain(self.text)}]({quote(self.path)})"


def plain(value: object) -> str:
    """One line of Markdown that shows a text as it is: what begins a link, markup, code or a cell is escaped."""
    return _SIGNS.sub(r"\\\g<0>", " ".join(str(value).split()))


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines) + "\n"


def _cell(value: object) -> str:
    return "unknown" if value is None else str(value) if isinstance(value, Link) else plain(value)
