"""/status: what works now, 90 days of each model and its deployments, and what broke."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from fairlead.site.charts import DAYS, History, history
from fairlead.site.forms import Values, give, table
from fairlead.site.incidents import atom, time_of
from fairlead.site.models import listed
from fairlead.site.page_context import PageContext
from fairlead.site.records import Records, Unreadable
from fairlead.site.states import worst
from fairlead.site.words import STATE_TITLES

FRESH_SECONDS = 30.0
ATOM = "application/atom+xml; charset=utf-8"


NO_HISTORY = History("", (), None, 0)
Histories = dict[str, tuple[History, ...]]


async def status(request: Request) -> Response:
    context = PageContext.of(request)
    entries = tuple(entry for entry in await listed(context) if entry.state != "none")
    number, histories = await _read(context)
    told, incidents = await context.incidents()
    seen, states = await context.states()
    now = context.sources.now().replace(second=0, microsecond=0)
    depends = (context.listed and context.listed[0], seen, number, told, now)

    def values() -> Values:
        return {
            "entries": entries,
            "worst": worst(state.kind for state in states.values()),
            "down": sum(state.kind == "down" for state in states.values()),
            "degraded": sum(state.kind == "degraded" for state in states.values()),
            "states": states,
            "histories": histories,
            "readable": number >= 0 and told >= 0,
            "incidents": incidents,
            "now": now,
        }

    return await give(request, "status.html", depends, values, _data, _text)


async def feed(request: Request) -> Response:
    """/status.atom: incidents as an Atom feed."""
    context = PageContext.of(request)
    number, incidents = await context.incidents()
    if number < 0:
        raise Unreadable
    visit = context.visit(request)
    return await context.cache.data(
        request, visit, "atom", ATOM, number, lambda: atom(incidents, visit.origin).encode()
    )


async def _read(context: PageContext) -> tuple[int, Histories]:
    snapshot = context.sources.snapshot()
    served = {model.id: [d.id for d in model.deployments] for model in snapshot.models.values() if model.deployments}

    async def read() -> Histories:
        records = context.sources.records
        # Only what had calls is read further: with thousands of models most have none.
        called = {day.model for day in await records.model_days(DAYS)}
        # With one deployment the model's bars would be that one's again.
        names = [
            (model, one)
            for model, all_ in served.items()
            if model in called
            for one in (all_ if len(all_) == 1 else ("", *all_))
        ]
        found = await asyncio.gather(*(_history(records, model, one) for model, one in names))
        histories: Histories = {model: (NO_HISTORY,) for model in served if model not in called}
        for (model, _), one in zip(names, found, strict=True):
            histories[model] = (*histories.get(model, ()), one)
        return histories

    nothing: Histories = {}
    return await context.fresh.get_or(("status", context.version()), FRESH_SECONDS, read, nothing)


async def _history(records: Records, model: str, deployment: str) -> History:
    return history(deployment, await records.day_bars(model, deployment))


def _data(values: Values) -> object:
    return {
        "at": values["now"].isoformat(),
        "state": values["worst"],
        "readable": values["readable"],
        "models": [
            {
                "model": entry.id,
                "state": values["states"][entry.id].kind,
                "reason": entry.obstacle,
                "out_of_use": values["states"][entry.id].broken,
                "uptime": [
                    {
                        "deployment": one.deployment or None,
                        "value": one.uptime,
                        "minutes": one.minutes,
                        "days": {bar.date: bar.uptime for bar in one.bars},
                    }
                    for one in values["histories"].get(entry.id, ())
                ],
            }
            for entry in values["entries"]
        ],
        "incidents": [
            {
                "subject": one.subject,
                "reason": one.reason,
                "start": time_of(one.start),
                "end": one.end and time_of(one.end),
            }
            for one in values["incidents"]
        ],
    }


def _text(values: Values) -> str:
    states = values["states"]
    rows = [
        (entry.id, STATE_TITLES[states[entry.id].kind], entry.obstacle or ", ".join(states[entry.id].broken))
        for entry in values["entries"]
    ]
    text = f"# Status, {values['now'].isoformat()}\n\n{table(('Model', 'State', 'Out of use'), rows)}\n## Incidents\n\n"
    if not values["readable"]:
        return text + "What was recorded cannot be read now.\n"
    if not values["incidents"]:
        return text + "None in the last 90 days.\n"
    return text + table(
        ("What", "Reason", "From", "To"),
        [
            (one.subject, one.reason, time_of(one.start), time_of(one.end) if one.end else "now")
            for one in values["incidents"]
        ],
    )
