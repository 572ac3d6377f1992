"""What routing expects of those it calls by: dialects, engines that have to come up, and counters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from fairlead.errors import FairleadError
from fairlead.routing.health import DeploymentHealth, Named
from fairlead.wire.traceparent import TraceContext
from fairlead.wire.usage import Usage

Headers = Sequence[tuple[bytes, bytes]]


class Call(Protocol):
    """One request in an upstream's words. `path`: instead of the upstream's own, None where that serves every call.
    `headers`: ready lines beside the upstream's, such as a signature; `bare`: they have the type of the body and the
    constant lines of the API among them (`Dialect.headers`), so that the upstream's own are left out."""

    @property
    def body(self) -> list[bytes | memoryview]: ...

    @property
    def stream(self) -> bool: ...

    @property
    def dropped(self) -> tuple[str, ...]: ...

    @property
    def clamped(self) -> tuple[str, ...]: ...

    @property
    def path(self) -> bytes | None: ...

    @property
    def headers(self) -> bytes: ...

    @property
    def bare(self) -> bool: ...


class Answer(Protocol):
    """What an upstream has answered so far. `usage`: what it reported, None when that is nothing usable. `choices`: how
    many are complete; a provider that ignores `n` gives fewer than were asked for. `head`: lines for the head that say
    what the body is."""

    @property
    def head(self) -> bytes: ...

    @property
    def usage(self) -> Usage | None: ...

    @property
    def choices(self) -> int: ...

    def delivered(self) -> str: ...

    def end(self, members: bytes, counted: Usage | None = None, /) -> bytes:
        """The end of the answer, its usage with these members. `counted`: the usage, where none was reported."""


class MadeAnswer(Answer, Protocol):
    """A complete answer that was put together here. `stream_head`: as `head`, of its stream."""

    @property
    def stream_head(self) -> bytes: ...

    def stream(self, members: bytes, counted: Usage | None = None, *, include_usage: bool) -> bytes:
        """All of it as a stream; `members`, `counted`: as for `end`."""


class Relay(Answer, Protocol):
    """Turns the upstream's stream into the caller's, block by block. `done`: the last event has been seen.

    `finish` gives what is left of the answer, or raises UpstreamCut; `end` what comes after it, with the members that
    its usage gets. `error_event` gives the last bytes of a stream that has begun and fails; None: the door does, which
    needs to know nothing of the stream.
    """

    @property
    def error_event(self) -> Callable[[FairleadError], bytes] | None: ...

    @property
    def done(self) -> bool: ...

    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class Assembler(Answer, Protocol):
    """Collects the upstream's stream into one complete answer, which `end` gives; `finish` raises UpstreamCut."""

    def feed(self, data: bytes) -> None: ...

    def finish(self) -> bytes: ...


class Adapter(Protocol):
    """An operation in an upstream dialect, bound to one deployment and to the API of the callers. It touches no
    network; one that signs is given a clock. `stream_type`: how the content type of a streamed answer begins."""

    @property
    def stream_type(self) -> bytes: ...

    def to_vendor(self, payload: Any) -> Any: ...

    def relay(self, call: Any) -> Relay: ...

    def assembler(self, call: Any) -> Assembler: ...

    def plain(self, call: Any, body: bytes) -> Answer: ...

    def error(self, status: int, headers: Headers, body: bytes) -> FairleadError: ...


class Health(Protocol):
    """What is known about deployments, as far as planning, hedging and retries ask. `by_deployment`: by its id;
    `troubled`: a breaker is open somewhere."""

    @property
    def by_deployment(self) -> dict[str, DeploymentHealth]: ...

    @property
    def troubled(self) -> bool: ...

    def of(self, deployment: Named, /) -> DeploymentHealth:
        """That of a deployment; a new one of one that was never called."""

    def may_try(self, target: DeploymentHealth, now: float, /) -> bool:
        """Whether a call may go there, as far as breakers are concerned."""

    def take_retry(self, target: DeploymentHealth, now: float, /) -> bool:
        """Whether a call that failed before may go there; it counts as one that does."""

    def recall(self, key: int, now: float, /) -> str | None:
        """The deployment that served this conversation before; None: not known any more."""

    def failed(
        self, target: DeploymentHealth, error: FairleadError, now: float, key_rest: float | None = None, /
    ) -> None: ...

    def first_token(self, target: DeploymentHealth, seconds: float, now: float, /) -> None: ...


class Gate(Protocol):
    """Something that has to come up before a deployment can be called, such as a local engine."""

    @property
    def is_ready(self) -> bool: ...

    @property
    def gave_up(self) -> bool: ...

    async def wait_ready(self, seconds: float) -> bool: ...


class Measured(Protocol):
    """Where it is counted how calls or attempts ended, and how long they took."""

    def add(
        self,
        outcome: str,
        first_seconds: float,
        total_seconds: float,
        prompt_tokens: int,
        output_tokens: int,
        trace: TraceContext | None = None,
        /,
    ) -> None: ...
