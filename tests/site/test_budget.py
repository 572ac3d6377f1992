"""The pages' share of the event loop: by a clock that the test moves, so that no machine is too slow for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from fairlead.site import budget
from fairlead.site.budget import MOST_DEBT_SECONDS, MOST_WAITING, Busy, PageBudget

PAGE_SECONDS = 0.01
SHARE, BURST = 0.1, 0.05


class Clock:
    """Time that passes when the test says so, or when everybody waits for a timer."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Timer] = []

    def __call__(self) -> float:
        return self.now

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        self.timers.append(Timer(self.now + seconds, call))
        return self.timers[-1]

    def ring(self) -> bool:
        """Moves to the next timer, and calls it."""
        if not self.timers:
            return False
        first = min(self.timers, key=lambda one: one.at)
        self.timers.remove(first)
        self.now = max(self.now, first.at)
        first.call()
        return True


class Timer:
    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at = at
        self.call = call

    def cancel(self) -> None:
        raise AssertionError("nobody cancels")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pages(clock: Clock) -> PageBudget:
    return PageBudget(SHARE, BURST, clock, clock.later)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def make(pages: PageBudget, clock: Clock, made: list[str], name: str = "", plain: bool = False) -> None:
    async with pages.turn(plain):
        clock.now += PAGE_SECONDS
        made.append(name)


def test_whoever_asks_pages_get_a_tenth_of_the_time_and_what_was_saved(clock: Clock, pages: PageBudget) -> None:
    async def visitor(made: list[str]) -> None:
        while True:
            await make(pages, clock, made)
            await asyncio.sleep(0)

    async def run() -> None:
        made: list[str] = []
        began = clock.now
        visitors = [asyncio.create_task(visitor(made)) for _ in range(16)]
        await settle()
        assert len(made) == pytest.approx(BURST / PAGE_SECONDS, abs=1), "what was saved is used at once"
        while clock.now < began + 60:
            assert clock.ring(), "somebody always waits for the next turn"
            await settle()
        spent, passed = len(made) * PAGE_SECONDS, clock.now - began
        assert spent <= passed * SHARE + BURST + PAGE_SECONDS
        assert spent >= passed * SHARE * 0.9, "and they get what is theirs"
        for one in visitors:
            one.cancel()
        await asyncio.gather(*visitors, return_exceptions=True)
        assert pages.waiting == 0

    asyncio.run(run())


def test_a_plain_address_goes_before_those_with_a_query(clock: Clock, pages: PageBudget) -> None:
    async def run() -> None:
        made: list[str] = []
        clock.now += 1
        async with pages.turn(plain=True):
            tasks = [asyncio.create_task(make(pages, clock, made, f"queried {at}")) for at in range(3)]
            await settle()
            tasks.append(asyncio.create_task(make(pages, clock, made, "plain", plain=True)))
            await settle()
            clock.now += 1
        while clock.ring() or pages.waiting:
            await settle()
        await asyncio.gather(*tasks)
        assert made == ["plain", "queried 0", "queried 1", "queried 2"]

    asyncio.run(run())


def test_too_many_who_wait_and_who_waits_too_long_are_refused(
    clock: Clock, pages: PageBudget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "REFUSAL_SECONDS", 0.0)

    async def run() -> None:
        made: list[str] = []
        async with pages.turn(plain=False):
            waiting = [asyncio.create_task(make(pages, clock, made)) for _ in range(MOST_WAITING)]
            await settle()
            assert pages.waiting == MOST_WAITING
            with pytest.raises(Busy):
                await make(pages, clock, made)
            monkeypatch.setattr(budget, "WAIT_SECONDS", 0.0)
            with pytest.raises(Busy):
                await make(pages, clock, made, plain=True)
            assert pages.waiting == MOST_WAITING, "who was refused waits no longer"
            for one in waiting[1:]:
                one.cancel()
            await settle()
            assert pages.waiting == 1
            clock.now += 0.001
        await settle()
        assert len(made) == 1, "who waited gets its turn, those who left take none"
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(run())


def test_a_turn_that_comes_as_its_visitor_leaves_goes_to_the_next(clock: Clock, pages: PageBudget) -> None:
    async def run() -> None:
        made: list[str] = []
        async with contextlib.AsyncExitStack() as first:
            await first.enter_async_context(pages.turn(plain=False))
            leaving, staying = (asyncio.create_task(make(pages, clock, made, name)) for name in ("leaves", "stays"))
            await settle()
        leaving.cancel()  # it has its turn, and has not run since
        await settle()
        assert made == ["stays"]
        await asyncio.gather(leaving, staying, return_exceptions=True)

    asyncio.run(run())


def test_one_long_page_delays_the_others_by_a_bounded_time(clock: Clock, pages: PageBudget) -> None:
    async def run() -> None:
        made: list[str] = []
        async with pages.turn(plain=False):
            clock.now += 60
        after = clock.now
        task = asyncio.create_task(make(pages, clock, made))
        await settle()
        clock.ring()
        await task
        assert clock.now - after <= MOST_DEBT_SECONDS / SHARE + PAGE_SECONDS + 0.001

    asyncio.run(run())
