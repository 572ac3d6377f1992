"""The server's side: one `Connection` per caller, callbacks only; a handler sees requests that have arrived whole."""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from typing import Any, Final

import httptools

from fairlead.errors import CallerGone
from fairlead.http.eager import Running
from fairlead.http.outbox import Outbox
from fairlead.http.request import STATUS_LINES, KnownHead, Request, Response

Handler = Callable[[Request, Response], Coroutine[Any, Any, None] | None]
Refusal = Callable[[int, str, str], tuple[bytes, bytes]]
OnError = Callable[[Request, Response, BaseException], None]

NEVER: Final = math.inf
# How often deadlines are looked at: one timer for all connections instead of one per request.
SWEEP_SECONDS: Final = 0.5
BACKLOG: Final = 4096
# After a refusal the caller may still be sending; closing at once would reset the connection and lose the answer.
LINGER_SECONDS: Final = 2.0
# A caller may send requests ahead of their answers up to here; then its socket is not read until it catches up.
PIPELINED_REQUESTS: Final = 64
PIPELINED_BYTES: Final = 1 << 20
# When a peer that is owed an answer closes its sending side, see `Connection.eof_received`.
PROBE_DELAYS_SECONDS: Final = (0.1, 0.3)
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What a caller may cost. Defaults and meaning: docs/http.md."""

    head_bytes: int = 32_768
    body_bytes: int = 33_554_432
    head_seconds: float = 10
    body_seconds: float = 60
    idle_seconds: float = 75
    stall_seconds: float = 60
    connections: int = 20_000
    requests_in_flight: int = 10_000
    write_buffer_bytes: int = 262_144


class Server:
    """Listens, counts, sweeps. `refuse` words what is refused here; `on_error` answers for a failed handler."""

    def __init__(
        self,
        handler: Handler,
        *,
        limits: ServerLimits,
        refuse: Refusal,
        on_error: OnError,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.handler = handler
        self.limits = limits
        self.refuse = refuse
        self.on_error = on_error
        self.tls = tls
        self.draining = False
        self.in_flight = 0
        self.outbox = Outbox()
        self.requests = 0  # that were handed over so far
        self.open: set[Connection] = set()
        self.date = _date_line()
        self.now = 0.0
        self._listeners: list[asyncio.Server] = []
        self._sweeper: asyncio.TimerHandle | None = None
        self._drained: asyncio.Future[None] | None = None

    @property
    def connections(self) -> int:
        return len(self.open)

    async def accept_from(self, sockets: Iterable[socket.socket]) -> None:
        """Starts to accept from sockets that are bound already."""
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {} if self.tls is None else {"ssl_handshake_timeout": self.limits.head_seconds}
        for one in sockets:
            self._listeners.append(
                await loop.create_server(
                    partial(Connection, self, loop), sock=one, backlog=BACKLOG, ssl=self.tls, **options
                )
            )

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Starts to accept; gives the address, with the real port when 0 was asked."""
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {} if self.tls is None else {"ssl_handshake_timeout": self.limits.head_seconds}
        # uvloop's sockets are a list, against what asyncio says of them.
        listener: Any = await loop.create_server(
            partial(Connection, self, loop), host, port, backlog=BACKLOG, ssl=self.tls, reuse_address=True, **options
        )
        self._listeners.append(listener)
        address = listener.sockets[0].getsockname()
        return address[0], address[1]

    def sweep_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._sweeper is None:
            self.date = _date_line()
            self._sweeper = loop.call_later(SWEEP_SECONDS, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweeper = None
        now = loop.time()
        for connection in [one for one in self.open if one.deadline <= now]:
            connection.expired()
        if self.open:
            self.sweep_soon(loop)

    async def drain(self, seconds: float) -> None:
        """Stops accepting, closes idle connections, lets requests in flight finish; cuts the rest after `seconds`."""
        self.draining = True
        for listener in self._listeners:
            listener.close()
        for connection in list(self.open):
            connection.close_if_idle()
        if self.open:
            loop = asyncio.get_running_loop()
            self._drained = loop.create_future()
            timer = loop.call_later(seconds, self._cut)
            await self._drained
            timer.cancel()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def _cut(self) -> None:
        for connection in list(self.open):
            connection.transport.abort()

    def closed(self, connection: Connection) -> None:
        self.open.discard(connection)
        if not self.open and self._drained is not None and not self._drained.done():
            self._drained.set_result(None)


def _date_line() -> bytes:
    return f"date: {formatdate(time.time(), usegmt=True)}\r\n".encode()


class Connection(asyncio.Protocol):
    """One caller. Reads requests with llhttp, hands them over one at a time, in order."""

    __slots__ = (
        "_body",
        "_body_bytes",
        "_broken",
        "_continue_owed",
        "_eof",
        "_fed",
        "_feeding",
        "_first_block",
        "_headers",
        "_in_head",
        "_known",
        "_length_known",
        "_lingering",
        "_loop",
        "_nexting",
        "_parser",
        "_peer",
        "_queue",
        "_queued_bytes",
        "_reading_paused",
        "_response",
        "_served_one",
        "_target",
        "_upgrading",
        "deadline",
        "server",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self._loop = loop
        self._parser: Any = httptools.HttpRequestParser(self)
        self._feeding = False
        self._headers: list[tuple[bytes, bytes]] = []
        self._target = b""
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._fed = 0
        self._in_head = True
        self._first_block = b""
        self._known: KnownHead | None = None
        self._served_one = False
        self._length_known = False
        self._response: Response | None = None
        self._queue: deque[tuple[Request, bool]] | None = None
        self._queued_bytes = 0
        self._nexting = False
        self._continue_owed = False
        self._reading_paused = False
        self._broken: tuple[int, str, str] | None = None
        self._lingering = False
        self._eof = False
        self._peer: tuple[str, int] | None = None
        self._upgrading = False
        self.deadline = NEVER

    # --- the connection's life

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        server = self.server
        self._peer = _peer_of(transport)
        self.transport.set_write_buffer_limits(server.limits.write_buffer_bytes)
        full = len(server.open) >= server.limits.connections
        server.open.add(self)
        server.sweep_soon(self._loop)
        self.deadline = self._loop.time() + server.limits.head_seconds
        if full:
            self._refuse(503, "overloaded", "Too many connections are open here. Try again in a moment.")

    def connection_lost(self, _error: Exception | None) -> None:
        self.deadline = NEVER
        self._eof = True
        self.server.closed(self)
        # The parser knows its callbacks and we know the parser: a circle, which a rare search for garbage would break.
        self._parser = self._queue = self._known = None
        self._headers, self._body, self._first_block = [], [], b""
        response = self._response
        if response is None:
            return
        response.gone = True
        on_gone, response.on_gone = response.on_gone, None
        if on_gone is not None:
            on_gone()
        elif response.running is not None:
            response.running.interrupt(CallerGone("The caller hung up."))

    def eof_received(self) -> bool:
        """The caller closed its sending side: perhaps only that side (it still reads), perhaps it hung up. TCP says the
        same for both until something is sent: a harmless `100 Continue` makes the kernel of a caller who hung up
        answer with a reset, which shows at the next write."""
        self._eof = True
        if self._lingering or self._response is None:
            return False
        if self.server.tls is not None:
            return False
        response = self._response
        if not response.started and response.request.version == "1.1":
            self.write(CONTINUE)
            for delay in PROBE_DELAYS_SECONDS:
                self._loop.call_later(delay, self._probe, response)
        return True

    def _probe(self, response: Response) -> None:
        if self._response is response and not response.started and not self.transport.is_closing():
            self.write(CONTINUE)

    def pause_writing(self) -> None:
        self.deadline = self._loop.time() + self.server.limits.stall_seconds
        response = self._response
        if response is not None:
            response.paused = True
            if response.on_pause is not None:
                response.on_pause()

    def resume_writing(self) -> None:
        response = self._response
        if response is None:  # it was the end of an answer that had to wait
            if not self._lingering:
                self.deadline = self._loop.time() + self.server.limits.idle_seconds
            return
        self.deadline = NEVER
        response.paused = False
        if response.on_resume is not None:
            response.on_resume()

    def expired(self) -> None:
        """A deadline has passed; which one follows from what the connection was doing."""
        if self._lingering or self._response is not None or self.transport.is_closing():
            self.transport.abort()  # a refused caller who goes on sending, or one who does not read its answer
        elif not self._in_head:
            self._refuse(408, "request_timeout", "The body did not arrive in time.")
        elif self._fed:
            self._refuse(408, "request_timeout", "The head of the request did not arrive in time.")
        else:
            self.close()

    def write(self, data: bytes) -> None:
        self.server.outbox.write(self.transport, data)

    def close(self) -> None:
        """After all that was written has been sent."""
        self.server.outbox.flush()
        self.transport.close()

    def close_if_idle(self) -> None:
        if self._response is None and not self._fed:
            self.close()

    # --- reading

    def data_received(self, data: bytes) -> None:
        if self._lingering or self._broken is not None:
            return
        if self._in_head:
            if not self._fed and self._response is None:
                known = self._known
                if known is not None and not self._reading_paused:
                    at = known.body_at(data)
                    if at >= 0 and len(data) - at <= self.server.limits.body_bytes:
                        if self._peer is None:
                            self._peer = _peer_of(self.transport)
                        self._hand_over(known.again(data, at, self._peer, self.server.tls is not None), True)
                        return
                self.deadline = self._loop.time() + self.server.limits.head_seconds
                self._first_block = data
            self._fed += len(data)
        rest: bytes | memoryview = data
        if self._parser is None:
            self._parser = httptools.HttpRequestParser(self)
            self._peer = _peer_of(self.transport)
        self._feeding = True
        try:
            while True:
                try:
                    self._parser.feed_data(rest)
                    break
                except httptools.HttpParserUpgrade as upgrade:
                    at = upgrade.args[0]
                if not self._upgrading:  # CONNECT. It was handed on; what follows it is not HTTP.
                    self._break(400, "invalid_request", "This server does not switch protocols.")
                    return
                rest = memoryview(rest)[at:]
                self._ignore_upgrade()  # not in the `except` above: that would hide why the parser was stopped
        except httptools.HttpParserCallbackError as error:
            if error.__context__ is not None and not isinstance(error.__context__, _Refused):
                raise error.__context__ from None
        except httptools.HttpParserError as error:
            self._break(400, "invalid_request", f"This is not a valid HTTP/1.1 request: {error}.")
        else:
            if self._in_head and self._fed > self.server.limits.head_bytes and self._broken is None:
                self._break(431, "headers_too_large", f"The head is over {self.server.limits.head_bytes} bytes.")
        finally:
            self._feeding = False

    def _ignore_upgrade(self) -> None:
        """The request goes on as if Upgrade had not been sent (RFC 9110 section 7.8; Java's client sends it unasked).
        llhttp takes all that follows such a head for another protocol, so a new parser reads the head without it."""
        old = self._parser
        lines = [b"%b %b HTTP/%b\r\n" % (old.get_method(), self._target, old.get_http_version().encode())]
        lines += [b"%b: %b\r\n" % header for header in self._headers if header[0] != b"upgrade"]
        self._upgrading = False
        self._target = b""
        self._headers = []
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(b"".join((*lines, b"\r\n")))

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # a header after the body is a trailer: nothing here asks for one
            self._headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        limits = self.server.limits
        hosts = 0
        length = 0
        known = False
        for name, value in self._headers:
            if name == b"host":
                hosts += 1
            elif name == b"content-length":
                known = True
                length = int(value)
            elif name == b"transfer-encoding" and (
                value.lower() != b"chunked" or self._parser.get_http_version() != "1.1"
            ):
                self._give_up(501, "invalid_request", "Only 'chunked' is understood as Transfer-Encoding, on HTTP/1.1.")
            elif name == b"expect":
                if value.lower() != b"100-continue":
                    self._give_up(417, "invalid_request", "Only 'Expect: 100-continue' is understood.")
                if self._response is None:
                    self._continue_owed = True
            elif name == b"upgrade" and self._parser.should_upgrade() and self._parser.get_method() != b"CONNECT":
                self._upgrading = True
        if self._upgrading:
            return
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            self._give_up(400, "invalid_request", "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
        if hosts > 1 or (hosts == 0 and version == "1.1"):
            self._give_up(400, "invalid_request", "Exactly one Host header is needed.")
        if self._fed > limits.head_bytes and self._head_size() > limits.head_bytes:
            self._give_up(431, "headers_too_large", f"The head is over {limits.head_bytes} bytes.")
        if length > limits.body_bytes:
            self._give_up(413, "request_too_large", f"The body is over {limits.body_bytes} bytes.")
        self._in_head = False
        self._fed = 0
        self._length_known = known
        if length or not known:
            if self._response is None:
                self.deadline = self._loop.time() + limits.body_seconds
            if self._continue_owed and self._response is None and not self._body:
                self.write(CONTINUE)
        self._continue_owed = False

    def _head_size(self) -> int:
        return len(self._target) + 14 + sum(len(name) + len(value) + 4 for name, value in self._headers)

    def on_body(self, data: bytes) -> None:
        self._body.append(data)
        self._body_bytes += len(data)
        if self._body_bytes > self.server.limits.body_bytes:
            self._give_up(413, "request_too_large", f"The body is over {self.server.limits.body_bytes} bytes.")

    def on_message_complete(self) -> None:
        if self._upgrading:
            return
        parser = self._parser
        body = self._body
        request = Request(
            parser.get_method().decode("ascii"),
            self._target,
            self._headers,
            body[0] if len(body) == 1 else b"".join(body),
            parser.get_http_version(),
            self._peer,
            self.server.tls is not None,
        )
        keep_alive = parser.should_keep_alive()
        if self._first_block:
            self._learn(request, keep_alive)
        self._target = b""
        self._headers = []
        if body:
            self._body = []
            self._body_bytes = 0
        self._in_head = True
        if self._response is None:
            self._hand_over(request, keep_alive)
            return
        queue = self._queue
        if queue is None:
            queue = self._queue = deque()
        queue.append((request, keep_alive))
        self._queued_bytes += len(request.body)
        if len(queue) >= PIPELINED_REQUESTS or self._queued_bytes > PIPELINED_BYTES:
            self._reading_paused = True
            self.transport.pause_reading()

    def _learn(self, request: Request, keep_alive: bool) -> None:
        """Remembers the head of a request that came in one piece and alone, for the next one."""
        block, self._first_block = self._first_block, b""
        if not self._served_one:  # most connections that serve one request serve no second one
            self._served_one = True
            return
        end = block.find(b"\r\n\r\n") + 4
        if keep_alive and len(block) - end == len(request.body):
            self._known = request.known = KnownHead.learn(block[:end], request)

    # --- answering

    def _hand_over(self, request: Request, keep_alive: bool) -> None:
        server = self.server
        server.requests += 1
        self.deadline = NEVER
        response = self._response = Response(self, request, keep_alive)
        if server.in_flight >= server.limits.requests_in_flight:
            server.in_flight += 1
            headers, body = server.refuse(503, "overloaded", "Too many requests are in flight here. Try again.")
            response.send(503, headers + b"retry-after: 1\r\n", body)
            return
        server.in_flight += 1
        try:
            coroutine = server.handler(request, response)
        except Exception as error:
            self.handled(response, error)
            return
        if coroutine is not None:
            running = response.running = _Handling(coroutine, self, response)
            running.step(None)

    def handled(self, response: Response, error: BaseException | None) -> None:
        response.running = None
        if response.finished:
            return
        if error is None:
            error = RuntimeError("the handler left the request without an answer")
        self.server.on_error(response.request, response, error)
        if not response.finished:
            response.abort()

    def streams(self) -> None:
        """A stream begins, which may be open for an hour: what reads requests is let go of until the next one comes."""
        if not self._feeding and self._in_head and not self._fed and self._broken is None:
            self._parser = self._peer = None

    def answered(self, keep_alive: bool) -> None:
        """The response is complete: what comes next on this connection?"""
        self._response = None
        self.server.in_flight -= 1
        if self.transport.is_closing():
            return
        if self._eof or not keep_alive:
            if not self._queue or not keep_alive:
                self._close_gently()
                return
        else:
            self.deadline = self._loop.time() + self.server.limits.idle_seconds
        if not self._nexting:
            self._next()

    def _next(self) -> None:
        """Hands over what was sent ahead: a loop, since an answer given at once comes back here."""
        self._nexting = True
        while self._queue and self._response is None and not self.transport.is_closing():
            request, keep_alive = self._queue.popleft()
            self._queued_bytes -= len(request.body)
            self._hand_over(request, keep_alive)
        self._nexting = False
        if self._reading_paused and not self._queue:
            self._reading_paused = False
            self.transport.resume_reading()
        if self._response is None and self._broken is not None and not self.transport.is_closing():
            self._refuse(*self._broken)

    def _close_gently(self) -> None:
        """`close` sends what is buffered first. Unread input would turn the close into a reset, which could lose it."""
        if self._eof or self.server.tls is not None or not self._unread():
            self.close()
        else:
            self._linger()

    def _unread(self) -> bool:
        return self._broken is not None or bool(self._queue) or self._fed > 0 or not self._in_head

    def _linger(self) -> None:
        self._lingering = True
        self._queue = None
        if self._reading_paused:
            self._reading_paused = False
            self.transport.resume_reading()
        self.deadline = self._loop.time() + LINGER_SECONDS
        self.server.outbox.flush()
        self.transport.write_eof()

    # --- refusing

    def _give_up(self, status: int, code: str, sentence: str) -> None:
        """Refuses from inside a parser callback: raising stops the parser."""
        self._break(status, code, sentence)
        raise _Refused

    def _break(self, status: int, code: str, sentence: str) -> None:
        """Nothing more is read from this caller; the refusal comes after the answers that are still owed."""
        self._broken = (status, code, sentence)
        if self._response is None:
            self._refuse(status, code, sentence)

    def _refuse(self, status: int, code: str, sentence: str) -> None:
        headers, body = self.server.refuse(status, code, sentence)
        if status == 503:
            headers += b"retry-after: 1\r\n"
        framing = b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.write(b"".join((STATUS_LINES[status], headers, self.server.date, framing, body)))
        self._broken = (status, code, sentence)
        if self._eof or self.server.tls is not None:
            self.close()
        else:
            self._linger()


class _Handling(Running):
    """A handler at work on one request."""

    __slots__ = ("_connection", "_response")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], connection: Connection, response: Response) -> None:
        super().__init__(coroutine)
        self._connection = connection
        self._response = response

    def ended(self, error: BaseException | None) -> None:
        self._connection.handled(self._response, error)


def _peer_of(transport: asyncio.BaseTransport) -> tuple[str, int] | None:
    peer = transport.get_extra_info("peername")
    return (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) else None


class _Refused(Exception):
    """Stops llhttp after a refusal; never leaves this file."""
