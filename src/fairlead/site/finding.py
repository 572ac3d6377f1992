"""What programs find the site by: sitemap.xml, robots.txt, llms.txt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from fairlead.money import Picodollars
from fairlead.site.forms import plain
from fairlead.site.guides import FIRST, Guides, path_of
from fairlead.site.language import ENGLISH, Language
from fairlead.site.listing import Entry, Query, select
from fairlead.site.models import listed
from fairlead.site.page_context import PageContext
from fairlead.site.shown import otherwise

TEXT = "text/plain; charset=utf-8"
XML = "application/xml; charset=utf-8"
PLACES = ("/", "/models", "/compare", "/rankings", "/status", "/docs")
# llms.txt is read into a context: the models that can be called, and some of the rest.
MOST_IN_LLMS = 200


async def sitemap(request: Request) -> Response:
    context = PageContext.of(request)
    entries = await listed(context)
    visit = context.visit(request)
    guides: Guides = request.app.state.guides

    def body() -> bytes:
        places = [one for one in PLACES if request.app.state.with_status or one != "/status"]
        paths = (*places, *pages_of(entries), *(path_of(name) for name in guides.sources if name != FIRST))
        return _sitemap(visit.origin, paths, context.languages).encode()

    return await context.cache.data(request, visit, "sitemap", XML, context.version(), body)


def pages_of(entries: Iterable[Entry]) -> list[str]:
    """The paths of vendors and models."""
    entries = tuple(entries)
    vendors = sorted({entry.vendor for entry in entries})
    return [*(f"/models/{quote(vendor)}" for vendor in vendors), *(quote(entry.path) for entry in entries)]


def _sitemap(origin: str, paths: Iterable[str], languages: Sequence[Language]) -> str:
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:xhtml="http://www.w3.org/1999/xhtml">',
    ]
    for path in paths:
        address = escape(origin + path)
        others = "".join(
            f'<xhtml:link rel="alternate" hreflang="{one.code}" href="{address}?lang={one.code}"/>' for one in languages
        )
        lines.append(f"<url><loc>{address}</loc>{others}</url>")
    return "\n".join([*lines, "</urlset>", ""])


async def robots(request: Request) -> Response:
    context = PageContext.of(request)
    visit = context.visit(request)
    text = (
        f"User-agent: *\nDisallow: /v1/\nDisallow: /search.json\nDisallow: /*?\nAllow: /*?lang=\n\n"
        f"Sitemap: {visit.origin}/sitemap.xml\n"
    )
    return await context.cache.data(request, visit, "robots", TEXT, 0, text.encode)


async def llms(request: Request) -> Response:
    """/llms.txt: what a language model needs to know to use this server, in the form of llmstxt.org."""
    context = PageContext.of(request)
    entries = await listed(context)
    visit = context.visit(request)
    guides: Guides = request.app.state.guides
    return await context.cache.data(
        request,
        visit,
        "llms",
        TEXT,
        context.listed and context.listed[0],
        lambda: _llms(visit.origin, entries, guides.titles, request.app.state.with_status).encode(),
    )


def _llms(origin: str, entries: Sequence[Entry], titles: Mapping[str, str], with_status: bool) -> str:
    shown = select(entries, Query())[:MOST_IN_LLMS]
    lines = [
        "# Fairlead",
        "",
        "> A gateway to language models: one OpenAI-compatible API and one key for many models, with exact bills.",
        "",
        f"The base address of the API is {origin}/v1. Send a key as `Authorization: Bearer KEY`.",
        "Every page is also data: add .json or .md to its path.",
        "",
        "## API",
        "",
        f"- [OpenAPI 3.1]({origin}/openapi.json): every endpoint and parameter",
        f"- [Models]({origin}/models.md): the list with context and prices",
        f"- [Catalogue]({origin}/api/catalogue.json): every model with facts, deployments and prices, as data",
        f"- [In full]({origin}/llms-full.txt): all models and guides in one text",
        *([f"- [Status]({origin}/status.md): what can be called now"] if with_status else []),
        "",
        "## Models",
        "",
    ]
    lines += [f"- [{plain(entry.id)}]({origin}{quote(entry.path)}.md): {plain(_summary(entry))}" for entry in shown]
    lines += ["", "## Documentation", ""]
    lines += [
        f"- [{title}]({origin}{path_of(name)}.md)"
        for name, title in titles.items()
        if not name.startswith("decisions/")
    ]
    return "\n".join([*lines, ""])


def _summary(entry: Entry) -> str:
    parts = [entry.vendor_name]
    if entry.context:
        parts.append(f"{entry.context} tokens of context")
    if entry.price_other is not None:
        parts.append(otherwise(*entry.price_other, ENGLISH))
    elif entry.price_in is not None and entry.price_out is not None:
        taken, given = (Picodollars(value).per_million() for value in (entry.price_in, entry.price_out))
        parts.append(f"${taken} per million input tokens, ${given} per million output tokens")
    else:
        parts.append("not deployed here")
    return ", ".join(parts)
