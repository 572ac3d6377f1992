"""Background tasks of a serving process: draining, watching, probing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

log = logging.getLogger("fairlead")

# Pause before a failed task is restarted: doubled after each failure, up to the longest. It is reset to the first once
# the task has run that long without a failure.
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 60.0


class Job:
    """What is known of one task. Times in seconds since 1970. `turned_at`: when its last turn ended, None: it has not
    ended one; `next_at`: when the next one begins, None: when there is something to do; `trouble`: why the last turn
    could not do its work; `failed_at`, `error`: when and how it failed as a whole."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.turned_at: float | None = None
        self.next_at: float | None = None
        self.trouble = ""
        self.failures = 0
        self.failed_at: float | None = None
        self.error = ""


_RUNNING: ContextVar[Job | None] = ContextVar("background job", default=None)


def turned(seconds: float, trouble: str = "") -> None:
    """A turn of the running task has ended, and the next one begins in so many seconds (0: when there is something to
    do): what operators see of it."""
    job = _RUNNING.get()
    if job is not None:
        now = time.time()
        job.turned_at, job.next_at, job.trouble = now, now + seconds if seconds else None, trouble


async def rest(seconds: float, trouble: str = "") -> None:
    """The pause between two turns of a task."""
    turned(seconds, trouble)
    await asyncio.sleep(seconds)


class BackgroundTasks:
    """Coroutines that run until `end`. One that fails is logged and restarted. `failed`: how often, by name."""

    def __init__(self, first_wait_seconds: float = FIRST_WAIT_SECONDS) -> None:
        self.failures = 0
        self.failed: dict[str, int] = {}
        self.jobs: dict[str, Job] = {}
        self._first_wait = first_wait_seconds
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self.failed[name] = 0
        self.jobs[name] = Job(name)
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
        job = self.jobs[name]
        _RUNNING.set(job)
        while True:
            began = loop.time()
            try:
                await work()
            except Exception as error:
                self.failures += 1
                self.failed[name] += 1
                job.failures, job.failed_at, job.error = self.failed[name], time.time(), type(error).__name__
                job.next_at = job.failed_at + wait
                if loop.time() - began > LONGEST_WAIT_SECONDS:
                    wait = self._first_wait
                log.exception(
                    "Background task %r failed. Restarting in %.3g s. Please report the traceback.", name, wait
                )
            else:
                return
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)
