"""A share of the calls is also sent elsewhere, to compare: to another deployment, or to another gateway. The answers
are counted and discarded; callers neither wait for them nor pay for them.

A mirrored call begins in the turn of the event loop after its original was planned and sent. It touches no breaker, no
limit and no credit. What is kept of the two is how they ended, how long they took, their tokens and what they cost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, NamedTuple

from fairlead.errors import FairleadError, UpstreamInvalid, UpstreamTimeout
from fairlead.http.eager import Running, run
from fairlead.routing.demand import Demand
from fairlead.routing.protocols import Measured
from fairlead.routing.upstream import Upstream, is_stream, send
from fairlead.telemetry.cells import COST_UNIT
from fairlead.wire.usage import Usage

MARK = b"x-fairlead-shadow: 1\r\n"
# A mirrored call that takes longer is cancelled: nobody waits for it.
LONGEST_SECONDS = 600.0
SECONDS_PER_DAY = 86_400
# What a call without a cap is assumed to answer, while it is under way and what it costs is not known.
ASSUMED_OUTPUT_TOKENS = 4_096


class Target(NamedTuple):
    """Where the calls of a model are mirrored to, and where the two sides are counted: outcomes, times and tokens, and
    what they cost (`*_cost`)."""

    upstream: Upstream
    mirrored: Measured
    original: Measured
    mirrored_cost: Measured
    original_cost: Measured


class Mirrors:
    """Of one process, whatever version of the configuration is in force: what is under way, and what was spent on this
    day (UTC). `clock` gives seconds since 1970."""

    __slots__ = ("_clock", "_day", "_spent", "under_way")

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._day = 0
        self._spent = 0
        self.under_way = 0

    def reserve(self, picodollars: int, budget: int) -> bool:
        """Takes so much of the day's budget; False when that much is not left."""
        day = int(self._clock()) // SECONDS_PER_DAY
        if day != self._day:
            self._day, self._spent = day, 0
        if self._spent + picodollars > budget:
            return False
        self._spent += picodollars
        return True

    def correct(self, reserved: int, spent: int) -> None:
        """What was reserved has turned out to be this."""
        self._spent = max(0, self._spent + spent - reserved)


class Shadow:
    """Of one version of the configuration. `targets`: by the id of a model; `budget`: picodollars per day."""

    __slots__ = ("_budget", "_chance", "_clock", "_mirrors", "_most", "_share", "_targets")

    def __init__(
        self,
        targets: Mapping[str, Target],
        share: float,
        most: int,
        budget: int,
        mirrors: Mirrors,
        chance: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._targets = targets
        self._share = share
        self._most = most
        self._budget = budget
        self._mirrors = mirrors
        self._chance = chance
        self._clock = clock

    @property
    def upstreams(self) -> Collection[Upstream]:
        return [target.upstream for target in self._targets.values()]

    def take(self, demand: Demand) -> Mirrored | None:
        """Begins to mirror a call, or not: for most calls None. Nothing is written or sent before the loop's next
        turn."""
        target = self._targets.get(demand.model)
        if target is None or self._chance() >= self._share:
            return None
        mirrors = self._mirrors
        if mirrors.under_way >= self._most or demand.api not in target.upstream.adapters:
            return None
        expected = _expected(target.upstream, demand)
        if not mirrors.reserve(expected, self._budget):
            return None
        mirrors.under_way += 1
        mirrored = Mirrored(target, mirrors, demand.payload, expected, self._clock)
        asyncio.get_running_loop().call_soon(mirrored.begin)
        return mirrored


class Mirrored:
    """One call and its double."""

    __slots__ = (
        "_began", "_clock", "_first", "_mirrors", "_payload", "_reserved", "_running", "_timer", "_usage", "target",
    )  # fmt: skip

    def __init__(
        self, target: Target, mirrors: Mirrors, payload: Any, reserved: int, clock: Callable[[], float]
    ) -> None:
        self.target = target
        self._mirrors = mirrors
        self._payload = payload
        self._reserved = reserved
        self._clock = clock
        self._began = self._first = 0.0
        self._usage: Usage | None = None
        self._running: Running | None = None
        self._timer: asyncio.TimerHandle | None = None

    def original_ended(self, picodollars: int) -> None:
        """What the original was charged."""
        self.target.original_cost.add("served", 0.0, 0.0, 0, picodollars // COST_UNIT)

    def begin(self) -> None:
        self._began = self._clock()
        self._running = run(self._mirror(), self._end)
        if not self._running.finished:
            late = UpstreamTimeout("The mirrored call took too long.")
            self._timer = asyncio.get_running_loop().call_later(LONGEST_SECONDS, partial(self._running.interrupt, late))

    async def _mirror(self) -> None:
        upstream, payload = self.target.upstream, self._payload
        self._payload = None
        adapter = upstream.adapters[payload.api]
        call = adapter.to_vendor(payload)
        del payload
        exchange = send(upstream, call, MARK)
        try:
            status = await exchange.head()
            if status != 200:
                raise adapter.error(status, exchange.headers, await exchange.read())
            if call.stream and is_stream(adapter, exchange):
                relay = adapter.relay(call)

                def discard(data: bytes) -> None:
                    relay.feed(data)
                    if not self._first and relay.delivered():
                        self._first = self._clock()

                await exchange.relay(discard)
                relay.finish()
                self._usage = relay.usage
            else:
                self._usage = adapter.plain(call, await exchange.read()).usage
        finally:
            exchange.cancel()

    def _end(self, failure: BaseException | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._running = self._timer = self._payload = None
        self._mirrors.under_way -= 1
        target, usage = self.target, self._usage
        if failure is not None and not isinstance(failure, FairleadError):
            failure = UpstreamInvalid("The mirrored call failed.")
        outcome = "served" if failure is None else type(failure).code
        seconds = self._clock() - self._began
        first = self._first - self._began if self._first else 0.0
        prompt, output = (0, 0) if usage is None else (usage.prompt, usage.completion)
        target.mirrored.add(outcome, first, seconds, prompt, output)
        if failure is not None:
            self._mirrors.correct(self._reserved, 0)
        elif usage is not None:
            cost = cost_of(target.upstream, usage)
            self._mirrors.correct(self._reserved, cost)
            target.mirrored_cost.add("served", 0.0, 0.0, 0, cost // COST_UNIT)


def cost_of(upstream: Upstream, usage: Usage) -> int:
    """Picodollars of what a deployment was asked for, by its price: what a caller would pay there."""
    return upstream.deployment.sheet.price.charge(usage.classes, usage.prompt)


def _expected(upstream: Upstream, demand: Demand) -> int:
    """What a call may cost, estimated by its bytes and its cap."""
    output = (demand.cap or ASSUMED_OUTPUT_TOKENS) * demand.choices
    return upstream.deployment.sheet.ceiling(demand.prompt_bytes // 4 + 1, output)
