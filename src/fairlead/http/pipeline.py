"""The order of a connection's requests: those that were sent ahead of their answers wait, bounded and counted."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from fairlead.http.reader import RequestReader
from fairlead.http.request import Request
from fairlead.http.state import ServerState

# A caller may send requests ahead of their answers up to here; then its socket is not read until it catches up.
PIPELINED_REQUESTS: Final = 64
PIPELINED_BYTES: Final = 65_536
# What a waiting request and each of its headers cost besides their bytes.
REQUEST_BYTES: Final = 512
HEADER_BYTES: Final = 128
# A longer block is parsed message by message, so that the parser can stop at the end of any.
WHOLE_BLOCK_BYTES: Final = 8_192
# What one connection may have done before others get their turn: pieces of a body, or requests that count as so many.
WORK_PER_TURN: Final = 2_048
WORK_PER_REQUEST: Final = 32
# The same of a body that arrives in pieces: a fast sender's eight megabytes would be read at once.
BODY_BYTES_PER_TURN: Final = 1 << 20


class Pipeline(RequestReader):
    """Hands requests over one at a time, in order."""

    __slots__ = (
        "_ahead",
        "_answering_block",
        "_nexting",
        "_queue",
        "_queued_bytes",
        "_rest",
    )

    def __init__(self, server: ServerState, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server, loop)
        self._queue: deque[tuple[Request, bool, int]] | None = None
        self._queued_bytes = 0
        self._rest = b""  # what was read already of the requests behind the queue
        self._ahead = 0
        self._answering_block = False
        self._nexting = False

    def _hand_over(self, request: Request, keep_alive: bool) -> None:
        """Has the request answered: nothing is before it."""
        raise NotImplementedError

    def _refuse(self, status: int, code: str, sentence: str) -> None:
        """Answers with a refusal, now, and ends the connection."""
        raise NotImplementedError

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

    def _is_answering(self) -> bool:
        """Asked again after a call that may have begun an answer: compiled code takes a value that was None for
        None."""
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

    def _go_on(self) -> None:
        if not self._nexting and not self._writing_paused and self._response is None:
            self._next()

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
