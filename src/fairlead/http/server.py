"""The server's side: one `Connection` per caller, callbacks only; a handler sees requests that have arrived whole.

What callers may make the process hold is bounded and counted: `Server.buffered` has the bytes of all bodies, from their
arrival until their requests are answered, `Server.ahead` those of requests that were sent ahead of their answers.
"""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from io import BytesIO
from typing import Any, Final

import httptools

from fairlead.errors import CallerGone
from fairlead.http.authority import is_authority, is_target
from fairlead.http.eager import Running
from fairlead.http.outbox import Outbox
from fairlead.http.request import STATUS_LINES, Channel, KnownHead, Request, Response

Handler = Callable[[Request, Response], Coroutine[Any, Any, None] | None]
Refusal = Callable[[int, str, str], tuple[bytes, bytes]]
OnError = Callable[[Request, Response, BaseException], None]
Admit = Callable[[Request], bool]

NEVER: Final = math.inf
# How often deadlines are looked at: one timer for all connections instead of one per request.
SWEEP_SECONDS: Final = 0.5
BACKLOG: Final = 4096
# After a refusal the caller may still be sending; closing at once would reset the connection and lose the answer.
LINGER_SECONDS: Final = 2.0
# A caller may send requests ahead of their answers up to here; then its socket is not read until it catches up.
PIPELINED_REQUESTS: Final = 64
PIPELINED_BYTES: Final = 65_536
# Of `max_buffered_bytes`, what all callers together may send ahead: a stranger can, since it needs no key.
AHEAD_SHARE: Final = 8
# What a waiting request and each of its headers cost besides their bytes.
REQUEST_BYTES: Final = 512
HEADER_BYTES: Final = 128
MOST_HEADERS: Final = 128
# A longer block is parsed message by message, so that the parser can stop at the end of any.
WHOLE_BLOCK_BYTES: Final = 8_192
# What one connection may have done before others get their turn: pieces of a body, or requests that count as so many.
WORK_PER_TURN: Final = 2_048
WORK_PER_REQUEST: Final = 32
# A body that nobody wants is read and dropped up to here, to keep the connection; before a longer one it is closed.
DISCARDED_BYTES: Final = 65_536
# The last quarter of `max_buffered_bytes` is for bodies up to here: a few large ones do not lock out the usual call.
SMALL_BODY_BYTES: Final = 1 << 20
LARGE_BODIES_SHARE: Final = 0.75
# When a peer that is owed an answer closes its sending side, see `Connection.eof_received`.
PROBE_DELAYS_SECONDS: Final = (0.1, 0.3)
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
RETRY_AFTER: Final = b"retry-after: 1\r\n"
NO_ROOM: Final = "The memory for request bodies (max_buffered_bytes) is in use. Try again in a moment."
# Stands for a refusal that the handler has worded: nothing more is read, and nothing more is answered.
ANSWERED: Final = (0, "", "")


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
    buffered_bytes: int = 536_870_912


