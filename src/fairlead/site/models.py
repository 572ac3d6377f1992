"""/models and the pages of vendors: the list of models, with search, filters and an order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fairlead.money import Picodollars
from fairlead.site.forms import Link, Values, give, plain, segments, table
from fairlead.site.language import Language
from fairlead.site.listing import (
    CONTEXTS,
    PAGE_ROWS,
    PRICES,
    SORTS,
    Entry,
    Query,
    entries_of,
    facets_of,
    parse,
    select,
    vendor_names,
)
from fairlead.site.marks import mark, mark_id, sprite, used
from fairlead.site.page_cache import JSON
from fairlead.site.page_context import LOOK_SECONDS, PageContext
from fairlead.site.scatter import plane
from fairlead.site.shown import asked, tokens, web_address
from fairlead.site.visit import Visit
from fairlead.site.words import (
    CAPABILITY_TITLES,
    CLASS_TITLES,
    MODALITY_TITLES,
    MODE_WORDS,
    REASON_TITLES,
    SORT_TITLES,
    STATE_TITLES,
)

# A page has so many marks of vendors at most; what comes after has none.
MOST_MARKS = 100


async def listed(context: PageContext) -> tuple[Entry, ...]:
    """The list as of now; looked at at most once in a second, made again when the snapshot or a state has changed."""
    snapshot = context.sources.snapshot()
    now = context.fresh.clock()
    if context.listed is not None and context.listed_from is snapshot and now - context.listed_at < LOOK_SECONDS:
        return context.listed[1]
    _number, states = await context.states()
    context.listed_at, context.listed_from = now, snapshot
    key = (context.version(), tuple((state.kind, state.obstacle) for state in states.values()))
    if context.listed is None or context.listed_key != key:
        entries = await context.cache.in_thread(lambda: entries_of(snapshot, states))
        context.listed_key, context.listed = key, (next(context.numbers), entries)
    return context.listed[1]


async def models(request: Request) -> Response:
    context = PageContext.of(request)
    entries = await listed(context)
    query = parse(request.query_params.multi_items())

    def values() -> Values:
        found = select(entries, query)
        pages = max(1, -(-len(found) // PAGE_ROWS))
        page = min(query.page, pages)
        return {
            "query": query,
            "entries": found[(page - 1) * PAGE_ROWS : page * PAGE_ROWS],
            "found": found,
            "total": len(entries),
            "page": page,
            "pages": pages,
            "facets": facets_of(entries),
            "plane": plane(select(entries, Query()), frozenset(one.id for one in found))
            if query.view == "chart"
            else None,
            "vendors": vendor_names(context.sources.snapshot()),
            "contexts": CONTEXTS,
            "prices": PRICES,
            "sorts": tuple(SORTS),
        }

    return await give(
        request,
        "models.html",
        (context.listed and context.listed[0], query.address(page=query.page)),
        values,
        lambda values: data_of(values["found"]),
        lambda values: text_of("Models", values["found"]),
    )


async def vendor(request: Request) -> Response:
    """/models/{vendor}: its models, the newest first."""
    context = PageContext.of(request)
    slug = segments(request)[1]
    entries = tuple(entry for entry in await listed(context) if entry.vendor == slug)
    if not entries:
        known = context.sources.snapshot().models.get(slug)
        if known is not None:  # the id alone: the page of that model
            return RedirectResponse(context.cache.address(known.path), 301)
        raise HTTPException(404)
    found = select(entries, Query(sort=("-released",)))
    about = getattr(context.sources.snapshot(), "vendors", {}).get(slug)

    def values() -> Values:
        return {
            "slug": slug,
            "name": entries[0].vendor_name,
            "link": web_address(about.url if about else None),
            "entries": found,
            "deployed": sum(entry.state != "none" for entry in found),
            "longest": max((entry.context or 0 for entry in found), default=0) or None,
            "cheapest": min((entry.price_in for entry in found if entry.price_in is not None), default=None),
            "capability": [name for name in CAPABILITY_TITLES if any(name in entry.capability for entry in found)],
            "plane": plane(found, frozenset(entry.id for entry in found)),
            "vendors": vendor_names(context.sources.snapshot()),
        }

    return await give(request, "vendor.html", (context.listed and context.listed[0], slug), values,
                lambda values: data_of(values["entries"]), lambda values: text_of(values["name"], found))  # fmt: skip


async def index(request: Request) -> Response:
    """/search.json: the list in the few figures and words that the script of /models searches and draws."""
    context = PageContext.of(request)
    entries = await listed(context)
    visit = context.visit(request)
    return await context.cache.data(
        request, visit, "index", JSON, context.listed and context.listed[0], lambda: _index(entries, visit)
    )


def _index(entries: Sequence[Entry], visit: Visit) -> bytes:
    language = visit.language
    rows = [
        {
            "p": visit.href(entry.path),
            "i": entry.id,
            "n": entry.name,
            "v": entry.vendor_name,
            "h": entry.haystack,
            "f": {
                "input": entry.input,
                "output": entry.output,
                "capability": entry.capability,
                "provider": entry.provider,
                "parameter": entry.parameter,
                "vendor": (entry.vendor,),
            },
            "k": [figure(entry) for figure in SORTS.values()],
            "s": entry.state,
            "t": _texts(entry, language),
            "d": entry.description,
            "g": mark_id(entry.vendor),
            "m": "" if entry.mode == "chat" else f" · {entry.mode}",
            "l": entry.price_in is None,
        }
        for entry in select(entries, Query())
    ]  # fmt: skip
    return msgspec.json.encode({"sorts": list(SORTS), "rows": rows})


def _texts(entry: Entry, language: Language) -> list[str | list[str]]:
    """The cells of a row as the template writes them. Of a model that is not deployed what others ask."""
    return [
        language.gettext(STATE_TITLES[entry.state]),
        [language.gettext(CAPABILITY_TITLES.get(name, name)) for name in entry.capability],
        tokens(entry.context, language),
        *asked(entry, language),
        released(entry),
    ]


def released(entry: Entry) -> str:
    return released_day(entry) or "–"


def released_day(entry: Entry) -> str | None:
    return datetime.fromtimestamp(entry.created, UTC).date().isoformat() if entry.created else None


def globals_for_templates() -> dict[str, object]:
    return {
        "capability_titles": CAPABILITY_TITLES,
        "modality_titles": MODALITY_TITLES,
        "class_titles": CLASS_TITLES,
        "mode_words": MODE_WORDS,
        "sort_titles": SORT_TITLES,
        "state_titles": STATE_TITLES,
        "reason_titles": REASON_TITLES,
        "released": released,
        "page_rows": PAGE_ROWS,
        "most_marks": MOST_MARKS,
        "vendor_mark": mark,
        "used_mark": used,
        "vendor_marks": sprite,
    }


def data_of(entries: Sequence[Entry]) -> object:
    return {
        "models": [
            {
                **{name: value for name, value in asdict(entry).items() if not name.startswith("price_")},
                "input_price_usd_per_million": _million(entry.price_in),
                "output_price_usd_per_million": _million(entry.price_out),
            }
            for entry in entries
        ]
    }


def _million(value: int | None) -> str | None:
    return None if value is None else Picodollars(value).per_million()


def text_of(title: str, entries: Sequence[Entry]) -> str:
    rows = [
        (
            Link(entry.id, entry.path),
            entry.vendor_name,
            STATE_TITLES[entry.state].lower(),
            entry.context,
            _million(entry.price_in) or "–",
            _million(entry.price_out) or "–",
            released(entry),
        )
        for entry in entries
    ]
    head = ("Model", "Vendor", "State", "Context, tokens", "Input from, $ per million", "Output from, $ per million",
            "Released")  # fmt: skip
    return f"# {plain(title)}\n\n{table(head, rows)}"
