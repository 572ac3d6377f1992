"""Several calls of one deployment for one caller: a batch with more inputs than it takes at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fairlead.errors import UpstreamError
from fairlead.http.eager import Signal, run
from fairlead.http.exchange import Exchange
from fairlead.routing.attempt import Attempt
from fairlead.routing.gates import not_ready
from fairlead.routing.protocols import Answer, Call
from fairlead.routing.upstream import send
from fairlead.wire.heads import JSON_HEAD
from fairlead.wire.usage import TokenClasses, Usage

MOST_CALLS_AT_ONCE = 8


class Parts:
    """What has come of some calls until now, as an answer: charged by the usual rule when the caller leaves before the
    end, and the operator's cost when one of them fails."""

    choices = 1
    head = JSON_HEAD

    def __init__(self) -> None:
        self.answers: dict[int, Answer] = {}

    @property
    def billed(self) -> Usage | None:
        """By the provider, for each of the calls."""
        found = [answer.usage for answer in self.answers.values()]
        known = [usage for usage in found if usage is not None]
        return total(known) if known else None

    @property
    def usage(self) -> Usage | None:
        billed = self.billed
        return None if billed is None else as_one_request(billed)

    def delivered(self) -> str:
        return ""

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        raise NotImplementedError("an answer that is not complete is not shown")


class CallsOfABatch:
    """Makes these calls, a few at once. `answers`: in their order, once all are there."""

    def __init__(self, attempt: Attempt, calls: Sequence[Callable[[], Call]], parts: Parts) -> None:
        self._attempt = attempt
        self._calls = calls
        self._parts = parts
        self._exchanges: list[Exchange] = []
        self._running = 0
        self._over = False
        self._done: Signal[None] = Signal()

    async def answers(self) -> list[Answer]:
        """Raises the UpstreamError family for the first one that fails. Of a caller who has gone meanwhile: those that
        were begun."""
        gate = self._attempt.upstream.gate
        if gate is not None and not gate.is_ready:
            raise not_ready(gate)
        try:
            for _ in range(min(len(self._calls), MOST_CALLS_AT_ONCE)):
                self._begin()
            await self._done
        finally:
            self._over = True
            for exchange in self._exchanges:
                exchange.cancel()
        found = self._parts.answers
        return [found[at] for at in sorted(found)]

    def _begin(self) -> None:
        at = len(self._exchanges)
        call = self._calls[at]()
        exchange = send(self._attempt.upstream, call)
        self._exchanges.append(exchange)
        self._attempt.exchange = exchange
        self._running += 1
        run(self._one(at, call, exchange), self._ended)

    def _ended(self, error: BaseException | None) -> None:
        self._running -= 1
        if self._over:
            return
        if error is not None:
            self._done.fail(error)
            return
        if len(self._exchanges) < len(self._calls) and not self._attempt.response.disconnected:
            try:
                self._begin()
            except UpstreamError as failure:
                self._done.fail(failure)
                return
        if not self._running:
            self._done.set(None)
        elif (open_one := next((one for one in self._exchanges if not one.over), None)) is not None:
            self._attempt.exchange = open_one  # which bounds how long it is read for nobody

    async def _one(self, at: int, call: Call, exchange: Exchange) -> None:
        adapter = self._attempt.adapter
        status = await exchange.head()
        if status != 200:
            raise adapter.error(status, exchange.headers, await exchange.read())
        self._parts.answers[at] = adapter.plain(call, await exchange.read())
        self._attempt.billed = self._parts.billed


def total(found: Sequence[Usage]) -> Usage:
    """The sum of several usages; one `request` for each."""
    classes = TokenClasses._make(map(sum, zip(*(usage.classes for usage in found), strict=True)))
    return Usage(
        classes,
        sum(usage.prompt for usage in found),
        sum(usage.completion for usage in found),
        all(usage.balanced for usage in found),
    )


def as_one_request(usage: Usage) -> Usage:
    """The same tokens, as the caller pays for them: who asked once has one request."""
    return Usage(usage.tokens._replace(request=1), usage.prompt, usage.completion, usage.balanced)
