"""Background tasks of a serving process: draining, watching, probing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger("fairlead")

# Pause before a failed task is restarted: doubled after each failure, up to the longest. It is reset to the first once
# the task has run that long without a failure.
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 60.0


class BackgroundTasks:
    """Coroutines that run until `end`. One that fails is logged and restarted. `failed`: how often, by name."""

    def __init__(self, first_wait_seconds: float = FIRST_WAIT_SECONDS) -> None:
        self.failures = 0
        self.failed: dict[str, int] = {}
        self._first_wait = first_wait_seconds
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self.failed[name] = 0
        self._tasks.append(asyncio.get_running_loop().create_task(self._keep_up(name, work), name=name))

    async def end(self) -> None:
        """Cancels them in the order in which they began, each when the one before has ended."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _keep_up(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        wait = self._first_wait
        while True:
            began = loop.time()
            try:
                await work()
            except Exception:
                self.failures += 1
                self.failed[name] += 1
                if loop.time() - began > LONGEST_WAIT_SECONDS:
                    wait = self._first_wait
                log.exception(
                    "Background task %r failed. Restarting in %.3g s. Please report the traceback.", name, wait
                )
            else:
                return
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)
