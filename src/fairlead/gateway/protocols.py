"""What the gateway needs of others: the ledger, limits, health, and an operation when a call does not go as planned.

`fairlead.testing.gateway` has fakes of the first three.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, Protocol

from fairlead.accounts.limits import Limited
from fairlead.accounts.meters import Admission
from fairlead.catalogue.snapshot import Deployment
from fairlead.ledger.bill import Bill
from fairlead.ledger.wallets import Hold
from fairlead.routing import protocols as routing
from fairlead.routing.attempt import Attempt, Continued
from fairlead.routing.demand import Payload
from fairlead.routing.health import DeploymentHealth
from fairlead.routing.holding import Credit
from fairlead.routing.protocols import Answer, Call, MadeAnswer, Relay
from fairlead.routing.retries import Tried
from fairlead.routing.upstream import Upstream


class Ledger(Credit, Protocol):
    """Opens the bill of every call."""

    def open(self, account: str, key: str, model: str, stream: bool, paid: bool, hold: Hold | None = None, /) -> Bill:
        """The bill of a call that begins; it ends the hold. Raises LedgerUnavailable."""


class Health(routing.Health, Protocol):
    """What is known about deployments; attempts report to it how they went."""

    def begin(self, deployment: Deployment, now: float, /, *, first: bool) -> DeploymentHealth:
        """A call goes there. `first`: it was tried nowhere before."""

    def served(self, target: DeploymentHealth, now: float, /) -> None:
        """The deployment works: it gave a complete answer, or refused a request for the caller's own mistake."""

    def speed(self, target: DeploymentHealth, tokens: int, seconds: float, /) -> None:
        """So many tokens came in so many seconds."""

    def end(self, target: DeploymentHealth, /) -> None:
        """The call is over, however it went."""

    def remember(self, key: int, deployment_id: str, now: float, /) -> None:
        """This deployment has the beginning of the conversation in its cache."""


class Limits(Protocol):
    """Rate limits. `everybody`: callers without limits of their own have some, too; `shared`: with other processes."""

    @property
    def everybody(self) -> bool: ...

    @property
    def shared(self) -> bool: ...

    def admit(
        self, whose: Limited, model: str, tokens: int, now: float, *, free: bool, movable: bool = False, calls: int = 1
    ) -> Admission | None:
        """Lets a call of about `tokens` through, or raises RateLimited; None when nothing limits it. `movable`: another
        model may come to serve it, so that nothing is charged before `move`. `calls`: of a provider."""

    def lease(
        self, whose: Limited, models: Iterable[tuple[str, bool]], tokens: int, calls: int = 1
    ) -> Coroutine[Any, Any, None] | None:
        """What has to be awaited before a call of one of these models, each with whether it is free, can be decided;
        None: nothing has to."""

    def move(self, admission: Admission, model: str, now: float, *, free: bool) -> None:
        """The call goes to this model. Raises RateLimited when that is over its limits."""


class Emulation(Protocol):
    """What one deployment lacks, emulated by more calls. `names`: what is emulated, for the caller, empty when that is
    nothing that a caller would notice; `parameters`: those of the request that it stands for; `payload`: what the
    deployment gets instead."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def parameters(self) -> tuple[str, ...]: ...

    @property
    def payload(self) -> Payload: ...

    async def check(self) -> None:
        """Raises CallerError for a request that cannot be emulated."""

    async def answer(self, attempt: Attempt, payload: Any, call: Call) -> MadeAnswer:
        """Makes the calls: `call` is `payload` in the upstream's words. Raises the UpstreamError family."""


class Record(Protocol):
    """What a caller has been sent of a stream, so that another deployment can continue it."""

    def add(self, block: bytes) -> None: ...


class Continuation(Continued, Protocol):
    """A stream that continues elsewhere. `at`: how many characters were sent before; `payload`: what is asked of the
    next deployment."""

    @property
    def at(self) -> int: ...

    @property
    def payload(self) -> Payload: ...

    def joined(self, relay: Relay) -> Relay:
        """The relay of the next deployment, as a continuation of the first stream."""


class Recovery(Protocol):
    """How an operation helps itself; one that cannot has none. `inlines`: it replaces addresses in a payload by what is
    there."""

    @property
    def inlines(self) -> bool: ...

    async def inlined(self, payload: Any) -> Payload:
        """The payload with data in the place of addresses. Raises CallerError, Overloaded."""

    def emulation(
        self, payload: Any, upstream: Upstream, missing: int, allowed: int, key: str, tried: Sequence[Tried]
    ) -> Emulation | None:
        """How a deployment answers a request that needs what it lacks (`missing`), as far as the operator allows; None:
        it is asked as it is. `key`: whose call it is; `tried`: attempts of this call that have failed. Raises
        CallerError, AnswerInvalid, RateLimited."""

    def as_stream(self, answer: Answer) -> MadeAnswer:
        """An answer that came whole although a stream was asked for. Raises UpstreamInvalid."""

    def record(self, payload: Any, relay: Relay) -> Record | None:
        """For a stream that begins; None: it cannot be continued, and the payload is not needed any more."""

    async def continuation(self, payload: Any, record: Any, before: Any, family: str | None) -> Continuation | None:
        """How a stream continues from what was recorded; None: it cannot. `before`: the continuation that has failed,
        if it was one; `family`: of the tokenizer that counts what was sent."""