class Server:
    """Listens, counts, sweeps. `refuse` words what is refused here; `on_error` answers for a failed handler.

    `admit(request)` is asked when the head of a request with a body is complete: False when the handler answers it
    without its body. The handler is then called at once, with an empty body, and what arrives of the body is dropped.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        limits: ServerLimits,
        refuse: Refusal,
        on_error: OnError,
        tls: ssl.SSLContext | None = None,
        admit: Admit | None = None,
    ) -> None:
        self.handler = handler
        self.admit = admit
        self.limits = limits
        self.room = limits.buffered_bytes
        self.room_for_large = int(limits.buffered_bytes * LARGE_BODIES_SHARE)
        self.room_ahead = limits.buffered_bytes // AHEAD_SHARE
        self.buffered = 0
        self.ahead = 0
        self.valid_host = b"localhost"  # the last one that was found valid: most heads have the same
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


class Connection(Channel):
    """One caller. Reads requests with llhttp, hands them over one at a time, in order."""

    __slots__ = (
        "_ahead",
        "_answering_block",
        "_body",
        "_body_bytes",
        "_body_left",
        "_broken",
        "_buffer",
        "_chunked",
        "_continue_owed",
        "_discarding",
        "_eof",
        "_fed",
        "_feeding",
        "_first_block",
        "_headers",
        "_in_head",
        "_known",
        "_lingering",
        "_loop",
        "_nexting",
        "_parser",
        "_peer",
        "_queue",
        "_queued_bytes",
        "_reading_paused",
        "_request",
        "_response",
        "_rest",
        "_served_one",
        "_target",
        "_upgrading",
        "_work",
        "_writing_paused",
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
        self._request: Request | None = None  # whose body is arriving
        self._body = b""  # when it came in one piece; else it is in `_buffer`
        self._buffer: BytesIO | None = None
        self._body_bytes = 0
        self._body_left = 0
        self._chunked = False
        self._discarding = False
        self._fed = 0  # bytes of a head, or of what stands between the pieces of a chunked body and behind it
        self._in_head = True
        self._first_block = b""
        self._known: KnownHead | None = None
        self._served_one = False
        self._response: Response | None = None
        self._queue: deque[tuple[Request, bool, int]] | None = None
        self._queued_bytes = 0
        self._rest = b""  # what was read already of the requests behind the queue
        self._ahead = 0
        self._work = 0
        self._answering_block = False
        self._nexting = False
        self._continue_owed = False
        self._reading_paused = False
        self._writing_paused = False
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
            self._refuse(503, "overloaded", "Too many open connections. Try again in a moment.")

    def connection_lost(self, _error: Exception | None) -> None:
        self.deadline = NEVER
        self._eof = True
        self.server.closed(self)
        # The parser knows its callbacks and we know the parser: a circle, which a rare search for garbage would break.
        self._parser = self._known = None
        self._headers, self._first_block = [], b""
        self._drop_body()
        self._drop_ahead()
        response = self._response
        if response is None:
            return
        response.gone = True
        on_gone, response.on_gone = response.on_gone, None
        if on_gone is not None:
            on_gone()
        elif response.running is not None:
            response.running.interrupt(CallerGone("The caller disconnected."))

    def eof_received(self) -> bool:
        """The caller closed its sending side: perhaps only that side (it still reads), perhaps all of it. TCP sends the
        same for both until something is sent: a harmless `100 Continue` makes the kernel of a caller who
        disconnected answer with a reset, which shows at the next write."""
        self._eof = True
        if self._lingering or self._response is None:
            self.server.outbox.flush()  # before the transport closes: the answer may still wait there
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
        self._writing_paused = True
        if not self._lingering:
            self.deadline = self._loop.time() + self.server.limits.stall_seconds
        response = self._response
        if response is None or self._queue:
            self._stop_reading()
        if response is not None:
            response.paused = True
            if response.on_pause is not None:
                response.on_pause()

    def resume_writing(self) -> None:
        self._writing_paused = False
        response = self._response
        if response is None:  # it was the end of an answer that had to wait
            if not self._lingering:
                self._wait_for_more()
                self._loop.call_soon(self._go_on)
            return
        self.deadline = NEVER
        response.paused = False
        if response.on_resume is not None:
            response.on_resume()

    def _go_on(self) -> None:
        if not self._nexting and not self._writing_paused and self._response is None:
            self._next()

    def _stop_reading(self) -> None:
        if not self._reading_paused and not self.transport.is_closing():
            self._reading_paused = True
            self.transport.pause_reading()

    def _wait_for_more(self) -> None:
        """Nothing is being answered: sets the deadline for what the caller is sending."""
        limits = self.server.limits
        if not self._in_head:
            seconds = limits.body_seconds
        elif self._fed:
            seconds = limits.head_seconds
        else:
            seconds = limits.idle_seconds
        self.deadline = self._loop.time() + seconds

    def expired(self) -> None:
        """A deadline has passed; which one follows from what the connection was doing."""
        if self._lingering or self._writing_paused or self._response is not None or self.transport.is_closing():
            self.transport.abort()  # a refused caller who goes on sending, or one who does not read its answer
        elif self._discarding:
            self.close()
        elif not self._in_head:
            self._refuse(408, "request_timeout", "The body did not arrive in time.")
        elif self._fed:
            self._refuse(408, "request_timeout", "The head of the request did not arrive in time.")
        else:
            self.close()

    def close(self) -> None:
        """After all that was written has been sent."""
        self.server.outbox.flush()
        self.transport.close()

    def close_if_idle(self) -> None:
        if self._response is None and self._in_head and not self._fed:
            self.close()

    # --- reading

    def data_received(self, data: bytes) -> None:
        if self._lingering or self._broken is not None:
            self._fed += len(data)
            if self._fed > self.server.limits.body_bytes:  # it was answered and has had its chance to send the rest
                self.transport.abort()
            return
        if self._in_head and not self._fed and self._response is None:
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
        self._answering_block = False
        self._work = 0
        if self._rest:
            self._wait_with(data)
        elif len(data) <= WHOLE_BLOCK_BYTES:
            self._feed(data)
        else:
            self._feed_by_message(data)
        self._first_block = b""
        if self._response is not None:
            if self._body_bytes > PIPELINED_BYTES:
                self._stop_reading()  # a body behind an answer under way: its time limit begins when that has ended
        elif self._answering_block and self._fed and self._broken is None and not self._writing_paused:
            self._wait_for_more()  # the next head has begun behind what was answered

    def _feed_by_message(self, data: bytes) -> None:
        view = memoryview(data)
        at, size = 0, len(data)
        while at < size:
            if self._work > WORK_PER_TURN:
                self._stop_reading()
                self._wait_with(data[at:])
                self._loop.call_soon(self._go_on)
                return
            if self._in_head:
                if self._reading_paused:
                    self._wait_with(data[at:])
                    return
                end = data.find(b"\r\n\r\n", at)
                to = size if end < 0 else end + 4
            elif self._chunked:
                to = at + WHOLE_BLOCK_BYTES
            else:
                to = at + max(self._body_left, 1)
            self._feed(view[at:to])
            if self._broken is not None or self._lingering or self.transport.is_closing():
                return
            at = to

    def _wait_with(self, data: bytes) -> None:
        """Keeps what was read behind requests that wait for their turn."""
        self._rest += data
        self._count_ahead(len(data))

    def _feed(self, data: bytes | memoryview) -> None:
        rest = data
        if self._in_head or self._chunked:
            self._fed += len(data)
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
            if self._fed > self.server.limits.head_bytes and self._broken is None:
                what = "head" if self._in_head else "framing of the body"
                self._break(431, "headers_too_large", f"The {what} is over {self.server.limits.head_bytes} bytes.")
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

    def on_message_begin(self) -> None:
        if not self._fed:  # behind another message in the same block
            self._fed = 1

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # a header after the body is a trailer: nothing here asks for one
            if len(self._headers) >= MOST_HEADERS:
                self._give_up(431, "headers_too_large", f"The head has more than {MOST_HEADERS} fields.")
            self._headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        server = self.server
        limits = server.limits
        hosts = 0
        length = 0
        chunked = False
        version = self._parser.get_http_version()
        for name, value in self._headers:
            if name == b"host":
                hosts += 1
                if value != server.valid_host:
                    if not is_authority(value):
                        self._give_up(400, "invalid_request", "The Host header is not a valid host.")
                    server.valid_host = value
            elif name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                if value.lower() != b"chunked" or version != "1.1":
                    self._give_up(
                        501, "invalid_request", "Only 'chunked' is supported as Transfer-Encoding, on HTTP/1.1."
                    )
                chunked = True
            elif name == b"expect" and version != "1.0":  # there it is to be ignored (RFC 9110 section 10.1.1)
                if value.lower() != b"100-continue":
                    self._give_up(417, "invalid_request", "Only 'Expect: 100-continue' is supported.")
                self._continue_owed = True
            elif name == b"upgrade" and self._parser.should_upgrade() and self._parser.get_method() != b"CONNECT":
                self._upgrading = True
        if self._upgrading:
            return
        if version not in ("1.1", "1.0"):
            self._give_up(400, "invalid_request", "Only HTTP/1.1 and HTTP/1.0 are supported.")
        if hosts > 1 or (hosts == 0 and version == "1.1"):
            self._give_up(400, "invalid_request", "Exactly one Host header is required.")
        if self._target[:1] != b"/" and not is_target(self._parser.get_method(), self._target):
            self._give_up(400, "invalid_request", "The request target is not valid.")
        if self._fed > limits.head_bytes and self._head_size() > limits.head_bytes:
            self._give_up(431, "headers_too_large", f"The head is over {limits.head_bytes} bytes.")
        if length > limits.body_bytes:
            self._give_up(413, "request_too_large", f"The body is over {limits.body_bytes} bytes.")
        self._in_head = False
        self._fed = 0
        self._chunked = chunked
        self._body_left = length
        expecting, self._continue_owed = self._continue_owed, False
        if length or chunked:
            self._body_comes(length, expecting)

    def _body_comes(self, length: int, expecting: bool) -> None:
        """A head with a body is complete: is the body wanted, and is there room for it?"""
        server = self.server
        request = self._request = self._new_request()
        if server.admit is not None and not server.admit(request):
            self._answer_without_body(request, not expecting and not self._chunked and length <= DISCARDED_BYTES)
            return
        if server.buffered + length > (server.room if length <= SMALL_BODY_BYTES else server.room_for_large):
            self._give_up(503, "overloaded", NO_ROOM)
        if self._response is None:
            self.deadline = self._loop.time() + server.limits.body_seconds
            if expecting and not self._writing_paused:
                self.write(CONTINUE)

    def _answer_without_body(self, request: Request, discard: bool) -> None:
        """The handler answers now. A short body is dropped as it arrives; a longer one ends the connection."""
        self._request = None
        keep_alive = discard and self._parser.should_keep_alive()
        if keep_alive:
            self._discarding = True
            self.deadline = self._loop.time() + self.server.limits.body_seconds
        else:
            self._broken = ANSWERED
        self._take(request, keep_alive)
        if not keep_alive:
            if not self._lingering:
                self._stop_reading()
            raise _Refused

    def _new_request(self) -> Request:
        return Request(
            self._parser.get_method().decode("ascii"),
            self._target,
            self._headers,
            b"",
            self._parser.get_http_version(),
            self._peer,
            self.server.tls is not None,
        )

    def _head_size(self) -> int:
        return len(self._target) + 14 + sum(len(name) + len(value) + 4 for name, value in self._headers)

    def on_body(self, data: bytes) -> None:
        size = len(data)
        self._fed = 0
        self._work += 1
        self._body_left -= size
        if self._discarding:
            return
        server = self.server
        before = self._body_bytes
        total = self._body_bytes = before + size
        server.buffered += size
        if not before:
            self._body = data
        else:
            buffer = self._buffer
            if buffer is None:  # grows by an eighth at a time, and gives its bytes without a copy
                buffer = self._buffer = BytesIO()
                buffer.write(self._body)
                self._body = b""
            buffer.write(data)
        if total > server.limits.body_bytes:
            self._give_up(413, "request_too_large", f"The body is over {server.limits.body_bytes} bytes.")
        if server.buffered > (server.room if total <= SMALL_BODY_BYTES else server.room_for_large):
            self._give_up(503, "overloaded", NO_ROOM)

    def _drop_body(self) -> None:
        self.server.buffered -= self._body_bytes
        self._body_bytes = 0
        self._body, self._buffer, self._request = b"", None, None

    def on_message_complete(self) -> None:
        if self._upgrading:
            return
        keep_alive = self._parser.should_keep_alive()
        discarded, self._discarding = self._discarding, False
        self._in_head = True
        self._chunked = False
        self._fed = 0
        if discarded:
            self._target, self._headers = b"", []
            if self._response is None:
                self._wait_for_more()
            return
        request = self._request
        if request is None:
            request = self._new_request()
        elif self._body_bytes:
            request.block = self._body if self._buffer is None else self._buffer.getvalue()
            self._drop_body()
        self._request = None
        if self._first_block:
            self._learn(request, keep_alive)
        self._target = b""
        self._headers = []
        self._take(request, keep_alive)

    def _take(self, request: Request, keep_alive: bool) -> None:
        """Hands a request over when nothing is before it, else puts it into the queue."""
        self._work += WORK_PER_REQUEST
        if self._response is None and not self._queue:
            if self._answering_block:  # of several in one block: sends what was answered, to see whether it is taken
                self.server.outbox.flush()
            self._answering_block = True
            if not self._writing_paused:
                self._hand_over(request, keep_alive)
                return
        queue = self._queue
        if queue is None:
            queue = self._queue = deque()
        head = REQUEST_BYTES + self._head_size() + HEADER_BYTES * len(self._headers)
        queue.append((request, keep_alive, head))
        size = len(request.block)
        self.server.buffered += size
        self._queued_bytes += size + head
        if len(queue) >= PIPELINED_REQUESTS or self._queued_bytes > PIPELINED_BYTES or self._writing_paused:
            self._stop_reading()
        self._count_ahead(head)

    def _count_ahead(self, size: int) -> None:
        server = self.server
        self._ahead += size
        server.ahead += size
        if server.ahead > server.room_ahead and self._broken is None:
            self._break(503, "overloaded", "Too many pipelined requests. Try again in a moment.")

    def _drop_ahead(self) -> None:
        """Gives back what is counted of requests that will not be answered."""
        if self._queue:
            for request, _, _ in self._queue:
                self.server.buffered -= len(request.block)
        self.server.ahead -= self._ahead
        self._queue, self._rest = None, b""
        self._ahead = self._queued_bytes = 0

    def _learn(self, request: Request, keep_alive: bool) -> None:
        """Remembers the head of a request that came in one piece and alone, for the next one."""
        block, self._first_block = self._first_block, b""
        if not self._served_one:  # most connections that serve one request serve no second one
            self._served_one = True
            return
        end = block.find(b"\r\n\r\n") + 4
        if keep_alive and len(block) - end == len(request.body):
            self._known = request.known = KnownHead.learn(block[:end], request)

    # --- the channel of a response

    def date_line(self) -> bytes:
        return self.server.date

    def is_draining(self) -> bool:
        return self.server.draining

    def write(self, data: bytes) -> None:
        self.server.outbox.write(self.transport, data)

    def write_large(self, parts: Sequence[bytes | memoryview], length: int) -> None:
        self.server.outbox.write_large(self.transport, parts, length)

    def abort(self) -> None:
        self.server.outbox.flush()
        self.transport.abort()

    def failed(self, response: Response, error: BaseException) -> None:
        self.server.on_error(response.request, response, error)

    # --- answering

    def _hand_over(self, request: Request, keep_alive: bool) -> None:
        server = self.server
        server.requests += 1
        self.deadline = NEVER
        response = self._response = Response(self, request, keep_alive)
        held = response.held = len(request.block)
        server.buffered += held
        if server.in_flight >= server.limits.requests_in_flight or (held and server.buffered > server.room):
            full = server.in_flight >= server.limits.requests_in_flight
            server.in_flight += 1
            headers, body = server.refuse(
                503, "overloaded", "Too many requests in flight. Try again." if full else NO_ROOM
            )
            response.send(503, headers + RETRY_AFTER, body)
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
        server = self.server
        response = self._response
        if response is not None:
            server.buffered -= response.held
            self._response = None
        server.in_flight -= 1
        if self.transport.is_closing():
            return
        if self._eof or not keep_alive:
            if not self._queue or not keep_alive:
                self._close_gently()
                return
        elif self._writing_paused:
            self._stop_reading()
        elif self._in_head and not self._fed:
            self.deadline = self._loop.time() + server.limits.idle_seconds
        else:
            self._wait_for_more()
        if not self._nexting:
            self._next()

    def _is_answering(self) -> bool:
        """Asked anew after a call that may have begun an answer: compiled code takes a value that was None for None."""
        return self._response is not None

    def _next(self) -> None:
        """Hands over what was sent ahead: a loop, since an answer given at once comes back here."""
        self._nexting = True
        began = False
        while self._response is None and not self._lingering and not self.transport.is_closing():
            if began:
                self.server.outbox.flush()
            if self._writing_paused:
                break
            if self._queue:
                request, keep_alive, head = self._queue.popleft()
                size = len(request.block)
                self._queued_bytes -= size + head
                self._ahead -= head
                self.server.ahead -= head
                self.server.buffered -= size
                began = True
                self._hand_over(request, keep_alive)
            elif self._rest and not self._feeding and self._broken is None:
                rest, self._rest = self._rest, b""
                self._ahead -= len(rest)
                self.server.ahead -= len(rest)
                self._work = 0
                self._reading_paused = False
                self._feed_by_message(rest)
                self._reading_paused = True  # it was all the time
                if not (self._is_answering() or self._writing_paused or self._lingering):
                    self._wait_for_more()
                if self._work > WORK_PER_TURN:
                    break
            else:
                break
        self._nexting = False
        if self._lingering or self._writing_paused or self._queue or self.transport.is_closing():
            return
        if self._reading_paused and not self._rest and (self._response is None or self._body_bytes <= PIPELINED_BYTES):
            self._reading_paused = False
            self.transport.resume_reading()
        if self._response is None and self._broken is not None:
            self._refuse(*self._broken)

    def _close_gently(self) -> None:
        """`close` sends what is buffered first. Unread input would turn the close into a reset, which could lose it."""
        if self._eof or not self._unread():
            self.close()
        else:
            self._linger()

    def _unread(self) -> bool:
        return self._broken is not None or bool(self._queue) or self._fed > 0 or not self._in_head

    def _linger(self) -> None:
        """Reads and drops what the caller still sends, for a while, so that it gets to read its answer."""
        self._lingering = True
        self._drop_body()
        self._drop_ahead()
        self._fed = 0
        if self._reading_paused:
            self._reading_paused = False
            self.transport.resume_reading()
        self.deadline = self._loop.time() + LINGER_SECONDS
        self.server.outbox.flush()
        if self.server.tls is None:
            self.transport.write_eof()

    # --- refusing

    def _give_up(self, status: int, code: str, sentence: str) -> None:
        """Refuses from inside a parser callback: raising stops the parser."""
        self._break(status, code, sentence)
        raise _Refused

    def _break(self, status: int, code: str, sentence: str) -> None:
        """Nothing more is read from this caller; the refusal comes after the answers that are still owed."""
        self._broken = (status, code, sentence)
        self._drop_body()
        if self._rest:
            self._ahead -= len(self._rest)
            self.server.ahead -= len(self._rest)
            self._rest = b""
        if self._response is None and not self._queue:
            self._refuse(status, code, sentence)

    def _refuse(self, status: int, code: str, sentence: str) -> None:
        headers, body = self.server.refuse(status, code, sentence)
        if status == 503:
            headers += RETRY_AFTER
        framing = b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.write(b"".join((STATUS_LINES[status], headers, self.server.date, framing, body)))
        self._broken = (status, code, sentence)
        if self._eof:
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
