"""Deployments are asked by a probe, not by a caller, whether they work: those that are out of order, and those that
nobody has called for a while.

A probe is a call for one word, or a look at the provider's list of models, which costs nothing. What a call costs is on
a bill of the operator's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from fairlead.background import rest
from fairlead.errors import FairleadError, UpstreamDenied, UpstreamFailed, UpstreamInvalid, UpstreamTimeout
from fairlead.http.eager import run
from fairlead.ledger.ledger import Bill
from fairlead.routing.counting import count
from fairlead.routing.health import Health
from fairlead.routing.prompt import Prompt
from fairlead.routing.protocols import Answer
from fairlead.routing.schedule import Idle, Schedule
from fairlead.routing.upstream import Upstream, is_stream, key_rest, send

LOOK_SECONDS = 0.5
# A deployment that needs longer than this for one word is not well.
PROBE_SECONDS = 10.0
MARK = b"x-fairlead-probe: 1\r\n"
# Whose calls probes are in the books, and what they end with.
OPERATOR, PROBE = "operator", "probe"


class Books(Protocol):
    """The ledger, as far as probes need it."""

    def open(self, account: str, key: str, model: str, *, stream: bool, paid: bool) -> Bill: ...


class Probes:
    """`run` probes until it is cancelled. `upstreams()`: everything that can be called now, by deployment id.

    `schedule`: who is looked at because nobody calls there. `patience`: how long an open breaker is left to other
    processes."""

    def __init__(
        self,
        upstreams: Callable[[], Mapping[str, Upstream]],
        health: Health,
        clock: Callable[[], float],
        books: Books | None = None,
        schedule: Schedule | None = None,
        patience: float = 0.0,
    ) -> None:
        self._upstreams = upstreams
        self._health = health
        self._clock = clock
        self._books = books
        self._schedule = schedule
        self._patience = patience
        self._under_way: set[str] = set()

    def replace_schedule(self, schedule: Schedule | None) -> None:
        self._schedule = schedule

    async def run(self) -> None:
        while True:
            await rest(LOOK_SECONDS)
            now = self._clock()
            for target in self._health.due_probes(now - self._patience):
                upstream = self._upstreams().get(target.id)
                if upstream is not None:
                    report = partial(self._health.probed, target)
                    self._start(target.id, Idle(upstream, call=True), report)
            if self._schedule is not None:
                for idle in self._schedule.due(now):
                    self._start(idle.name, idle, partial(self._schedule.told, idle))

    def _start(self, name: str, idle: Idle, report: Callable[[FairleadError | None, float], None]) -> None:
        if name in self._under_way:
            return
        self._under_way.add(name)
        began = self._clock()
        timer: asyncio.TimerHandle | None = None

        def done(failure: BaseException | None) -> None:
            if timer is not None:
                timer.cancel()
            self._under_way.discard(name)
            error = failure if isinstance(failure, FairleadError) else None
            if failure is not None and error is None:
                error = UpstreamInvalid("The probe failed.")
            now = self._clock()
            report(error, now)
            probed = idle.upstream.probed
            if probed is not None:
                probed.add("served" if error is None else type(error).code, 0.0, now - began, 0, 0)

        running = run(probe(idle.upstream, self._books) if idle.call else look(idle.upstream), done)
        if not running.finished:
            late = UpstreamTimeout("The probe was not answered in time.")
            timer = asyncio.get_running_loop().call_later(PROBE_SECONDS, partial(running.interrupt, late))


async def probe(upstream: Upstream, books: Books | None = None) -> None:
    """Asks for one word. Raises a FairleadError when none comes. Runs on `http.eager`."""
    payload = upstream.operation.probe(upstream.model_id)
    adapter = upstream.adapters.get(payload.api)
    if adapter is None:  # nothing here calls what its model is for
        await look(upstream)
        return
    call = adapter.to_vendor(payload)
    exchange = send(upstream, call, MARK)
    try:
        status = await exchange.head()
        if status != 200:
            refused = adapter.error(status, exchange.headers, await exchange.read())
            if key_rest(upstream, exchange, refused) == 0:
                return  # another key is tried the next time
            raise refused
        answer: Answer
        if call.stream and is_stream(adapter, exchange):
            assembler = adapter.assembler(call)
            await exchange.relay(assembler.feed)
            assembler.finish()
            answer = assembler
        else:
            answer = adapter.plain(call, await exchange.read())
        if books is not None and upstream.costs:
            await note_cost(upstream, upstream.operation.kept(payload), answer, books)
    finally:
        exchange.cancel()


async def note_cost(upstream: Upstream, prompt: Prompt, answer: Answer, books: Books) -> None:
    """What the probe costs the operator, in a record of its own: no caller's."""
    usage = answer.usage
    if usage is None:
        usage = (await count(upstream, prompt, answer.delivered())).usage
    bill = books.open(OPERATOR, PROBE, upstream.model_id, stream=False, paid=False)
    bill.failed(upstream.deployment.sheet, PROBE, usage)
    bill.release(PROBE)


async def look(upstream: Upstream) -> None:
    """Asks for the provider's list of models. Raises when the provider cannot be reached, is out of order or does not
    know our credential; what else it answers is an answer."""
    headers, key = upstream.headers, None
    if upstream.credentials is not None:
        key = upstream.credentials.next(upstream.deployment.id)
        headers += key.line
    exchange = upstream.pool.request(b"GET", upstream.list_path, headers + MARK)
    exchange.key = key
    try:
        status = await exchange.head()
        if status == 401:
            denied = UpstreamDenied("The provider refused this gateway's credential (status 401).")
            if key_rest(upstream, exchange, denied) == 0:
                return  # another key is tried the next time
            raise denied
        if status >= 500 and status != 501:
            raise UpstreamFailed(f"The provider failed (status {status}).")
        await exchange.read()
    finally:
        exchange.cancel()
