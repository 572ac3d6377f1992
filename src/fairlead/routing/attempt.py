"""One try of one candidate, and how each of its endings is written on the bill.

The rule: docs/internals/disconnects.md.
"""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple, Protocol

from fairlead.errors import CallerGone, FairleadError, InternalError
from fairlead.http.exchange import Exchange
from fairlead.http.request import Response
from fairlead.ledger.ledger import Bill
from fairlead.ledger.record import EMPTY
from fairlead.routing.counting import count
from fairlead.routing.demand import Operation, Payload
from fairlead.routing.prompt import Prompt
from fairlead.routing.protocols import Adapter, Answer, Measured
from fairlead.routing.upstream import Upstream
from fairlead.wire.traceparent import TraceContext
from fairlead.wire.usage import Usage

# What a provider may count beyond a cap: the tokens that end an answer or a tool call.
SPARE_OUTPUT_TOKENS: Final = 64


class Continued(Protocol):
    """An answer that continues the beginning of another one, which has `tokens`. `stopped`: it ended at the seam, so
    that nothing of what was written behind it counts."""

    @property
    def tokens(self) -> int: ...

    @property
    def stopped(self) -> bool: ...


class DisconnectPolicy(NamedTuple):
    """How far an answer is read for nobody, because its provider bills it anyway."""

    seconds: float
    tokens: int


