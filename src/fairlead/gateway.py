"""The story of one call: admit, plan, attempt, relay, settle, and end in exactly one way.

A call runs as one coroutine driven by `http.eager`; chunks do not wake it: they go from the upstream's read callback
through the dialect's relay to the caller's transport.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from urllib.parse import quote

from fairlead.accounts.keys import Caller
from fairlead.accounts.limits import LimitBook, Limited
from fairlead.errors import (
    BudgetExceeded,
    CallerGone,
    EngineStarting,
    FairleadError,
    Forbidden,
    InsufficientCredit,
    InternalError,
    ModelNotFound,
    NoDeployment,
    UnsupportedContent,
    UpstreamCut,
    UpstreamError,
    UpstreamInvalid,
    UpstreamUnreachable,
)
from fairlead.http.client import Exchange
from fairlead.http.request import Response
from fairlead.ledger.funds import credit_scope
from fairlead.ledger.ledger import Bill, Ledger
from fairlead.ledger.wallets import Hold, Scope, Shortage
from fairlead.money import dollars
from fairlead.routing.attempt import Attempt, HangUp
from fairlead.routing.ceiling import LEAST_OUTPUT_TOKENS, Ceiling, cap, ceiling_of, tokens_foreseen
from fairlead.routing.counting import counted_ceiling, kept_prompt
from fairlead.routing.health import Health
from fairlead.routing.plan import plan
from fairlead.routing.upstream import Call, Gate, Servable, Upstream
from fairlead.wire.chat import ChatRequest

# How long a call waits for a local engine that is starting, before the next candidate or a 503.
GATE_WAIT_SECONDS = 8.0
GATE_RETRY_SECONDS = 0.05
# After the last event of a stream: how long its connection may take to say that it was the last.
END_SECONDS = 1.0
DROPPED_NAMES_SHOWN = 32

JSON_HEAD = b"content-type: application/json\r\n"
STREAM_HEAD = b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n"


class Gateway:
    """Serves calls from a snapshot of what can be served; `replace` swaps the snapshot between two calls."""

    __slots__ = ("_clock", "_hang_up", "_health", "_ledger", "_limits", "_open", "_servables")

    def __init__(
        self,
        servables: Mapping[str, Servable],
        health: Health,
        clock: Callable[[], float],
        ledger: Ledger,
        hang_up: HangUp | None = None,
        limits: LimitBook | None = None,
    ) -> None:
        self._limits = limits or LimitBook()
        self._ledger = ledger
        self._servables = servables
        self._health = health
        self._clock = clock
        self._hang_up = hang_up or HangUp()
        self._open = 0

    def replace(self, servables: Mapping[str, Servable]) -> None:
        self._servables = servables

    @property
    def open_bills(self) -> int:
        """Calls that have not ended yet, those included whose caller has hung up."""
        return self._open

    async def chat(self, request: ChatRequest, response: Response, caller: Caller) -> None:
        """Answers one chat call on `response`: a whole answer or a stream. Its bill is closed in every ending.

        Raises a FairleadError when there is no (complete) answer; `response.started` then tells whether the caller has
        already seen a part of one. A caller who hangs up is raised here as `CallerGone`; the upstream is closed.
        """
        servable = self._admit(request, caller)
        if caller.limited is None and not self._limits.everybody:
            await self._charged(servable, request, response, caller)
            return
        whose = caller.limited or Limited(caller.key_id, caller.account_id, None, None)
        admission = self._limits.admit(
            whose, request.model, tokens_foreseen(request), self._clock(), free=not servable.paid
        )
        if admission is None:
            await self._charged(servable, request, response, caller)
            return
        response.extra += admission.headers(self._clock())
        used = 0
        try:
            used = await self._charged(servable, request, response, caller)
        finally:
            admission.settle(used, self._clock())

    async def _charged(self, servable: Servable, request: ChatRequest, response: Response, caller: Caller) -> int:
        """Holds, serves and charges a call that was let through; gives the tokens of its answer."""
        hold = None
        if servable.paid and (caller.prepaid or caller.budgets):
            hold = await self._hold(servable, request, caller)
        bill = self._ledger.open(
            caller.account_id,
            caller.key_id,
            request.model,
            stream=request.stream,
            paid=servable.paid,
            hold=hold,
        )
        response.extra += b"x-fairlead-generation-id: %b\r\n" % bill.id.encode()
        outcome = InternalError.code
        self._open += 1
        try:
            await self._serve(servable.upstreams, request, response, bill)
        except FairleadError as error:
            outcome = error.code
            raise
        finally:
            self._open -= 1
            bill.release(outcome)
        return bill.tokens

    async def _serve(
        self, upstreams: tuple[Upstream, ...], request: ChatRequest, response: Response, bill: Bill
    ) -> None:
        failure: FairleadError | None = None
        for upstream in plan(upstreams, self._health.rests, self._clock()):
            try:
                await self._attempt(upstream, request, response, bill)
            except (UpstreamError, EngineStarting) as error:
                self._health.failed(upstream.deployment.id, error, self._clock())
                failure = error
                if response.gone:
                    raise CallerGone("The caller hung up.") from error
                if response.started:
                    raise
            else:
                if self._health.rests:
                    self._health.served(upstream.deployment.id)
                return
        assert failure is not None
        raise failure

    async def _attempt(self, upstream: Upstream, request: ChatRequest, response: Response, bill: Bill) -> None:
        """One try of one candidate. On any way out the exchange is over, and its part of the bill is written."""
        call = upstream.adapter.to_vendor(request)
        attempt = Attempt(upstream, kept_prompt(request), bill, response)
        if upstream.bills_cut:
            response.on_gone = partial(self._drain, attempt)
        try:
            await self._exchange(attempt, call, request, response)
        except UpstreamError as error:
            attempt.cancel()
            shown = error if upstream.translate is None else upstream.translate(error)
            await attempt.failed(shown)
            raise shown from error
        except EngineStarting as error:
            bill.failed(upstream.deployment.sheet, error.code)
            raise
        except CallerGone:
            attempt.cancel()
            await attempt.cut_off()
            raise
        finally:
            attempt.cancel()

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
            asyncio.get_running_loop().call_later(self._hang_up.seconds, running.interrupt, gone)

    async def _exchange(self, attempt: Attempt, call: Call, request: ChatRequest, response: Response) -> None:
        upstream = attempt.upstream
        if upstream.gate is None:
            path, headers = upstream.path, upstream.headers
            if call.path is not None:
                path, headers = call.path, headers + call.headers
            exchange = upstream.pool.request(b"POST", path, headers, call.body)
        else:
            exchange = await _through_gate(upstream, upstream.gate, call)
        attempt.exchange = exchange
        status = await exchange.head()
        if status != 200:
            raise upstream.adapter.error(status, exchange.headers, await exchange.read())
        if call.stream and _is_stream(exchange, upstream.stream_type):
            if request.stream:
                await self._relay(attempt, call, exchange, request)
                return
            assembler = attempt.answer = upstream.adapter.assembler(call)
            await exchange.relay(assembler.feed)
            assembler.finish()
        elif request.stream:
            raise UpstreamInvalid("The provider answered without a stream although one was asked for.")
        else:
            # Perhaps it was asked for a stream and sent one JSON document: good for a caller who wants just that.
            attempt.answer = upstream.adapter.plain(call, await exchange.read())
        members = _cost_members(await attempt.settle())
        response.send(200, _head(JSON_HEAD, upstream, call, attempt.bill), attempt.answer.end(members))

    async def _relay(self, attempt: Attempt, call: Call, exchange: Exchange, request: ChatRequest) -> None:
        upstream, response = attempt.upstream, attempt.response
        relay = attempt.answer = upstream.adapter.relay(call)
        head = _head(STREAM_HEAD, upstream, call)
        exchange.headers = []
        call.body.clear()
        feed = relay.feed
        drained = 0

        def first(data: bytes) -> None:
            # The status is settled by the first event that says something: until then another candidate may serve.
            nonlocal drained
            out = feed(data)
            if out:
                if not response.started:
                    response.start(200, head)
                    # Not sent again from here on: a stream may be open for an hour, and thousands of them.
                    request.release()
                response.write(out)
            if relay.done:
                exchange.hurry(END_SECONDS)
            elif response.gone:
                drained += out.count(b"\n\n")
                if drained > self._hang_up.tokens:
                    raise CallerGone("The caller hung up.")

        response.on_pause = exchange.pause
        response.on_resume = exchange.resume
        try:
            try:
                await exchange.relay(first)
            except UpstreamError:
                if not relay.done:  # a connection that breaks after the last event takes nothing away
                    raise
            rest = relay.finish()
            members = _cost_members(await attempt.settle())
        finally:
            response.on_pause = response.on_resume = None
        if not response.started:
            response.start(200, head)
        response.end(rest + relay.end(members))

    async def _hold(self, servable: Servable, request: ChatRequest, caller: Caller) -> Hold:
        """Sets aside what the call may come to. Without a cap of the caller's, the cap shrinks to what there is.

        Raises InsufficientCredit, BudgetExceeded or LedgerUnavailable.
        """
        scopes = scopes_of(caller)
        ceiling = ceiling_of(servable, request)
        most = ceiling.picodollars(servable)
        hold = self._ledger.hold_at_once(scopes, most)
        if hold is None:
            try:
                hold = await self._hold_up_to(scopes, ceiling, servable)
            except Shortage:
                # Bytes are many more than tokens: before a call is refused for its prompt, that is counted.
                ceiling = await counted_ceiling(ceiling, servable, request)
                most = ceiling.picodollars(servable)
                try:
                    hold = await self._hold_up_to(scopes, ceiling, servable)
                except Shortage as short:
                    raise _shortage(short, most, ceiling, servable) from None
        if hold.amount < most:
            cap(request, ceiling.output_that_fits(servable, hold.amount))
        elif not ceiling.known:
            cap(request, ceiling.output)
        return hold

    async def _hold_up_to(self, scopes: list[Scope], ceiling: Ceiling, servable: Servable) -> Hold:
        most = ceiling.picodollars(servable)
        least = most if ceiling.named else min(most, ceiling.picodollars(servable, LEAST_OUTPUT_TOKENS))
        return await self._ledger.hold(scopes, most, least)

    def _admit(self, request: ChatRequest, caller: Caller) -> Servable:
        servable = self._servables.get(request.model)
        if servable is None:
            raise ModelNotFound(
                f"The model '{request.model}' does not exist here. GET /v1/models lists what there is.", param="model"
            )
        if caller.models is not None and not caller.may_use(request.model):
            raise Forbidden(f"This API key may not use '{request.model}'.", param="model")
        if not servable.upstreams:
            raise NoDeployment(
                f"No deployment serves '{request.model}' yet: add one under [[models]] in the configuration file "
                "(a provider, its upstream_model and a price), then restart.",
                param="model",
            )
        if request.has_images and "image" not in servable.model.input_modalities:
            raise UnsupportedContent(f"'{request.model}' takes no images.", param="messages")
        return servable


async def _through_gate(upstream: Upstream, gate: Gate, call: Call) -> Exchange:
    """The exchange with a local engine, begun when the engine is up.

    An engine that has just died is not known to be dead yet: what cannot be delivered waits for the next one.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + GATE_WAIT_SECONDS
    cut = False
    while await gate.wait_ready(max(0.0, give_up - loop.time())):
        exchange = upstream.pool.request(b"POST", upstream.path, upstream.headers, call.body)
        try:
            await exchange.head()
        except (UpstreamUnreachable, UpstreamCut) as error:
            # Cut without a byte of answer may be this request's own doing: once more, and no oftener.
            if cut or loop.time() > give_up:
                raise
            cut = isinstance(error, UpstreamCut)
            await asyncio.sleep(GATE_RETRY_SECONDS)
        except BaseException:
            exchange.cancel()
            raise
        else:
            return exchange
    raise EngineStarting("The engine of this model is not ready. Try again in a few seconds.", retry_after_seconds=2)


