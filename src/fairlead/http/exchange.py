"""One request to an upstream and its answer, from the queue for a connection to the last byte.

`Owner` and `Carrier` are what it needs of its pool and of the connection it is sent on."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Final

from fairlead.errors import FairleadError, UpstreamBusy, UpstreamTimeout
from fairlead.http.eager import Signal
from fairlead.http.limits import PoolLimits, Timeouts
from fairlead.http.outbox import Outbox
from fairlead.http.request import JOIN_BYTES
from fairlead.http.upload import has_files, pump

NEVER: Final = math.inf


class Owner:
    """Who sends exchanges: the pool of an upstream. A class and not a protocol, as for `Carrier`, so that compiled code
    reads and calls it directly."""

    timeouts: Timeouts
    limits: PoolLimits
    outbox: Outbox
    # Of these, what every exchange reads: compiled code reads its own attributes without a look-up.
    first_byte_seconds: float
    idle_seconds: float
    total_seconds: float
    body_bytes: int
    stream_bytes: int
    reuse: bool

    def __init__(self, timeouts: Timeouts, limits: PoolLimits) -> None:
        self.timeouts = timeouts
        self.limits = limits
        self.first_byte_seconds = timeouts.first_byte_seconds
        self.idle_seconds = timeouts.idle_seconds
        self.total_seconds = timeouts.total_seconds
        self.body_bytes = limits.body_bytes
        self.stream_bytes = limits.stream_bytes
        self.reuse = limits.reuse

    def retry(self, exchange: Exchange) -> None:
        """Sends an exchange again, on a new connection."""
        raise NotImplementedError

    def finished(self, exchange: Exchange) -> None:
        """The exchange is over, whatever its end."""
        raise NotImplementedError


class Carrier(asyncio.Protocol):
    """The connection that an exchange is sent on. `reused`: it has served another exchange before; `answering`: bytes
    of an answer to this one have arrived."""

    __slots__ = ("answering", "loop", "reused", "transport")

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    reused: bool
    answering: bool

    def drop(self) -> None:
        """Closes the connection at once; its exchange expects nothing more."""
        raise NotImplementedError


class Exchange:
    """One request to an upstream and its answer. Errors of `head`, `read` and `relay`: the UpstreamError family."""

    __slots__ = (
        "_body",
        "_complete",
        "_connection",
        "_done",
        "_failure",
        "_got_head",
        "_head_signal",
        "_parts",
        "_read_bytes",
        "_sink",
        "connecting",
        "deadline",
        "end_at",
        "head_at",
        "head_only",
        "headers",
        "key",
        "length",
        "over",
        "phase",
        "pool",
        "retried",
        "sent_at",
        "start",
        "status",
    )

    key: object  # which of several keys it was sent with; set only where there are several

    def __init__(
        self, pool: Owner, start: bytes, body: Sequence[bytes | memoryview], length: int, head_only: bool
    ) -> None:
        self.pool = pool
        self.start = start
        self.length = length
        self.head_only = head_only
        self.status = 0
        self.headers: Sequence[tuple[bytes, bytes]] = ()
        self.sent_at = 0.0
        self.head_at = 0.0
        self.deadline = NEVER
        self.end_at = NEVER
        self.phase = ""
        self.over = False
        self.connecting: asyncio.Task[None] | None = None
        self._body = body
        self._connection: Carrier | None = None
        self._parts: list[bytes] = []
        self._read_bytes = 0
        self._got_head = False
        self._complete = False
        self.retried = False
        self._failure: BaseException | None = None
        self._head_signal: Signal[None] | None = None
        self._done: Signal[None] | None = None
        self._sink: Callable[[bytes], None] | None = None

    # --- for the caller

    def header(self, name: bytes) -> bytes | None:
        for key, value in self.headers:
            if key == name:
                return value
        return None

    async def head(self) -> int:
        """Waits for status and headers; gives the status."""
        waiting = self.until_head()
        if waiting is not None:
            await waiting
        return self.status

    def until_head(self) -> Signal[None] | None:
        """What `head` waits for; None when they are there."""
        if self._got_head:
            return None
        if self._failure is not None:
            raise self._failure
        signal: Signal[None] = Signal()
        self._head_signal = signal
        return signal

    def whole(self) -> bytes | None:
        """The whole body when it is there already."""
        if not self._complete:
            return None
        parts = self._parts
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def read(self) -> bytes:
        """The whole body."""
        await self._to_the_end()
        parts = self._parts
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def relay(self, sink: Callable[[bytes], None]) -> None:
        """Gives each block of the body to `sink` as it is read, on the stack of the read callback, and returns at the
        proper end. What `sink` raises closes the upstream and is raised here."""
        parts = self._parts
        if parts:
            self._parts = []
            sink(parts[0] if len(parts) == 1 else b"".join(parts))
        if not self.over:
            self._sink = sink
        await self._to_the_end()

    async def _to_the_end(self) -> None:
        if not self._complete:
            if self._failure is not None:
                raise self._failure
            self._done = Signal()
            await self._done

    def pause(self) -> None:
        """Stops reading from the upstream; silence is then ours and does not count as idle."""
        if self._connection is not None:
            self.deadline = NEVER
            self._connection.transport.pause_reading()

    def resume(self) -> None:
        connection = self._connection
        if connection is not None:
            self.deadline = connection.loop.time() + self.pool.idle_seconds
            connection.transport.resume_reading()

    def set_deadline(self, seconds: float) -> None:
        """What still comes says nothing any more: the end is waited for no longer than this."""
        connection = self._connection
        if connection is not None:
            self.deadline = connection.loop.time() + seconds

    def cancel(self) -> None:
        """Closes the upstream's connection at once; who waits for the answer gets a CancelledError. Nothing happens
        when the answer is complete."""
        if not self.over:
            self.fail(asyncio.CancelledError())

    # --- for the connection and the pool

    def wake(self, data_at: float) -> None:
        """After a block was parsed: passes what came to the waiting coroutine."""
        if not self._got_head:
            return
        self.deadline = data_at + self.pool.idle_seconds
        sink = self._sink
        if sink is not None and self._parts:
            parts = self._parts
            self._parts = []
            try:
                sink(parts[0] if len(parts) == 1 else b"".join(parts))
            except Exception as error:
                self.fail(error)
                return
        if self._complete:
            self._end()
        signal = self._head_signal
        if signal is not None:
            self._head_signal = None
            signal.set(None)
        if self._complete and self._done is not None:
            self._done.set(None)

    def begin_answer(self, status: int, headers: list[tuple[bytes, bytes]], now: float) -> None:
        self.status = status
        self.headers = headers
        self.head_at = now
        self.phase = "idle"
        self._got_head = True
        self._body = ()
        self.start = b""

    def take_body(self, data: bytes) -> bool:
        """False when the answer is larger than it may be."""
        self._parts.append(data)
        self._read_bytes += len(data)
        pool = self.pool
        return self._read_bytes <= (pool.body_bytes if self._sink is None else pool.stream_bytes)

    def complete(self) -> None:
        self._complete = True
        self._connection = None

    def send_on(self, connection: Carrier, now: float) -> None:
        self._connection = connection
        self.sent_at = now
        self.phase = "first byte"
        self.deadline = now + self.pool.first_byte_seconds
        if self.length <= JOIN_BYTES:
            self.pool.outbox.write(connection.transport, b"".join((self.start, *self._body)))
        else:
            parts = (self.start, *self._body)
            if has_files(parts):
                self.connecting = connection.loop.create_task(pump(connection.transport, parts, self))
            else:
                self.pool.outbox.write_large(connection.transport, parts, self.length)

    def sending(self) -> None:
        """Some more of a long body was sent: the answer is waited for from now on."""
        connection = self._connection
        if connection is not None and not self._got_head:
            self.deadline = connection.loop.time() + self.pool.first_byte_seconds

    def cut(self, connection: Carrier, error: FairleadError) -> None:
        """The connection ended before the answer was complete."""
        if self.over:
            return
        self._connection = None
        if connection.reused and not connection.answering and not self.retried and not self._got_head:
            self.retried = True
            self.pool.retry(self)
            return
        self.fail(error)

    def expire(self, now: float) -> None:
        what = {
            "queue": "No connection to the provider became free in time.",
            "connect": "The provider did not accept a connection in time.",
            "first byte": "The provider did not begin to answer in time.",
            "idle": "The provider stopped sending in the middle of its answer.",
        }
        if self.end_at <= now:
            self.fail(UpstreamTimeout("The provider's answer exceeded the total time limit."))
        elif self.phase == "queue":
            self.fail(UpstreamBusy(what["queue"], retry_after_seconds=1))
        else:
            self.fail(UpstreamTimeout(what[self.phase]))

    def fail(self, error: BaseException) -> None:
        if self.over:
            return
        self._end()
        self._failure = error
        self._abort()
        if self._head_signal is not None:
            self._head_signal.fail(error)
        elif self._done is not None:
            self._done.fail(error)

    def _end(self) -> None:
        self.over = True
        self._sink = None  # which knows this exchange: a circle
        self.deadline = self.end_at = NEVER
        self.pool.finished(self)

    def _abort(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.drop()
        if self.connecting is not None:
            self.connecting.cancel()
            self.connecting = None
