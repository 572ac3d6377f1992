"""A deployment that can be called: its facts, its connections, its dialect, bound together once per snapshot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fairlead.catalogue.snapshot import Deployment, Model
from fairlead.errors import FairleadError
from fairlead.http.client import Pool
from fairlead.wire.chat import ChatRequest
from fairlead.wire.usage import Usage

Headers = Sequence[tuple[bytes, bytes]]
Settle = Callable[[Usage | None], bytes]


class Call(Protocol):
    """One request in an upstream's words."""

    @property
    def body(self) -> list[bytes | memoryview]: ...

    @property
    def stream(self) -> bool: ...

    @property
    def dropped(self) -> tuple[str, ...]: ...


class Relay(Protocol):
    """Turns the upstream's stream into the caller's, block by block. `done`: the last event has been seen."""

    done: bool

    def feed(self, data: bytes) -> bytes: ...

    def close(self) -> bytes: ...


class Assembler(Protocol):
    """Collects the upstream's stream into one complete answer."""

    def feed(self, data: bytes) -> None: ...

    def close(self, settle: Settle) -> bytes: ...


class Adapter(Protocol):
    """An upstream dialect, bound to one deployment. All of it is pure: no clock, no network.

    `settle` is called once, before the end of a complete answer, and gives the members that its usage gets.
    """

    def to_vendor(self, request: ChatRequest) -> Any: ...

    def relay(self, call: Any, settle: Settle) -> Relay: ...

    def assembler(self, call: Any) -> Assembler: ...

    def plain(self, call: Any, body: bytes, settle: Settle) -> bytes: ...

    def error(self, status: int, headers: Headers, body: bytes) -> FairleadError: ...


class Gate(Protocol):
    """Something that has to come up before a deployment can be called, such as a local engine."""

    @property
    def is_ready(self) -> bool: ...

    async def wait_ready(self, seconds: float) -> bool: ...


@dataclass(frozen=True, slots=True)
class Upstream:
    """`path` follows the provider's base URL, `headers` are ready lines; both are made once, not per call."""

    deployment: Deployment
    adapter: Adapter
    pool: Pool
    path: bytes
    headers: bytes
    answer_headers: bytes
    gate: Gate | None = None
    translate: Callable[[FairleadError], FairleadError] | None = None


@dataclass(frozen=True, slots=True)
class Servable:
    """A model with everything that can serve it, in the configured order. `paid`: some of it has a price."""

    model: Model
    upstreams: tuple[Upstream, ...]
    paid: bool
