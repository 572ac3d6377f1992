"""/status: what works now, 90 days of each model and its deployments, and what broke."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.sax.saxutils import escape, quoteattr

from starlette.requests import Request
from starlette.responses import Response

from fairlead.site.desk import Desk
from fairlead.site.forms import Values, give, table
from fairlead.site.models import listed
from fairlead.site.records import Event, Records
from fairlead.site.words import EVENT_TITLES
from fairlead.telemetry.figures import DayBar

FRESH_SECONDS = 30.0
DAYS = 90
DAY_MS = 86_400_000
MOST_INCIDENTS = 50
ATOM = "application/atom+xml; charset=utf-8"
# A day with less uptime than the first is "down", than the second "degraded".
DOWN_BELOW, DEGRADED_BELOW = 0.9, 0.99


@dataclass(frozen=True, slots=True)
class Bar:
    date: str
    state: str  # "up" | "degraded" | "down" | "none"
    uptime: float | None
    calls: int


@dataclass(frozen=True, slots=True)
class History:
    """90 days of a model (`deployment` "") or of one of its deployments."""

    deployment: str
    bars: tuple[Bar, ...]
    uptime: float | None
    minutes: int


@dataclass(frozen=True, slots=True)
class Incident:
    """From the moment a deployment was taken out of use to the one it was back. `end` None: it still is out."""

    subject: str
    reason: str
    start: int
    end: int | None

    @property
    def began(self) -> datetime:
        return datetime.fromtimestamp(self.start / 1000, UTC)

    @property
    def ended(self) -> datetime | None:
        return None if self.end is None else datetime.fromtimestamp(self.end / 1000, UTC)

    @property
    def minutes(self) -> int | None:
        return None if self.end is None else max(1, round((self.end - self.start) / 60_000))


NO_HISTORY = History("", (), None, 0)
Histories = dict[str, tuple[History, ...]]


async def status(request: Request) -> Response:
    desk = Desk.of(request)
    entries = tuple(entry for entry in listed(desk) if entry.state != "none")
    number, (histories, incidents) = await _read(desk)
    now = desk.sources.now().replace(second=0, microsecond=0)

    def values() -> Values:
        down = [entry for entry in entries if entry.state == "down"]
        return {
            "entries": entries,
            "down": down,
            "histories": histories,
            "incidents": incidents,
            "open": [one for one in incidents if one.end is None],
            "now": now,
            "events": EVENT_TITLES,
        }

    return give(request, "status.html", (desk.listed and desk.listed[0], number, now), values, _data, _text)


async def feed(request: Request) -> Response:
    """/status.atom: incidents as an Atom feed."""
    desk = Desk.of(request)
    number, (_, incidents) = await _read(desk)
    visit = desk.visit(request)
    return desk.press.data(request, visit, "atom", ATOM, number, lambda: atom(incidents, visit.origin).encode())


async def _read(desk: Desk) -> tuple[int, tuple[Histories, tuple[Incident, ...]]]:
    snapshot = desk.sources.snapshot()
    served = {model.id: [d.id for d in model.deployments] for model in snapshot.models.values() if model.deployments}
    since = int(desk.sources.now().timestamp() * 1000) - DAYS * DAY_MS

    async def read() -> tuple[Histories, tuple[Incident, ...]]:
        records = desk.sources.records
        # Only what had calls is read further: with thousands of models most have none.
        called = {day.model for day in await records.model_days(DAYS)}
        names = [(model, one) for model in served if model in called for one in ("", *served[model])]
        found = await asyncio.gather(*(_history(records, model, one) for model, one in names))
        histories: Histories = {model: (NO_HISTORY,) for model in served if model not in called}
        for (model, _), history in zip(names, found, strict=True):
            histories[model] = (*histories.get(model, ()), history)
        return histories, incidents_of(await records.events(since))

    return await desk.fresh.get(("status", desk.version()), FRESH_SECONDS, read)


async def _history(records: Records, model: str, deployment: str) -> History:
    return history(deployment, await records.day_bars(model, deployment))


def history(deployment: str, days: Sequence[DayBar]) -> History:
    bars = tuple(Bar(day.date, _state(day.uptime.value), day.uptime.value, day.calls) for day in days[-DAYS:])
    minutes = sum(day.uptime.of for day in days if day.uptime.value is not None)
    up = sum(day.uptime.value * day.uptime.of for day in days if day.uptime.value is not None)
    return History(deployment, bars, up / minutes if minutes else None, minutes)


def _state(uptime: float | None) -> str:
    if uptime is None:
        return "none"
    return "down" if uptime < DOWN_BELOW else "degraded" if uptime < DEGRADED_BELOW else "up"


def incidents_of(events: Iterable[Event]) -> tuple[Incident, ...]:
    """Incidents, the newest first, from events in any order. A breaker that half opens is still in its incident."""
    open_: dict[str, Event] = {}
    found = []
    for event in sorted(events, key=lambda one: one.at):
        subject = event.deployment or event.provider
        if event.event == "open":
            open_.setdefault(subject, event)
        elif event.event == "closed" and subject in open_:
            begun = open_.pop(subject)
            found.append(Incident(subject, begun.reason, begun.at, event.at))
    found += [Incident(subject, event.reason, event.at, None) for subject, event in open_.items()]
    return tuple(sorted(found, key=lambda one: (-one.start, one.subject))[:MOST_INCIDENTS])


def atom(incidents: Sequence[Incident], origin: str) -> str:
    updated = max((one.end or one.start for one in incidents), default=0)
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<feed xmlns="http://www.w3.org/2005/Atom">',
        "<title>Status of this gateway</title>",
        f"<id>{escape(origin)}/status</id>",
        f'<link href={quoteattr(origin + "/status")}/><link rel="self" href={quoteattr(origin + "/status.atom")}/>',
        f"<updated>{_time(updated)}</updated><author><name>Fairlead</name></author>",
    ]
    for one in incidents:
        state = "over" if one.end is not None else "out of use"
        text = f"{one.subject} was taken out of use at {_time(one.start)} ({one.reason})."
        text += f" Back in use at {_time(one.end)}." if one.end is not None else " It is still out of use."
        lines += [
            "<entry>",
            f"<title>{escape(one.subject)}: {state}</title>",
            f"<id>{escape(origin)}/status#{one.start}-{escape(_slug(one.subject))}</id>",
            f"<link href={quoteattr(origin + '/status')}/>",
            f"<published>{_time(one.start)}</published><updated>{_time(one.end or one.start)}</updated>",
            f"<content>{escape(text)}</content>",
            "</entry>",
        ]
    return "\n".join([*lines, "</feed>", ""])


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _slug(text: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in text)


def _data(values: Values) -> object:
    return {
        "at": values["now"].isoformat(),
        "models": [
            {
                "model": entry.id,
                "state": entry.state,
                "reason": entry.obstacle,
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
                "start": _time(one.start),
                "end": one.end and _time(one.end),
            }
            for one in values["incidents"]
        ],
    }


def _text(values: Values) -> str:
    rows = [(entry.id, entry.state, entry.obstacle or "") for entry in values["entries"]]
    text = f"# Status, {values['now'].isoformat()}\n\n{table(('Model', 'State', 'Reason'), rows)}\n## Incidents\n\n"
    if not values["incidents"]:
        return text + "None in the last 90 days.\n"
    return text + table(
        ("What", "Reason", "From", "To"),
        [
            (one.subject, one.reason, _time(one.start), _time(one.end) if one.end else "now")
            for one in values["incidents"]
        ],
    )
