"""Bars of days, and what charts share. Pure.

What there are hundreds of on a page - dots, bars, rows - is written here and not in templates, which take ten times as
long over it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from markupsafe import Markup

from fairlead.site.language import Language
from fairlead.site.states import Kind
from fairlead.telemetry.figures import DayBar

DAYS = 90
# A day with less uptime than the first is "down", than the second "degraded".
DOWN_BELOW, DEGRADED_BELOW = 0.9, 0.99
# Where a bar begins below the top, of 32; a worse day is a lower bar.
BAR_TOPS = {"up": 0, "degraded": 8, "down": 16, "none": 28}


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


def runs(steps: Sequence[int], step: int) -> list[set[int]]:
    """Steps that follow one another: a line does not cross a time without calls."""
    runs: list[set[int]] = []
    before = None
    for at in steps:
        if before is None or at - before > step:
            runs.append(set())
        runs[-1].add(at)
        before = at
    return runs


def nice(value: float) -> float:
    """The next round figure that is not below."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 1.2, 1.6, 2, 2.5, 3, 4, 5, 6, 8, 10) if factor * power >= value)


def history(deployment: str, days: Sequence[DayBar]) -> History:
    bars = tuple(Bar(day.date, _state(day.uptime.value), day.uptime.value, day.calls) for day in days[-DAYS:])
    minutes = sum(day.uptime.of for day in days if day.uptime.value is not None)
    up = sum(day.uptime.value * day.uptime.of for day in days if day.uptime.value is not None)
    return History(deployment, bars, up / minutes if minutes else None, minutes)


def _state(uptime: float | None) -> Kind:
    if uptime is None:
        return "none"
    return "down" if uptime < DOWN_BELOW else "degraded" if uptime < DEGRADED_BELOW else "up"


def bars(one: History, language: Language) -> Markup:
    """A bar for each day."""
    quiet, number = language.gettext("no traffic"), language.writer(2)
    return Markup(  # noqa: S704 - dates, numbers, words of ours
        "".join(
            f'<rect class="{bar.state}" x="{4 * at}" y="{BAR_TOPS[bar.state]}" width="3" '
            f'height="{32 - BAR_TOPS[bar.state]}"><title>{bar.date}: '
            f"{quiet if bar.uptime is None else f'{number(bar.uptime * 100)} %'}</title></rect>"
            for at, bar in enumerate(one.bars)
        )
    )


def minute(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(" ", "minutes")[:16] + " UTC"
