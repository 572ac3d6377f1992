"""Logs unexpected exceptions: one line with a traceback per second and kind, whatever callers send."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

# A kind is an exception type and the place where it was raised.
SECONDS_PER_LINE: Final = 1.0
# There are only so many places in a program: this bounds the memory should that ever be wrong.
MOST_KINDS: Final = 1_000

Kind = tuple[str, str]


class FailureLog:
    """`error` logs the first failure of a kind at once and counts those that follow within a second; the next line of
    that kind has their number. They are reported, too, when nothing follows."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._logged_at: dict[Kind, float] = {}
        self._suppressed: dict[Kind, int] = {}

    def error(self, what: str, error: BaseException) -> None:
        kind = _kind(error)
        now = self._clock()
        logged_at = self._logged_at.get(kind)
        if logged_at is not None and now - logged_at < SECONDS_PER_LINE:
            count = self._suppressed[kind] = self._suppressed.get(kind, 0) + 1
            if count == 1:
                self._report_later(kind, SECONDS_PER_LINE - (now - logged_at))
            return
        if len(self._logged_at) >= MOST_KINDS:
            self._logged_at.clear()
        self._logged_at[kind] = now
        count = self._suppressed.pop(kind, 0)
        self._log.error("%s%s", what, _also(kind, count) if count else "", exc_info=error)

    def _report_later(self, kind: Kind, seconds: float) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # outside of a loop: the next failure of this kind has the number
            return
        loop.call_later(seconds, self._report, kind)

    def _report(self, kind: Kind) -> None:
        count = self._suppressed.pop(kind, 0)
        if count:
            self._logged_at[kind] = self._clock()
            self._log.error("Internal error%s", _also(kind, count))


def _also(kind: Kind, count: int) -> str:
    return f" ({count} more like it within a second, not logged: {kind[0]} at {kind[1]})"


def _kind(error: BaseException) -> Kind:
    frames = error.__traceback__
    place = "unknown"
    while frames is not None:
        place = f"{frames.tb_frame.f_code.co_filename}:{frames.tb_lineno}"
        frames = frames.tb_next
    return type(error).__name__, place
