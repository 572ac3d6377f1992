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


class Call(Protocol):
    """One request in an upstream's words. `path` is None where the upstream's own path and headers serve every call;
    else it stands instead of the upstream's, and `headers` (ready lines, such as a signature) are added."""

    @property
    def body(self) -> list[bytes | memoryview]: ...

    @property
    def stream(self) -> bool: ...

    @property
    def dropped(self) -> tuple[str, ...]: ...

    @property
    def path(self) -> bytes | None: ...

    @property
    def headers(self) -> bytes: ...


class Answer(Protocol):
    """What an upstream has answered so far. `usage`: what it reported, None when that is nothing usable."""

    @property
    def usage(self) -> Usage | None: ...

    def delivered(self) -> str: ...

    def end(self, members: bytes) -> bytes: ...


class Relay(Answer, Protocol):
    """Turns the upstream's stream into the caller's, block by block. `done`: the last event has been seen.

    `finish` gives what is left of the answer, or raises UpstreamCut; `end` what comes after it, with the members that
    its usage gets.
    """

    @property
    def done(self) -> bool: ...

    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class Assembler(Answer, Protocol):
    """Collects the upstream's stream into one complete answer, which `end` gives; `finish` raises UpstreamCut."""

    def feed(self, data: bytes) -> None: ...

    def finish(self) -> bytes: ...


class Adapter(Protocol):
    """An upstream dialect, bound to one deployment. It touches no network; one that signs is given a clock."""

    def to_vendor(self, request: ChatRequest) -> Any: ...

    def relay(self, call: Any) -> Relay: ...

    def assembler(self, call: Any) -> Assembler: ...

    def plain(self, call: Any, body: bytes) -> Answer: ...

    def error(self, status: int, headers: Headers, body: bytes) -> FairleadError: ...


class Gate(Protocol):
    """Something that has to come up before a deployment can be called, such as a local engine."""

    @property
    def is_ready(self) -> bool: ...

    async def wait_ready(self, seconds: float) -> bool: ...


@dataclass(frozen=True, slots=True)
class Upstream:
    """`path` follows the provider's base URL, `headers` are ready lines; both are made once, not per call.

    `stream_type`: how the content type of a streamed answer begins. `costs`: it has a price or a cost. `bills_cut`:
    that, and the provider bills an answer to its end although nobody waits for it any more. `family`: whose tokenizer
    counts what it does not report.
    """

    deployment: Deployment
    adapter: Adapter
    pool: Pool
    path: bytes
    headers: bytes
    answer_headers: bytes
    stream_type: bytes = b"text/event-stream"
    costs: bool = True
    bills_cut: bool = False
    family: str | None = None
    gate: Gate | None = None
    translate: Callable[[FairleadError], FairleadError] | None = None


@dataclass(frozen=True, slots=True)
class Servable:
    """A model with everything that can serve it, in the configured order. `paid`: some of it has a price."""

    model: Model
    upstreams: tuple[Upstream, ...]
    paid: bool
