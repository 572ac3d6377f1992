"""Charts: lines with bands, and bars of days. Pure; axes begin at zero.

What there are hundreds of on a page - dots, bars, rows - is written here and not in templates, which take ten times as
long over it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from markupsafe import Markup

from fairlead.site.language import Language
from fairlead.site.states import Kind
from fairlead.telemetry.figures import Band, DayBar, Point

LEFT, RIGHT, TOP, BOTTOM = 0, 480, 8, 112
DAYS = 90
# A day with less uptime than the first is "down", than the second "degraded".
DOWN_BELOW, DEGRADED_BELOW = 0.9, 0.99
# Where a bar begins below the top, of 32; a worse day is a lower bar.
BAR_TOPS = {"up": 0, "degraded": 8, "down": 16, "none": 28}


@dataclass(frozen=True, slots=True)
class Mark:
    """One step of a chart that has a median. `edge`: the 5th (speed) or 95th (times) percentile, if known. `at`: when
    it began, as it is shown."""

    at: str
    start: int
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
    low: float
    high: float
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Bar:
    date: str
    state: Kind
    uptime: float | None
    calls: int


@dataclass(frozen=True, slots=True)
class History:
    """90 days of a model (`deployment` "") or of one of its deployments."""

    deployment: str
    bars: tuple[Bar, ...]
    uptime: float | None
    minutes: int


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
        Mark(minute(at), at, across(at), up(one.p50), one.p50, edges[at], one.samples)
        for at, one in known
        if one.p50 is not None
    )
    medians = [mark.p50 for mark in marks]
    line, band = [], []
    for run in _runs([at for at, _ in known], step):
        inside = [mark for mark in marks if mark.start in run]
        line.append("M" + "L".join(f"{mark.x} {mark.y}" for mark in inside))
        sure = [mark for mark in inside if mark.edge is not None]
        if len(sure) > 1:
            far = "L".join(f"{mark.x} {up(mark.edge or 0)}" for mark in sure)
            near = "L".join(f"{mark.x} {mark.y}" for mark in reversed(sure))
            band.append(f"M{far}L{near}Z")
    times = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)
    return Chart(unit, top, "".join(line), "".join(band), marks, min(medians), max(medians), *times)


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
    """The next round figure that is not below."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 3, 4, 5, 6, 8, 10) if factor * power >= value)


def history(deployment: str, days: Sequence[DayBar]) -> History:
    bars = tuple(Bar(day.date, _state(day.uptime.value), day.uptime.value, day.calls) for day in days[-DAYS:])
    minutes = sum(day.uptime.of for day in days if day.uptime.value is not None)
    up = sum(day.uptime.value * day.uptime.of for day in days if day.uptime.value is not None)
    return History(deployment, bars, up / minutes if minutes else None, minutes)


def _state(uptime: float | None) -> Kind:
    if uptime is None:
        return "none"
    return "down" if uptime < DOWN_BELOW else "degraded" if uptime < DEGRADED_BELOW else "up"


def written(one: Chart, decimals: int, language: Language) -> list[tuple[Mark, str, str, str]]:
    """The marks, each with its median, edge and samples as the language writes them: once for dots and rows."""
    number = language.number
    return [
        (
            mark,
            number(mark.p50, decimals),
            "" if mark.edge is None else number(mark.edge, decimals),
            number(mark.samples),
        )
        for mark in one.marks
    ]


def dots(marks: Sequence[tuple[Mark, str, str, str]], edge: str, unit: str, language: Language) -> Markup:
    """The points of a line, each with what it says."""
    unit = language.gettext(unit)
    return Markup(  # noqa: S704 - dates, numbers, words of ours
        "".join(
            f'<circle cx="{mark.x}" cy="{mark.y}" r="2.5"><title>{mark.at}: p50 {p50}'
            f"{far and f', {edge} {far}'} {unit}, n = {samples}</title></circle>"
            for mark, p50, far, samples in marks
        )
    )


def rows(marks: Sequence[tuple[Mark, str, str, str]]) -> Markup:
    """The same as rows of a table."""
    return Markup(  # noqa: S704 - dates and numbers
        "\n".join(
            f'<tr><td class="when">{mark.at}</td><td class="n">{p50}</td><td class="n">{far or "–"}</td>'
            f'<td class="n">{samples}</td></tr>'
            for mark, p50, far, samples in marks
        )
    )


def bars(one: History, language: Language) -> Markup:
    """A bar for each day."""
    quiet, number = language.gettext("no traffic"), language.number
    return Markup(  # noqa: S704 - dates, numbers, words of ours
        "".join(
            f'<rect class="{bar.state}" x="{4 * at}" y="{BAR_TOPS[bar.state]}" width="3" '
            f'height="{32 - BAR_TOPS[bar.state]}"><title>{bar.date}: '
            f"{quiet if bar.uptime is None else f'{number(bar.uptime * 100, 2)} %'}</title></rect>"
            for at, bar in enumerate(one.bars)
        )
    )


def minute(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(" ", "minutes")[:16] + " UTC"
