"""/admin: how the server does; its processes, events and background tasks."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

from starlette.responses import Response

from fairlead.admin import configuration as versions
from fairlead.admin.alerts import list_alerts, note_trial, retry_alert
from fairlead.admin.configuration import Status
from fairlead.admin.deployments import drained
from fairlead.admin.incidents import Incident, incidents
from fairlead.admin.jobs import waiting
from fairlead.admin.overview import Overview, overview
from fairlead.console.operating.bars import Step, bars
from fairlead.console.page import ConsolePage, ConsoleVisit
from fairlead.errors import ConfigurationError, FairleadError, NotFound
from fairlead.ledger.rollups import catch_up
from fairlead.money import Picodollars
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
