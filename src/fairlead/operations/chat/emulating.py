"""The calls behind an emulated answer: as many as `n` asks for, a few at once, and one more to repair JSON."""

from __future__ import annotations

from fairlead.errors import AnswerInvalid, UpstreamError
from fairlead.http.eager import Signal, run
from fairlead.http.exchange import Exchange
from fairlead.operations.chat.emulate import (
    Emulated,
    EmulatedAnswer,
    Whole,
    joined,
    repair_request,
    repaired,
    total,
    whole,
)
from fairlead.operations.chat.unpaid import UnpaidEmulations
from fairlead.prices import amounts
from fairlead.routing.attempt import Attempt
from fairlead.routing.gates import not_ready
from fairlead.routing.protocols import Answer, Call
from fairlead.routing.upstream import is_stream, send
from fairlead.schemas.checker import SchemaChecker
from fairlead.schemas.verdict import Verdict
from fairlead.wire.chat import ChatRequest
from fairlead.wire.heads import JSON_HEAD
from fairlead.wire.usage import Usage

# How the receipt calls an answer that was repaired: the operator pays for it.
REPAIRED = "repaired"
MOST_CALLS_AT_ONCE = 8
# Of all answers to one call. Further ones that do not conform are left out.
MOST_REPAIRS = 4


class Gathered:
    """What has come until now, as an answer: charged by the usual rule when the caller leaves before the end."""

    __slots__ = ("_attempt", "answers", "usage")

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self.answers: list[Answer] = []
        self.usage: Usage | None = None

    def add(self, answer: Answer) -> None:
        self.answers.append(answer)
        self._attempt.calls = len(self.answers)

    @property
    def head(self) -> bytes:
        return JSON_HEAD

    @property
    def choices(self) -> int:
        return len(self.answers)

    def delivered(self) -> str:
        return "".join(answer.delivered() for answer in self.answers)

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        raise NotImplementedError("an answer that is not complete is not shown")


class _Calls:
    """Makes the same call several times, a few at once."""

    def __init__(self, attempt: Attempt, call: Call, calls: int, gathered: Gathered) -> None:
        self._attempt = attempt
        self._call = call
        self._calls = calls
        self._gathered = gathered
        self._exchanges: list[Exchange] = []
        self._found: dict[int, Whole] = {}
        self._running = 0
        self._over = False
        self._done: Signal[None] = Signal()

    async def wholes(self) -> list[Whole]:
        """The answers to all of them; to those that were begun, when the caller has gone meanwhile. Raises the
        UpstreamError family for the first one that fails."""
        gate = self._attempt.upstream.gate
        if gate is not None and not gate.is_ready:
            raise not_ready(gate)
        try:
            for _ in range(min(self._calls, MOST_CALLS_AT_ONCE)):
                self._begin()
            await self._done
        finally:
            self._over = True
            for exchange in self._exchanges:
                exchange.cancel()
        return [self._found[at] for at in sorted(self._found)]

    def _begin(self) -> None:
        exchange = send(self._attempt.upstream, self._call)
        self._exchanges.append(exchange)
        self._attempt.exchange = exchange
        self._running += 1
        run(self._one(len(self._exchanges) - 1, exchange), self._ended)

    def _ended(self, error: BaseException | None) -> None:
        self._running -= 1
        if self._over:
            return
        if error is not None:
            self._done.fail(error)
            return
        if len(self._exchanges) < self._calls and not self._attempt.response.disconnected:
            try:
                self._begin()
            except UpstreamError as failure:
                self._done.fail(failure)
                return
        if not self._running:
            self._done.set(None)
        elif (open_one := next((one for one in self._exchanges if not one.over), None)) is not None:
            self._attempt.exchange = open_one  # which bounds how long it is read for nobody

    async def _one(self, at: int, exchange: Exchange) -> None:
        adapter, call = self._attempt.adapter, self._call
        status = await exchange.head()
        if status != 200:
            raise adapter.error(status, exchange.headers, await exchange.read())
        answer: Answer
        if call.stream and is_stream(adapter, exchange):
            assembler = adapter.assembler(call)
            self._gathered.add(assembler)
            await exchange.relay(assembler.feed)
            assembler.finish()
            answer = assembler
        else:
            answer = adapter.plain(call, await exchange.read())
            self._gathered.add(answer)
        self._found[at] = whole(answer.end(b""), answer.usage)


