"""/admin: how the server does; its processes, events and background tasks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from fairlead.admin import configuration as versions
from fairlead.admin.activity import happenings, latency_of, server_activity, window_before, window_of
from fairlead.admin.alerts import list_alerts, note_trial, retry_alert
from fairlead.admin.configuration import Status
from fairlead.admin.deployments import drained
from fairlead.admin.incidents import Incident, incidents
from fairlead.admin.jobs import waiting
from fairlead.admin.overview import margin, overview
from fairlead.console.developer.activity import (
    Address,
    BesideAll,
    changes,
    charts_of,
    notes_of,
    share,
    spans_of,
)
from fairlead.console.page import ConsolePage, ConsoleVisit
from fairlead.errors import ConfigurationError, FairleadError, NotFound
from fairlead.ledger.rollups import catch_up
from fairlead.store import Store
from fairlead.store.health import HealthEvent, page_of_events


def _(message: str) -> str:
    return message


# What each background task does.
JOBS: Final = {
    "alerts": _("Sends alerts of the server by webhook and e-mail, and tries again those that failed."),
    "alerts of accounts": _("Sends the alerts that organisations have chosen for themselves."),
    "configuration watcher": _("Takes up new versions of the configuration."),
    "deployment probes": _("Calls deployments that get no calls, so that their health is known."),
    "drained deployments": _("Follows what operators drain and put back."),
    "engines of the configuration": _("Starts and ends the engines of GGUF files."),
    "heap trimming": _("Gives memory back when nobody calls."),
    "key watcher": _("Takes up changes of keys, accounts and limits."),
    "provider keys": _("Reads keys of providers again that may have been replaced."),
    "responses in the background": _("Stops responses that were cancelled elsewhere."),
    "retired connections": _("Closes connections that no version of the configuration needs any more."),
    "routing writer": _("Stores health and decisions, and learns those of other processes."),
    "retention of content": _("Retention: deletes prompts and answers that organisations have kept long enough."),
    "shared limits": _("Shares limits and health with other machines through Valkey."),
    "stored responses": _("Retention: deletes stored responses that are old enough."),
    "telemetry writer": _("Stores measurements. Retention: deletes those that are old enough."),
    "usage counter": _("Roll-ups: adds up calls for charts, lists and budgets."),
    "usage writer": _("Stores the records of calls, and settles credit."),
}
TIMES: Final = (("24h", _("24 hours")), ("7d", _("7 days")), ("30d", _("30 days")), ("90d", _("90 days")))
DEFAULT: Final = "24h"
POLL_SECONDS: Final = 5
EVENTS_SHOWN: Final = 100
ALERTS_SHOWN: Final = 50


async def front(visit: ConsoleVisit) -> Response:
    live = visit.services.live
    counted = await visit.run(catch_up)
    found = await visit.run(overview, visit.services.snapshot())
    status = await visit.run(_status)
    deployments = live.deployments()
    pools = live.pools()
    out = {one.deployment for one in await visit.run(drained)}
    wrong: list[Incident] = await visit.run(incidents, deployments, out)
    return visit.render(
        "admin/overview.html",
        found=found,
        counted=counted,
        running=status,
        deployments=deployments,
        wrong=wrong,
        working=len(deployments) - len({name for one in wrong for name in one.deployments} | out),
        drained=sorted(out & {one["id"] for one in deployments}),
        full=[(name, one) for name, one in pools.items() if one.waiting],
        failed_engines=[one for one in live.engines() if one["gave_up"]],
        dead=(await visit.run(waiting)).outbox.dead,
        obstacles=live.obstacles() if deployments else [],
        warnings=live.warnings(),
        in_flight=sum(one.in_flight for one in pools.values()),
        places=sum(one.most for one in pools.values()),
        waiting=sum(one.waiting for one in pools.values()),
        failures=sum(live.tasks().values()),
        traffic=await _traffic(visit) if _wants_traffic(visit) else None,
    )


def _wants_traffic(visit: ConsoleVisit) -> bool:
    """What is wrong is asked for every few seconds; charts are made for that about once a minute. A part that a
    page does not have stays as it was (`poll.js`)."""
    return "x-poll" not in visit.request.headers or time.time() % 60 < POLL_SECONDS


@dataclass(frozen=True, slots=True)
class Range:
    """The time that the traffic of the overview is of, as the address has it."""

    time: str
    compare: bool = False  # with the period before

    def query(self, **changed: str) -> str:
        """The same with other values, as the query of an address."""
        values = {"time": self.time, "compare": "1" if self.compare else "", **changed}
        kept = {name: value for name, value in values.items() if value and (name, value) != ("time", DEFAULT)}
        return "?" + urlencode(kept)

    @property
    def own(self) -> str:
        """A part of a chart that was chosen, as it is shown."""
        return Address(self.time).own


async def _traffic(visit: ConsoleVisit) -> dict[str, Any]:
    """Figures and charts of all calls of the server in a time."""
    chosen = Range(visit.query.get("time", DEFAULT)[:32], visit.query.get("compare") == "1")
    window = window_of(chosen.time)
    snapshot = visit.services.snapshot()
    served = [one.id for model in snapshot.models.values() for one in model.deployments]

    def read(store: Store) -> dict[str, Any]:
        former = window_before(window)
        return {
            "now": server_activity(store, window),
            "former": server_activity(store, former) if chosen.compare else None,
            "margin": margin(store, snapshot, window),
            "happenings": happenings(store, window, served, configuration=True),
        }

    values = await visit.run(read)
    now, former = values["now"], values["former"]
    spans = spans_of(now)
    notes = notes_of(now, values["happenings"], visit.language)
    beside = BesideAll(former, notes, [chosen.query(time=one) for one in spans])
    return {
        "now": now,
        "margin": values["margin"],
        "latency": latency_of(now.total),
        "address": chosen,
        "times": TIMES,
        "spans": spans,
        "changes": changes(now.total, former.total, visit.language) if former is not None else {},
        "charts": charts_of(now, visit.language, beside) if now.total.requests else (),
        "share": share,
    }


def hour(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _status(store: Store) -> Status:
    return versions.status(store, versions.file_of_node(store))


async def nodes(visit: ConsoleVisit) -> Response:
    return visit.render("admin/nodes.html", running=await visit.run(_status))


async def jobs(visit: ConsoleVisit) -> Response:
    live = visit.services.live
    return visit.render(
        "admin/jobs.html",
        jobs=sorted(live.jobs(), key=lambda one: (not one.failures, one.name)),
        words=JOBS,
        now=time.time(),
        waiting=await visit.run(waiting),
        engines=live.engines(),
    )


async def events(visit: ConsoleVisit) -> Response:
    before = visit.query.get("before", "")
    number = int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None
    found = await visit.run(_events, number)
    alerts = await visit.run(list_alerts, None, ALERTS_SHOWN)
    return visit.render(
        "admin/events.html",
        events=found[:EVENTS_SHOWN],
        older=found[EVENTS_SHOWN - 1][0] if len(found) > EVENTS_SHOWN else None,
        alerts=[{**one, "seconds": datetime.fromisoformat(one["at"]).timestamp()} for one in alerts],
    )


def _events(store: Store, before: int | None) -> list[tuple[int, HealthEvent]]:
    with store.read() as connection:
        return page_of_events(connection, EVENTS_SHOWN + 1, before)


async def test_alerts(visit: ConsoleVisit) -> Response:
    try:
        later = visit.services.live.alert_trial()
        await visit.run(note_trial, visit.actor)
        done = await later()
    except FairleadError as error:
        return visit.redirect("/admin/events", notice=error.message)
    failed = [f"{one['channel']}: {one['error']}" for one in done if one["error"]]
    return visit.redirect("/admin/events", notice="; ".join(failed) or _("The test alert was delivered."))


async def retry_alert_now(visit: ConsoleVisit) -> Response:
    try:
        await visit.run(retry_alert, visit.actor, visit.text("alert")[:64])
    except ConfigurationError:
        raise NotFound("There is no such alert.") from None
    return visit.redirect("/admin/events", notice=_("The alert will be sent again."))


PAGES: Final = (
    ConsolePage("/admin", front, "operate"),
    ConsolePage("/admin/nodes", nodes, "operate"),
    ConsolePage("/admin/jobs", jobs, "operate"),
    ConsolePage("/admin/events", events, "operate"),
    ConsolePage("/admin/events/retry", retry_alert_now, "operate", ("POST",)),
    ConsolePage("/admin/events/test", test_alerts, "operate", ("POST",)),
)
