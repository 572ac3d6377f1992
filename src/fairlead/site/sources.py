"""What the pages read, as protocols: they know neither SQL nor who measures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from fairlead.catalogue.snapshot import Deployment, Snapshot
from fairlead.catalogue.views import Carries
from fairlead.site.records import NoRecords, Records


def _works(_deployment: Deployment) -> None:
    return None


def _every(_deployment: Deployment) -> None:
    return None


def _nobody() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Sources:
    """`snapshot()`: what is served now; a change is another object. `obstacle(model id)`: why that model cannot be
    called now, or None. `broken(deployment)`: why a circuit breaker keeps that one out of use, or None. `now()`: the
    time, in UTC. `records`: what was measured and counted of this server's own traffic.
    `carries`: the parameters that a deployment takes; None: every one. `guests()`: whether visitors without a key may
    call free models."""

    snapshot: Callable[[], Snapshot]
    obstacle: Callable[[str], str | None]
    now: Callable[[], datetime]
    records: Records = field(default_factory=NoRecords)
    carries: Carries = _every
    broken: Callable[[Deployment], str | None] = _works
    guests: Callable[[], bool] = _nobody
