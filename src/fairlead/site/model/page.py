"""/models/{vendor}/{model}: everything that is known of a model, as HTML, JSON and Markdown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fairlead.catalogue.facts import Fact, by_source
from fairlead.catalogue.snapshot import Model, Snapshot
from fairlead.catalogue.views import limits, parameter_rows, price_ranges
from fairlead.catalogue.vocabulary import CAPABILITIES, PARAMETERS
from fairlead.money import Picodollars
from fairlead.site.charts import History, history
from fairlead.site.forms import FORMS, Values, form_of, give, plain, segments, table
from fairlead.site.listing import listed_prices, vendor_name, vendor_names
from fairlead.site.model.card import card, card_words
from fairlead.site.model.citations import Citations
from fairlead.site.model.code import curl, endpoints
from fairlead.site.model.courses import MOST_LINES, Courses, courses
from fairlead.site.model.faq import questions
from fairlead.site.model.past import UNKNOWN_PAST, Past, past_of
from fairlead.site.model.prices import Plan, charged, plan_of, shown_prices, sums
from fairlead.site.model.serving import SORTS, Serving, next_sort, ordered, short_names
from fairlead.site.model.structured import structured
from fairlead.site.model.usage import DAYS
from fairlead.site.page_context import PageContext
from fairlead.site.states import State
from fairlead.site.visit import Visit
from fairlead.site.words import STATE_TITLES
from fairlead.telemetry.figures import Band, Performance, Point, Served

FRESH_SECONDS = 10.0
# What the page says of the last 30 days changes by the day.
PAST_SECONDS = 300.0
WINDOWS = ("1h", "24h", "7d", "30d")
DEFAULT_WINDOW = "24h"
# Without a choice: the first of these whose chart has a line that is one. Models that are called now and then have
# their figures of a week or a month.
OPENING_WINDOWS = ("24h", "7d", "30d")
LEAST_STEPS = 4
# What changes with the snapshot only, and with what the address chooses.
PARTS = (
    "model/head.html", "model/code.html", "model/facts.html", "model/parameters.html", "model/pricing.html",
    "model/more.html", "model/sources.html", "model/embed.html",
)  # fmt: skip
STATS = (
    "context_length", "max_output_tokens", "mode", "tokenizer", "knowledge_cutoff", "quantization", "size", "family",
    "licence", "weights", "released", "status", "retires", "successor",
)  # fmt: skip


# Charts of what was measured: name, unit, how a point has it, and where the band reaches to.
MEASURES: Final[tuple[tuple[str, str, Callable[[Point], Band], str], ...]] = (
    ("first_token", "ms", lambda point: point.first_token, "p95"),
    ("speed", "tokens/s", lambda point: point.speed, "p5"),
    ("latency", "ms", lambda point: point.latency, "p95"),
)
ALL_CALLS: Final = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """What this server measured of a model in the chosen window, the courses of all its deployments by measure, and 90
    days of each deployment. `readable` False: that is not known now."""

    window: str
    chosen: Performance | None
    by_deployment: Mapping[str, History]
    courses: Mapping[str, Courses]
    readable: bool = True


def unmeasured(window: str, *, readable: bool = True) -> Measured:
    return Measured(window or DEFAULT_WINDOW, None, {}, {}, readable)


async def model(request: Request) -> Response:
    context = PageContext.of(request)
    snapshot = context.sources.snapshot()
    found = _find(snapshot, request)
    if found is None:
        raise HTTPException(404)
    if isinstance(found, str):
        return RedirectResponse(context.cache.address(found), 301)
    asked = request.query_params.get("window", "")
    sort = request.query_params.get("sort", "")
    sort = sort if sort.removeprefix("-") in SORTS else ""
    number, measured = await _measured(context, found, asked if asked in WINDOWS else "")
    window = measured.window
    past_number, past = await _past(context, found)
    state = (await context.judge())(found)
    plan = plan_of(request.query_params)
    now = context.looked_at(found)
    depends = (context.version(), found.id, number, past_number, state, window, sort, plan, now)

    visit = context.visit(request)
    said = cache(lambda: Citations(found.facts, visit.language))

    def fixed() -> Values:
        return _fixed(context, visit, found, window, plan, said())

    def live() -> Values:
        return {
            **_live(snapshot, found, window, measured, state, said()),
            "now": now,
            "past": past,
            "sort": sort,
            "next_sort": next_sort,
            "offers": ordered(_serving(found, state, measured), sort),
        }

    def shown() -> Values:
        kept = context.cache.parts(visit, PARTS, (context.version(), found.id, window, plan), fixed)
        return {**live(), "parts": kept}

    return await give(
        request, "model.html", depends, lambda: {**fixed(), **live()}, lambda one: _data(one, visit), _text, shown
    )


def _fixed(context: PageContext, visit: Visit, model: Model, window: str, plan: Plan, said: Citations) -> Values:
    """What the parts are made of."""
    vendor = vendor_name(context.sources.snapshot(), model.vendor)
    ranges = price_ranges(model)
    faq = questions(model, ranges, visit.api, visit.language)
    return {
        "model": model,
        "facts": model.facts,
        "vendor": vendor,
        "ranges": ranges,
        "prices": shown_prices(model, ranges),
        "listed": listed_prices(model),
        "short": short_names(model),
        "stats": STATS,
        "capabilities": CAPABILITIES,
        "window": window,
        "parameters": parameter_rows(model, context.sources.carries),
        "known_parameters": PARAMETERS,
        "plan": plan,
        "sums": sums(model, plan),
        "curl": curl(visit.api, model.id, model.mode),
        "endpoints": endpoints(visit.api, model.id, model.mode),
        "faq": faq,
        "similar": context.similar(model.facts),
        "vendor_names": vendor_names(context.sources.snapshot()),
        "by_source": by_source(model.facts),
        "said": said,
        "told": said.told,
        "picture_alt": card_words(model, vendor, ranges, visit.language),
        "structured": structured(model, vendor, visit.origin, ranges, faq),
    }


def _live(snapshot: Snapshot, model: Model, window: str, measured: Measured, state: State, said: Citations) -> Values:
    """What the rest of the page is made of: its state, what was measured, and the words around them."""
    return {
        "model": model,
        "facts": model.facts,
        "vendor": vendor_name(snapshot, model.vendor),
        "state": state,
        "by_class": {row.name: row for row in price_ranges(model)},
        "charged": charged(price_ranges(model)),
        "window": window,
        "windows": WINDOWS,
        "measured": measured,
        "total": measured.chosen.total.traffic if measured.chosen else None,
        "listed": listed_prices(model),
        "said": said,
    }


def _find(snapshot: Snapshot, request: Request) -> Model | str | None:
    """The model of the path; a path to go to when it has another one; None: there is none. Ids may have slashes and
    dots, so the whole id counts before an ending does."""
    vendor = segments(request)[1]
    raw = request.path_params["model"]
    ending = form_of(request)
    for name, form in ((raw, ""), (raw.removesuffix(f".{ending}") if ending else raw, ending)):
        name = snapshot.aliases.get(name, name)
        found = snapshot.models.get(name)
        if found is not None:
            suffix = f".{form}" if form in FORMS and form else ""
            asked = f"/models/{vendor}/{raw}"
            return found if asked == found.path + suffix else found.path + suffix
    return None


async def _measured(context: PageContext, model: Model, window: str) -> tuple[int, Measured]:
    """`window` "": the first one that has enough to show."""
    records = context.sources.records
    if not model.deployments:
        return 0, unmeasured(window)

    async def read() -> Measured:
        names = [one.id for one in model.deployments]
        first = window or OPENING_WINDOWS[0]
        chosen, days = await asyncio.gather(
            records.performance(model.id, first),
            asyncio.gather(*(records.day_bars(model.id, one) for one in names)),
        )
        histories = {name: history(name, bars) for name, bars in zip(names, days, strict=True)}
        found = Measured(first, chosen, histories, {} if chosen is None else _courses(model, chosen))
        if window or _has_course(found):
            return found
        for longer in OPENING_WINDOWS[1:]:
            chosen = await records.performance(model.id, longer)
            other = Measured(longer, chosen, histories, {} if chosen is None else _courses(model, chosen))
            if _has_course(other):
                return other
        return found

    key = ("model", context.version(), model.id, window)
    return await context.fresh.get_or(key, FRESH_SECONDS, read, unmeasured(window, readable=False))


def _has_course(measured: Measured) -> bool:
    course = measured.courses.get("latency")
    return course is not None and len(course.steps) >= LEAST_STEPS


async def _past(context: PageContext, model: Model) -> tuple[int, Past]:
    records = context.sources.records
    if not model.deployments:
        return 0, UNKNOWN_PAST
    names = short_names(model)

    async def read() -> Past:
        month, prices, used = await asyncio.gather(
            records.performance(model.id, "30d"), records.prices(list(names)), records.used(model.id, DAYS)
        )
        rates = {one.id: one.sheet.price.rates for one in model.deployments}
        return past_of(month, prices, names, int(context.sources.now().timestamp()), used, rates)

    return await context.fresh.get_or(("past", context.version(), model.id), PAST_SECONDS, read, UNKNOWN_PAST)


def _serving(model: Model, state: State, measured: Measured) -> tuple[Serving, ...]:
    names = short_names(model)
    found = []
    for place, one in enumerate(model.deployments):
        served = _served(measured.chosen, one.id)
        days = measured.by_deployment.get(one.id, history(one.id, ()))
        context, output = limits(model, one)
        figures = served.traffic if served else None
        found.append(Serving(one, names[one.id], place, one.id in state.broken, context, output, figures, days))
    return tuple(found)


def _courses(model: Model, performance: Performance) -> dict[str, Courses]:
    """By measure, the lines of all deployments; those with the most calls where there are very many. Where none of them
    has enough calls for a line, one of all calls of the model."""
    names = short_names(model)
    calls = {one.deployment: one.traffic.calls for one in performance.deployments}
    most = sorted(names, key=lambda name: -calls.get(name, 0))[:MOST_LINES]
    by_id = {one.deployment: one.series for one in performance.deployments}
    series = {short: by_id.get(name, ()) for name, short in names.items() if name in most}
    whole = {ALL_CALLS: performance.total.series}
    found = {}
    for name, unit, of, edge in MEASURES:
        one = courses(series, performance.end, unit, of, edge)
        if one is None or not any(line.line for line in one.lines):
            one = courses(whole, performance.end, unit, of, edge) or one
        if one is not None:
            found[name] = one
    return found


def _served(performance: Performance | None, deployment: str) -> Served | None:
    if performance is None:
        return None
    return next((one for one in performance.deployments if one.deployment == deployment), None)


def _data(values: Values, visit: Visit) -> object:
    found: Model = values["model"]
    facts = found.facts
    measured: Measured = values["measured"]
    state: State = values["state"]
    return {
        "id": found.id,
        "name": found.name,
        "vendor": values["vendor"],
        "url": visit.origin + found.path,
        "aliases": found.aliases,
        "status": {
            "state": state.kind,
            "reason": state.obstacle,
            "out_of_use": state.broken,
            "share_served_30m": state.share,
            "at": values["now"].isoformat(),
        },
        "description": found.description,
        "facts": {name: _fact(fact) for name, fact in facts.facts.items()},
        "sources": facts.sources,
        "list_prices": facts.prices,
        "history": facts.history,
        "prices_per_million_tokens": [
            {"class": row.name, "least": _dollars(row.name, row.least), "most": _dollars(row.name, row.most)}
            for row in values["ranges"]
        ],
        "deployments": [
            {
                "id": one.deployment.id,
                "context_length": one.context,
                "max_output_tokens": one.output,
                "quantization": one.quantization,
                "keeps_data": one.deployment.keeps_data,
                "uptime_90_days": one.days.uptime,
                "effective_input_30_days": _effective(values["past"], one.deployment.id),
            }
            for one in values["offers"]
        ],
        "parameters": values["parameters"],
        "performance": measured.chosen,
        "price_history": values["past"].prices,
        "usage_by_day": [] if values["past"].usage is None else values["past"].usage.days,
        "calculation": {"plan": values["plan"], "sums": values["sums"]},
        "faq": values["faq"],
        "similar": [
            {"id": one.model.id, "distance": round(one.distance, 4), "reasons": [str(each) for each in one.reasons]}
            for one in values["similar"]
        ],
    }


def _effective(past: Past, deployment: str) -> object:
    one = past.effective.get(deployment)
    if one is None:
        return None
    return {"per_million_tokens": Picodollars(one.input).per_million(), "cached_share": round(one.cached, 4)}


def _fact(fact: Fact) -> object:
    return {"value": fact.value, "source": fact.source, "why": fact.why, "others": fact.others}


def _dollars(name: str, picodollars: int) -> str:
    amount = Picodollars(picodollars)
    return amount.dollars() if name == "request" else amount.per_million()


HEAD = ("Deployment", "Context", "Output", "Input, $ per million", "Output, $ per million", "First token p50, ms",
        "Speed p50, tokens/s", "Uptime, 90 days", "Quantisation", "Prompts")  # fmt: skip


def _text(values: Values) -> str:
    found: Model = values["model"]
    facts = found.facts
    parts = [
        f"# {plain(found.name)}\n",
        f"{plain(found.description)}\n",
        f"Status: {STATE_TITLES[values['state'].kind]}, at {values['now'].isoformat()}\n",
    ]
    parts += ["## Facts\n", table(("Fact", "Value", "Source", "Read"), [
        (name, ", ".join(map(str, fact.value)) if isinstance(fact.value, tuple) else fact.value,
         source.title if (source := facts.source_of(fact)) else None, source.read if source else None)
        for name, fact in sorted(facts.facts.items()) if name != "description"
    ])]  # fmt: skip
    parts += ["## Prices, US dollars per million tokens\n", table(("Class", "Least", "Most"), [
        (row.name, _dollars(row.name, row.least), _dollars(row.name, row.most)) for row in values["ranges"]
    ])]  # fmt: skip
    parts += ["## Providers\n", table(HEAD, [
        (one.deployment.id, one.context, one.output, _dollars("input", one.rates.input),
         _dollars("output", one.rates.output), one.first_token, one.speed, one.days.uptime, one.quantization,
         one.data_policy) for one in values["offers"]
    ])]  # fmt: skip
    parts += [f"## Call it\n\n```sh\n{values['curl']}\n```\n"]
    parts += ["## Questions\n", *(f"**{plain(one.question)}** {plain(one.answer)}\n" for one in values["faq"])]
    alike = (plain(f"- {one.model.id}: {', '.join(map(str, one.reasons))}") for one in values["similar"])
    parts += ["## Similar models\n", *alike, ""]
    return "\n".join(parts)


async def picture(request: Request) -> Response:
    """The picture of a model, drawn beside the event loop when somebody first asks for it."""
    context = PageContext.of(request)
    snapshot = context.sources.snapshot()
    raw = request.path_params["model"]
    found = snapshot.models.get(snapshot.aliases.get(raw, raw))
    if found is None:
        raise HTTPException(404)
    vendor = vendor_name(snapshot, found.vendor)
    ranges = price_ranges(found)
    return await context.cache.drawn(request, (context.version(), found.id), lambda: card(found, vendor, ranges))


async def new_key(request: Request) -> Response:
    """/keys/new: until accounts make keys here, the line of the command that does."""
    context = PageContext.of(request)
    return await context.cache.page(request, context.visit(request), "key.html", (), dict)
