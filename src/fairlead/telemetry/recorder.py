"""Counting, on the path of a call: a few additions to a list that was made once a minute. No clock but the one given.

All of it runs on the event loop's thread; a flusher takes what is there by `cells` between two calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import log
from typing import Final

from fairlead.telemetry.cells import MINUTE, SeriesName
from fairlead.telemetry.layout import (
    BUCKETS,
    FIRST_TOKEN,
    LATENCY,
    OTHER,
    OUTCOME_SLOTS,
    OUTPUT_TOKENS,
    PER_DOUBLING,
    PROMPT_TOKENS,
    SERVED,
    SLOTS,
    SPEED,
    Counts,
)

# A speed is only measured over so many tokens, and over so long: an answer that comes in one piece has none.
LEAST_TOKENS: Final = 16
LEAST_SECONDS: Final = 0.005

_FIRST: Final = FIRST_TOKEN.first_slot
_SPEED: Final = SPEED.first_slot
_LATENCY: Final = LATENCY.first_slot
_LAST: Final = BUCKETS - 1
_SPEED_LOWEST: Final = SPEED.lowest
_FIRST_SUM: Final = FIRST_TOKEN.sum_slot
_SPEED_SUM: Final = SPEED.sum_slot
_LATENCY_SUM: Final = LATENCY.sum_slot
_PROMPT: Final = PROMPT_TOKENS
_OUTPUT: Final = OUTPUT_TOKENS
_PER_LOG: Final = PER_DOUBLING / log(2)
_SERVED: Final = SERVED
_SLOTS: Final = dict(OUTCOME_SLOTS)


class MinuteCell:
    """What was counted of a series in a minute; `start` in seconds since 1970.

    What nearly every call counts has an attribute of its own, which compiled code adds to without making an object.
    """

    __slots__ = (
        "counts", "first_sum", "latency_sum", "name", "output_tokens", "prompt_tokens", "served", "speed_sum", "start",
    )  # fmt: skip

    def __init__(self, name: SeriesName, start: int) -> None:
        self.name = name
        self.start = start
        self.served = 0
        self.prompt_tokens = 0
        self.output_tokens = 0
        self.latency_sum = 0  # in thousandths, as all sums
        self.first_sum = 0
        self.speed_sum = 0
        self.counts = [0] * SLOTS  # of all else

    def nonzero(self) -> Counts:
        counts = self.counts.copy()
        counts[_SERVED] = self.served
        counts[_PROMPT] = self.prompt_tokens
        counts[_OUTPUT] = self.output_tokens
        counts[_LATENCY_SUM] = self.latency_sum
        counts[_FIRST_SUM] = self.first_sum
        counts[_SPEED_SUM] = self.speed_sum
        return {slot: count for slot, count in enumerate(counts) if count}


class Series:
    """The attempts of one deployment, or the calls of one model: kept by the one who reports them."""

    __slots__ = ("_cell", "_ends", "_recorder", "name")

    def __init__(self, recorder: Recorder, name: SeriesName) -> None:
        self.name = name
        self._recorder = recorder
        self._cell: MinuteCell  # since the first call
        self._ends = 0.0  # when its minute is over

    def add(
        self,
        outcome: str,
        first_seconds: float,
        total_seconds: float,
        prompt_tokens: int,
        output_tokens: int,
        _trace: object = None,
        /,
    ) -> None:
        """One attempt or call that has ended. `first_seconds`: until the first token, 0 when that is not known.

        Durations count of answers only: how soon something failed says nothing about how fast it is.
        """
        now = self._recorder.clock()
        if now >= self._ends:
            self._turn(now)
        cell = self._cell
        cell.prompt_tokens += prompt_tokens
        cell.output_tokens += output_tokens
        counts = cell.counts
        if outcome != "served":
            counts[_SLOTS.get(outcome, OTHER)] += 1
            return
        cell.served += 1
        value = total_seconds * 1000
        cell.latency_sum += int(value * 1000)
        counts[_LATENCY + _bucket(value)] += 1
        if first_seconds <= 0:
            return
        value = first_seconds * 1000
        cell.first_sum += int(value * 1000)
        counts[_FIRST + _bucket(value)] += 1
        seconds = total_seconds - first_seconds
        if output_tokens >= LEAST_TOKENS and seconds >= LEAST_SECONDS:
            speed = output_tokens / seconds
            cell.speed_sum += int(speed * 1000)
            counts[_SPEED + _bucket(speed / _SPEED_LOWEST)] += 1

    def _turn(self, now: float) -> None:
        self._cell = self._recorder.open(self.name, int(now) // MINUTE * MINUTE)
        self._ends = float(self._cell.start + MINUTE)

    def cut(self) -> None:
        """The minute has been taken away: the next call begins another."""
        self._ends = 0.0


def _bucket(value: float) -> int:
    """Which bucket of a histogram that begins at 1. What stands at the edge of one belongs into it, rounded or not."""
    return min(int(log(value) * _PER_LOG + 1e-9), _LAST) if value > 1 else 0


class Recorder:
    """`clock` gives seconds since 1970."""

    __slots__ = ("_first_minute", "_open", "_series", "clock")

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._open: dict[tuple[SeriesName, int], MinuteCell] = {}
        self._series: dict[SeriesName, Series] = {}
        self._first_minute = 0

    def series(self, kind: str, model: str, deployment: str = "") -> Series:
        """The same for the same name, so that a new snapshot continues counting."""
        name = SeriesName(kind, model, deployment)
        found = self._series.get(name)
        if found is None:
            found = self._series[name] = Series(self, name)
        return found

    def open(self, name: SeriesName, start: int) -> MinuteCell:
        # A minute that was taken is never begun again, even when the clock is set back: it would replace the first.
        start = max(start, self._first_minute)
        cell = self._open.get((name, start))
        if cell is None:
            cell = self._open[name, start] = MinuteCell(name, start)
        return cell

    @property
    def open_cells(self) -> list[MinuteCell]:
        return list(self._open.values())

    def cells(self) -> tuple[list[MinuteCell], list[MinuteCell]]:
        """Those of minutes that are over, which are the caller's from now on, and those still being counted in."""
        minute = int(self.clock()) // MINUTE * MINUTE
        self._first_minute = max(self._first_minute, minute)
        over = [cell for cell in self._open.values() if cell.start < minute]
        for cell in over:
            del self._open[cell.name, cell.start]
            self._series[cell.name].cut()
        return over, self.open_cells
