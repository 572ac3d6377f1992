"""Threads beside the event loop, which share one interpreter with it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, ParamSpec, TypeVar

# How long a thread may keep the interpreter while the event loop waits for it. The loop gives it up for each event, so
# with Python's 5 ms a thread that computes delays each of some hundred events by as much.
SHORT_TURN_SECONDS: Final = 0.0003

Given = ParamSpec("Given")
Made = TypeVar("Made")


class _Turns:
    """Makes turns short while it is entered, in however many threads. At other times they stay as Python has them:
    short ones cost each call about a third more, through switches to the thread that writes records and back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._working = 0
        self._usual = 0.0

    def __enter__(self) -> None:
        with self._lock:
            if self._working == 0:
                self._usual = sys.getswitchinterval()
                sys.setswitchinterval(SHORT_TURN_SECONDS)
            self._working += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._working -= 1
            if self._working == 0:
                sys.setswitchinterval(self._usual)


# For long work in Python in threads that are not `Threads`.
SHORT_TURNS: Final = _Turns()


class Threads(ThreadPoolExecutor):
    """Threads for work that computes in Python: pages, figures for Prometheus, counted tokens. While one of them works,
    the event loop waits for the interpreter for `SHORT_TURN_SECONDS` at most."""

    def submit(self, fn: Callable[Given, Made], /, *args: Given.args, **kwargs: Given.kwargs) -> Future[Made]:
        return super().submit(_in_short_turns, fn, args, kwargs)


def _in_short_turns(fn: Callable[..., Made], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Made:
    with SHORT_TURNS:
        return fn(*args, **kwargs)