class Attempt:
    """What has come of a try so far. `settle`, `failed` and `cut_off` each write their part of the bill, once."""

    __slots__ = (
        "adapter",
        "answer",
        "bill",
        "billed",
        "calls",
        "counted",
        "drain_timer",
        "ended_at",
        "exchange",
        "first_at",
        "left",
        "operation",
        "outcome",
        "prompt",
        "prompt_tokens",
        "report",
        "response",
        "said_at",
        "splice",
        "tokens",
        "upstream",
    )

    def __init__(
        self,
        upstream: Upstream,
        adapter: Adapter,
        operation: Operation,
        payload: Payload,
        bill: Bill,
        response: Response,
    ) -> None:
        self.upstream = upstream
        self.adapter = adapter
        self.operation = operation
        self.prompt: Prompt = operation.kept(payload)
        self.bill = bill
        self.response = response
        self.exchange: Exchange | None = None
        self.drain_timer: asyncio.TimerHandle | None = None  # ends an answer that is read for nobody
        self.answer: Answer | None = None
        self.counted: Usage | None = None  # here, because the provider has not reported it
        self.calls = 1  # of the provider, for this one; each has the prompt
        self.billed: Usage | None = None  # by the provider, where that is not what the caller pays for
        self.first_at = 0.0  # when the first event of a stream came
        self.splice: Continued | None = None  # behind the answer's beginning, which another one wrote
        self.tokens = 0  # that it wrote itself
        self.report = b""  # a line for the head: what became of the parameters
        # For telemetry: the first word and the last, in the loop's clock, and what came of it.
        self.said_at = self.ended_at = 0.0
        self.outcome = InternalError.code
        self.left = CallerGone.code  # what it ends with when the rest of it is for nobody
        self.prompt_tokens = 0

    def measure(self, measured: Measured, began: float, trace: TraceContext | None = None) -> None:
        """Counts this attempt as something that began then (in the loop's clock), as a part of that trace."""
        measured.add(
            self.outcome,
            self.said_at - began if self.said_at else 0.0,
            self.ended_at - began,
            self.prompt_tokens,
            self.tokens,
            trace,
        )

    def cancel(self) -> None:
        """Closes the upstream's connection, unless the answer is complete."""
        if self.exchange is not None:
            self.exchange.cancel()
        if self.drain_timer is not None:
            self.drain_timer.cancel()
            self.drain_timer = None

    def settle_at_once(self) -> bool:
        """Settles by what the provider has reported. False when there is something to wait for first: `settle` does."""
        assert self.answer is not None
        usage = self.answer.usage
        if usage is None or self.bill.synced is not None or not self._is_plausible(usage):
            return False
        self._settle_reported(usage)
        return True

    async def settle(self) -> None:
        """The answer is complete: what it costs the caller is on record when this returns."""
        assert self.answer is not None
        usage = self.answer.usage
        if usage is None:
            await self._settle_counted(self.answer)
        elif self._is_plausible(usage):
            self._settle_reported(usage)
        else:
            await self._settle_counted(self.answer, (usage.prompt, usage.completion))
        if self.bill.synced is not None:
            await self.bill.synced()

    def _is_plausible(self, usage: Usage) -> bool:
        """Whether the request could cause it: by its bytes, its cap and the context of the model."""
        prompt, upstream = self.prompt, self.upstream
        calls = self.calls
        most = prompt.cap or upstream.most_output
        if calls == 1 and usage.completion <= most and usage.prompt <= upstream.most_prompt:  # nearly always
            return usage.prompt <= prompt.most
        return (
            usage.prompt <= prompt.most * calls
            and usage.prompt <= upstream.most_prompt * calls * prompt.inputs
            and usage.completion <= (most * prompt.choices + SPARE_OUTPUT_TOKENS) * calls
        )

    def _settle_reported(self, usage: Usage) -> None:
        sheet, answer = self.upstream.deployment.sheet, self.answer
        assert answer is not None
        outcome = self.left if self.response.disconnected else "served"
        if self.splice is not None:
            self._made(outcome, usage)
            # Partly counted here: the beginning, which was no prompt of the caller's.
            self.bill.settle(sheet, _charged(usage, self.splice), outcome, "counted", "reported", billed=usage)
            return
        if not usage.completion and self.operation.is_empty(answer.delivered()):
            outcome = EMPTY  # nothing was made, by the provider's own word
        self._made(outcome, usage)
        self.bill.settle(sheet, usage, outcome, billed=self.billed)

    async def _settle_counted(self, answer: Answer, implausible: tuple[int, int] | None = None) -> None:
        """`implausible`: the tokens of prompt and answer that its provider reported, and that cannot be."""
        sheet = self.upstream.deployment.sheet
        outcome = self.left if self.response.disconnected else "served"
        missing = implausible is None
        text = answer.delivered()
        counted = await count(self.upstream, self.prompt, text, self.calls)
        self.counted = counted.usage
        splice = self.splice
        if splice is None and self.operation.is_empty(text):
            outcome = EMPTY
        self._made(outcome, counted.usage)
        if splice is None:
            self.bill.settle(
                sheet, counted.usage, outcome, counted.state, counted.prompt_state, missing=missing,
                implausible=implausible,
            )  # fmt: skip
            return
        # One who was stopped by us had no time to report.
        self.bill.settle(
            sheet, _charged(counted.usage, splice), outcome, counted.state, counted.prompt_state,
            missing=missing and not splice.stopped, billed=counted.usage, implausible=implausible,
        )  # fmt: skip

    def _made(self, outcome: str, usage: Usage) -> None:
        self.outcome = outcome
        self.prompt_tokens, self.tokens = usage.prompt, usage.completion

    def is_billed_to_its_end(self) -> bool:
        """Whether its provider bills the rest of the answer too, when nobody waits for it any more."""
        exchange = self.exchange
        return (
            self.response.on_disconnect is not None
            and exchange is not None
            and exchange.sent_at > 0
            and not exchange.over
        )

    def _note_tokens(self) -> None:
        """For limits on tokens: about what was used, where nothing is charged for it."""
        text = self.answer.delivered() if self.answer is not None else ""
        if text:
            self.bill.tokens = self.calls * -(-self.prompt.length // 4) - (-len(text.encode()) // 4)

    async def failed(self, error: FairleadError) -> None:
        """It came to nothing for the caller, who pays nothing. What was nevertheless generated is the operator's
        cost. When the caller has disconnected in the meantime, it is no failure."""
        if self.bill.closed:
            return
        if self.response.disconnected:
            await self.cut_off()
            return
        if not self.response.started:  # the caller has seen nothing of it
            self.bill.first_token = 0
        answer, usage = self.answer, None
        text = answer.delivered() if answer is not None and self.upstream.costs else ""
        if answer is not None and not text and self.upstream.costs and not self.operation.is_empty(text):
            usage = self._reported_so_far(answer)  # by those of several calls that were answered
            if usage is not None and self.billed is not None:
                usage = self.billed
        elif answer is not None and text:
            counted = await count(self.upstream, self.prompt, text, self.calls)
            reported = answer.usage
            if reported is not None and not self._is_plausible(reported):
                reported = None
            usage = _known(reported, counted.usage)
        self.bill.failed(self.upstream.deployment.sheet, error.code, usage)

    async def cut_off(self) -> None:
        """The caller has gone, or its deadline has passed, and the answer ends here: what was made of it is counted,
        and charged."""
        if self.bill.closed or self.answer is None:
            return
        if not self.upstream.costs:
            self._note_tokens()
            return
        text = self.answer.delivered()
        splice = self.splice
        if text or splice is not None:
            counted = await count(self.upstream, self.prompt, text, self.calls)
            usage = counted.usage if splice is None else _charged(counted.usage, splice)
            self.bill.settle(
                self.upstream.deployment.sheet, usage, self.left, counted.state, counted.prompt_state,
                billed=None if splice is None else counted.usage,
            )  # fmt: skip
        elif not self.operation.is_empty(text) and (reported := self._reported_so_far(self.answer)) is not None:
            self.bill.settle(self.upstream.deployment.sheet, reported, self.left, billed=self.billed)

    def _reported_so_far(self, answer: Answer) -> Usage | None:
        reported = answer.usage
        return reported if reported is not None and self._is_plausible(reported) else None


def _known(reported: Usage | None, counted: Usage) -> Usage:
    """What a cut answer used: what its provider had reported by then - some tell the prompt first, some count as they
    go - and the words that are not in it yet."""
    if reported is None:
        return counted
    if reported.completion >= counted.completion:
        return reported
    tokens = reported.tokens._replace(output=counted.completion, reasoning=0, audio_output=0)
    return Usage(tokens, reported.prompt, counted.completion, reported.balanced)


def charged(usage: Usage, tokens: int, *, stopped: bool = False) -> Usage:
    """The usage of a continuation as the caller pays for it: what it was given of the answer's beginning is no prompt
    of the caller's, but has been delivered. `stopped`: nothing of what it wrote was."""
    classes, completion = usage.tokens, usage.completion
    if stopped:
        classes, completion = classes._replace(output=0, reasoning=0, audio_output=0), 0
    moved = min(tokens, classes.input)
    classes = classes._replace(input=classes.input - moved, output=classes.output + tokens)
    return Usage(classes, max(0, usage.prompt - moved), completion + tokens, usage.balanced)


def _charged(usage: Usage, splice: Continued) -> Usage:
    return charged(usage, splice.tokens, stopped=splice.stopped)
