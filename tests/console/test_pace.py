"""Pages of people who have signed in wait while calls keep the process busy, and only then."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext

import pytest
from tests.console.kit import Kit

from fairlead.console.pace import (
    MOST_DEBT_SECONDS,
    SAMPLE_SECONDS,
    SAVED_SECONDS,
    SHARE,
    Pace,
    PacedThreads,
    Work,
    own_work,
)


class Loop:
    """An event loop whose time and work are set by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.ran = self.waited = 0.0
        self.pace = Pace(lambda: self.now, lambda: Work(self.ran, self.waited))
        self.pace.delay()

    def passes(self, seconds: float, ran: float, waited: float = 0.0) -> float | None:
        """So much time, in shares of which the loop runs and waits for a processor; what the next page waits then."""
        self.now += seconds
        self.ran += seconds * ran
        self.waited += seconds * waited
        return self.pace.delay()


def test_an_idle_loop_lets_no_page_wait() -> None:
    loop = Loop()
    for _ in range(20):
        loop.pace.spend(1)
        assert loop.passes(SAMPLE_SECONDS, 0.3) is None


def test_a_busy_loop_gives_pages_their_share_of_what_it_runs() -> None:
    loop = Loop()
    loop.passes(1, 0.9)
    began, made, page = loop.ran, 0.0, 0.02
    for _ in range(2_000):  # a page as soon as one may be made
        wait = loop.pace.delay()
        assert wait is not None
        if wait:
            loop.passes(wait, 0.98)
        else:
            loop.pace.spend(page)
            loop.passes(page * 2, 0.6)
            made += page
    ran = loop.ran - began
    assert 0.9 * SHARE * ran <= made <= SHARE * ran + SAVED_SECONDS + MOST_DEBT_SECONDS


def test_a_loop_that_others_keep_from_running_is_busy_too() -> None:
    loop = Loop()
    loop.pace.spend(10)
    wait = loop.passes(1, 0.2, 0.7)
    assert wait == pytest.approx(MOST_DEBT_SECONDS / SHARE - 0.2, rel=0.01)


def test_a_loop_with_little_to_do_is_not_busy_however_long_it_waits_for_a_processor() -> None:
    loop = Loop()
    for _ in range(20):
        loop.pace.spend(1)
        assert loop.passes(SAMPLE_SECONDS, 0.05, 0.8) is None


def test_pages_wait_no_longer_once_the_loop_is_idle_again() -> None:
    loop = Loop()
    loop.pace.spend(10)
    assert loop.passes(SAMPLE_SECONDS, 0.9)
    assert loop.passes(SAMPLE_SECONDS, 0.1) is None


def test_pages_of_a_busy_loop_are_made_one_after_the_other_and_nobody_waits_for_ever() -> None:
    loop = Loop()
    loop.passes(1, 0.9)
    seen: list[int] = []

    async def page(number: int) -> None:
        async with loop.pace.turn():
            seen.append(number)
            loop.pace.spend(10)
            await asyncio.sleep(0)
            seen.append(number)

    async def pages() -> None:
        async def clock() -> None:
            while True:
                loop.passes(1, 0.9)
                await asyncio.sleep(0)

        ticking = asyncio.create_task(clock())
        await asyncio.gather(*map(page, range(3)))
        ticking.cancel()

    asyncio.run(pages())
    assert seen == [0, 0, 1, 1, 2, 2]


def test_threads_count_what_they_compute() -> None:
    loop = Loop()
    threads = PacedThreads(1, "test", loop.pace)

    def work() -> int:
        until = time.thread_time() + SAVED_SECONDS + 0.05
        while time.thread_time() < until:
            pass
        return 7

    assert threads.submit(work).result() == 7
    threads.shutdown()
    assert loop.passes(1, 0.9)


def test_a_thread_finds_its_own_work() -> None:
    before = own_work()
    until = time.thread_time() + 0.02
    while time.thread_time() < until:
        pass
    assert own_work().ran - before.ran >= 0.015


def test_a_customers_page_waits_for_its_turn_and_an_operators_does_not(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = []
    monkeypatch.setattr(Pace, "turn", lambda _: waited.append(1) or nullcontext())
    assert kit.as_operator().get("/admin/nodes").status == 200
    assert kit.as_role("owner").get("/admin/nodes").status == 403
    assert waited == []
    assert kit.as_role("owner").get("/account/security").status == 200
    assert waited == [1]
