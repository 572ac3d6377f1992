"""The story of one call: admit, plan, attempt, relay, settle, and end in exactly one way.

A call runs as one coroutine driven by `http.eager`; chunks do not wake it: they go from the upstream's read callback
through the dialect's relay to the caller's transport.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final

from fairlead.accounts.caller import Caller
from fairlead.accounts.limits import Admission, LimitBook, Limited
from fairlead.errors import (
    AnswerInvalid,
    CallerGone,
    DeadlineExceeded,
    FairleadError,
    Forbidden,
    InternalError,
    ModelNotFound,
    NoDeployment,
    RateLimited,
    UnsupportedContent,
    UpstreamError,
    UpstreamInvalid,
)
from fairlead.http.eager import clear_traceback
from fairlead.http.exchange import Exchange
from fairlead.http.request import Response
from fairlead.ledger.ledger import Bill, Ledger
from fairlead.money.text import written
from fairlead.operations.chat.continuation import Seam, Sent, Splice, continued, may_be_continued
from fairlead.operations.chat.emulate import Emulated, emulated, inner_request
from fairlead.operations.chat.emulating import emulate
from fairlead.operations.chat.inlining import Inliner
from fairlead.operations.chat.unpaid import UnpaidEmulations
from fairlead.providers.scrub import without_host
from fairlead.routing.attempt import Attempt, HangUp
from fairlead.routing.ceiling import calls_foreseen, tokens_foreseen
from fairlead.routing.counting import counted_when_close
from fairlead.routing.decision import Decided, decided
from fairlead.routing.demand import Demand
from fairlead.routing.gates import through_gate
from fairlead.routing.health import DeploymentHealth, Health
from fairlead.routing.hedge import Entry, hedged
from fairlead.routing.holding import Held, hold, hold_at_once
from fairlead.routing.needs import MAY_BE_EMULATED, MEDIA_URLS
from fairlead.routing.own_limits import cap_there
from fairlead.routing.parameters import Parameters, header, parameters, shown
from fairlead.routing.plan import Plan, Rejection, merged, plan, refusal, with_suffix
from fairlead.routing.protocols import Answer, Assembler, Call, Measured, Relay
from fairlead.routing.retries import Tries
from fairlead.routing.upstream import Servable, Upstream, is_stream, send
from fairlead.schemas.checker import SchemaChecker
from fairlead.serving import Serving, Servings
from fairlead.tokens import count_text
from fairlead.wire.chat import ChatRequest
from fairlead.wire.media import ADDRESS, MODALITIES
from fairlead.wire.preferences import FREE, SUFFIXES, Preferences
from fairlead.wire.usage import Usage

# After the last event of a stream: how long its connection may take to say that it was the last.
END_SECONDS: Final = 1.0
# A deadline that passes while the call is at work right now is looked at again.
DEADLINE_RETRY_SECONDS: Final = 0.01
MOST_DECISIONS: Final = 10_000
# The request of a stream that might have to be continued is kept, unless it is longer.
CONTINUED_PROMPT_BYTES: Final = 65_536
# Events without a word that are held at the beginning of a stream; each choice has one.
HELD_BYTES: Final = 8_192

# That the provider ignored `n` is only known at the end of a stream, when the head has long been sent: a comment, which
# readers of event streams skip.
SHORT_OF_CHOICES: Final = b": x-fairlead-dropped: n\n\n"

JSON_HEAD: Final = b"content-type: application/json\r\nx-content-type-options: nosniff\r\n"
STREAM_HEAD: Final = (
    b"content-type: text/event-stream; charset=utf-8\r\nx-content-type-options: nosniff\r\n"
    b"cache-control: no-cache\r\nx-accel-buffering: no\r\n"
)


class CallState:
    """One call under way: what all its attempts share."""

    __slots__ = (
        "attempt",
        "bill",
        "clamped",
        "cut",
        "demand",
        "expired",
        "own_deadline",
        "parameters",
        "plan",
        "request",
        "response",
        "sent",
        "served",
        "serving",
        "splice",
        "timer",
        "tries",
        "until",
    )

    def __init__(self, serving: Serving, demand: Demand, response: Response, bill: Bill, found: Plan) -> None:
        self.serving = serving
        self.demand = demand
        self.request: ChatRequest = demand.payload  # another one once a stream goes on elsewhere
        self.response = response
        self.bill = bill
        self.plan = found
        self.attempt: Attempt | None = None  # the one under way
        self.own_deadline = False  # the caller gave it, not the operator
        self.expired = False  # the caller was answered at its deadline, and its answer is read on for nobody
        self.served: Attempt | None = None  # the one that gave the answer
        self.tries: Tries | None = None
        self.sent: Sent | None = None  # what a stream has brought, while it may have to be continued
        self.splice: Splice | None = None
        self.cut: FairleadError | None = None  # what ended the stream that others are to continue
        self.timer: asyncio.TimerHandle | None = None
        self.until = math.inf
        self.clamped: tuple[str, ...] = ()
        self.parameters: Parameters | None = None  # what became of them, where that is worth telling

    def measure(self, measured: Measured, kind: str, began: float) -> None:
        """Counts the call as something that began then (in the loop's clock). `kind`: what it ended with, unless it was
        served."""
        served = self.served
        if served is not None:
            served.measure(measured, began)
        else:
            measured.add(kind, 0.0, 0.0, 0, 0)

    @property
    def continued_at(self) -> int | None:
        """The character at which another candidate went on with the stream."""
        return None if self.splice is None else len(self.splice.text)

    def note_dropped(self, name: str) -> None:
        """The provider ignored a parameter, as its answer has shown."""
        known = self.parameters or Parameters((), (), self.clamped, (), ())
        self.parameters = known._replace(
            forwarded=tuple(one for one in known.forwarded if one != name), dropped=(*known.dropped, name)
        )

    def settle_now(self) -> None:
        """The answer is complete: no deadline takes its bill away any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class BufferSink:
    """Takes the stream of an answer that is sent whole."""

    __slots__ = ("_assembler", "_attempt", "_gateway")

    def __init__(self, gateway: Gateway, assembler: Assembler, attempt: Attempt) -> None:
        self._gateway = gateway
        self._assembler = assembler
        self._attempt = attempt

    def take(self, data: bytes) -> None:
        self._assembler.feed(data)
        if not self._attempt.said_at and self._assembler.delivered():
            self._gateway.on_first_token(self._attempt)


class StreamSink:
    """Takes the stream of an answer block by block, on the stack of the upstream's read callback, and sends it on."""

    __slots__ = (
        "_attempt", "_call_state", "_clock", "_drained", "_exchange", "_gateway", "_head", "_most", "_relay",
        "_response", "_splice", "held",
    )  # fmt: skip

    def __init__(
        self, gateway: Gateway, attempt: Attempt, relay: Relay, exchange: Exchange, call_state: CallState, head: bytes
    ) -> None:
        self._gateway = gateway
        self._attempt = attempt
        self._relay = relay
        self._exchange = exchange
        self._call_state = call_state
        self._head = head
        self._response = call_state.response
        self._clock = gateway.clock
        self._most = gateway.hang_up.tokens
        self._drained = 0
        self._splice = call_state.splice
        self.held = b""  # what has come before the first word

    def take(self, data: bytes) -> None:
        """The status is settled by the first word: until then another candidate may serve."""
        out = self._relay.feed(data)
        response = self._response
        if out:
            if not self._attempt.said_at:
                out = self._opening(out)
            response.write(out)
            if self._call_state.sent is not None and out:
                self._call_state.sent.add(out)
        if self._relay.done:
            self._exchange.set_deadline(END_SECONDS if self._splice is None or not self._splice.stopped else 0.0)
        elif response.gone:
            self._drained += out.count(b"\n\n")
            if self._drained > self._most:
                raise CallerGone("The caller hung up.")

    def _opening(self, out: bytes) -> bytes:
        """What leaves of the stream while its first word is awaited. An event that bears only a role is held back:
        when nothing follows it, another candidate can still serve."""
        attempt, relay = self._attempt, self._relay
        if not attempt.first_at:
            attempt.first_at = self._clock()
        if relay.delivered():
            self._gateway.on_first_token(attempt)
        elif not self._response.started and not relay.choices and self._is_short(out):
            self.held += out
            return b""
        out, self.held = self.held + out, b""
        self._gateway.begin(self._head, self._call_state)
        self._head = b""
        return out

    def _is_short(self, out: bytes) -> bool:
        """Words of a kind that is not known here must not be held: one event for each choice is, and one more."""
        held = self.held + out
        return len(held) <= HELD_BYTES and held.count(b"\n\n") <= self._call_state.request.choices + 1


class Gateway:
    """Serves calls by the version of the configuration that is in force when they begin."""

    __slots__ = (
        "_clock", "_decided", "_hang_up", "_health", "_inliner", "_ledger", "_limits", "_schemas", "_servings",
        "_unpaid", "chance",
    )  # fmt: skip

    def __init__(
        self,
        servings: Servings,
        health: Health,
        clock: Callable[[], float],
        ledger: Ledger,
        hang_up: HangUp | None = None,
        limits: LimitBook | None = None,
        schemas: SchemaChecker | None = None,
        inliner: Inliner | None = None,
    ) -> None:
        self._servings = servings
        self._inliner = inliner
        self._schemas = schemas or SchemaChecker()
        self._unpaid = UnpaidEmulations(clock)
        self._limits = limits or LimitBook()
        self._ledger = ledger
        self._health = health
        self._clock = clock
        self._hang_up = hang_up or HangUp()
        self._decided: deque[Decided] = deque(maxlen=MOST_DECISIONS)
        self.chance: Callable[[], float] = random.random

    @property
    def clock(self) -> Callable[[], float]:
        return self._clock

    @property
    def hang_up(self) -> HangUp:
        return self._hang_up

    def take_decisions(self) -> list[Decided]:
        """How calls were routed since this was asked last: those where there was something to decide."""
        found = list(self._decided)
        self._decided.clear()
        return found

    async def plan(self, demand: Demand, caller: Caller) -> tuple[str, Plan]:
        """The id of the model, and how this call would be routed now. Nothing is called, held or recorded."""
        serving = self._servings.now
        demand = called(serving, demand)
        return demand.model, await self._plan(serving, _admitted(serving, demand, caller), demand)

    def model_id(self, name: str) -> str:
        """The id of a model that callers call so; `name` itself for one that there is not."""
        return _named(self._servings.now, name, None)[0]

    def chat(
        self, demand: Demand, response: Response, caller: Caller, timeout_seconds: float | None = None
    ) -> Coroutine[Any, Any, Any]:
        """Answers one chat call on `response`: a whole answer or a stream. Its bill is closed in every ending.

        Raises a FairleadError when there is no (complete) answer; `response.started` then tells whether the caller has
        already seen a part of one. A caller who hangs up is raised here as `CallerGone`; the upstream is closed.
        """
        serving = self._servings.now
        offers: Sequence[Servable] | None = serving.offers.get(demand.model)
        if offers is None or caller.models is not None or demand.fallbacks or demand.media:
            demand = called(serving, demand)
            offers = _admitted(serving, demand, caller)
        paid = offers[0].paid if len(offers) == 1 else any(offer.paid for offer in offers)
        seconds = timeout_seconds or serving.options.timeout_seconds
        until = math.inf if seconds is None else self._clock() + seconds
        own = timeout_seconds is not None
        if caller.limited is not None or self._limits.everybody:
            whose = caller.limited or Limited(caller.key_id, caller.account_id, None, None)
            calls = 1
            if demand.choices > 1:
                for offer in offers:
                    calls = max(calls, calls_foreseen(offer, demand))
            admission = self._limits.admit(
                whose, demand.model, tokens_foreseen(demand, calls), self._clock(), free=not offers[0].paid,
                movable=len(offers) > 1 or demand.preferences is not None, calls=calls,
            )  # fmt: skip
            if admission is not None:
                if admission.whose is None:
                    response.extra += admission.headers(self._clock())
                return self._limited(admission, serving, offers, paid, demand, response, caller, until, own)
        return self._charged(serving, offers, paid, demand, response, caller, until, own)

    async def _limited(
        self,
        admission: Admission,
        serving: Serving,
        offers: Sequence[Servable],
        paid: bool,
        demand: Demand,
        response: Response,
        caller: Caller,
        until: float,
        own: bool,
    ) -> None:
        try:
            await self._charged(serving, offers, paid, demand, response, caller, until, own, admission)
        finally:
            admission.settle(admission.used, self._clock())

    async def _charged(
        self,
        serving: Serving,
        offers: Sequence[Servable],
        paid: bool,
        demand: Demand,
        response: Response,
        caller: Caller,
        until: float,
        own: bool,
        admission: Admission | None = None,
    ) -> None:
        """Plans, holds, serves and charges a call that was let through. `own`: the caller gave the deadline."""
        serving.calls += 1
        try:
            if demand.media & ADDRESS and self._inliner is not None and _nobody_fetches(offers):
                demand = demand.carrying(await self._inliner.inlined(demand.payload))
            if offers[0].least_context is None:
                found = plan(demand, offers, self._health, self._clock(), serving.options.rules, self.chance)
            else:
                found = await self._plan(serving, offers, demand)
            if not found.candidates:
                raise refusal(found, demand, self._health, self._clock())
            if paid and demand.preferences is not None:
                paid = any(not one.deployment.sheet.free for one in found.candidates)  # `:free` leaves no other
            lines = response.extra
            if admission is not None and admission.whose is not None:
                self._let_in(admission, found)
            held: Held | None = None
            clamped: tuple[str, ...] = ()
            if paid and (caller.prepaid or caller.budgets):
                whole = offers[0] if len(offers) == 1 else merged(offers)
                held = hold_at_once(self._ledger, whole, demand, caller)
                if held is None:
                    held = await hold(self._ledger, whole, demand, caller)
                if held.cap:
                    clamped = (demand.payload.cap_name,)
                    demand = demand.capped(held.cap)
            bill = self._ledger.open(
                caller.account_id,
                caller.key_id,
                demand.model,
                demand.stream,
                paid,
                None if held is None else held.hold,
            )
            named = b"x-fairlead-generation-id: %b\r\n" % bill.id.encode()
            response.extra += named
            call_state = CallState(serving, demand, response, bill, found)
            call_state.clamped = clamped
            outcome = kind = InternalError.code
            began = tried = self._clock()
            if until != math.inf:
                call_state.until = until
                call_state.own_deadline = own
                call_state.timer = asyncio.get_running_loop().call_later(
                    max(0.0, until - self._clock()), self._expire, call_state
                )
            try:
                upstream = found.candidates[0]
                first = True
                entry: Entry | None = None
                while True:
                    failure: FairleadError | None = None
                    if admission is not None and admission.whose is not None:
                        failure = self._meter(admission, upstream)
                        response.extra = b"".join((lines, named, admission.headers(self._clock())))
                    if failure is None:
                        if first and serving.options.hedge:
                            entry = await hedged(found, demand, bill, self._health, self._clock)
                            upstream = upstream if entry is None else entry.upstream
                        try:
                            call_state.served = await self._attempt(upstream, call_state, tried, first, entry)
                        except FairleadError as error:
                            # Who refuses to go on from a prefill says nothing about the caller's own request.
                            if not error.policy.elsewhere and (
                                call_state.cut is None or error.policy.verdict != "works"
                            ):
                                raise
                            failure = error
                    if failure is None:
                        if found.key:
                            self._health.remember(found.key, upstream.deployment.id, self._clock())
                        break
                    if response.gone:
                        raise CallerGone("The caller hung up.") from failure
                    upstream = await self._next(call_state, upstream, failure, tried)
                    clear_traceback(failure)
                    first, entry, tried = False, None, self._clock()
            except FairleadError as error:
                outcome = kind = type(error).code  # not the code that the provider gave it
                if call_state.expired:
                    outcome = kind = DeadlineExceeded.code
                raise
            finally:
                call_state.settle_now()
                bill.release(outcome)
                if admission is not None:
                    admission.used = bill.tokens
                measured = offers[0].measured
                if measured is not None:
                    call_state.measure(measured, kind, began)
                if found.rejected or call_state.tries is not None or call_state.parameters is not None:
                    self._decided.append(
                        decided(bill.id, found, call_state.tries, call_state.continued_at, call_state.parameters)
                    )
        finally:
            serving.calls -= 1

    def _let_in(self, admission: Admission, found: Plan) -> None:
        """Leaves out the first candidates, as long as they are of models that are over their limits. Raises RateLimited
        when there is no other."""
        refused: FairleadError | None = None
        for at, upstream in enumerate(found.candidates):
            refused = self._meter(admission, upstream)
            if refused is None:
                if at:
                    found.rejected += tuple(Rejection(one, "limit") for one in found.candidates[:at])
                    found.candidates, found.scores = found.candidates[at:], found.scores[at:]
                    found.resting = min(found.resting, len(found.candidates))
                return
        assert refused is not None
        raise refused

    def _meter(self, admission: Admission, upstream: Upstream) -> FairleadError | None:
        """Charges the call to the limits of the model that is tried now; the refusal, when one of them is used up."""
        try:
            self._limits.move(admission, upstream.model_id, self._clock(), free=upstream.deployment.sheet.free)
        except RateLimited as refused:
            return refused
        return None

    def _expire(self, call_state: CallState) -> None:
        """The deadline has passed: whatever the call waits for ends here. A caller who has gone waits for nothing. One
        who gave the deadline itself is answered, and pays as one who disconnects: by `_drain` where that is so."""
        response, attempt = call_state.response, call_state.attempt
        running = response.running
        call_state.timer = None
        if response.gone or running is None:
            return
        late = DeadlineExceeded("The answer was not complete within the time that was given.")
        if call_state.own_deadline and attempt is not None and attempt.is_billed_to_its_end():
            call_state.expired = True
            attempt.left = late.code
            response.leave(late)
            self._drain(attempt)
        elif not running.interrupt(late):
            call_state.timer = asyncio.get_running_loop().call_later(DEADLINE_RETRY_SECONDS, self._expire, call_state)

    async def _plan(self, serving: Serving, offers: Sequence[Servable], demand: Demand) -> Plan:
        rules = serving.options.rules
        least = offers[0].least_context
        prompt = None
        if least is not None and demand.text_bytes > least and not demand.media:
            prompt = await counted_when_close(offers, demand)
        return plan(demand, offers, self._health, self._clock(), rules, self.chance, prompt)

    async def _next(self, call_state: CallState, upstream: Upstream, error: FairleadError, began: float) -> Upstream:
        """Who is tried after this failure. Raises it when the caller is to be told."""
        if call_state.tries is None:
            call_state.tries = Tries(call_state.plan, self._health, call_state.serving.options.retries, self.chance)
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
        """Makes the request go on from what the caller has. False when that cannot be done."""
        sent = call_state.sent
        text = None if sent is None else sent.text
        if sent is None or text is None:
            return False
        tokens = 0
        if text:
            counted = await asyncio.get_running_loop().run_in_executor(None, count_text, upstream.family, text)
            tokens = counted.tokens
        before = call_state.splice
        origin = call_state.request if before is None else before.origin
        made = continued(origin, text, tokens) if text else (origin, "")
        if made is None:
            return False
        call_state.request, tail = made
        call_state.splice = Splice(sent, origin, text, tokens, tail)
        return True

    async def _attempt(
        self, upstream: Upstream, call_state: CallState, began: float, first: bool, entry: Entry | None
    ) -> Attempt:
        """One try of one candidate. On any way out the exchange is over, its part of the bill is written, and what it
        has shown is known to `Health` and counted."""
        request, response, health = call_state.request, call_state.response, self._health
        wanted = None
        if upstream.lacks & call_state.plan.needs & MAY_BE_EMULATED and request.emulate:
            wanted = emulated(request, call_state.plan.needs, upstream.lacks, call_state.serving.options.rules.emulated)
            if wanted is not None and wanted.schema is not None:
                self._may_emulate(call_state)
                await self._schemas.check(call_state.bill.key, wanted.schema)
        inner = request if wanted is None else inner_request(request, wanted)
        clamped = call_state.clamped
        if upstream.output is not None:
            cap = cap_there(call_state.demand, inner.cap, upstream, call_state.plan.prompt)
            if cap != inner.cap:
                inner = inner.with_cap(cap)
                clamped = (*clamped, inner.cap_name)
        call = upstream.adapter.to_vendor(inner) if entry is None else entry.call
        if wanted is None:
            inner = request  # which lets go of the caller's bytes
        attempt = call_state.attempt = Attempt(upstream, upstream.operation.kept(request), call_state.bill, response)
        standing = health.begin(upstream.deployment, began, first=first)
        clamped = (*clamped, *call.clamped) if call.clamped else clamped
        if wanted is not None or call.dropped or clamped or request.reports:
            names = () if wanted is None else wanted.names
            call_state.parameters = parameters(request.given, call, upstream, clamped, names)
            if request.reports:
                attempt.report = header(call_state.parameters)
            if clamped:
                attempt.report += b"x-fairlead-clamped: " + shown(clamped) + b"\r\n"
        if request.fallbacks:
            call_state.bill.answered_by(upstream.model_id)
        if call_state.splice is not None and call_state.splice.tokens:
            attempt.splice = call_state.splice
        if upstream.bills_cut:
            response.on_gone = partial(self._drain, attempt)
        try:
            failure: FairleadError | None = None
            try:
                if wanted is None:
                    await self._exchange(attempt, call, call_state, entry)
                else:
                    await self._emulate(attempt, inner, call, call_state, wanted)
            except FairleadError as error:
                failure = error  # an error that is being handled is no place to wait in: mypyc loses references there
            if failure is not None:
                raise await self._failed(failure, attempt, call_state, standing, began)
            health.served(standing, attempt.ended_at)
            if attempt.first_at and attempt.tokens:
                health.speed(standing, attempt.tokens, attempt.ended_at - attempt.first_at)
        finally:
            call_state.attempt = None
            attempt.cancel()
            health.end(standing)
            if upstream.measured is not None:
                if not attempt.ended_at:
                    attempt.ended_at = self._clock()
                exchange = attempt.exchange
                sent_at = (exchange.sent_at if exchange else 0.0) or attempt.ended_at
                attempt.measure(upstream.measured, sent_at, request.trace)
        return attempt

    async def _failed(
        self, error: FairleadError, attempt: Attempt, call_state: CallState, standing: DeploymentHealth, began: float
    ) -> FairleadError:
        """Writes down what has come of an attempt that failed; gives the error as others are to see it."""
        upstream, health, response = attempt.upstream, self._health, call_state.response
        shown = error
        host = upstream.pool.address.host
        if host:
            error.message = without_host(error.message, host)
        if isinstance(error, CallerGone):
            attempt.outcome = attempt.left
            attempt.cancel()
            await attempt.cut_off()
        elif error.policy.verdict == "works":
            # The caller's own mistake: it was understood, so the deployment works.
            attempt.outcome = type(error).code  # not the code that the provider gave it
            health.served(standing, self._clock())
        else:
            attempt.cancel()
            response.on_gone = None
            if isinstance(error, UpstreamError) and upstream.translate is not None:
                shown = upstream.translate(error)
                if shown is not error:
                    shown.__cause__ = error
            attempt.outcome = attempt.left if response.gone else shown.code
            if shown.policy.verdict != "slow" and not response.gone:
                health.failed(standing, shown, self._clock())
            elif not attempt.first_at:
                # Not known to be broken, but known to be this slow.
                health.first_token(standing, self._clock() - began, self._clock())
            if isinstance(error, DeadlineExceeded) and (call_state.own_deadline or response.started):
                # What was delivered is paid for, as by a caller who disconnects.
                attempt.left = error.code
                await attempt.cut_off()
            await attempt.failed(shown)
        return shown

    def _drain(self, attempt: Attempt) -> None:
        """The caller has hung up, and the provider bills the answer to its end: so it is read to its end, within
        bounds, and charged by what the provider reports."""
        running = attempt.response.running
        assert running is not None
        gone = CallerGone("The caller hung up.")
        exchange = attempt.exchange
        if exchange is None or not exchange.sent_at:
            running.interrupt(gone)
        elif not exchange.over:
            exchange.resume()
            loop = asyncio.get_running_loop()
            attempt.drain_timer = loop.call_later(self._hang_up.seconds, running.interrupt, gone)

    async def _exchange(self, attempt: Attempt, call: Call, call_state: CallState, entry: Entry | None) -> None:
        upstream, request, response = attempt.upstream, call_state.request, call_state.response
        if entry is not None:
            exchange = entry.exchange
        elif upstream.gate is None:
            exchange = send(upstream, call)
        else:
            exchange = await through_gate(upstream, upstream.gate, call)
        attempt.exchange = exchange
        waiting = exchange.until_head()
        if waiting is not None:
            await waiting
        if exchange.status != 200:
            raise upstream.adapter.error(exchange.status, exchange.headers, await exchange.read())
        if call.stream and is_stream(upstream, exchange):
            if request.stream:
                await self._relay(attempt, call, exchange, call_state, entry)
                return
            assembler = attempt.answer = upstream.adapter.assembler(call)
            sink = BufferSink(self, assembler, attempt)
            await (exchange if entry is None else entry).relay(sink.take)
            assembler.finish()
        elif request.stream:
            raise UpstreamInvalid("The provider answered without a stream although one was asked for.")
        else:
            # Perhaps it was asked for a stream and sent one JSON document: good for a caller who wants just that.
            whole = exchange.whole()
            if whole is None:
                whole = await exchange.read()
            attempt.answer = upstream.adapter.plain(call, whole)
        attempt.ended_at = self._clock()
        call_state.settle_now()
        if not attempt.settle_at_once():
            await attempt.settle()
        usd = written(attempt.bill.price)
        if response.finished:  # the caller was answered at its deadline
            return
        head = _head(JSON_HEAD, attempt, call, usd)
        if request.choices > 1 and _lacks_choices(attempt.answer, request, call):
            call_state.note_dropped("n")
            head = _head(JSON_HEAD, attempt, call, usd, (*call.dropped, "n"))
        response.send(200, head, attempt.answer.end(_usage_members(usd, attempt.counted), attempt.counted))

    def _may_emulate(self, call_state: CallState) -> None:
        """Raises AnswerInvalid where a schema was emulated in vain for this call already, and RateLimited where that
        has happened too often: nobody pays for it."""
        self._unpaid.admit(call_state.bill.key)
        if call_state.tries is not None:
            for one in call_state.tries.tried:
                if one.outcome == AnswerInvalid.code:
                    raise AnswerInvalid("No answer conformed to the JSON schema; it is not emulated a second time.")

    async def _emulate(
        self, attempt: Attempt, inner: ChatRequest, call: Call, call_state: CallState, wanted: Emulated
    ) -> None:
        """Answers what the deployment lacks by more calls, whole, and then as the caller wants it."""
        made = await emulate(attempt, inner, call, wanted, self._schemas, self._unpaid)
        attempt.answer = made
        attempt.ended_at = self._clock()
        call_state.settle_now()
        await attempt.settle()
        usd = written(attempt.bill.price)
        members = _usage_members(usd, attempt.counted)
        mark = b"x-fairlead-emulated: %b\r\n" % ", ".join(wanted.names).encode()
        response = call_state.response
        if response.finished:  # the caller was answered at its deadline
            return
        if call_state.request.stream:
            response.start(200, _head(STREAM_HEAD + mark, attempt, call))
            response.end(made.stream(members, attempt.counted, include_usage=call_state.request.include_usage))
        else:
            response.send(200, _head(JSON_HEAD + mark, attempt, call, usd), made.end(members, attempt.counted))

    async def _relay(
        self, attempt: Attempt, call: Call, exchange: Exchange, call_state: CallState, entry: Entry | None
    ) -> None:
        upstream, response = attempt.upstream, call_state.response
        relay: Relay = upstream.adapter.relay(call)
        if call_state.splice is not None:
            relay = Seam(relay, call_state.splice)
        attempt.answer = relay
        head = _head(STREAM_HEAD, attempt, call)
        exchange.headers = ()
        call.body.clear()
        sink = StreamSink(self, attempt, relay, exchange, call_state, head)
        response.on_pause = exchange.pause
        response.on_resume = exchange.resume
        try:
            try:
                await (exchange if entry is None else entry).relay(sink.take)
            except UpstreamError:
                if not relay.done:  # a connection that breaks after the last event takes nothing away
                    raise
            rest = relay.finish()
            if sink.held:
                rest = sink.held + rest
            if call_state.request.choices > 1 and _lacks_choices(relay, call_state.request, call):
                call_state.note_dropped("n")
                rest += SHORT_OF_CHOICES
            attempt.ended_at = self._clock()
            call_state.settle_now()
            await attempt.settle()
            members = _usage_members(written(attempt.bill.price), attempt.counted)
        finally:
            response.on_pause = response.on_resume = None
        if not response.started:
            response.start(200, head)
        response.end(rest + relay.end(members, attempt.counted))

    def on_first_token(self, attempt: Attempt) -> None:
        """The first word of an answer has come."""
        health, exchange = self._health, attempt.exchange
        assert exchange is not None
        attempt.said_at = now = self._clock()
        health.first_token(health.standing(attempt.upstream.deployment), now - exchange.sent_at, now)

    def begin(self, head: bytes, call_state: CallState) -> None:
        """The first event of a stream has come."""
        response, request = call_state.response, call_state.request
        if response.started:
            return
        response.start(200, head)
        if (
            len(call_state.plan.candidates) > 1
            and call_state.serving.options.continue_streams
            and len(request.messages) <= CONTINUED_PROMPT_BYTES
            and may_be_continued(request)
        ):
            call_state.sent = Sent()
        else:
            # Not sent again from here on: a stream may be open for an hour, and thousands of them.
            request.release()


def called(serving: Serving, demand: Demand) -> Demand:
    """The same for the ids of its models, where it calls them otherwise. Everything from here on - permissions, limits,
    the bill - goes by the model's own id."""
    model, wanted = _named(serving, demand.model, demand.preferences)
    fallbacks = []
    for name in demand.fallbacks:
        known, wanted = _named(serving, name, wanted)
        fallbacks.append(known)
    if model == demand.model and wanted is demand.preferences and fallbacks == list(demand.fallbacks):
        return demand
    return demand.called(model, tuple(fallbacks), wanted)


def _named(serving: Serving, name: str, wanted: Preferences | None) -> tuple[str, Preferences | None]:
    """A model's id, and what the name by which it is called adds to the preferences."""
    if name in serving.servables:
        return name, wanted
    if name.endswith(SUFFIXES):
        known = name[: name.rindex(":")]
        if known in serving.servables:
            return known, with_suffix(wanted, name[len(known) :])
    if name in serving.aliases:
        if name.endswith(FREE):  # whatever it is an alias of, such a name never costs anything
            wanted = with_suffix(wanted, FREE)
        return serving.aliases[name], wanted
    return name, wanted


def _admitted(serving: Serving, demand: Demand, caller: Caller) -> Sequence[Servable]:
    """The model that is asked for, and those to fall back on."""
    offers = [_offer(serving, name, caller) for name in (demand.model, *demand.fallbacks)]
    if not any(offer.upstreams for offer in offers):
        raise NoDeployment(
            f"No deployment serves '{demand.model}' yet: add one under [[models]] (a provider, its upstream_model "
            "and a price) in the file that `fairlead serve --config FILE` reads, then restart.",
            param="model",
        )
    if demand.media:
        for bit, modality in MODALITIES.items():
            if demand.media & bit and not any(offer.model.may_take(modality) for offer in offers):
                raise UnsupportedContent(f"'{demand.model}' takes no {modality} input.", param="messages")
    return offers


def _offer(serving: Serving, name: str, caller: Caller) -> Servable:
    servable = serving.servables.get(name)
    if servable is None:
        raise ModelNotFound(
            f"The model '{name}' does not exist here. GET /v1/models lists what there is.", param="model"
        )
    if caller.models is not None and not caller.may_use(name):
        raise Forbidden(f"This API key may not use '{name}'.", param="model")
    return servable


def _nobody_fetches(offers: Sequence[Servable]) -> bool:
    return all(upstream.lacks & MEDIA_URLS for offer in offers for upstream in offer.upstreams)


def _usage_members(usd: bytes, counted: Usage | None) -> bytes:
    """What the usage of an answer gets: the cost as a number, which SDKs read as a float, and as a string; both with
    every digit. And who counted, where that was not the provider."""
    if counted is not None:
        return b',"cost":%b,"cost_usd":"%b","usage_source":"counted"' % (usd, usd)
    return b',"cost":%b,"cost_usd":"%b"' % (usd, usd)


def _lacks_choices(answer: Answer, request: ChatRequest, call: Call) -> bool:
    """Whether the provider took `n` and gave fewer answers."""
    return answer.choices < request.choices and "n" not in call.dropped


def _head(
    head: bytes, attempt: Attempt, call: Call, usd: bytes | None = None, dropped: tuple[str, ...] | None = None
) -> bytes:
    """`usd` when the bill is settled already. `dropped`: instead of what the dialect has no word for."""
    head = b"%b%b%b" % (head, attempt.upstream.answer_headers, attempt.report)
    if usd is not None:
        head = b"%bx-fairlead-cost: %b\r\n" % (head, usd)
    if dropped is None:
        dropped = call.dropped
    if dropped:
        head += b"x-fairlead-dropped: " + shown(dropped) + b"\r\n"
    return head
