"""One connection to an upstream: reads answers with llhttp, or by themselves where they are whole in one block."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import httptools

from fairlead.errors import UpstreamCut, UpstreamInvalid
from fairlead.http.exchange import Carrier, Exchange, Owner
from fairlead.http.request import BODILESS, number

TOO_LARGE: Final = "The provider's answer is larger than an answer may be."
# Names of headers that are remembered as a provider writes them.
MOST_NAMES: Final = 256
LONGEST_NAME: Final = 64
# What decides how an answer ends, or whether its connection is kept.
_DECIDING: Final = frozenset({b"transfer-encoding", b"connection", b"keep-alive", b"upgrade", b"trailer"})


class Home(Owner):
    """The pool of an upstream as its connections see it. A class and not a protocol, as `Owner`. `names`: of headers in
    answers, as they were written, in lower case."""

    names: dict[bytes, bytes]

    def name_of(self, written: bytes) -> bytes:
        """The name of a header in lower case."""
        name = self.names.get(written)
        if name is None:
            name = written.lower()
            if len(self.names) < MOST_NAMES and len(name) <= LONGEST_NAME:
                self.names[written] = name
        return name

    def give_back(self, connection: Connection, now: float) -> None:
        """The answer is complete, and the connection can take another exchange."""
        raise NotImplementedError

    def lost(self, connection: Connection) -> None:
        """The connection has ended."""
        raise NotImplementedError


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

    def __init__(self, pool: Home, loop: asyncio.AbstractEventLoop) -> None:
        self.pool = pool
        self.loop = loop
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
        self._headers = []  # now owned by the exchange, which drops them when a stream begins
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