def scopes_of(caller: Caller) -> list[Scope]:
    """What the calls of this caller are taken from: the account's credit and every budget."""
    scopes = [Scope(credit_scope(caller.account_id))] if caller.prepaid else []
    if caller.budgets:
        today = datetime.now(UTC).date()
        scopes += [Scope(budget.scope(today), budget.picodollars) for budget in caller.budgets]
    return scopes


def _shortage(short: Shortage, needed: int, ceiling: Ceiling, servable: Servable) -> InsufficientCredit:
    fits = max(0, ceiling.output_that_fits(servable, short.available))
    budget = short.scope.granted is not None
    there = (
        f"of the budget {short.scope.name} {dollars(short.available)} USD are left"
        if budget
        else (f"the account has {dollars(short.available)} USD of credit")
    )
    advice = (
        f"The largest max_tokens that would fit is {fits}." if fits else "No max_tokens would fit beside this prompt."
    )
    return (BudgetExceeded if budget else InsufficientCredit)(
        f"This call may cost up to {dollars(needed)} USD ({ceiling.prompt} tokens in, "
        f"{ceiling.output * ceiling.choices} out, both at most); {there}. {advice}",
        {
            "needed_usd": dollars(needed),
            "available_usd": dollars(short.available),
            "largest_max_tokens": fits,
        },
        param="max_tokens" if fits else None,
    )


