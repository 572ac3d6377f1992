"""Limits of all workers and nodes together, held in Valkey.

A call is decided in memory, by leases (`shared_meter.py`). They are refilled before they are used up, returned when
they are idle, and end by themselves when their process does. A call waits for the server only where no lease is left:
for one round trip, and never longer than `WAIT_SECONDS`. A server that does not answer by then is away: limits are
divided among the processes that there were, until it answers again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final
from uuid import uuid4

from fairlead.accounts.limits import Limits
from fairlead.accounts.meters import SECOND_NS, Meter
from fairlead.accounts.shared_meter import CONTENDED_NS, LEASE_NS, MS_NS, Report, SharedMeter
from fairlead.accounts.shared_script import COUNT, EXCHANGE, digest
from fairlead.background import rest
from fairlead.store.valkey import Reply, ValkeyAddress, ValkeyConnection, ValkeyError, command, connect

log = logging.getLogger("fairlead")

# How long calls wait for the server, all rounds together; then it is away.
WAIT_SECONDS: Final = 0.05
# A timer that comes late because the process was busy says nothing: replies may have come meanwhile.
GRACE_SECONDS: Final = 0.01
# Rounds of a call, and the pauses before them: others are asked to return what they do not need.
PAUSES: Final = (0.0, 0.002, 0.004, 0.008)
TICK_SECONDS: Final = 0.25
# An answer to what no call waits for.
ANSWER_SECONDS: Final = 0.5
CONNECT_SECONDS: Final = 1.0
CLOSE_SECONDS: Final = 0.2
# Between attempts to connect: doubled each time.
FIRST_WAIT_SECONDS: Final = 0.1
LONGEST_WAIT_SECONDS: Final = 2.0
# An absence that is shorter is not logged.
LOGGED_SECONDS: Final = 1.0
PROCESS_MS: Final = 5_000
# Commands that are written at once, and meters that one tick looks at.
MOST_AT_ONCE: Final = 1_000


class _Waiter:
    """A call that waits for answers about so many meters."""

    __slots__ = ("done", "open")

    def __init__(self, done: asyncio.Future[bool]) -> None:
        self.done = done
        self.open = 0

    def answered(self) -> None:
        self.open -= 1
        if self.open <= 0 and not self.done.done():
            self.done.set_result(True)


class SharedLimits:
    """The leases of this process. `processes`: how many share the limits at least, which is what is known until the
    server counts them; `clock`: of the calls, in seconds. `trouble`: why limits are divided now; None: they
    are shared."""

    def __init__(self, address: ValkeyAddress, clock: Callable[[], float], processes: int) -> None:
        self.address = address
        self.holder = uuid4().hex
        self.epoch = 0
        self.processes = self._least = max(processes, 1)
        self.parts = self.processes
        self.trouble: str | None = "not connected yet"
        self.absences = 0
        self._clock = clock
        self._link: ValkeyConnection | None = None
        self._channel = f"{address.prefix}:recall"
        self._start = f"{address.prefix}:limits:"
        self._exchange = digest(EXCHANGE)
        self._count = digest(COUNT)
        self._active: dict[SharedMeter, None] = {}
        self._due: dict[SharedMeter, None] = {}
        self._waiting: dict[SharedMeter, list[_Waiter]] = {}
        self._flushing = False
        self._sequence = 0
        self._gone: asyncio.Event = asyncio.Event()
        self._by_name: dict[str, SharedMeter] = {}

    def remark(self) -> str:
        """What an operator should know; "": all is well."""
        if self.trouble is None:
            return ""
        among = f"{self.processes} process{'' if self.processes == 1 else 'es'}"
        return f"limits are divided among {among}: Valkey at {self.address} is away ({self.trouble})"

    def meter(self, name: str, scope: str, limits: Limits) -> SharedMeter:
        """That of a scope: the one that still holds leases, where it was forgotten meanwhile."""
        known = self._by_name.get(name)
        if known is None:
            return SharedMeter(name, scope, limits, self)
        if known.limits != limits:
            known.replace(limits)
        return known

    def next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence

    def used(self, meter: SharedMeter) -> None:
        """A call is decided by this meter."""
        if meter not in self._active:
            self._active[meter] = None
            self._by_name[meter.name] = meter
        elif self._link is not None and not meter.under_way and meter.is_low(meter.touched_ns):
            self._ask(meter)

    def lacking(self, meters: Sequence[Meter], tokens: int, calls: int) -> list[SharedMeter]:
        """Those that the server has to be asked about before a call can be decided."""
        if self._link is None:
            return []
        now_ns = self._now()
        shared = [meter for meter in meters if isinstance(meter, SharedMeter) and meter.limited]
        lacking = [meter for meter in shared if meter.lacks(tokens, calls, now_ns)]
        return [] if any(meter.is_hopeless(tokens, calls, now_ns) for meter in lacking) else lacking

    async def obtain(self, meters: Sequence[Meter], tokens: int, calls: int) -> None:
        """Asks for leases, where they may be had. Afterwards the call can be decided."""
        loop = asyncio.get_running_loop()
        late = loop.call_later(WAIT_SECONDS, self._late, loop.time() + WAIT_SECONDS)
        try:
            for pause in PAUSES:
                if pause:
                    await asyncio.sleep(pause)
                lacking = self.lacking(meters, tokens, calls)
                if not lacking:
                    return
                waiter = _Waiter(loop.create_future())
                for meter in lacking:
                    waiter.open += 1
                    meter.need.add(tokens, calls)
                    self._waiting.setdefault(meter, []).append(waiter)
                    self._ask(meter)
                if not await waiter.done:
                    return
        finally:
            late.cancel()

    def _late(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        link = self._link
        if link is None:
            return
        if loop.time() - due > GRACE_SECONDS / 2:  # this process was busy
            loop.call_later(GRACE_SECONDS, self._late, loop.time() + GRACE_SECONDS)
        elif link.waits() > WAIT_SECONDS / 2:
            link.close(f"it did not answer within {WAIT_SECONDS * 1000:g} ms")

    async def run(self) -> None:
        """Connects, and connects again, until it is cancelled; then returns all leases."""
        loop = asyncio.get_running_loop()
        wait, away_since, told = FIRST_WAIT_SECONDS, loop.time(), False
        try:
            while True:
                try:
                    await self._connect()
                except ValkeyError as error:
                    self.trouble = str(error)
                    self._forget_unused()
                else:
                    if told:
                        log.warning("Valkey at %s answers again: limits are shared.", self.address)
                    wait, told = FIRST_WAIT_SECONDS, False
                    await self._keep_up()
                    away_since = loop.time()
                if not told and loop.time() - away_since >= LOGGED_SECONDS:
                    told = True
                    log.warning("%s.", self.remark().replace("limits", "Limits", 1))
                await rest(wait, str(self.trouble or ""))
                wait = min(2 * wait, LONGEST_WAIT_SECONDS)
        finally:
            await self._return_all()

    async def _connect(self) -> None:
        hearing: ValkeyConnection | None = None
        link = await connect(self.address, CONNECT_SECONDS, self._lost)
        try:
            hearing = await connect(self.address, CONNECT_SECONDS, link.close, self._recalled)
            async with asyncio.timeout(CONNECT_SECONDS):
                await hearing.ask("SUBSCRIBE", self._channel)
                for script in (EXCHANGE, COUNT):
                    await link.ask("SCRIPT", "LOAD", script)
                self.processes = max(_whole(await self._counted(link)), self._least)
        except (ValkeyError, TimeoutError) as error:
            reason = str(error) or "it did not answer"
            if hearing is not None:
                hearing.close(reason)
            link.on_lost = None
            link.close(reason)
            raise ValkeyError(reason) from None
        self._hearing = hearing
        self._link = link
        self._gone.clear()
        self.trouble = None
        self.epoch += 1
        self.parts = 0
        for meter in list(self._active):
            meter.follow(self._now())
            self._ask(meter)

    def _counted(self, link: ValkeyConnection) -> asyncio.Future[Reply]:
        return link.ask("EVALSHA", self._count, 1, f"{self.address.prefix}:processes", self.holder, PROCESS_MS)

    async def _keep_up(self) -> None:
        """Reports what was used, until the connection is lost."""
        ticks = 0
        while not self._gone.is_set():
            await rest(TICK_SECONDS)
            # What has come while this process was busy is read first.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            link = self._link
            if link is None:
                break
            if link.waits() > ANSWER_SECONDS:
                link.close(f"it did not answer within {ANSWER_SECONDS:g} s")
                break
            ticks += 1
            if ticks % 4 == 0:
                link.send(
                    command("EVALSHA", self._count, 1, f"{self.address.prefix}:processes", self.holder, PROCESS_MS),
                    self._have_counted,
                )
            self._report_all()

    def _have_counted(self, reply: Reply) -> None:
        if isinstance(reply, int):
            self.processes = max(reply, self._least)

    def _report_all(self) -> None:
        now_ns = self._now()
        for meter in self._next():
            meter.follow(now_ns)
            if meter.has_news(now_ns):
                self._ask(meter)
            meter.set_pace(TICK_SECONDS)
            if meter.is_at_rest() and not meter.has_news(now_ns) and meter not in self._due:
                self._forget(meter)

    def _next(self) -> list[SharedMeter]:
        """Some of those that are in use, all of them in turn: few enough for an event loop."""
        some = list(islice(self._active, MOST_AT_ONCE))
        for meter in some:
            del self._active[meter]
            self._active[meter] = None
        return some

    def _forget_unused(self) -> None:
        """While there is no server: what time has given back need not be told to it."""
        now_ns = self._now()
        for meter in self._next():
            if meter.is_full_again(now_ns):
                self._forget(meter)

    def _forget(self, meter: SharedMeter) -> None:
        del self._active[meter]
        if self._by_name.get(meter.name) is meter:
            del self._by_name[meter.name]

    def _now(self) -> int:
        return int(self._clock() * SECOND_NS)

    def _ask(self, meter: SharedMeter) -> None:
        self._due[meter] = None
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """Sends what is due, but of each meter one report at a time."""
        self._flushing = False
        link = self._link
        if link is None:
            self._due.clear()
            for meter in list(self._waiting):
                self._wake(meter)
            return
        now_ns = self._now()
        for meter in [meter for meter in self._due if not meter.under_way][:MOST_AT_ONCE]:
            del self._due[meter]
            meter.follow(now_ns)
            waiters = self._waiting.pop(meter, [])
            report, words = meter.report(now_ns)
            key = self._start + meter.name
            data = command(
                "EVALSHA", self._exchange, 1, key, self._channel, self.holder, LEASE_NS // MS_NS, *words
            )  # fmt: skip
            link.send(data, _Answer(self, meter, report, waiters))
        if any(not meter.under_way for meter in self._due) and not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def answered(self, meter: SharedMeter, report: Report, waiters: list[_Waiter], reply: Reply) -> None:
        """The reply to a report. What is no reply of the script ends the connection."""
        if isinstance(reply, ValkeyError):
            report.refused()
            self._failed(reply)
        else:
            try:
                report.answered(*_read(reply))
            except ValueError:
                report.refused()
                if reply != []:  # an older report, which came late
                    self._failed(ValkeyError("it answers what no script of ours does"))
        for waiter in waiters:
            waiter.answered()
        if meter in self._due and not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _failed(self, error: ValkeyError) -> None:
        link = self._link
        if link is None:
            return
        if error.code == "NOSCRIPT":  # it has forgotten them
            for script in (EXCHANGE, COUNT):
                link.send(command("SCRIPT", "LOAD", script), _ignored)
        else:
            link.close(str(error))

    def _recalled(self, reply: Reply) -> None:
        """Another process needs what this one may not need."""
        if not isinstance(reply, list) or len(reply) != 3 or not isinstance(reply[2], bytes):
            return
        holder, _, key = reply[2].decode("utf-8", "replace").partition(" ")
        meter = self._by_name.get(key.removeprefix(self._start))
        if holder == self.holder or meter is None or self._link is None:
            return
        meter.contended_ns = self._now() + CONTENDED_NS
        if meter.has_spare():
            self._ask(meter)

    def _lost(self, reason: str) -> None:
        self._link = None
        self._hearing.close(reason)
        self.trouble = reason
        self.absences += 1
        self.parts = self.processes
        self.epoch += 1
        self._gone.set()
        for meter in list(self._waiting):
            self._wake(meter)

    def _wake(self, meter: SharedMeter) -> None:
        for waiter in self._waiting.pop(meter, []):
            if not waiter.done.done():
                waiter.done.set_result(False)

    async def _return_all(self) -> None:
        """Other processes have what this one does not need at once, rather than when its leases end."""
        link = self._link
        if link is None:
            return
        now_ns = self._now()
        for meter in self._active:
            meter.follow(now_ns)
            meter.contended_ns = now_ns + CONTENDED_NS
            self._due[meter] = None
        self._flush()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await link.ask("ZREM", f"{self.address.prefix}:processes", self.holder)
        except (TimeoutError, ValkeyError):
            log.debug("Leases of limits were not returned, and end by themselves.")
        link.on_lost = None
        link.close("this process ends")
        self._hearing.close("this process ends")

    _hearing: ValkeyConnection


class _Answer:
    __slots__ = ("_meter", "_report", "_shared", "_waiters")

    def __init__(self, shared: SharedLimits, meter: SharedMeter, report: Report, waiters: list[_Waiter]) -> None:
        self._shared = shared
        self._meter = meter
        self._report = report
        self._waiters = waiters

    def __call__(self, reply: Reply) -> None:
        self._shared.answered(self._meter, self._report, self._waiters, reply)


def _ignored(_reply: Reply) -> None:
    """Whatever it is, the next command tells."""


def _whole(reply: Reply) -> int:
    if not isinstance(reply, int):
        raise ValkeyError("it answers what no script of ours does")
    return reply


def _read(reply: Reply) -> tuple[int, list[tuple[int, int]]]:
    """What the script answered. Raises ValueError for what it never does."""
    if not isinstance(reply, list) or len(reply) < 2:
        raise ValueError
    numbers = list(_numbers(reply))
    leases = list(zip(numbers[2::2], numbers[3::2], strict=True))
    return numbers[1], leases


def _numbers(reply: list[Reply]) -> Iterator[int]:
    for entry in reply:
        number = int(entry) if isinstance(entry, bytes | int) else -1
        if number < 0:
            raise ValueError
        yield number
