"""Lines and bands of a chart as SVG paths. Pure; axes begin at zero."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fairlead.telemetry.figures import Band, Point

LEFT, RIGHT, TOP, BOTTOM = 0, 480, 8, 112


@dataclass(frozen=True, slots=True)
class Mark:
    """One step of a chart that has a median. `low` and `high`: the 5th (speed) or 95th (times) percentile, if known."""

    at: datetime
    x: float
    y: float
    p50: float
    edge: float | None
    samples: int


@dataclass(frozen=True, slots=True)
class Chart:
    unit: str
    top: float
    line: str
    band: str
    marks: tuple[Mark, ...]
    start: datetime
    end: datetime


def chart(
    points: Sequence[Point], end: int, unit: str, measure: Callable[[Point], Band], slow_end: str
) -> Chart | None:
    """The course of a measure; `slow_end`: "p95" for times, "p5" for speeds. None when no step has a median."""
    found = [(point.at, measure(point)) for point in points]
    known = [(at, one) for at, one in found if one.p50 is not None]
    if not known:
        return None
    edges = {at: getattr(one, slow_end) for at, one in known}
    top = _nice(max(max(one.p50 or 0, edges[at] or 0) for at, one in known))
    start, step = points[0].at, (points[1].at - points[0].at if len(points) > 1 else 1)

    def across(at: int) -> float:
        return round(LEFT + (at + step / 2 - start) / max(1, end - start) * (RIGHT - LEFT), 1)

    def up(value: float) -> float:
        return round(BOTTOM - value / top * (BOTTOM - TOP), 1)

    marks = tuple(
        Mark(datetime.fromtimestamp(at, UTC), across(at), up(one.p50), one.p50, edges[at], one.samples)
        for at, one in known
        if one.p50 is not None
    )
    line, band = [], []
    for run in _runs([at for at, _ in known], step):
        inside = [mark for mark in marks if int(mark.at.timestamp()) in run]
        line.append("M" + "L".join(f"{mark.x} {mark.y}" for mark in inside))
        sure = [mark for mark in inside if mark.edge is not None]
        if len(sure) > 1:
            far = "L".join(f"{mark.x} {up(mark.edge or 0)}" for mark in sure)
            near = "L".join(f"{mark.x} {mark.y}" for mark in reversed(sure))
            band.append(f"M{far}L{near}Z")
    times = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)
    return Chart(unit, top, "".join(line), "".join(band), marks, *times)


def _runs(steps: Sequence[int], step: int) -> list[set[int]]:
    """Steps that follow one another: a line does not cross a time without calls."""
    runs: list[set[int]] = []
    before = None
    for at in steps:
        if before is None or at - before > step:
            runs.append(set())
        runs[-1].add(at)
        before = at
    return runs


def _nice(value: float) -> float:
    """The next of 1, 2, 5, 10 ... that is not below."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= value)
