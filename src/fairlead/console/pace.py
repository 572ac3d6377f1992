"""How much of a busy process the pages of people who have signed in may take.

They share the interpreter with the calls that the process serves. While the event loop has time to spare, nothing is
limited. While calls keep it busy, pages are made one after the other and get a small part of the processor time that
calls get, so that callers do not see who looks at the console.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

from fairlead.threads import Threads

# Of the processor time of the event loop, what pages get while it is busy, and how much of it can be saved up. Callers
# lose about twice as much: pages of operators never wait, and each turn of a page empties the loop's caches.
SHARE: Final = 0.03
SAVED_SECONDS: Final = 0.25
# One page may overdraw it; what is owed beyond this is forgotten.
MOST_DEBT_SECONDS: Final = 0.5
# The loop is busy when it runs for more than this part of the time, without the time that it waits for a processor.
BUSY: Final = 0.5
SAMPLE_SECONDS: Final = 0.25
# A visitor waits so long at most: then the page is made after all.
WAIT_SECONDS: Final = 2.0

Given = ParamSpec("Given")
Made = TypeVar("Made")


class Work(NamedTuple):
    """Seconds that a thread ran, and that it waited for a processor while others ran."""

    ran: float
    waited: float


# https://docs.kernel.org/scheduler/sched-stats.html
_SCHEDULED: Final = Path("/proc/thread-self/schedstat")


def own_work() -> Work:
    """Of the calling thread. Other systems than Linux do not say what it waited."""
    try:
        ran, waited, _turns = _SCHEDULED.read_text("ascii").split()
    except OSError:
        return Work(time.thread_time(), 0.0)
    return Work(int(ran) / 1e9, int(waited) / 1e9)


class Pace:
    """`clock`: seconds; `work`: of the thread of the event loop, where it is called."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, work: Callable[[], Work] = own_work) -> None:
        self._clock = clock
        self._work = work
        self._lock = threading.Lock()
        self._left = SAVED_SECONDS
        self._filled: tuple[float, Work] | None = None
        self._sampled: tuple[float, Work] | None = None
        self._busy = False
        self._one_page = asyncio.Lock()

    def spend(self, seconds: float) -> None:
        """From a thread that has worked on a page."""
        with self._lock:
            self._left = max(self._left - seconds, -MOST_DEBT_SECONDS)

    def delay(self) -> float | None:
        """Seconds that the next page has to wait at least, on the event loop; None: it is not busy."""
        now, work = self._clock(), self._work()
        before, done = self._filled or (now, work)
        at, sample = self._sampled or (now, work)
        self._filled, self._sampled = (now, work), self._sampled or (now, work)
        if now - at >= SAMPLE_SECONDS:
            able = now - at - (work.waited - sample.waited)
            self._busy = work.ran - sample.ran > BUSY * able
            self._sampled = (now, work)
        with self._lock:
            earned = work.ran - done.ran if self._busy else now - before
            self._left = min(SAVED_SECONDS, self._left + earned * SHARE)
            return None if not self._busy else max(0.0, -self._left / SHARE)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """While the next page may be made."""
        if self.delay() is None:
            yield
            return
        until = self._clock() + WAIT_SECONDS
        held = False
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                held = await self._one_page.acquire()
                while (wait := self.delay()) and self._clock() < until:  # noqa: ASYNC110 - there is no event for time
                    await asyncio.sleep(min(wait, SAMPLE_SECONDS) + 0.001)  # perhaps the loop is idle by then
        except TimeoutError:
            pass
        try:
            yield
        finally:
            if held:
                self._one_page.release()


class PacedThreads(Threads):
    """Threads that tell a `Pace` what they have used."""

    def __init__(self, count: int, name: str, pace: Pace) -> None:
        super().__init__(count, name)
        self._pace = pace

    def submit(self, fn: Callable[Given, Made], /, *args: Given.args, **kwargs: Given.kwargs) -> Future[Made]:
        return super().submit(_counted, self._pace, fn, args, kwargs)


def _counted(pace: Pace, fn: Callable[..., Made], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Made:
    began = time.thread_time()
    try:
        return fn(*args, **kwargs)
    finally:
        pace.spend(time.thread_time() - began)
