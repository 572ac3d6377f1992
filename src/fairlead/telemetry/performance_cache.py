"""The figures as they are shown, to many: computed at most once in a few seconds, however many ask."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from hashlib import blake2b
from typing import Any, Generic, TypeVar

import msgspec
from msgspec.structs import replace

from fairlead.telemetry.figures import DayBar, ModelDay, ModelShare, Performance
from fairlead.telemetry.reader import DAYS_SHOWN, WINDOWS, Reader

T = TypeVar("T")
FRESH_SECONDS = 5.0
# Of longer windows a few seconds change nothing that can be seen.
LONG_FRESH_SECONDS = 30.0
# Threads that read at once: the rest of the database's time belongs to calls.
READERS = 2
# Kept at once, those read last: some 100 KB each.
MOST_SHOWN = 64


class Shown(Generic[T]):
    """A value, its JSON, and a tag that changes when the figures do. `at`: the cache's clock when it was read."""

    __slots__ = ("at", "body", "tag", "value")

    def __init__(self, value: T, at: float) -> None:
        self.value = value
        self.at = at
        self.body = msgspec.json.encode(value)
        same: Any = replace(value, at=0) if isinstance(value, Performance) else value
        self.tag = b'"%b"' % blake2b(msgspec.json.encode(same), digest_size=12).hexdigest().encode()


class PerformanceCache:
    """All of it on the event loop; what is asked for are names of the catalogue, so that the cache stays small."""

    def __init__(self, reader: Reader, clock: Callable[[], float] = time.monotonic) -> None:
        self._reader = reader
        self._clock = clock
        self._shown: dict[Hashable, Shown[Any]] = {}
        self._reading: dict[Hashable, asyncio.Task[Shown[Any]]] = {}
        self._places = asyncio.Semaphore(READERS)

    async def performance(self, model: str, window: str) -> Shown[Performance]:
        """`window`: one of WINDOWS. Raises SQLAlchemyError when the database cannot be read and nothing is known."""
        seconds = FRESH_SECONDS if WINDOWS[window].seconds <= 3600 else LONG_FRESH_SECONDS
        return await self._get((model, window), seconds, lambda: self._reader.performance(model, window))

    async def day_bars(self, model: str, deployment: str = "", days: int = DAYS_SHOWN) -> Shown[tuple[DayBar, ...]]:
        return await self._get(
            (model, deployment, days), LONG_FRESH_SECONDS, lambda: self._reader.day_bars(model, deployment, days)
        )

    async def model_days(self, days: int = DAYS_SHOWN) -> Shown[tuple[ModelDay, ...]]:
        return await self._get(days, LONG_FRESH_SECONDS, lambda: self._reader.model_days(days))

    async def shares(self) -> Shown[tuple[ModelShare, ...]]:
        return await self._get("shares", FRESH_SECONDS, self._reader.shares)

    def latest(self, model: str, window: str) -> Shown[Performance] | None:
        """What was read last, at once; when that is old it is read again for the next who asks. None at first."""
        key = (model, window)
        shown = self._shown.get(key)
        seconds = FRESH_SECONDS if WINDOWS[window].seconds <= 3600 else LONG_FRESH_SECONDS
        if shown is None or self._clock() - shown.at >= seconds:
            self._read(key, lambda: self._reader.performance(model, window))
        return shown

    async def _get(self, key: Hashable, seconds: float, read: Callable[[], T]) -> Shown[T]:
        shown: Shown[T] | None = self._shown.get(key)
        if shown is None or self._clock() - shown.at >= seconds:
            return await asyncio.shield(self._read(key, read))
        return shown

    def _read(self, key: Hashable, read: Callable[[], T]) -> asyncio.Task[Shown[T]]:
        """One reading at a time of the same; who asks meanwhile waits for it."""
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.get_running_loop().create_task(self._work(key, read))
            task.add_done_callback(_seen)
        return task

    async def _work(self, key: Hashable, read: Callable[[], T]) -> Shown[T]:
        try:
            async with self._places:
                shown = await asyncio.get_running_loop().run_in_executor(None, self._make, read)
            self._shown.pop(key, None)
            self._shown[key] = shown
            if len(self._shown) > MOST_SHOWN:  # a caller who asks for everything must not fill the memory
                del self._shown[next(iter(self._shown))]
            return shown
        finally:
            del self._reading[key]

    def _make(self, read: Callable[[], T]) -> Shown[T]:
        at = self._clock()
        return Shown(read(), at)


def _seen(task: asyncio.Task[Any]) -> None:
    """An error that nobody waits for is nothing to be logged: the next who asks gets it."""
    if not task.cancelled():
        task.exception()
