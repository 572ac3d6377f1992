"""One attempt after the other: what each is sent, what came of it, and who is tried next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from fairlead.errors import (
    CallerGone,
    DeadlineExceeded,
    FairleadError,
    UpstreamError,
    UpstreamInvalid,
)
from fairlead.gateway.call import CallState
from fairlead.gateway.deadline import drain
from fairlead.gateway.delivery import BufferSink, Delivery
from fairlead.gateway.protocols import Emulation, Health, Recovery
from fairlead.providers.scrub import without_host
from fairlead.routing.attempt import Attempt
from fairlead.routing.demand import Payload
from fairlead.routing.gates import through_gate
from fairlead.routing.health import DeploymentHealth
from fairlead.routing.hedge import Entry
from fairlead.routing.needs import MAY_BE_EMULATED
from fairlead.routing.own_limits import cap_there
from fairlead.routing.parameters import header, parameters, shown
from fairlead.routing.protocols import Call, MadeAnswer
from fairlead.routing.retries import Tries
from fairlead.routing.upstream import Upstream, hide_keys, is_stream, key_rest, send, session_lines


class Attempts:
    """Makes the attempts of all calls. `recoveries`: by the names of operations; `drain_seconds`: how long an answer is
    read for nobody at most."""

    __slots__ = ("_chance", "_clock", "_delivery", "_drain_seconds", "_health", "_recoveries")

    def __init__(
        self,
        health: Health,
        clock: Callable[[], float],
        chance: Callable[[], float],
        delivery: Delivery,
        drain_seconds: float,
        recoveries: Mapping[str, Recovery],
    ) -> None:
        self._health = health
        self._clock = clock
        self._chance = chance
        self._delivery = delivery
        self._drain_seconds = drain_seconds
        self._recoveries = recoveries

    async def attempt(
        self, upstream: Upstream, call_state: CallState, began: float, first: bool, entry: Entry | None
    ) -> None:
        """One try of one candidate. On any way out the exchange is over, its part of the bill is written, and what it
        has shown is known to `Health` and counted."""
        payload, response, health = call_state.payload, call_state.response, self._health
        emulation: Emulation | None = None
        if upstream.lacks & call_state.plan.needs & MAY_BE_EMULATED and call_state.demand.emulate:
            emulation = self._emulation(upstream, call_state)
            if emulation is not None:
                await emulation.check()
        inner = payload if emulation is None else emulation.payload
        clamped = call_state.clamped
        if upstream.output is not None:
            cap = cap_there(call_state.demand, inner.cap, upstream, call_state.plan.prompt)
            if cap != inner.cap:
                inner = inner.with_cap(cap)
                clamped = (*clamped, inner.cap_name)
        # An emulation makes calls in an API of its own, whatever its caller speaks.
        adapter = upstream.adapters[call_state.demand.api if emulation is None else inner.api]
        call = adapter.to_vendor(inner) if entry is None else entry.call
        if emulation is None:
            inner = payload  # drops the copy that has another cap
        attempt = call_state.attempt = Attempt(
            upstream, adapter, call_state.demand.operation, payload, call_state.bill, response
        )
        target = health.begin(upstream.deployment, began, first=first)
        self._note(attempt, call, call_state, clamped, emulation)
        try:
            failure: FairleadError | None = None
            try:
                if emulation is None:
                    await self._exchange(attempt, call, call_state, entry)
                else:
                    await self._emulate(attempt, inner, call, call_state, emulation)
            except FairleadError as error:
                failure = error  # an error that is being handled is no place to wait in: mypyc loses references there
            if failure is not None:
                raise await self._failed(failure, attempt, call_state, target, began)
            health.served(target, attempt.ended_at)
            if attempt.first_at and attempt.tokens:
                health.speed(target, attempt.tokens, attempt.ended_at - attempt.first_at)
        finally:
            self._end(attempt, call_state, target)
        call_state.served = attempt

    def _note(
        self,
        attempt: Attempt,
        call: Call,
        call_state: CallState,
        clamped: tuple[str, ...],
        emulation: Emulation | None,
    ) -> None:
        """What is to be told of an attempt that begins, and what follows when its caller disconnects."""
        upstream, payload = attempt.upstream, call_state.payload
        clamped = (*clamped, *call.clamped) if call.clamped else clamped
        if emulation is not None or call.dropped or clamped or payload.reports:
            names, replaced = ((), ()) if emulation is None else (emulation.names, emulation.parameters)
            call_state.parameters = parameters(payload.names, call, upstream, clamped, names, replaced)
            if payload.reports:
                attempt.report = header(call_state.parameters)
            if clamped:
                attempt.report += b"x-fairlead-clamped: " + shown(clamped) + b"\r\n"
        if call_state.demand.fallbacks:
            call_state.bill.answered_by(upstream.model_id)
        if call_state.continuation is not None and call_state.continuation.tokens:
            attempt.splice = call_state.continuation
        if upstream.bills_cut:
            call_state.response.on_disconnect = partial(drain, attempt, self._drain_seconds)

    def _end(self, attempt: Attempt, call_state: CallState, target: DeploymentHealth) -> None:
        call_state.attempt = None
        attempt.cancel()
        self._health.end(target)
        measured = attempt.upstream.measured
        if measured is not None:
            if not attempt.ended_at:
                attempt.ended_at = self._clock()
            exchange = attempt.exchange
            sent_at = (exchange.sent_at if exchange else 0.0) or attempt.ended_at
            attempt.measure(measured, sent_at, call_state.payload.trace)

    async def _failed(
        self, error: FairleadError, attempt: Attempt, call_state: CallState, target: DeploymentHealth, began: float
    ) -> FairleadError:
        """Writes down what has come of an attempt that failed; gives the error as others are to see it."""
        upstream, health, response = attempt.upstream, self._health, call_state.response
        shown = error
        host = upstream.pool.address.host
        if host:
            error.message = without_host(error.message, host)
        hide_keys(upstream, error)
        if isinstance(error, CallerGone):
            attempt.outcome = attempt.left
            attempt.cancel()
            await attempt.cut_off()
        elif error.policy.verdict == "works":
            # The caller's own mistake: it was understood, so the deployment works.
            attempt.outcome = type(error).code  # not the code that the provider gave it
            health.served(target, self._clock())
        else:
            attempt.cancel()
            response.on_disconnect = None
            if isinstance(error, UpstreamError) and upstream.translate is not None:
                shown = upstream.translate(error)
                if shown is not error:
                    shown.__cause__ = error
            attempt.outcome = attempt.left if response.disconnected else shown.code
            if shown.policy.verdict != "slow" and not response.disconnected:
                health.failed(target, shown, self._clock(), key_rest(upstream, attempt.exchange, shown))
            elif not attempt.first_at:
                # Not known to be broken, but known to be this slow.
                health.first_token(target, self._clock() - began, self._clock())
            if isinstance(error, DeadlineExceeded) and (call_state.own_deadline or response.started):
                # What was delivered is paid for, as by a caller who disconnects.
                attempt.left = error.code
                await attempt.cut_off()
            await attempt.failed(shown)
        return shown

    async def _exchange(self, attempt: Attempt, call: Call, call_state: CallState, entry: Entry | None) -> None:
        """Sends the call, and delivers and settles what is answered."""
        upstream, streamed = attempt.upstream, call_state.demand.stream
        made: MadeAnswer | None = None
        notes = call_state.bill.notes
        if entry is not None:
            exchange = entry.exchange
        elif upstream.gate is None:
            exchange = send(upstream, call, b"" if notes is None else session_lines(upstream, notes))
        else:
            exchange = await through_gate(upstream, upstream.gate, call)
        attempt.exchange = exchange
        if notes is not None:
            notes.digest(call.body)
        waiting = exchange.until_head()
        if waiting is not None:
            await waiting
        if exchange.status != 200:
            raise attempt.adapter.error(exchange.status, exchange.headers, await exchange.read())
        if call.stream and is_stream(attempt.adapter, exchange):
            if streamed:
                await self._delivery.stream(attempt, call, exchange, call_state, entry)
                return
            assembler = attempt.answer = attempt.adapter.assembler(call)
            sink = BufferSink(self._delivery, assembler, attempt)
            await (exchange if entry is None else entry).relay(sink.take)
            assembler.finish()
        elif streamed and (call_state.continuation is not None or not self._makes_streams(call_state)):
            raise UpstreamInvalid("The provider answered without a stream although one was asked for.")
        else:
            # Perhaps it was asked for a stream and sent one JSON document: good for a caller who wants just that.
            whole = exchange.whole()
            if whole is None:
                whole = await exchange.read()
            attempt.answer = answer = attempt.adapter.plain(call, whole)
            if streamed:  # it ignored that a stream was asked for: its events are made here
                made = self._recoveries[call_state.demand.operation.name].as_stream(answer)
        attempt.ended_at = self._clock()
        call_state.settle_now()
        if not attempt.settle_at_once():
            await attempt.settle()
        if made is None:
            self._delivery.whole(attempt, call, call_state)
        else:
            self._delivery.at_once(attempt, made, call, call_state)

    def _makes_streams(self, call_state: CallState) -> bool:
        return call_state.demand.operation.name in self._recoveries

    def _emulation(self, upstream: Upstream, call_state: CallState) -> Emulation | None:
        recovery = self._recoveries.get(call_state.demand.operation.name)
        if recovery is None:
            return None
        tried = [] if call_state.tries is None else call_state.tries.tried
        return recovery.emulation(
            call_state.payload, upstream, call_state.plan.needs & upstream.lacks,
            call_state.serving.options.rules.emulated, call_state.bill.key, tried,
        )  # fmt: skip

    async def _emulate(
        self, attempt: Attempt, payload: Payload, call: Call, call_state: CallState, emulation: Emulation
    ) -> None:
        """Answers what the deployment lacks by more calls, whole, and then as the caller wants it."""
        answer = await emulation.answer(attempt, payload, call)
        attempt.answer = answer
        attempt.ended_at = self._clock()
        call_state.settle_now()
        await attempt.settle()
        self._delivery.emulated(attempt, answer, call, call_state, emulation)

    async def next(self, call_state: CallState, upstream: Upstream, error: FairleadError, began: float) -> Upstream:
        """Who is tried after this failure. Raises it when the caller is to be told."""
        if call_state.tries is None:
            call_state.tries = Tries(call_state.plan, self._health, call_state.serving.options.retries, self._chance)
        started = call_state.response.started
        if started and call_state.cut is None:
            call_state.cut = error
        step = call_state.tries.after(upstream, error, began, self._clock(), started=started, until=call_state.until)
        if step is None:
            raise call_state.cut or error
        if step.pause_seconds:
            await asyncio.sleep(step.pause_seconds)
        if started and not await self._continue(call_state, upstream):
            raise call_state.cut or error
        return step.upstream

    async def _continue(self, call_state: CallState, upstream: Upstream) -> bool:
        """Makes the request continue from what the caller has. False when that cannot be done."""
        recovery = self._recoveries.get(call_state.demand.operation.name)
        if recovery is None or call_state.record is None:
            return False
        found = await recovery.continuation(
            call_state.payload, call_state.record, call_state.continuation, upstream.family
        )
        if found is None:
            return False
        call_state.continuation = found
        call_state.payload = found.payload
        return True
