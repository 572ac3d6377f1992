"""The time of the event loop that pages may take: chats run on the same loop, and a page takes a hundred times as long
as one of their steps."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from time import perf_counter
from typing import Protocol

# Of the loop's time, at most so much goes into making pages; what was saved up in quiet times may be used at once.
SHARE = 0.1
BURST_SECONDS = 0.25
# What one page may overdraw: the first one of a process takes longer, for its templates are compiled.
MOST_DEBT_SECONDS = 0.25
# Visitors who wait for the same budget, in each of the two queues; one that waits too long gets 503.
MOST_WAITING = 64
WAIT_SECONDS = 5.0
# A visitor beyond them is refused after this time: refusing at once would invite the next request, which costs too.
REFUSAL_SECONDS = 1.0
MOST_REFUSED = 1_000
RETRY_AFTER_SECONDS = 2


class Busy(Exception):
    """The pages' share of the loop is used up, and too many wait for it."""


class Timer(Protocol):
    def cancel(self) -> None: ...


class PageBudget:
    """Pages are made one at a time, and only while the budget has something left: it gets `share` seconds in each
    second, keeps `burst` of them at most, and pays for each page what it took. One page may overdraw it; the next
    waits until that is paid back. `clock` gives seconds; `later(seconds, call)` calls once the clock is there."""

    def __init__(
        self,
        share: float = SHARE,
        burst: float = BURST_SECONDS,
        clock: Callable[[], float] = perf_counter,
        later: Callable[[float, Callable[[], None]], Timer] | None = None,
    ) -> None:
        self._share = share
        self._burst = burst
        self._clock = clock
        self._later = later
        self._left = burst
        self._at = clock()
        self._making = False
        self._timer: Timer | None = None
        self._refusing = 0
        # Plain addresses go before those with a query: there are few of them, and whatever a visitor invents is in
        # the others.
        self._queues: tuple[deque[asyncio.Future[None]], deque[asyncio.Future[None]]] = (deque(), deque())

    @property
    def waiting(self) -> int:
        return sum(map(len, self._queues))

    @asynccontextmanager
    async def turn(self, plain: bool) -> AsyncIterator[None]:
        """Waits for a turn to make a page. Raises Busy."""
        await self._enter(plain)
        began = self._clock()
        try:
            yield
        finally:
            self._fill()
            self._left = max(self._left - (self._clock() - began), -MOST_DEBT_SECONDS)
            self._making = False
            self._next()

    async def _enter(self, plain: bool) -> None:
        if not self._making and not self.waiting and self._fill() > 0:
            self._making = True
            return
        queue = self._queues[0 if plain else 1]
        if len(queue) >= MOST_WAITING:
            await self._refuse()
        place = asyncio.get_running_loop().create_future()
        queue.append(place)
        self._next()
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await place
        except BaseException as error:
            if place.done() and not place.cancelled():  # the turn came at the same moment: it goes to the next one
                self._making = False
                self._next()
            else:
                with suppress(ValueError):
                    queue.remove(place)
            if isinstance(error, TimeoutError):
                raise Busy from None
            raise

    def _next(self) -> None:
        """Gives the turn to who waits, now or as soon as the budget has something left."""
        if self._making or self._timer is not None or not self.waiting:
            return
        left = self._fill()
        if left <= 0:
            later = self._later or asyncio.get_running_loop().call_later
            self._timer = later((1e-6 - left) / self._share, self._on_timer)
            return
        while self.waiting and not self._making:
            place = (self._queues[0] or self._queues[1]).popleft()
            if not place.done():  # else it was given up
                self._making = True
                place.set_result(None)

    def _on_timer(self) -> None:
        self._timer = None
        self._next()

    def _fill(self) -> float:
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._share)
        self._at = now
        return self._left

    async def _refuse(self) -> None:
        if self._refusing < MOST_REFUSED:
            self._refusing += 1
            try:
                await asyncio.sleep(REFUSAL_SECONDS)
            finally:
                self._refusing -= 1
        raise Busy