def _is_stream(exchange: Exchange, stream_type: bytes) -> bool:
    kind = exchange.header(b"content-type")
    return kind is not None and kind.lower().startswith(stream_type)


def _cost_members(picodollars: int) -> bytes:
    """What the usage of an answer gets: the float that SDKs expect, and beside it every digit."""
    return f',"cost":{picodollars / 1e12!r},"cost_usd":"{dollars(picodollars)}"'.encode()


def _head(head: bytes, upstream: Upstream, call: Call, bill: Bill | None = None) -> bytes:
    """`bill` when it is settled already: its amount goes into the head."""
    head += upstream.answer_headers
    if bill is not None:
        head += b"x-fairlead-cost: %b\r\n" % dollars(bill.price).encode()
    if call.dropped:
        head += b"x-fairlead-dropped: " + _names(call.dropped) + b"\r\n"
    return head


def _names(dropped: tuple[str, ...]) -> bytes:
    """Names as the caller wrote them may hold anything, line ends too: percent-encoded, and bounded."""
    shown = [quote(name[:64], safe="") for name in dropped[:DROPPED_NAMES_SHOWN]]
    if len(dropped) > DROPPED_NAMES_SHOWN:
        shown.append(f"and%20{len(dropped) - DROPPED_NAMES_SHOWN}%20more")
    return ", ".join(shown).encode()
