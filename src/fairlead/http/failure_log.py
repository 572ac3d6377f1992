"""Logs unexpected exceptions: one line with a traceback per second and kind, whatever callers send."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Callable
from typing import Any, Final

# A kind is an exception type and the place where it was raised.
SECONDS_PER_LINE: Final = 1.0
# There are only so many places in a program: this bounds the memory should that ever be wrong.
MOST_KINDS: Final = 1_000

# Of a traceback and of its text. An exception object that is raised again and again gets longer each time.
MOST_FRAMES: Final = 48
MOST_CHARACTERS: Final = 16_384
# Exceptions behind an exception that are looked at.
MOST_CAUSES: Final = 8

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
        self._write(f"{what}{_also(kind, count) if count else ''}", error)

    def loop_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """The same for what fails in a callback or in a task that nobody waits for: for `set_exception_handler`."""
        error = context.get("exception")
        if isinstance(error, BaseException):
            self.error(str(context.get("message") or "A callback failed"), error)
        else:
            loop.default_exception_handler(context)

    def _write(self, what: str, error: BaseException) -> None:
        if not self._log.isEnabledFor(logging.ERROR):
            return
        raised = (type(error), error, error.__traceback__)
        record = self._log.makeRecord(self._log.name, logging.ERROR, __file__, 0, "%s", (what,), raised)
        text = "".join(traceback.format_exception(error)).rstrip()
        if len(text) > MOST_CHARACTERS:
            text = f"{text[: MOST_CHARACTERS // 2]}\n  [...]\n{text[-MOST_CHARACTERS // 2 :]}"
        record.exc_text = text  # which a formatter takes as it is
        self._log.handle(record)

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
    return f" ({count} more like it within a second were not logged: {kind[0]} at {kind[1]})"


def _kind(error: BaseException) -> Kind:
    behind: BaseException | None = error
    for _ in range(MOST_CAUSES):
        if behind is None:
            break
        _shorten(behind)
        behind = behind.__cause__ or behind.__context__
    frames = error.__traceback__
    if frames is None:
        return type(error).__name__, "unknown"
    while frames.tb_next is not None:
        frames = frames.tb_next
    return type(error).__name__, f"{frames.tb_frame.f_code.co_filename}:{frames.tb_lineno}"


def _shorten(error: BaseException) -> None:
    """Keeps the innermost frames, also for when the same object is raised again."""
    tail = frames = error.__traceback__
    for _ in range(MOST_FRAMES):
        if frames is None:
            return
        frames = frames.tb_next
    while frames is not None and tail is not None:
        frames, tail = frames.tb_next, tail.tb_next
    error.__traceback__ = tail
