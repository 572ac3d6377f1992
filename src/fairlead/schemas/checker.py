"""Hands schemas to a few processes, each key in its turn, and kills a process that takes too long."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import math
import os
import sys
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

import msgspec

from fairlead.errors import InvalidRequest, Overloaded
from fairlead.schemas.verdict import CHECK_SECONDS, HEAD, LENGTH, NO_TEXT, Verdict

log = logging.getLogger("fairlead")

MOST_SCHEMA_BYTES: Final = 131_072
MOST_ANSWER_BYTES: Final = 1_048_576
# Processes of each serving process. A key uses one of them at most, so that another one is left for the others.
PROCESSES: Final = 2
MOST_WAITING: Final = 512
MOST_WAITING_PER_KEY: Final = 64
# Besides the CPU time that the process allows itself: when the machine is so busy that it does not get it.
WALL_SECONDS: Final = 5 * CHECK_SECONDS
START_SECONDS: Final = 60.0
IDLE_SECONDS: Final = 60.0
# After a process that could not be started: doubled each time, up to the longest.
FIRST_WAIT_SECONDS: Final = 1.0
LONGEST_WAIT_SECONDS: Final = 60.0
MOST_VERDICTS: Final = 1_024
CANNOT_CHECK: Final = "JSON schemas cannot be checked at the moment. Try again soon."
_PASSED_ON: Final = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "VIRTUAL_ENV", "HOME", "LANG")
_TOO_MUCH: Final = Verdict(too_much=True)
_decode: Final = msgspec.json.Decoder(Verdict).decode


class _Job:
    __slots__ = ("answer", "key", "schema", "text")

    def __init__(self, key: str, schema: bytes, text: bytes | None, answer: asyncio.Future[Verdict | None]) -> None:
        self.key = key
        self.schema = schema
        self.text = text
        self.answer = answer  # None: no process could be started


class SchemaChecker:
    """Checks schemas and answers for one event loop. Processes start when they are needed and end when they are idle;
    `close` ends them. `key`: who asks; checks of one key wait for one another, not for those of others. While none can
    be started, everybody is answered with Overloaded, and it is tried again less and less often. `clock` in seconds."""

    def __init__(self, processes: int = PROCESSES, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wait = 0.0  # 0: the last start was a good one
        self._start_at = 0.0
        self._most = processes
        self._queues: OrderedDict[str, deque[_Job]] = OrderedDict()
        self._waiting = 0
        self._busy: set[str] = set()
        self._idle: deque[asyncio.Future[None]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._known: OrderedDict[bytes, Verdict] = OrderedDict()
        self._processes: set[int] = set()
        self._closed = False

    @property
    def processes(self) -> frozenset[int]:
        """The ids of the processes that run now."""
        return frozenset(self._processes)

    async def check(self, key: str, schema: bytes) -> None:
        """Raises InvalidRequest (param `response_format`) when a schema cannot be used, Overloaded when too many are
        waiting. What is known of a schema is remembered."""
        if len(schema) > MOST_SCHEMA_BYTES:
            raise _unusable(f"it has {len(schema):,} bytes, and {MOST_SCHEMA_BYTES:,} is the most")
        digest = hashlib.sha256(schema).digest()
        verdict = self._known.get(digest)
        if verdict is None:
            if self._waiting >= MOST_WAITING or len(self._queues.get(key, ())) >= MOST_WAITING_PER_KEY:
                raise _overloaded("Too many JSON schemas are waiting to be checked. Try again soon.")
            verdict = await self._ask(key, schema, None)
            self._known[digest] = verdict
            if len(self._known) > MOST_VERDICTS:
                self._known.popitem(last=False)
        if verdict.too_much:
            raise _unusable(f"checking it takes longer than {CHECK_SECONDS:g} s of CPU time, or too much memory")
        if verdict.broken:
            raise _unusable(verdict.broken)

    async def conforms(self, key: str, schema: bytes, text: str) -> Verdict:
        """The verdict on an answer; `schema` has been checked. Not refused for a long queue: the answer is paid."""
        body = text.encode("utf-8", "replace")
        if len(body) > MOST_ANSWER_BYTES:
            return _TOO_MUCH
        return await self._ask(key, schema, body)

    async def close(self) -> None:
        """Ends all processes. What is waiting is answered with Overloaded."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        while (job := self._take()) is not None:
            job.answer.set_result(None)

    async def _ask(self, key: str, schema: bytes, text: bytes | None) -> Verdict:
        if self._wait and not self._processes and (left := self._start_at - self._clock()) > 0:
            raise _overloaded(CANNOT_CHECK, math.ceil(left))
        job = _Job(key, schema, text, asyncio.get_running_loop().create_future())
        self._queues.setdefault(key, deque()).append(job)
        self._waiting += 1
        self._wake()
        try:
            verdict = await job.answer
        except BaseException:
            self._abandon(job)
            raise
        if verdict is None:
            raise _overloaded(CANNOT_CHECK)
        return verdict

    def _abandon(self, job: _Job) -> None:
        """Nobody waits for it any more."""
        job.answer.cancel()
        queue = self._queues.get(job.key)
        if queue is not None and job in queue:
            queue.remove(job)
            self._waiting -= 1
            if not queue:
                del self._queues[job.key]

    def _wake(self) -> None:
        while self._idle:
            waiter = self._idle.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        if len(self._tasks) < self._most:
            task = asyncio.get_running_loop().create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("JSON schema checker: a worker process failed", exc_info=error)
        if self._queues and not self._closed:
            self._wake()  # what came while this one was about to end

    def _take(self) -> _Job | None:
        """The next job, each key in its turn; None when there is none for another process."""
        for _ in range(len(self._queues)):
            key, queue = self._queues.popitem(last=False)
            if key in self._busy:
                self._queues[key] = queue
                continue
            job = queue.popleft()
            self._waiting -= 1
            if queue:
                self._queues[key] = queue
            return job
        return None

    async def _work(self) -> None:
        """One process, and those that replace it when it had to be killed."""
        child: asyncio.subprocess.Process | None = None
        try:
            while True:
                job = self._take()
                if job is None:
                    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                    self._idle.append(waiter)
                    await asyncio.wait([waiter], timeout=IDLE_SECONDS)
                    if waiter.done():
                        continue
                    waiter.cancel()
                    return
                self._busy.add(job.key)
                verdict: Verdict | None = None
                try:
                    if child is None and self._clock() >= self._start_at:
                        child = await self._start()
                    if child is not None:
                        verdict = await _ask(child, job)
                        if verdict.too_much:
                            await self._kill(child)
                            child = None
                finally:
                    self._busy.discard(job.key)
                    if not job.answer.done():
                        job.answer.set_result(verdict)
        finally:
            if child is not None:
                await self._kill(child)

    async def _start(self) -> asyncio.subprocess.Process | None:
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        try:
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "fairlead.schemas.worker", str(os.getpid()),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environment,
            )  # fmt: skip
        except OSError as error:
            self._failed(str(error))
            return None
        self._processes.add(child.pid)
        try:
            assert child.stdout is not None
            async with asyncio.timeout(START_SECONDS):
                await child.stdout.readexactly(LENGTH.size)
        except (TimeoutError, EOFError, OSError):
            await self._kill(child)
            self._failed(f"the process ended with {child.returncode} at its start")
            return None
        except BaseException:
            await self._kill(child)
            raise
        if self._wait:
            log.warning("JSON schemas are checked again: a process could be started.")
            self._wait = self._start_at = 0.0
        return child

    def _failed(self, why: str) -> None:
        """Logged once, and again when it works: not for each time that it is tried."""
        if not self._wait:
            log.error(
                "JSON schemas cannot be checked, and requests that need it get 503: %s. It is tried again after %g s, "
                "then less often, up to every %g s.", why, FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS,
            )  # fmt: skip
        now = self._clock()
        if now >= self._start_at:  # else another one has failed just now
            self._wait = min(2 * self._wait, LONGEST_WAIT_SECONDS) or FIRST_WAIT_SECONDS
            self._start_at = now + self._wait

    async def _kill(self, child: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        if child.stdin is not None:
            child.stdin.close()
        await child.wait()
        self._processes.discard(child.pid)


async def _ask(child: asyncio.subprocess.Process, job: _Job) -> Verdict:
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        async with asyncio.timeout(WALL_SECONDS):
            text = job.text
            child.stdin.write(HEAD.pack(len(job.schema), NO_TEXT if text is None else len(text)))
            child.stdin.write(job.schema)
            if text is not None:
                child.stdin.write(text)
            await child.stdin.drain()
            (length,) = LENGTH.unpack(await child.stdout.readexactly(LENGTH.size))
            return _decode(await child.stdout.readexactly(length))
    except (TimeoutError, EOFError, OSError, msgspec.DecodeError):
        return _TOO_MUCH  # it has ended itself, or has to be ended


def _unusable(why: str) -> InvalidRequest:
    return InvalidRequest(f"The JSON schema cannot be used: {why}.", param="response_format")


def _overloaded(sentence: str, retry_after_seconds: int = 1) -> Overloaded:
    return Overloaded(sentence, retry_after_seconds=retry_after_seconds)
