"""A call under way: what all its attempts share."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fairlead.accounts.caller import Caller
from fairlead.accounts.meters import Admission
from fairlead.errors import FairleadError, InternalError
from fairlead.gateway.protocols import Continuation, Record
from fairlead.http.request import Response
from fairlead.ledger.bill import Bill
from fairlead.routing.attempt import Attempt
from fairlead.routing.demand import Demand, Payload
from fairlead.routing.parameters import Parameters
from fairlead.routing.plan import Plan
from fairlead.routing.protocols import Measured
from fairlead.routing.retries import Tries
from fairlead.routing.shadow import Mirrored
from fairlead.routing.upstream import Servable
from fairlead.serving import Serving


class CallState:
    """Made when a call is prepared. `plan` and `bill` are there once it is open.

    `offers`: the model that is asked for, and those to fall back on; `paid`: it may cost the caller something.
    `until`: its deadline, in the loop's clock; `own_deadline`: the caller gave it, not the operator.
    """

    __slots__ = (
        "admission",
        "attempt",
        "began",
        "bill",
        "caller",
        "clamped",
        "continuation",
        "cut",
        "demand",
        "expired",
        "lines",
        "mirrored",
        "offers",
        "outcome",
        "own_deadline",
        "paid",
        "parameters",
        "payload",
        "plan",
        "record",
        "response",
        "served",
        "serving",
        "timer",
        "tries",
        "until",
    )

    bill: Bill
    plan: Plan

    def __init__(
        self,
        serving: Serving,
        offers: Sequence[Servable],
        paid: bool,
        demand: Demand,
        response: Response,
        caller: Caller,
        until: float,
        own_deadline: bool,
    ) -> None:
        self.serving = serving
        self.offers = offers
        self.paid = paid
        self.demand = demand
        self.payload: Payload = demand.payload  # another one once a stream continues elsewhere
        self.response = response
        self.caller = caller
        self.until = until
        self.own_deadline = own_deadline
        self.admission: Admission | None = None
        self.lines = b""  # of the head: before those of the limits of the model that is tried
        self.began = 0.0  # when its first attempt began, in the loop's clock
        self.outcome = InternalError.code
        self.attempt: Attempt | None = None  # the one under way
        self.expired = False  # the caller was answered at its deadline, and its answer is read on for nobody
        self.served: Attempt | None = None  # the one that gave the answer
        self.tries: Tries | None = None
        self.record: Record | None = None  # what a stream has brought, while it may have to be continued
        self.continuation: Continuation | None = None  # the last one
        self.cut: FairleadError | None = None  # what ended the stream that others are to continue
        self.timer: asyncio.TimerHandle | None = None
        self.clamped: tuple[str, ...] = ()
        self.mirrored: Mirrored | None = None
        self.parameters: Parameters | None = None  # what became of them, where that is worth telling

    def measure(self, measured: Measured) -> None:
        """Counts the call as something that began with its first attempt."""
        served = self.served
        if served is not None:
            served.measure(measured, self.began)
        else:
            measured.add(self.outcome, 0.0, 0.0, 0, 0)

    @property
    def continued_at(self) -> int | None:
        """The character at which another candidate went on with the stream."""
        return None if self.continuation is None else self.continuation.at

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
