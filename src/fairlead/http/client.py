"""The client's side: a pool of connections per upstream. What is sent on them is an `Exchange` each.

Callbacks only: an exchange costs two `Signal`s and no task, future or timer. Deadlines are swept per pool.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from fairlead.errors import (
    UpstreamBusy,
    UpstreamCut,
    UpstreamUnreachable,
)
from fairlead.http.connect import Address, Proxy, connect
from fairlead.http.exchange import Exchange
from fairlead.http.limits import PoolLimits, Timeouts
from fairlead.http.outbox import Outbox
from fairlead.http.trust import machine_trust
from fairlead.http.upstream_connection import Connection, Home

SWEEP_SECONDS: Final = 0.1
# Idle connections are looked at less often than calls in flight.
IDLE_SWEEP_SECONDS: Final = 1.0


class Pool(Home):
    """Connections to one upstream. `base_url`: http://, https:// (a path prefix is kept) or `unix:/path.sock`."""

    def __init__(
        self,
        base_url: str,
        *,
        timeouts: Timeouts,
        limits: PoolLimits,
        proxy: Proxy | None = None,
        tls: ssl.SSLContext | None = None,
        unix_prefix: str = "/v1",
    ) -> None:
        super().__init__(timeouts, limits)
        self.proxy = proxy
        self.name = base_url
        if base_url.startswith("unix:"):
            self.address = Address(unix_path=base_url.removeprefix("unix:"))
            prefix, host = unix_prefix, "localhost"
        else:
            parts = urlsplit(base_url)
            secure = parts.scheme == "https"
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f"{base_url} is not an http://, https:// or unix: URL")
            if secure and tls is None:
                tls = machine_trust()
            self.address = Address(parts.hostname, parts.port or (443 if secure else 80), tls=tls if secure else None)
            prefix, host = parts.path.rstrip("/"), parts.netloc.rpartition("@")[2]
        if proxy is not None and self.address.tls is None and self.address.unix_path is None:
            prefix = f"http://{host}{prefix}"  # absolute-form, which a proxy needs for plain http
        self._prefix = prefix.encode()
        self._host_line = b" HTTP/1.1\r\nhost: %b\r\n" % host.encode("idna" if not host.isascii() else "ascii")
        if proxy is not None and self.address.tls is None:
            self._host_line += proxy.authorization_line
        self._idle: list[Connection] = []
        self.names = {}
        self._waiting: deque[Exchange] = deque()
        self._active: set[Exchange] = set()
        self._open = 0
        self._sweeper: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connecting: set[asyncio.Task[None]] = set()
        self._closed = False
        self.outbox = Outbox()

    @property
    def in_flight(self) -> int:
        return len(self._active) - len(self._waiting)

    @property
    def idle(self) -> int:
        return len(self._idle)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def request(self, method: bytes, path: bytes, headers: bytes, body: Sequence[bytes | memoryview] = ()) -> Exchange:
        """Sends a request as soon as a connection is there; `headers` are ready lines without host and length."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        length = 0
        for part in body:
            length += len(part)
        head = b"%b %b%b%b%bcontent-length: %d\r\n\r\n" % (
            method, self._prefix, path, self._host_line, headers, length,
        )  # fmt: skip
        exchange = Exchange(self, head, body, length, method == b"HEAD")
        now = loop.time()
        exchange.end_at = now + self.total_seconds
        self._active.add(exchange)
        if self._sweeper is None:
            self._sweeper = loop.call_later(SWEEP_SECONDS, self._sweep)
        idle = self._idle
        while idle:
            connection = idle.pop()
            if not connection.transport.is_closing():
                connection.take(exchange, now)
                return exchange
        self._open_or_queue(exchange, now)
        return exchange

    def _open_or_queue(self, exchange: Exchange, now: float) -> None:
        assert self._loop is not None
        if self._open < self.limits.connections:
            self._open += 1
            exchange.deadline = now + self.timeouts.connect_seconds
            exchange.phase = "connect"
            task = self._loop.create_task(self._connect(exchange))
            exchange.connecting = task
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
        elif len(self._waiting) < self.limits.queue:
            exchange.deadline = now + self.limits.queue_seconds
            exchange.phase = "queue"
            self._waiting.append(exchange)
        else:
            exchange.fail(UpstreamBusy("The queue for this provider is full.", retry_after_seconds=1))

    async def _connect(self, exchange: Exchange) -> None:
        assert self._loop is not None
        connection = Connection(self, self._loop)
        try:
            await connect(self._loop, lambda: connection, self.address, self.proxy)
        except asyncio.CancelledError:
            self._open -= 1
            self._serve_waiting()
            raise
        except (OSError, ssl.SSLError, UpstreamUnreachable) as error:
            self._open -= 1
            exchange.connecting = None
            if isinstance(error, UpstreamUnreachable):
                exchange.fail(error)
            else:
                exchange.fail(UpstreamUnreachable(f"No connection to the provider: {reason(error)}."))
            self._serve_waiting()
            return
        connection.counted = True
        exchange.connecting = None
        if exchange.over:
            self.give_back(connection, self._loop.time())
        else:
            connection.take(exchange, self._loop.time())

    def give_back(self, connection: Connection, now: float) -> None:
        """A connection whose answer is complete: for the next who waits, or kept."""
        if self._closed or connection.transport.is_closing() or (connection.reused and not self.reuse):
            connection.transport.close()
            return
        while self._waiting:
            exchange = self._waiting.popleft()
            if exchange.over:
                continue
            if exchange.retried:  # met a dead kept connection once: this one may be dying too
                self._waiting.appendleft(exchange)
                connection.transport.close()
            else:
                connection.take(exchange, now)
            return
        connection.idle_since = now
        self._idle.append(connection)

    def lost(self, connection: Connection) -> None:
        if connection.counted:
            connection.counted = False
            self._open -= 1
        if connection in self._idle:
            self._idle.remove(connection)
        self._serve_waiting()

    def _serve_waiting(self) -> None:
        while self._waiting and self._open < self.limits.connections and not self._closed:
            exchange = self._waiting.popleft()
            if not exchange.over:
                assert self._loop is not None
                self._open_or_queue(exchange, self._loop.time())

    def retry(self, exchange: Exchange) -> None:
        """The kept connection had died unseen: once more, on a new one."""
        assert self._loop is not None
        now = self._loop.time()
        if self._open < self.limits.connections:
            self._open_or_queue(exchange, now)
        else:  # before all others, whatever the queue holds: it had its turn
            exchange.deadline = now + self.limits.queue_seconds
            exchange.phase = "queue"
            self._waiting.appendleft(exchange)

    def finished(self, exchange: Exchange) -> None:
        self._active.discard(exchange)
        if exchange.phase == "queue":
            try:
                self._waiting.remove(exchange)
            except ValueError:
                pass

    def _sweep(self) -> None:
        assert self._loop is not None
        self._sweeper = None
        now = self._loop.time()
        for exchange in [one for one in self._active if one.deadline <= now or one.end_at <= now]:
            exchange.expire(now)
        keep_from = now - self.limits.idle_close_seconds
        if self._idle and self._idle[0].idle_since < keep_from:
            for connection in [one for one in self._idle if one.idle_since < keep_from]:
                connection.transport.close()
        if self._active:
            self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)
        elif self._idle:
            self._sweeper = self._loop.call_later(IDLE_SWEEP_SECONDS, self._sweep)

    async def close(self) -> None:
        """Ends everything: calls in flight fail, connections are closed."""
        self._closed = True
        for exchange in list(self._active):
            exchange.fail(UpstreamCut("This server is shutting down."))
        for connection in list(self._idle):
            connection.transport.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for task in list(self._connecting):
            task.cancel()
        if self._connecting:
            await asyncio.gather(*self._connecting, return_exceptions=True)


def reason(error: BaseException) -> str:
    """Why a connection failed, in a few words and without our own addresses."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate was refused ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return "the TLS handshake failed"
    if isinstance(error, ConnectionRefusedError):
        return "it was refused"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return type(error).__name__
