"""The story of one call: prepare, open, deliver, settle; it ends in exactly one way.

A call runs as one coroutine driven by `http.eager`; chunks do not wake it: they go from the upstream's read callback
through the dialect's relay to the caller's transport.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from fairlead.accounts.caller import Caller
from fairlead.accounts.end_users import of_user
from fairlead.accounts.limit_book import LimitBook
from fairlead.errors import BudgetExceeded, CallerGone, DeadlineExceeded, FairleadError, InsufficientCredit
from fairlead.gateway.admission import admit, called, lease, lease_again, let_in, meter, named, nobody_fetches, offered
from fairlead.gateway.attempts import Attempts
from fairlead.gateway.call import CallState
from fairlead.gateway.deadline import expire
from fairlead.gateway.delivery import Delivery
from fairlead.gateway.protocols import Health, Ledger, Limits, Recovery
from fairlead.http.eager import clear_traceback
from fairlead.http.request import Response
from fairlead.routing.attempt import DisconnectPolicy
from fairlead.routing.counting import counted_when_close
from fairlead.routing.decision import Decided, decided
from fairlead.routing.demand import Demand
from fairlead.routing.hedge import Entry, hedged
from fairlead.routing.holding import Held, hold, hold_at_once, models_to_go_on_with
from fairlead.routing.plan import Plan, merged, plan, refusal
from fairlead.routing.upstream import Servable, Upstream
from fairlead.serving import Serving, Servings
from fairlead.wire.media import ADDRESS
from fairlead.wire.notes import CallNotes

MOST_DECISIONS: Final = 10_000


class Gateway:
    """Serves calls by the version of the configuration that is in force when they begin. `recoveries`: of operations
    that have one, by name."""

    __slots__ = (
        "_attempts", "_chance", "_clock", "_decided", "_drain_seconds", "_health", "_ledger", "_limits",
        "_recoveries", "_servings",
    )  # fmt: skip

    def __init__(
        self,
        servings: Servings,
        health: Health,
        clock: Callable[[], float],
        ledger: Ledger,
        on_disconnect: DisconnectPolicy,
        limits: Limits | None = None,
        recoveries: Mapping[str, Recovery] | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._servings = servings
        self._recoveries = recoveries = recoveries or {}
        self._limits: Limits = limits or LimitBook()
        self._ledger = ledger
        self._health = health
        self._clock = clock
        self._chance = chance
        self._drain_seconds = on_disconnect.seconds
        delivery = Delivery(health, clock, recoveries, on_disconnect.tokens)
        self._attempts = Attempts(health, clock, chance, delivery, on_disconnect.seconds, recoveries)
        self._decided: deque[Decided] = deque(maxlen=MOST_DECISIONS)

    def take_decisions(self) -> list[Decided]:
        """How calls were routed since this was asked last: those where there was something to decide."""
        found = list(self._decided)
        self._decided.clear()
        return found

    async def plan(self, demand: Demand, caller: Caller) -> tuple[str, Plan]:
        """The id of the model, and how this call would be routed now. Nothing is called, held or recorded."""
        serving = self._servings.now
        demand = called(serving, demand)
        return demand.model, await self._plan(serving, offered(serving, demand, caller), demand)

    def model_id(self, name: str) -> str:
        """The id of a model that callers call so; `name` itself for one that there is not."""
        return named(self._servings.now, name, None)[0]

    def chat(
        self, demand: Demand, response: Response, caller: Caller, timeout_seconds: float | None = None
    ) -> Coroutine[Any, Any, Any]:
        """Answers one chat call on `response`: a whole answer or a stream. Its bill is closed in every ending.

        Raises a FairleadError when there is no (complete) answer; `response.started` then tells whether the caller has
        already seen a part of one. A caller's disconnect is raised here as `CallerGone`; the upstream is closed.
        """
        if caller.user_caps is not None:
            caller = of_user(caller, "" if demand.notes is None else demand.notes.user)
        serving = self._servings.now
        offers: Sequence[Servable] | None = serving.offers.get(demand.model)
        if (
            offers is None
            or caller.models is not None
            or demand.fallbacks
            or demand.media
            or demand.api not in offers[0].apis
        ):
            demand = called(serving, demand)
            offers = offered(serving, demand, caller)
        paid = offers[0].paid if len(offers) == 1 else any(offer.paid for offer in offers)
        seconds = timeout_seconds or serving.options.timeout_seconds
        until = math.inf if seconds is None else self._clock() + seconds
        call_state = CallState(serving, offers, paid, demand, response, caller, until, timeout_seconds is not None)
        if caller.limited is not None or self._limits.everybody:
            leasing = lease(self._limits, call_state)
            return self._admitted(call_state) if leasing is None else self._leased(call_state, leasing)
        return self._serve(call_state)

    async def _leased(self, call_state: CallState, leasing: Coroutine[Any, Any, None]) -> None:
        """Limits are shared with other processes, and nothing is left of what this one holds of them."""
        await leasing
        await self._admitted(call_state)

    def _admitted(self, call_state: CallState) -> Coroutine[Any, Any, Any]:
        """Serves a call within the limits of its caller. Raises RateLimited."""
        admission = admit(self._limits, call_state, self._clock())
        if admission is None:
            return self._serve(call_state)
        if admission.whose is None:
            call_state.response.extra += admission.headers(self._clock())
        call_state.admission = admission
        return self._limited(call_state)

    async def _limited(self, call_state: CallState) -> None:
        admission = call_state.admission
        assert admission is not None
        try:
            await self._serve(call_state)
        finally:
            admission.settle(admission.used, self._clock())

    async def _serve(self, call_state: CallState) -> None:
        """Plans, holds, delivers and settles a call that was let through."""
        serving, offers, demand = call_state.serving, call_state.offers, call_state.demand
        serving.calls += 1
        try:
            if demand.media & ADDRESS and nobody_fetches(offers):
                recovery = self._recoveries.get(demand.operation.name)
                if recovery is not None and recovery.inlines:
                    demand = demand.carrying(await recovery.inlined(demand.payload))
            if offers[0].least_context is None:
                found = plan(demand, offers, self._health, self._clock(), serving.options.rules, self._chance)
            else:
                found = await self._plan(serving, offers, demand)
            self._accept(call_state, demand, found)
            held: Held | None = None
            if call_state.paid and (call_state.caller.prepaid or call_state.caller.budgets):
                whole = offers[0] if len(offers) == 1 else merged(offers)
                held = hold_at_once(self._ledger, whole, demand, call_state.caller)
                if held is None and call_state.caller.has_fallbacks():
                    held = await self._hold_or_go_on(call_state, whole)
                    found = call_state.plan
                elif held is None:
                    held = await hold(self._ledger, whole, demand, call_state.caller)
            self._open(call_state, held)
            if serving.shadow is not None:
                call_state.mirrored = serving.shadow.take(call_state.demand)
            demand = call_state.demand  # drops the uncapped payload when the cap was lowered
            try:
                upstream = found.candidates[0]
                entry: Entry | None = None
                failure = self._meter(call_state, upstream)
                if failure is None:
                    if serving.options.hedge:
                        entry = await hedged(found, demand, call_state.bill, self._health, self._clock)
                        upstream = upstream if entry is None else entry.upstream
                    try:
                        await self._attempts.attempt(upstream, call_state, call_state.began, True, entry)
                    except FairleadError as error:
                        if _is_final(error, call_state):
                            raise
                        failure = error
                if failure is not None:
                    entry = None
                    upstream = await self._serve_elsewhere(call_state, upstream, failure)
                if found.key:
                    self._health.remember(found.key, upstream.deployment.id, self._clock())
            except FairleadError as error:
                # Not the code that the provider gave it.
                call_state.outcome = DeadlineExceeded.code if call_state.expired else type(error).code
                raise
            finally:
                self._settle(call_state)
        finally:
            serving.calls -= 1

    async def _hold_or_go_on(self, call_state: CallState, whole: Servable) -> Held | None:
        """Holds what the call may come to; when a budget refuses that, the call goes on with the first model that the
        budget names, the key may use and can pay. None: that one is free. Raises what refused the model asked for."""
        demand, caller = call_state.demand, call_state.caller
        refused: InsufficientCredit | None = None
        try:
            return await hold(self._ledger, whole, demand, caller)
        except InsufficientCredit as error:
            refused = error
        free_alone = not isinstance(refused, BudgetExceeded)
        for name in models_to_go_on_with(caller, demand.notes, refused):
            model = self.model_id(name)
            offer = call_state.serving.servables.get(model)
            leasing = None if offer is None else lease_again(self._limits, call_state, model, not offer.paid)
            if leasing is not None:
                await leasing
            if not self._plans_with(call_state, demand, name) or (free_alone and call_state.paid):
                continue
            if not call_state.paid:
                return self._gone_on(call_state, None)
            offers = call_state.offers
            held: Held | None = None
            try:
                held = await hold(self._ledger, offers[0], call_state.demand, caller)
            except InsufficientCredit:
                continue
            return self._gone_on(call_state, held)
        raise refused

    def _plans_with(self, call_state: CallState, asked: Demand, name: str) -> bool:
        """Plans a call for another model than it asks for; False when that cannot serve it, or its key may not use
        it. What the caller prefers of providers stays."""
        serving = call_state.serving
        model, wanted = named(serving, name, asked.preferences)
        notes = CallNotes() if asked.notes is None else asked.notes
        demand = asked.called(model, (), wanted).noted(notes.asking(asked.model))
        if model == asked.model:
            return False
        try:
            offers = offered(serving, demand, call_state.caller)
            found = plan(demand, offers, self._health, self._clock(), serving.options.rules, self._chance)
            if not found.candidates:
                return False
            call_state.offers = offers
            call_state.paid = offers[0].paid
            self._accept(call_state, demand, found)
        except FairleadError:
            return False
        return True

    def _gone_on(self, call_state: CallState, held: Held | None) -> Held | None:
        model = quote(call_state.demand.model, safe="/:").encode()
        call_state.response.extra += b"x-fairlead-fallback: budget; model=%b\r\n" % model
        return held

    async def _serve_elsewhere(self, call_state: CallState, upstream: Upstream, failure: FairleadError) -> Upstream:
        """Tries the other candidates after the first one has failed; gives the one that has served."""
        tried = call_state.began
        while True:
            if call_state.response.disconnected:
                raise CallerGone("The caller disconnected.") from failure
            upstream = await self._attempts.next(call_state, upstream, failure, tried)
            clear_traceback(failure)
            leasing = lease_again(self._limits, call_state, upstream.model_id, upstream.deployment.sheet.free)
            if leasing is not None:
                await leasing
            tried = self._clock()
            refused = self._meter(call_state, upstream)
            if refused is not None:
                failure = refused
                continue
            try:
                await self._attempts.attempt(upstream, call_state, tried, False, None)
            except FairleadError as error:
                if _is_final(error, call_state):
                    raise
                failure = error
            if call_state.served is not None:
                return upstream

    async def _plan(self, serving: Serving, offers: Sequence[Servable], demand: Demand) -> Plan:
        rules = serving.options.rules
        least = offers[0].least_context
        prompt = None
        if least is not None and demand.text_bytes > least and not demand.media:
            prompt = await counted_when_close(offers, demand)
        return plan(demand, offers, self._health, self._clock(), rules, self._chance, prompt)

    def _accept(self, call_state: CallState, demand: Demand, found: Plan) -> None:
        """Takes a plan for the call. Raises what refuses it: there is no candidate, or all are over their limits."""
        if not found.candidates:
            raise refusal(found, demand, self._health, self._clock())
        call_state.demand, call_state.payload, call_state.plan = demand, demand.payload, found
        if call_state.paid and demand.preferences is not None:  # `:free` leaves no other
            call_state.paid = any(not one.deployment.sheet.free for one in found.candidates)
        admission = call_state.admission
        if admission is not None and admission.whose is not None:
            let_in(self._limits, call_state, self._clock())

    def _open(self, call_state: CallState, held: Held | None) -> None:
        """Opens the bill, and has the deadline come."""
        demand, response, caller = call_state.demand, call_state.response, call_state.caller
        if held is not None and held.cap:
            call_state.clamped = (demand.payload.cap_name,)
            demand = call_state.demand = demand.capped(held.cap)
            call_state.payload = demand.payload
        call_state.bill = self._ledger.open(
            caller.account_id,
            caller.key_id,
            demand.model,
            demand.stream,
            call_state.paid,
            None if held is None else held.hold,
        )
        call_state.bill.notes = demand.notes
        response.extra += b"x-fairlead-generation-id: %b\r\n" % call_state.bill.id.encode()
        call_state.lines = response.extra
        call_state.began = self._clock()
        if call_state.until != math.inf:
            call_state.timer = asyncio.get_running_loop().call_later(
                max(0.0, call_state.until - self._clock()), expire, call_state, self._drain_seconds
            )

    def _meter(self, call_state: CallState, upstream: Upstream) -> FairleadError | None:
        """Where each model has limits of its own: charges the call to those of the model that is tried now, and tells
        the caller of them. The refusal, when one of them is used up."""
        admission = call_state.admission
        if admission is None or admission.whose is None:
            return None
        refused = meter(self._limits, call_state, upstream, self._clock())
        call_state.response.extra = call_state.lines + admission.headers(self._clock())
        return refused

    def _settle(self, call_state: CallState) -> None:
        """The call has ended, in whatever way."""
        bill, found, admission = call_state.bill, call_state.plan, call_state.admission
        call_state.settle_now()
        bill.release(call_state.outcome)
        if admission is not None:
            admission.used = bill.tokens
        measured = call_state.offers[0].measured
        if measured is not None:
            call_state.measure(measured)
        if call_state.mirrored is not None:
            call_state.measure(call_state.mirrored.target.original)
            call_state.mirrored.original_ended(bill.price)
        if found.rejected or call_state.tries is not None or call_state.parameters is not None:
            self._decided.append(
                decided(bill.id, found, call_state.tries, call_state.continued_at, call_state.parameters)
            )


def _is_final(error: FairleadError, call_state: CallState) -> bool:
    """Whether the caller gets this error at once. A deployment that refuses to continue a prefill says nothing about
    the caller's own request."""
    return not error.policy.elsewhere and (call_state.cut is None or error.policy.verdict != "works")
