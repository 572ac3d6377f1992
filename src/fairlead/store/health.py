"""What is kept of the health of deployments, and how calls were routed: events for status pages, states for restarts,
decisions for `fairlead explain`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select

from fairlead.store.tables import decisions, deployment_health, health_events

KEPT_EVENTS_MS = 90 * 86_400_000
KEPT_DECISIONS_MS = 30 * 86_400_000


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


def keep_events(connection: Connection, events: Iterable[HealthEvent], at: int | None = None) -> None:
    """Stores events as of now."""
    at = int(time.time() * 1000) if at is None else at
    rows = [
        {"at": at, "deployment": one.deployment, "provider": one.provider, "event": one.event, "reason": one.reason}
        for one in events
    ]
    if rows:
        connection.execute(insert(health_events), rows)


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


def keep_health(connection: Connection, kept: Sequence[KeptHealth]) -> None:
    """Replaces what was kept."""
    now = int(time.time() * 1000)
    connection.execute(delete(deployment_health))
    rows = [
        {
            "deployment": one.deployment,
            "provider": one.provider,
            "state": one.state,
            "until": now + int(one.seconds * 1000),
            "open_seconds": int(one.open_seconds),
            "reason": one.reason,
        }
        for one in kept
    ]
    if rows:
        connection.execute(insert(deployment_health), rows)


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
    connection.execute(delete(decisions).where(decisions.c.at < now - KEPT_DECISIONS_MS))
