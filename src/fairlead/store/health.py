"""What is kept of the health of deployments, and how calls were routed: events for status pages, states for restarts,
decisions for `fairlead explain`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select

from fairlead.store.tables import decisions, deployment_health, health_events

KEPT_EVENTS_MS = 90 * 86_400_000
KEPT_DECISIONS_MS = 30 * 86_400_000


# (deployment, provider); the deployment is empty for a whole provider.
Subject = tuple[str, str]


class HealthEvent(NamedTuple):
    """`deployment` is empty for a whole provider. `event`: open, half_open, closed or resting; `reason`: the code of
    an error, or a few words. `at`: milliseconds since 1970, 0 until it is stored."""

    deployment: str
    provider: str
    event: str
    reason: str
    at: int = 0


class KeptHealth(NamedTuple):
    """Who is open or rests: `seconds` from now on."""

    deployment: str
    provider: str
    state: str
    seconds: float
    open_seconds: float
    reason: str


class Decision(NamedTuple):
    """How one call was routed, as JSON."""

    id: str
    body: bytes


def keep_events(connection: Connection, events: Iterable[HealthEvent], at: int | None = None) -> list[int]:
    """Stores events as of now; gives their numbers."""
    at = int(time.time() * 1000) if at is None else at
    rows = [
        {"at": at, "deployment": one.deployment, "provider": one.provider, "event": one.event, "reason": one.reason}
        for one in events
    ]
    if not rows:
        return []
    return list(connection.execute(insert(health_events).returning(health_events.c.id), rows).scalars())


def last_event(connection: Connection) -> int:
    """The number of the newest event; 0 when there is none."""
    return int(connection.execute(select(func.coalesce(func.max(health_events.c.id), 0))).scalar_one())


def subjects_after(connection: Connection, number: int) -> dict[int, Subject]:
    """Whom events with a higher number are about."""
    columns = (health_events.c.id, health_events.c.deployment, health_events.c.provider)
    rows = connection.execute(select(*columns).where(health_events.c.id > number).order_by(health_events.c.id))
    return {row.id: (row.deployment, row.provider) for row in rows}


def events_since(
    connection: Connection, since: int = 0, deployments: Sequence[str] | None = None, most: int = 1_000
) -> list[HealthEvent]:
    """Events from a time on (milliseconds since 1970), the newest first: of all, or of these deployments alone.
    Those of a whole provider have no deployment."""
    statement = select(health_events).where(health_events.c.at >= since)
    if deployments is not None:
        statement = statement.where(health_events.c.deployment.in_(list(deployments)))
    rows = connection.execute(statement.order_by(health_events.c.id.desc()).limit(most))
    return [HealthEvent(row.deployment, row.provider, row.event, row.reason, row.at) for row in rows]


def page_of_events(connection: Connection, limit: int, before: int | None) -> list[tuple[int, HealthEvent]]:
    """So many events with their numbers, the newest first; `before`: those that are older than this one."""
    statement = select(health_events).order_by(health_events.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(health_events.c.id < before)
    rows = connection.execute(statement)
    return [(row.id, HealthEvent(row.deployment, row.provider, row.event, row.reason, row.at)) for row in rows]


def keep_health(connection: Connection, subjects: Iterable[Subject], kept: Iterable[KeptHealth]) -> None:
    """Replaces what was kept of these: other processes keep what they know of others."""
    now = int(time.time() * 1000)
    states = {(one.deployment, one.provider): one for one in kept}
    for subject in sorted(set(subjects)):  # in one order, so that no two processes wait for each other
        here = (deployment_health.c.deployment == subject[0]) & (deployment_health.c.provider == subject[1])
        connection.execute(delete(deployment_health).where(here))
        one = states.get(subject)
        if one is None:
            continue
        values = {
            "deployment": one.deployment,
            "provider": one.provider,
            "state": one.state,
            "until": now + int(one.seconds * 1000),
            "open_seconds": int(one.open_seconds),
            "reason": one.reason,
        }
        connection.execute(insert(deployment_health), [values])


def kept_health(connection: Connection) -> list[KeptHealth]:
    now = int(time.time() * 1000)
    return [
        KeptHealth(
            row.deployment, row.provider, row.state, max(0, row.until - now) / 1000, row.open_seconds, row.reason
        )
        for row in connection.execute(select(deployment_health))
    ]


def keep_decisions(connection: Connection, found: Iterable[Decision]) -> None:
    at = int(time.time() * 1000)
    rows = [{"id": one.id, "at": at, "body": one.body.decode()} for one in found]
    if rows:
        connection.execute(insert(decisions), rows)


def decision(connection: Connection, generation_id: str) -> str | None:
    """How a call was routed, as JSON; None when nothing was worth keeping."""
    found: str | None = connection.execute(select(decisions.c.body).where(decisions.c.id == generation_id)).scalar()
    return found


def forget_old(connection: Connection) -> None:
    now = int(time.time() * 1000)
    connection.execute(delete(health_events).where(health_events.c.at < now - KEPT_EVENTS_MS))
    rested = (deployment_health.c.state == "closed") & (deployment_health.c.until < now)
    connection.execute(delete(deployment_health).where(rested))
    connection.execute(delete(decisions).where(decisions.c.at < now - KEPT_DECISIONS_MS))
