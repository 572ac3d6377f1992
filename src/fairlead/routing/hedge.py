"""Hedging: who takes longer to its first word than it does in 19 of 20 calls gets company; whose first word comes first
serves.

The loser is cancelled. What it may be billed for is the operator's cost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from fairlead.errors import FairleadError
from fairlead.http.eager import Signal, run
from fairlead.http.exchange import Exchange
from fairlead.ledger.ledger import Bill
from fairlead.routing.demand import Demand
from fairlead.routing.needs import MAY_BE_EMULATED
from fairlead.routing.own_limits import cap_there
from fairlead.routing.plan import Plan
from fairlead.routing.protocols import Adapter, Call, Health
from fairlead.routing.upstream import Upstream, is_stream, key_rest, send
from fairlead.wire.usage import TokenClasses, Usage

# How the receipt calls the try that came second.
HEDGED = "hedged"
# So many first-token times must be known before one of them is called late.
LEAST_MEASURED = 20


class Entry:
    """One call under way, whose stream is read and held until it is known who serves. `on_change` is called once: when
    its first word has come, or it has ended before."""

    __slots__ = (
        "_adapter", "_ended", "_held", "_on_change", "_peeked", "_sink", "call", "error", "exchange", "failed", "spoke",
        "upstream",
    )  # fmt: skip

    def __init__(self, upstream: Upstream, adapter: Adapter, call: Call) -> None:
        self.upstream = upstream
        self.call = call
        self.exchange: Exchange = send(upstream, call)
        self.spoke = False
        self.failed = False
        self.error: FairleadError | None = None  # why it failed
        self._adapter = adapter
        self._peeked = adapter.relay(call)
        self._held: list[bytes] = []
        self._sink: Callable[[bytes], None] | None = None
        self._ended: Signal[None] = Signal()
        self._on_change: Callable[[], None] = _nothing

    def begin(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        run(self._read(), self._end)

    async def relay(self, sink: Callable[[bytes], None]) -> None:
        """As `Exchange.relay`: what has been held first."""
        held, self._held = self._held, []
        if held:
            sink(b"".join(held))
        if not self._ended.done:
            self._sink = sink
        await self._ended

    async def _read(self) -> None:
        exchange = self.exchange
        if await exchange.head() != 200:
            self.failed = True
            self.error = self._adapter.error(exchange.status, exchange.headers, b"")
        elif is_stream(self._adapter, exchange):
            await exchange.relay(self._take)

    def _take(self, data: bytes) -> None:
        sink = self._sink
        if sink is not None:
            sink(data)
            return
        self._held.append(data)
        if not self.spoke:
            self._peeked.feed(data)
            if self._peeked.delivered():
                self.spoke = True
                self._changed()

    def _end(self, failure: BaseException | None) -> None:
        known = self.spoke
        self._sink = None
        if failure is None:
            self.spoke = not self.failed
            self._ended.set(None)
        else:
            self.failed = not isinstance(failure, asyncio.CancelledError)
            self.error = failure if isinstance(failure, FairleadError) else None
            self._ended.fail(failure)
        if not known:
            self._changed()

    def _changed(self) -> None:
        on_change, self._on_change = self._on_change, _nothing  # who is told knows this entry: a circle
        on_change()


class Raced(NamedTuple):
    winner: Entry
    loser: Entry | None = None


class Race:
    """Between `one` and, after a while, `other`: the first who says a word wins. When none does, `one` is the winner,
    and tells itself what went wrong."""

    __slots__ = ("_decided", "_other", "entries")

    def __init__(self, one: Entry, other: Callable[[], Entry | None]) -> None:
        self._decided: Signal[None] = Signal()
        self._other = other
        self.entries = [one]

    async def run(self, seconds: float) -> Raced:
        """After `seconds` without a word the other one begins. Whatever is raised here, both are cancelled."""
        timer = asyncio.get_running_loop().call_later(seconds, self._start_hedge)
        self.entries[0].begin(self._look)
        try:
            await self._decided
        except BaseException:
            for entry in self.entries:
                entry.exchange.cancel()
            raise
        finally:
            timer.cancel()
        winner = next((entry for entry in self.entries if entry.spoke), self.entries[0])
        loser = next((entry for entry in self.entries if entry is not winner), None)
        if loser is not None:
            loser.exchange.cancel()
        return Raced(winner, loser)

    def _start_hedge(self) -> None:
        second = self._other()
        if second is not None:
            self.entries.append(second)
            second.begin(self._look)

    def _look(self) -> None:
        if any(entry.spoke for entry in self.entries) or all(entry.failed for entry in self.entries):
            self._decided.set(None)


async def hedged(plan: Plan, demand: Demand, bill: Bill, health: Health, clock: Callable[[], float]) -> Entry | None:
    """The call to the first candidate, or to the second when its first word comes first; None: nothing is hedged, and
    nothing was called. What was called in vain is written on the bill."""
    if len(plan.candidates) - plan.resting < 2:
        return None
    first, second = plan.candidates[:2]
    if first.model_id != second.model_id:
        return None  # another model has limits of its own
    target = health.of(first.deployment)
    if target.measured < LEAST_MEASURED:
        return None
    if any(one.gate is not None or one.lacks & plan.needs & MAY_BE_EMULATED for one in (first, second)):
        return None
    call = _streamed(first, demand, plan.prompt)
    if call is None:
        return None
    began = clock()
    entry = Entry(first, first.adapters[demand.api], call)
    race = Race(entry, partial(_start_hedge, second, demand, plan.prompt, health, clock))
    target.in_flight += 1
    try:
        raced = await race.run(target.late)
    except FairleadError as error:  # the caller has gone, or the deadline has passed
        for entry in race.entries:
            _lost(entry, bill, demand, error.code)
        raise
    finally:
        for entry in race.entries:
            health.of(entry.upstream.deployment).in_flight -= 1
    loser = raced.loser
    if loser is not None:
        _lost(loser, bill, demand, HEDGED if loser.error is None else type(loser.error).code)
        if loser.error is not None:
            rest = key_rest(loser.upstream, loser.exchange, loser.error)
            health.failed(health.of(loser.upstream.deployment), loser.error, clock(), rest)
        elif loser.upstream is first:
            health.first_token(target, clock() - began, clock())
    return raced.winner


def _start_hedge(
    second: Upstream, demand: Demand, prompt_tokens: int, health: Health, clock: Callable[[], float]
) -> Entry | None:
    """The second call, where it may be made now."""
    target = health.of(second.deployment)
    most = second.deployment.max_concurrent
    if (most is not None and target.in_flight >= most) or not health.take_retry(target, clock()):
        return None
    call = _streamed(second, demand, prompt_tokens)
    if call is None:
        return None
    target.in_flight += 1
    return Entry(second, second.adapters[demand.api], call)


def _streamed(upstream: Upstream, demand: Demand, prompt_tokens: int) -> Call | None:
    """The call as it takes it. None when it does not, and for an answer in one piece, which has no first word to wait
    for."""
    cap = cap_there(demand, demand.cap, upstream, prompt_tokens)
    try:
        payload = demand.payload if cap == demand.cap else demand.payload.with_cap(cap)
        call: Call = upstream.adapters[payload.api].to_vendor(payload)
    except FairleadError:  # told when it is really tried
        return None
    return call if call.stream else None


def _lost(entry: Entry, bill: Bill, demand: Demand, outcome: str) -> None:
    """A call that was cancelled before its first word: its prompt may be billed anyway."""
    upstream = entry.upstream
    billed = upstream.bills_cut and not entry.failed and entry.exchange.sent_at
    bill.failed(upstream.deployment.sheet, outcome, may_be_billed(demand) if billed else None)


def may_be_billed(demand: Demand) -> Usage:
    """What a provider may bill for a call that was cancelled before it answered: its prompt, estimated by its bytes."""
    tokens = demand.text_bytes // 4
    return Usage(TokenClasses(tokens, request=1), tokens, 0)


def _nothing() -> None:
    pass
