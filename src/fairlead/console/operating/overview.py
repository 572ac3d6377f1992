"""/admin: how the server does; its processes, events and background tasks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from starlette.responses import Response

from fairlead.admin import configuration as versions
from fairlead.admin.alerts import list_alerts, note_trial, retry_alert
from fairlead.admin.configuration import Status
from fairlead.admin.overview import Overview, overview
from fairlead.console.operating.bars import Step, bars
from fairlead.console.page import ConsolePage, ConsoleVisit
from fairlead.errors import ConfigurationError, FairleadError, NotFound
from fairlead.money import Picodollars
from fairlead.store import Store
from fairlead.store.health import HealthEvent, page_of_events

EVENTS_SHOWN: Final = 100
ALERTS_SHOWN: Final = 50
IN_USE: Final = ("closed", "half_open")


async def front(visit: ConsoleVisit) -> Response:
    live = visit.services.live
    found = await visit.run(overview, visit.services.snapshot())
    status = await visit.run(_status)
    deployments = live.deployments()
    pools = live.pools()
    return visit.render(
        "admin/overview.html",
        found=found,
        running=status,
        deployments=deployments,
        out=[one for one in deployments if one["state"] not in IN_USE],
        obstacles=live.obstacles(),
        warnings=live.warnings(),
        in_flight=sum(one.in_flight for one in pools.values()),
        places=sum(one.most for one in pools.values()),
        waiting=sum(one.waiting for one in pools.values()),
        failures=sum(live.tasks().values()),
        calls_chart=_calls(found, visit),
        spend_chart=_spend(found, visit),
    )


def _calls(found: Overview, visit: ConsoleVisit) -> str:
    steps = [
        Step(
            one.requests,
            one.failed,
            visit.gettext("%(time)s UTC: %(calls)s calls, %(failed)s failed")
            % {"time": hour(one.start), "calls": f"{one.requests:,}", "failed": f"{one.failed:,}"},
        )
        for one in found.hours
    ]
    return bars(steps, visit.gettext("Calls by hour, the last 24 hours"))


def _spend(found: Overview, visit: ConsoleVisit) -> str:
    steps = [
        Step(one.charged, 0, f"{one.day}: ${Picodollars(one.charged).dollars()}") for one in found.days
    ]  # fmt: skip
    return bars(steps, visit.gettext("Charged by day, the last 30 days"))


def hour(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _status(store: Store) -> Status:
    return versions.status(store, versions.file_of_node(store))


async def nodes(visit: ConsoleVisit) -> Response:
    return visit.render(
        "admin/nodes.html", running=await visit.run(_status), tasks=visit.services.live.tasks()
    )  # fmt: skip


async def events(visit: ConsoleVisit) -> Response:
    before = visit.query.get("before", "")
    number = int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None
    found = await visit.run(_events, number)
    return visit.render(
        "admin/events.html",
        events=found[:EVENTS_SHOWN],
        older=found[EVENTS_SHOWN - 1][0] if len(found) > EVENTS_SHOWN else None,
        alerts=await visit.run(list_alerts, None, ALERTS_SHOWN),
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


def _(message: str) -> str:
    return message


PAGES: Final = (
    ConsolePage("/admin", front, "operate"),
    ConsolePage("/admin/nodes", nodes, "operate"),
    ConsolePage("/admin/events", events, "operate"),
    ConsolePage("/admin/events/retry", retry_alert_now, "operate", ("POST",)),
    ConsolePage("/admin/events/test", test_alerts, "operate", ("POST",)),
)
