"""The client's side: a pool of connections per upstream. What is sent on them is an `Exchange` each.

Callbacks only: an exchange costs two `Signal`s and no task, future or timer. Deadlines are swept per pool.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import httptools

from fairlead.errors import (
    UpstreamBusy,
    UpstreamCut,
    UpstreamInvalid,
    UpstreamUnreachable,
)
from fairlead.http.connect import Address, Proxy, connect
from fairlead.http.exchange import Carrier, Exchange, Owner
from fairlead.http.limits import PoolLimits, Timeouts
from fairlead.http.outbox import Outbox
from fairlead.http.request import BODILESS, number

SWEEP_SECONDS: Final = 0.1
TOO_LARGE: Final = "The provider's answer is larger than an answer may be."
# Names of headers that are remembered as a provider writes them.
MOST_NAMES: Final = 256
LONGEST_NAME: Final = 64
# What decides how an answer ends, or whether its connection is kept.
_DECIDING: Final = frozenset({b"transfer-encoding", b"connection", b"keep-alive", b"upgrade", b"trailer"})
# Idle connections are looked at less often than calls in flight.
IDLE_SWEEP_SECONDS: Final = 1.0


class Pool(Owner):
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
        self.timeouts = timeouts
        self.limits = limits
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
                tls = ssl.create_default_context()
            self.address = Address(parts.hostname, parts.port or (443 if secure else 80), tls=tls if secure else None)
            prefix, host = parts.path.rstrip("/"), parts.netloc.rpartition("@")[2]
        if proxy is not None and self.address.tls is None and self.address.unix_path is None:
            prefix = f"http://{host}{prefix}"  # absolute-form, which a proxy needs for plain http
        self._prefix = prefix.encode()
        self._host_line = b" HTTP/1.1\r\nhost: %b\r\n" % host.encode("idna" if not host.isascii() else "ascii")
        if proxy is not None and self.address.tls is None:
            self._host_line += proxy.authorization_line
        self._idle: list[Connection] = []
        self.names: dict[bytes, bytes] = {}  # of headers in its answers: as they were written, in lower case
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
        exchange.end_at = now + self.timeouts.total_seconds
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
        connection = Connection(self)
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

    def name_of(self, written: bytes) -> bytes:
        """The name of a header in lower case."""
        name = self.names.get(written)
        if name is None:
            name = written.lower()
            if len(self.names) < MOST_NAMES and len(name) <= LONGEST_NAME:
                self.names[written] = name
        return name

    def give_back(self, connection: Connection, now: float) -> None:
        """A connection whose answer is complete: for the next who waits, or kept."""
        if self._closed or connection.transport.is_closing() or (connection.reused and not self.limits.reuse):
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


class Connection(Carrier):
    """One connection to an upstream; serves one exchange at a time."""

    __slots__ = (
        "_exchange",
        "_fed",
        "_finished",
        "_headers",
        "_interim",
        "_keep",
        "_parser",
        "_until_close",
        "counted",
        "idle_since",
        "pool",
    )

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        assert pool._loop is not None  # noqa: SLF001 - set by the request that made this connection
        self.loop = pool._loop  # noqa: SLF001
        self.counted = False
        self.idle_since = 0.0
        self.reused = False
        self.answering = False
        self._parser: Any = httptools.HttpResponseParser(self)
        self._exchange: Exchange | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._fed = 0
        self._interim = False
        self._until_close = False
        self._finished = False
        self._keep = False

    def take(self, exchange: Exchange, now: float) -> None:
        self._exchange = exchange
        self.answering = False
        self._until_close = False
        self._fed = 0
        exchange.send_on(self, now)

    def drop(self) -> None:
        self._exchange = None
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            self.transport.abort()  # nobody asked: an unsolicited answer must not meet the next request
            return
        if not self.answering:
            self.answering = True
        if not self._fed and exchange.status == 0 and self._whole(exchange, data):
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if self._finished:  # garbage after a complete answer
                self._finished = False
                self.transport.abort()
                exchange.wake(self.loop.time())
                return
            cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else None
            if isinstance(cause, UpstreamInvalid):
                exchange.fail(cause)
            else:
                exchange.fail(UpstreamInvalid("The provider's answer is not valid HTTP."))
            return
        if exchange.status == 0:
            self._fed += len(data)
            if self._fed > self.pool.limits.head_bytes:
                exchange.fail(UpstreamInvalid("The head of the provider's response is too large."))
                return
        now = self.loop.time()
        if self._finished:
            self._finished = False
            if self._keep:
                self.reused = True
                self.pool.give_back(self, now)
            else:
                self.transport.close()
        exchange.wake(now)

    def _whole(self, exchange: Exchange, data: bytes) -> bool:
        """Takes an answer that has come in one block and in the plainest form, as most do. False for any other, and
        where a header has not been seen before: that is llhttp's work, which calls back for every part of it."""
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.splitlines()
        if exchange.head_only or not lines or lines[0] != b"HTTP/1.1 200 OK":
            return False
        names = self.pool.names
        headers: list[tuple[bytes, bytes]] = []
        length = -1
        for at in range(1, len(lines)):
            written, colon, value = lines[at].partition(b": ")
            name = names.get(written)
            if name is None or not colon or name in _DECIDING:
                return False
            if name == b"content-length":
                if length >= 0:
                    return False
                length = number(value)
            headers.append((name, value))
        if length != len(body) or not length:
            return False
        now = self.loop.time()
        exchange.begin_answer(200, headers, now)
        if not exchange.take_body(body):
            exchange.fail(UpstreamInvalid(TOO_LARGE))
            return True
        self._exchange = None
        exchange.complete()
        self.reused = True
        self.pool.give_back(self, now)
        exchange.wake(now)
        return True

    def on_message_begin(self) -> None:
        if self._exchange is None:
            raise UpstreamInvalid("The provider sent more than one answer.")
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((self.pool.name_of(name), value))

    def on_headers_complete(self) -> None:
        exchange = self._exchange
        assert exchange is not None
        status = self._parser.get_status_code()
        self._interim = 100 <= status < 200
        if self._interim:
            if status == 101:
                raise UpstreamInvalid("The provider switched protocols.")
            return
        headers = self._headers
        length = b""
        for name, value in headers:
            if name == b"content-length" or name == b"transfer-encoding":
                length = value
        self._until_close = not length and status not in BODILESS
        self._headers = []  # the exchange's now, which lets go of them when a stream begins
        exchange.begin_answer(status, headers, self.loop.time())
        if exchange.head_only:
            self._answer_complete(keep=False)

    def on_body(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is not None and not exchange.take_body(data):
            raise UpstreamInvalid(TOO_LARGE)

    def on_message_complete(self) -> None:
        if self._interim:
            return
        if self._exchange is not None:
            self._answer_complete(keep=self._parser.should_keep_alive())

    def _answer_complete(self, *, keep: bool) -> None:
        exchange = self._exchange
        assert exchange is not None
        self._exchange = None
        exchange.complete()
        # Given back only when the whole block has been parsed: what follows the answer makes the connection unusable.
        self._finished = True
        self._keep = keep

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        exchange, self._exchange = self._exchange, None
        self._parser = None  # which knows our callbacks: a circle
        self.pool.lost(self)
        if exchange is None:
            return
        if self._until_close and error is None and exchange.status:
            exchange.complete()
            exchange.wake(self.loop.time())
            return
        if exchange.status:
            exchange.cut(self, UpstreamCut("The provider's connection ended in the middle of its answer."))
        else:
            exchange.cut(self, UpstreamCut("The provider closed the connection without an answer."))


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
