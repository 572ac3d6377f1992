"""From windows of time to figures. Reads the database: for threads, not for an event loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import NamedTuple

from sqlalchemy import Connection

from fairlead.store import Store
from fairlead.telemetry.cells import (
    COST_UNIT,
    DAY,
    HOUR,
    MINUTE,
    PROBE,
    SHADOW,
    SHADOW_COST,
    SHADOW_ORIGINAL,
    SHADOW_ORIGINAL_COST,
    SHADOWS,
    TRAFFIC,
    Read,
    SeriesName,
    read_days,
    read_hours,
    read_minutes,
    series_of,
)
from fairlead.telemetry.figures import (
    LEAST_FOR_MEDIAN,
    DayBar,
    Mirrored,
    ModelDay,
    ModelShare,
    Performance,
    Served,
    figures,
    point,
    success,
)
from fairlead.telemetry.layout import (
    FAULTS,
    LATENCY,
    MOST_OUTCOMES,
    OK,
    OUTPUT_TOKENS,
    PROMPT_TOKENS,
    Counts,
    add,
    samples,
    sum_of,
)


class Window(NamedTuple):
    """`step`: seconds between points. Whole steps are read, the one that has just begun among them. `factors`: how many
    of them may be one, where there are too few calls for a median of each."""

    seconds: int
    step: int
    read: Callable[[Connection, Mapping[int, SeriesName], int, int], Read]
    factors: tuple[int, ...] = (2, 3)


WINDOWS: Mapping[str, Window] = {
    "30m": Window(30 * MINUTE, MINUTE, read_minutes, (2, 5)),
    "1h": Window(HOUR, 2 * MINUTE, read_minutes, (2, 5)),
    "24h": Window(DAY, HOUR, read_hours, (2, 3, 4)),
    "7d": Window(7 * DAY, 6 * HOUR, read_hours, (2, 4)),
    "30d": Window(30 * DAY, DAY, read_days),
}
# Steps are made longer while more than this share of the calls lies in steps that have too few of them.
MOST_THIN = 0.1
DAYS_SHOWN = 90
# Cells are read a part at a time: each is a histogram, and all of a quarter's at once would be many megabytes.
PART_STEPS, PART_DAYS = 4, 10


class Reader:
    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def performance(self, model: str, window: str) -> Performance:
        """The figures of a model and its deployments, those included that it once had; `window`: one of WINDOWS."""
        chosen = WINDOWS[window]
        now = int(self._clock())
        end = now // chosen.step * chosen.step + chosen.step
        start = end - chosen.seconds
        steps = range(start, end, chosen.step)
        by_name: dict[SeriesName, dict[int, Counts]] = {}
        with self._store.read() as connection:
            known = series_of(connection, model)
            names = {number: name for number, name in known.items() if name.kind in (TRAFFIC, PROBE)}
            for since, until in _parts(start, end, PART_STEPS * chosen.step if names else 0):
                for (series, at), counts in chosen.read(connection, names, since, until).items():
                    step = start + (at - start) // chosen.step * chosen.step
                    add(by_name.setdefault(names[series], {}).setdefault(step, {}), counts)
        step = _step(by_name, chosen, start)
        if step != chosen.step:
            by_name = {name: _in_steps(cells, start, step) for name, cells in by_name.items()}
            steps = range(start, end, step)
        deployments = sorted({name.deployment for name in by_name if name.deployment})
        return Performance(
            model,
            window,
            start,
            end,
            step,
            now,
            _served(model, "", by_name, steps),
            tuple(_served(model, deployment, by_name, steps) for deployment in deployments),
        )

    def day_bars(self, model: str, deployment: str = "", days: int = DAYS_SHOWN) -> tuple[DayBar, ...]:
        """One bar per day, the oldest first, today's (UTC) last."""
        start, end = self._days(days)
        with self._store.read() as connection:
            names = series_of(connection, model)
            wanted = [number for number, name in names.items() if name == (TRAFFIC, model, deployment)]
            bars: dict[int, DayBar] = {}
            for since, until in _parts(start, end, PART_DAYS * DAY if wanted else 0):
                for (_, at), counts in read_days(connection, wanted, since, until).items():
                    bars[at] = _bar(at, counts, deployment)
        return tuple(bars.get(at) or _bar(at, {}, deployment) for at in range(start, end, DAY))

    def model_days(self, days: int = DAYS_SHOWN) -> tuple[ModelDay, ...]:
        """The tokens of every model's traffic on each day that it had some, the oldest first."""
        start, end = self._days(days)
        with self._store.read() as connection:
            names = {
                number: name
                for number, name in series_of(connection).items()
                if name.kind == TRAFFIC and not name.deployment
            }
            found = [
                ModelDay(
                    names[series].model,
                    _date(at).isoformat(),
                    sum_of(counts, range(MOST_OUTCOMES)),
                    counts.get(PROMPT_TOKENS, 0),
                    counts.get(OUTPUT_TOKENS, 0),
                )
                for since, until in _parts(start, end, PART_DAYS * DAY if names else 0)
                for (series, at), counts in read_days(connection, names, since, until).items()
            ]
        return tuple(sorted(found, key=lambda one: (one.date, one.model)))

    def shares(self) -> tuple[ModelShare, ...]:
        """Of every model that had calls in the last half hour."""
        end = int(self._clock()) // MINUTE * MINUTE + MINUTE
        with self._store.read() as connection:
            names = {
                number: name.model
                for number, name in series_of(connection).items()
                if name.kind == TRAFFIC and not name.deployment
            }
            cells = read_minutes(connection, names, end - WINDOWS["30m"].seconds, end) if names else {}
        totals: dict[str, Counts] = {}
        for (series, _), counts in cells.items():
            add(totals.setdefault(names[series], {}), counts)
        return tuple(
            ModelShare(model, success(sum_of(counts, OK), sum_of(counts, FAULTS))) for model, counts in totals.items()
        )

    def mirrored(self, window: str) -> tuple[Mirrored, ...]:
        """What calls that were mirrored and their originals came to; `window`: one of WINDOWS."""
        chosen = WINDOWS[window]
        end = int(self._clock()) // chosen.step * chosen.step + chosen.step
        totals: dict[SeriesName, Counts] = {}
        with self._store.read() as connection:
            names = {number: name for number, name in series_of(connection).items() if name.kind in SHADOWS}
            for since, until in _parts(end - chosen.seconds, end, PART_STEPS * chosen.step if names else 0):
                for (series, _), counts in chosen.read(connection, names, since, until).items():
                    add(totals.setdefault(names[series], {}), counts)

        def of(kind: str, pair: tuple[str, str]) -> Counts:
            return totals.get(SeriesName(kind, *pair), {})

        return tuple(
            Mirrored(
                *pair,
                figures(of(SHADOW, pair), True),
                figures(of(SHADOW_ORIGINAL, pair), True),
                of(SHADOW_COST, pair).get(OUTPUT_TOKENS, 0) * COST_UNIT,
                of(SHADOW_ORIGINAL_COST, pair).get(OUTPUT_TOKENS, 0) * COST_UNIT,
            )
            for pair in sorted({(name.model, name.deployment) for name in totals})
        )

    def _days(self, days: int) -> tuple[int, int]:
        end = int(self._clock()) // DAY * DAY + DAY
        return end - days * DAY, end


