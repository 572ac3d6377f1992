"""The server's side of one connection: callbacks only; a handler sees requests that have arrived whole."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from fairlead.errors import Overloaded
from fairlead.http.eager import Running
from fairlead.http.pipeline import BODY_BYTES_PER_TURN, PIPELINED_BYTES, WHOLE_BLOCK_BYTES, Pipeline
from fairlead.http.reader import CONTINUE, NO_ROOM, peer_of
from fairlead.http.request import STATUS_LINES, KnownHead, Request, Response
from fairlead.http.state import NEVER, ServerState

# After a refusal the caller may still be sending; closing at once would reset the connection and lose the answer.
LINGER_SECONDS: Final = 2.0
# When a peer that is owed an answer closes its sending side, see `Connection.eof_received`.
PROBE_DELAYS_SECONDS: Final = (0.1, 0.3)
RETRY_AFTER: Final = b"retry-after: 1\r\n"


class Connection(Pipeline):
    """One caller, from its first byte to its last: deadlines, back-pressure, answers and refusals."""

    __slots__ = ("_eof",)

    def __init__(self, server: ServerState, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server, loop)
        self._eof = False

    # --- the connection's life

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        server = self.server
        self._peer = peer_of(transport)
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
        self._drop_early()
        self._drop_body()
        self._drop_ahead()
        response = self._response
        if response is not None:
            response.gone()

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

    def expired(self) -> None:
        """A deadline has passed; which one follows from what the connection was doing."""
        if self._lingering or self._writing_paused or self._response is not None or self.transport.is_closing():
            self.transport.abort()  # a refused caller who keeps sending, or one who does not read its answer
        elif self._discarding:
            self.close()
        elif not self._in_head or self._early:
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
        if self._response is None and self._in_head and not self._fed and not self._early:
            self.close()

    # --- reading

    def data_received(self, data: bytes) -> None:
        if self._lingering or self._broken is not None:
            self._fed += len(data)
            if self._fed > self.server.limits.body_bytes:  # it was answered and has had its chance to send the rest
                self.transport.abort()
            return
        early = self._early
        if early:
            self._drop_early()
            data = early + data
        if self._in_head and not self._fed and self._response is None:
            known = self._known
            if known is not None and not self._reading_paused:
                at = known.body_at(data)
                if at >= 0 and len(data) - at <= self.server.limits.body_bytes:
                    if self._peer is None:
                        self._peer = peer_of(self.transport)
                    self._hand_over(known.again(data, at, self._peer, self.server.tls is not None), True)
                    return
                if at < 0 and not early and self._comes_in_two(known, data):
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
        if self._in_head or not self._first_block.endswith(b"\r\n\r\n"):
            self._first_block = b""  # else it may be a head whose body is still to come
        if self._taken >= BODY_BYTES_PER_TURN:
            self._taken = 0
            if self._response is None and self._body_bytes and not self._reading_paused:
                self._stop_reading()
                self._loop.call_soon(self._go_on)
        if self._response is not None:
            if self._body_bytes > PIPELINED_BYTES:
                self._stop_reading()  # a body behind an answer under way: its time limit begins when that has ended
        elif self._answering_block and self._fed and self._broken is None and not self._writing_paused:
            self._wait_for_more()  # the next head has begun behind what was answered

    def _comes_in_two(self, known: KnownHead, data: bytes) -> bool:
        """Keeps a known head whose body is still to come: most libraries send the two one after the other. What does
        not come with the next bytes either is read as any other request is."""
        server = self.server
        size = len(data)
        if known.body_at(data, missing=True) < 0 or server.buffered + size > server.room:
            return False
        server.buffered += size
        self._early = data
        self.deadline = self._loop.time() + server.limits.body_seconds
        return True

    def _drop_early(self) -> None:
        self.server.buffered -= len(self._early)
        self._early = b""

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

    def hold(self, size: int) -> None:
        server = self.server
        server.buffered += size
        if server.buffered > server.room:
            raise Overloaded(NO_ROOM)

    def streams(self) -> None:
        """A stream begins, which may be open for an hour: what reads requests is released until the next one comes."""
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
        elif server.draining and self._in_head and not (self._fed or self._queue or self._rest):
            # Its head, written before the drain began, did not say so.
            self.close()
            return
        elif self._writing_paused:
            self._stop_reading()
        elif self._in_head and not self._fed:
            self.deadline = self._loop.time() + server.limits.idle_seconds
        else:
            self._wait_for_more()
        # What `_next` would look at, looked at here: usually the caller has sent nothing ahead.
        if not self._nexting and (self._queue or self._rest or self._reading_paused or self._broken is not None):
            self._next()

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
