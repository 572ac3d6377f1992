"""Threads beside the event loop take the interpreter for short turns, and only while they work."""

from __future__ import annotations

import sys
import threading

from fairlead.threads import SHORT_TURN_SECONDS, Threads


def interval() -> float:
    return round(sys.getswitchinterval(), 6)


def test_turns_are_short_while_a_thread_works_and_as_before_afterwards() -> None:
    usual = interval()
    begun, go_on = threading.Event(), threading.Event()

    def work() -> float:
        begun.set()
        go_on.wait()
        return interval()

    with Threads(2, "test") as threads:
        first = threads.submit(work)
        begun.wait()
        second = threads.submit(interval)
        assert second.result() == SHORT_TURN_SECONDS
        assert interval() == SHORT_TURN_SECONDS  # the first one still works
        go_on.set()
        assert first.result() == SHORT_TURN_SECONDS
    assert interval() == usual


def test_turns_are_as_before_when_the_work_fails() -> None:
    usual = interval()

    def fail(number: int, *, name: str) -> None:
        raise ValueError(f"{number} {name}")

    with Threads(1, "test") as threads:
        error = threads.submit(fail, 5, name="x").exception()
    assert str(error) == "5 x"
    assert interval() == usual
