"""What an operator wants to see first: calls, errors, spend and margin, by hour and by day."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from fairlead.admin.activity import Window
from fairlead.catalogue.snapshot import Deployment, Snapshot
from fairlead.ledger.rollups import DAY, calls_by_hour, days_of
from fairlead.store import Store

HOUR: Final = 3_600
HOURS_SHOWN: Final = 24
DAYS_SHOWN: Final = 30


class Hour(NamedTuple):
    """`start`: seconds since 1970."""

    start: int
    requests: int
    failed: int


class Day(NamedTuple):
    """Amounts in picodollars. `cost` is that of the calls whose deployment has a declared cost, for which callers were
    charged `charged_with_cost`."""

    day: str
    requests: int
    failed: int
    charged: int
    charged_with_cost: int
    cost: int


class Overview(NamedTuple):
    """`hours` and `days`: the newest last, those without calls included; `rate`: calls per second lately."""

    hours: tuple[Hour, ...]
    days: tuple[Day, ...]
    rate: float

    @property
    def requests(self) -> int:
        """Of the last 24 hours."""
        return sum(one.requests for one in self.hours)

    @property
    def failed(self) -> int:
        return sum(one.failed for one in self.hours)

    @property
    def error_share(self) -> float | None:
        return self.failed / self.requests if self.requests else None

    @property
    def today(self) -> Day:
        return self.days[-1]

    @property
    def charged(self) -> int:
        """Of the days shown."""
        return sum(one.charged for one in self.days)

    @property
    def margin(self) -> int | None:
        """Charged less cost, of calls whose cost is known; None where that is none of them."""
        if not self.charged_with_cost and not any(one.cost for one in self.days):
            return None
        return self.charged_with_cost - sum(one.cost for one in self.days)

    @property
    def charged_with_cost(self) -> int:
        return sum(one.charged_with_cost for one in self.days)


def overview(store: Store, snapshot: Snapshot, now: float | None = None) -> Overview:
    """From what background work has counted (`ledger/rollups.py`), a few seconds old. `snapshot`: costs are those that
    deployments declare now."""
    now = time.time() if now is None else now
    this_hour = int(now) // HOUR * HOUR
    first_hour = this_hour - (HOURS_SHOWN - 1) * HOUR
    today = datetime.fromtimestamp(now, UTC).date()
    first_day = today - timedelta(days=DAYS_SHOWN - 1)
    deployments = {one.id: one for model in snapshot.models.values() for one in model.deployments}
    hours: dict[int, list[int]] = {first_hour + at * HOUR: [0, 0] for at in range(HOURS_SHOWN)}
    days = {(first_day + timedelta(days=at)).isoformat(): [0, 0, 0, 0, 0] for at in range(DAYS_SHOWN)}
    with store.read() as connection:
        for start, requests, failed in calls_by_hour(connection, first_hour, this_hour + HOUR):
            hours[start] = [requests, failed]
        for row in days_of(connection, first_day.isoformat(), today.isoformat()):
            cost = _cost(deployments.get(row["deployment"]), row)
            for at, value in enumerate(
                (row["requests"], row["failed"], row["charged"], 0 if cost is None else row["charged"], cost or 0)
            ):
                days[row["day"]][at] += value
    lately = hours[this_hour][0] + hours[this_hour - HOUR][0]
    return Overview(
        tuple(Hour(start, *counts) for start, counts in hours.items()),
        tuple(Day(day, *counts) for day, counts in days.items()),
        lately / (now - this_hour + HOUR),
    )


class Margin(NamedTuple):
    """Of calls whose deployment declares a cost, in picodollars: what callers were charged, and the cost."""

    charged: int
    cost: int

    @property
    def value(self) -> int:
        return self.charged - self.cost


def margin(store: Store, snapshot: Snapshot, window: Window) -> Margin | None:
    """Of a time in steps of whole days (UTC), by the costs that deployments declare now. None where no call has a cost,
    and for other times."""
    if window.span != DAY:
        return None
    deployments = {one.id: one for model in snapshot.models.values() for one in model.deployments}
    first, last = (datetime.fromtimestamp(one, UTC).date().isoformat() for one in (window.since, window.until - 1))
    with store.read() as connection:
        rows = [
            (row["charged"], _cost(deployments.get(row["deployment"]), row)) for row in days_of(connection, first, last)
        ]
    known = [(charged, cost) for charged, cost in rows if cost is not None]
    return Margin(sum(charged for charged, _ in known), sum(cost for _, cost in known)) if known else None


def _cost(deployment: Deployment | None, row: Mapping[str, int]) -> int | None:
    """What the calls of a day have cost the operator by the declared cost, without tiers; None: it is not known."""
    if deployment is None or deployment.sheet.cost is None:
        return None
    rates = deployment.sheet.cost.rates
    fresh = max(0, row["prompt_tokens"] - row["cached_tokens"])
    return (
        fresh * rates.input
        + row["cached_tokens"] * rates.cached_input
        + row["completion_tokens"] * rates.output
        + row["requests"] * rates.request
    )