def _step(by_name: Mapping[SeriesName, Mapping[int, Counts]], window: Window, start: int) -> int:
    """The shortest step with which most calls are in steps that say something of each deployment, or at least of the
    model; the window's own where none is long enough."""
    of_model: list[dict[int, int]] = []
    of_deployments: list[dict[int, int]] = []
    for name, cells in by_name.items():
        if name.kind == TRAFFIC:
            numbers = {at: samples(counts, LATENCY) for at, counts in cells.items()}
            (of_deployments if name.deployment else of_model).append(numbers)
    for served in (of_deployments, of_model):
        calls = sum(sum(one.values()) for one in served)
        for factor in (1, *window.factors):
            if _thin(served, start, factor * window.step) <= MOST_THIN * calls:
                return factor * window.step
    return window.step


def _thin(served: Iterable[Mapping[int, int]], start: int, step: int) -> int:
    """Calls in steps that have too few of them. `served`: numbers of calls by time, of each series."""
    found = 0
    for one in served:
        steps: dict[int, int] = {}
        for at, number in one.items():
            steps[(at - start) // step] = steps.get((at - start) // step, 0) + number
        found += sum(number for number in steps.values() if number < LEAST_FOR_MEDIAN)
    return found


def _in_steps(cells: Mapping[int, Counts], start: int, step: int) -> dict[int, Counts]:
    found: dict[int, Counts] = {}
    for at, counts in cells.items():
        add(found.setdefault(start + (at - start) // step * step, {}), counts)
    return found


def _parts(start: int, end: int, seconds: int) -> Iterator[tuple[int, int]]:
    """From `start` to `end` in parts of at most that length; none when it is 0."""
    for since in range(start, end, seconds) if seconds else ():
        yield since, min(since + seconds, end)


def _served(model: str, deployment: str, cells: Mapping[SeriesName, Mapping[int, Counts]], steps: range) -> Served:
    traffic = cells.get(SeriesName(TRAFFIC, model, deployment), {})
    probes = cells.get(SeriesName(PROBE, model, deployment), {})
    is_deployment = bool(deployment)
    return Served(
        deployment,
        figures(_total(traffic), is_deployment),
        figures(_total(probes), is_deployment),
        tuple(point(at, traffic.get(at, {}), is_deployment) for at in steps),
    )


def _total(cells: Mapping[int, Counts]) -> Counts:
    total: Counts = {}
    for counts in cells.values():
        add(total, counts)
    return total


def _bar(at: int, counts: Counts, deployment: str) -> DayBar:
    shown = figures(counts, bool(deployment))
    return DayBar(_date(at).isoformat(), shown.calls, shown.success, shown.uptime)


def _date(at: int) -> date:
    return datetime.fromtimestamp(at, UTC).date()