async def emulate(
    attempt: Attempt, inner: ChatRequest, call: Call, wanted: Emulated, checker: SchemaChecker, unpaid: UnpaidEmulations
) -> EmulatedAnswer:
    """The answer to a request that the deployment cannot take as it is. Raises the UpstreamError family."""
    gathered = Gathered(attempt)
    attempt.answer = gathered
    found = await _Calls(attempt, call, wanted.calls, gathered).wholes()
    attempt.calls = len(found)
    if wanted.schema is None or attempt.response.disconnected:
        return joined(found)
    return await _Checking(attempt, inner, wanted.schema, checker, unpaid).conforming(found, gathered)


class _Checking:
    """Checks the answers to one call, and has those repaired that do not conform."""

    def __init__(
        self, attempt: Attempt, inner: ChatRequest, schema: bytes, checker: SchemaChecker, unpaid: UnpaidEmulations
    ) -> None:
        self._attempt = attempt
        self._inner = inner
        self._schema = schema
        self._checker = checker
        self._unpaid = unpaid
        self._repairs = 0
        self._billed: list[Usage | None] = []  # by the provider, for what is delivered
        self._wasted: list[Usage | None] = []  # by the provider, for what is not
        self._wrong = Verdict()

    async def conforming(self, found: list[Whole], gathered: Gathered) -> EmulatedAnswer:
        """Those that conform. Raises AnswerInvalid when none does. A caller who leaves meanwhile pays for `found`."""
        attempt, sheet = self._attempt, self._attempt.upstream.deployment.sheet
        good = []
        for one in found:
            kept = await self._look_at(one)
            if attempt.response.disconnected:
                return joined(found)
            if kept is not None:
                good.append(kept)
        wasted = total(self._wasted)
        if self._wasted:
            self._unpaid.failed(attempt.bill.key, 0 if wasted is None else amounts(sheet, wasted)[0])
        if not good:
            gathered.usage = wasted
            attempt.calls += self._repairs  # each has the prompt, which bounds what is plausible
            raise AnswerInvalid(_sentence(self._wrong, repaired=self._repairs > 0))
        if self._wasted:
            attempt.bill.failed(sheet, AnswerInvalid.code, wasted)
        self._unpaid.paid(attempt.bill.key)
        attempt.calls = len(good)
        if self._repairs:
            attempt.billed = total(self._billed)
        return joined(good)

    async def _look_at(self, first: Whole) -> Whole | None:
        """An answer that conforms: this one, or the one that repairs it."""
        verdict = await self._verdict(first)
        if verdict.good:
            self._billed.append(first.usage)
            return first
        self._wrong = verdict
        second = None
        if not self._attempt.response.disconnected and verdict.where and self._repairs < MOST_REPAIRS:
            second = await self._repair(first, verdict.told)
        if second is None:
            self._wasted.append(first.usage)
            return None
        verdict = await self._verdict(second)
        if verdict.good:
            self._attempt.bill.failed(self._attempt.upstream.deployment.sheet, REPAIRED, first.usage)
            self._billed.append(second.usage)
            return Whole(second.document, repaired(first.usage, second.usage))
        self._wrong = verdict
        self._wasted += [first.usage, second.usage]
        return None

    async def _repair(self, first: Whole, complaint: str) -> Whole | None:
        """The answer to the request with the complaint; None when that call fails."""
        self._repairs += 1
        attempt = self._attempt
        call = attempt.adapter.to_vendor(repair_request(self._inner, first.text, complaint))
        calls = attempt.calls
        try:
            found = await _Calls(attempt, call, 1, Gathered(attempt)).wholes()
        except UpstreamError:
            return None
        finally:
            attempt.calls = calls
        return found[0]

    async def _verdict(self, one: Whole) -> Verdict:
        text = one.text
        if not text and one.message.get("tool_calls"):
            return Verdict()  # its arguments have a schema of their own
        verdict = await self._checker.conforms(self._attempt.bill.key, self._schema, text)
        if verdict.good:
            one.message["content"] = text
        return verdict


def _sentence(wrong: Verdict, *, repaired: bool) -> str:
    """What the caller is told: nothing that the model wrote, because nobody has paid for it."""
    if wrong.too_much:
        return "The model's answer takes too long to check against the JSON schema, so it is not delivered."
    if wrong.broken:
        return "The JSON schema cannot be evaluated for the model's answer, so it is not delivered."
    also = ", and neither does the repaired one" if repaired else ""
    return f"The model's answer does not conform to the JSON schema at {wrong.where}{also}."
