"""How long an upstream may take, and how much it may send."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds for each phase of a call; `idle` is the longest silence after the first byte."""

    connect_seconds: float
    first_byte_seconds: float
    idle_seconds: float
    total_seconds: float


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """`connections` at once; further calls wait in a queue of `queue` places for `queue_seconds` at most.

    `body_bytes`, `stream_bytes`: of an answer that is kept whole, and of one that is handed on as it comes, of which
    the words are kept.

    `reuse`: False for an upstream that closes its connections without saying so."""

    connections: int
    queue: int
    queue_seconds: float
    idle_close_seconds: float = 55
    reuse: bool = True
    head_bytes: int = 65_536
    body_bytes: int = 67_108_864
    stream_bytes: int = 536_870_912
