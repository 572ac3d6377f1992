"""A request that has arrived whole, its answer, and the channel that the answer is written to."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final

from fairlead.errors import CallerGone, FairleadError
from fairlead.http.eager import Running

# Of every status that there may be: providers have some of their own, which are passed on (Anthropic's 529).
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus} | {529: "Overloaded"}
STATUS_LINES: Final = {
    status: f"HTTP/1.1 {status} {_PHRASES.get(status, 'Unknown')}\r\n".encode() for status in range(100, 600)
}
BODILESS: Final = frozenset({204, 304})
# Up to here head and body are joined into one buffer; beyond, copying costs more than a second buffer.
JOIN_BYTES: Final = 65_536
MOST_DIGITS: Final = 10  # of a length: more than any body may have


def number(digits: bytes) -> int:
    """The value of at most ten digits; -1 for anything else."""
    if not 0 < len(digits) <= MOST_DIGITS:
        return -1
    value = 0
    for at in range(len(digits)):
        digit = digits[at] - 0x30
        if not 0 <= digit <= 9:
            return -1
        value = value * 10 + digit
    return value


class KnownHead:
    """The head of an earlier request of a connection. Callers send the same one again and again: what was found out
    about it holds for the next request whose head is the same, byte for byte, but for the digits of its Content-Length.

    `memo` and `template` are for the handler: whatever it wants to remember of requests with this head, and of
    their bodies.
    """

    __slots__ = ("after", "before", "headers", "length_at", "memo", "method", "path", "query", "target", "template")

    def __init__(self, request: Request, before: bytes, after: bytes) -> None:
        self.before = before  # up to the digits
        self.after = after  # behind them
        self.method = request.method
        self.target = request.target
        self.path = request.path
        self.query = request.query
        self.headers = list(request.headers)
        self.length_at = [name for name, _ in request.headers].index(b"content-length")
        self.memo: object = request.memo
        self.template: object = None

    @classmethod
    def learn(cls, head: bytes, request: Request) -> KnownHead | None:
        """None for a head without exactly one plain Content-Length, or with something else that decides how its
        message ends or is answered."""
        names = [name for name, _ in request.headers]
        if names.count(b"content-length") != 1 or not _DECIDING.isdisjoint(names) or request.version != "1.1":
            return None
        for name, value in request.headers:
            if name == b"connection" and value.lower() != b"keep-alive":  # which most clients send, and which is usual
                return None
        found = _LENGTH.search(head)
        if found is None or len(head) - len(found[1]) > LONGEST_KNOWN_HEAD:
            return None
        return cls(request, head[: found.start(1)], head[found.end(1) :])

    def body_at(self, data: bytes, *, missing: bool = False) -> int:
        """Where the body begins when `data` is one whole message with this head and nothing else; -1 when it is not.
        `missing`: when it is the beginning of one, with its head and without its last bytes."""
        before, after = self.before, self.after
        at = len(before)
        size = len(data)
        if size <= at + len(after) or data[:at] != before:
            return -1
        length = 0
        digits = at + 10
        while at < digits:
            digit = data[at] - 0x30
            if not 0 <= digit <= 9:
                break
            length = length * 10 + digit
            at += 1
            if at == size:
                return -1
        start = at + len(after)
        # Were there no digits, `after` would not follow: what was learnt had some.
        if data[at:start] != after or at == len(before):
            return -1
        if missing:
            return start if start <= size < start + length <= LONGEST_EARLY else -1
        return start if size - start == length else -1

    def again(self, data: bytes, at: int, peer: tuple[str, int] | None, secure: bool) -> Request:
        """The request with this head and another body: the bytes from `at` on."""
        return Request(self.method, self.target, None, data, "1.1", peer, secure, self, at)

    def headers_of(self, length: int) -> Sequence[tuple[bytes, bytes]]:
        headers = self.headers.copy()
        headers[self.length_at] = (b"content-length", b"%d" % length)
        return headers


LONGEST_KNOWN_HEAD: Final = 4_096
# Of a message whose beginning is kept until the rest comes, head and body.
LONGEST_EARLY: Final = 65_536
_LENGTH: Final = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ([0-9]{1,10})\r\n")
_DECIDING: Final = frozenset({b"transfer-encoding", b"expect", b"upgrade"})


class Request:
    """`path` is the target without its query, percent-encoding untouched; header names are lower-case. The body is what
    `block` holds from `at` on: a long one is not copied for a reader that can use it as it is."""

    __slots__ = (
        "_headers", "at", "block", "known", "memo", "method", "outline", "path", "peer", "query", "secure", "target",
        "version",
    )  # fmt: skip

    def __init__(
        self,
        method: str,
        target: bytes,
        headers: Sequence[tuple[bytes, bytes]] | None,
        body: bytes,
        version: str,
        peer: tuple[str, int] | None = None,
        secure: bool = False,
        known: KnownHead | None = None,
        at: int = 0,
    ) -> None:
        self.method = method
        self.target = target
        self._headers = headers  # None: those of `known`
        self.block = body
        self.at = at
        self.version = version
        self.peer = peer
        self.secure = secure
        self.known = known
        self.memo: object = None  # as KnownHead's, for the time between a request's head and its body
        self.outline: object = None  # for the handler: what it has made of a long body, before it reads it
        self.path: str
        self.query: str
        if known is not None:
            self.path, self.query = known.path, known.query
            return
        text = target.decode("latin-1")
        if text[:1] != "/" and "://" in text:  # absolute-form, as proxies send it
            rest = text.split("://", 1)[1]
            text = rest[rest.find("/") :] if "/" in rest else "/"
        self.path, _, self.query = text.partition("?")

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        headers = self._headers
        if headers is None:
            length = len(self.block) - self.at
            headers = self._headers = () if self.known is None else self.known.headers_of(length)
        return headers

    @property
    def body(self) -> bytes:
        if self.at:
            self.block, self.at = self.block[self.at :], 0
        return self.block

    def replace_body(self, body: bytes) -> None:
        """With what it holds once it is decoded."""
        self.block, self.at = body, 0

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header (name in lower case), or None."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    def release(self) -> None:
        """Lets go of headers, address and body: a stream may be open for an hour, and thousands of them."""
        self._headers = ()
        self.peer = None
        self.known = self.memo = self.outline = None
        self.block, self.at = b"", 0


class Channel(asyncio.Protocol):
    """The connection that a `Response` is written to. The server's connections are channels; the methods are called by
    `Response` alone. A class and not a protocol, so that compiled code calls it directly."""

    __slots__ = ()

    def date_line(self) -> bytes:
        """The `date` header, ready to send."""
        raise NotImplementedError

    def is_draining(self) -> bool:
        """Whether the server is stopping: answers then close their connection."""
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        raise NotImplementedError

    def write_large(self, parts: Sequence[bytes | memoryview], length: int) -> None:
        """Writes `length` bytes in several parts, without copying them together."""
        raise NotImplementedError

    def abort(self) -> None:
        """Sends what was written and cuts the connection."""
        raise NotImplementedError

    def streams(self) -> None:
        """A stream begins, which may stay open for long."""
        raise NotImplementedError

    def failed(self, response: Response, error: BaseException) -> None:
        """Answers with an error."""
        raise NotImplementedError

    def answered(self, keep_alive: bool) -> None:
        """The response is complete."""
        raise NotImplementedError

    def hold(self, size: int) -> None:
        """Counts more bytes of a request's body. Raises Overloaded when there is no room for them."""
        raise NotImplementedError


class Response:
    """The answer to one request: either `send` once, or `start`, `write`..., `end`.

    `headers` are ready lines (`b"content-type: text/plain\\r\\n"`); `extra` lines are put into whatever head is sent.
    Nothing here waits: `paused` and the two callbacks tell when the caller does not read as fast as we write.
    """

    __slots__ = (
        "_channel",
        "_chunked",
        "_head",
        "_keep_alive",
        "disconnected",
        "error_event",
        "extra",
        "finished",
        "held",
        "on_disconnect",
        "on_pause",
        "on_resume",
        "paused",
        "request",
        "running",
        "started",
    )

    def __init__(self, channel: Channel, request: Request, keep_alive: bool) -> None:
        self._channel = channel
        self._head = b""
        self._keep_alive = keep_alive
        self._chunked = False
        self.request = request
        self.held = 0  # bytes of the request's body, counted until it is answered
        self.extra = b""
        self.started = False
        self.finished = False
        self.disconnected = False
        self.paused = False
        self.error_event: Callable[[FairleadError], bytes] | None = None  # the last bytes of this stream when it fails
        self.on_disconnect: Callable[[], None] | None = None
        self.on_pause: Callable[[], None] | None = None
        self.on_resume: Callable[[], None] | None = None
        self.running: Running | None = None

    def _compose(self, status: int, headers: bytes, framing: bytes, body: bytes = b"") -> bytes:
        channel = self._channel
        if not self._keep_alive or channel.is_draining():
            self._keep_alive = False
            framing += b"connection: close\r\n"
        elif self.request.version == "1.0":
            framing += b"connection: keep-alive\r\n"
        return b"".join((STATUS_LINES[status], headers, self.extra, channel.date_line(), framing, b"\r\n", body))

    def send(self, status: int, headers: bytes, body: bytes) -> None:
        """A complete answer: head and body in one write. An answer to HEAD keeps the length and leaves out the body."""
        self._begin()
        framing = b"" if status in BODILESS else b"content-length: %d\r\n" % len(body)
        if self.request.method == "HEAD" or status in BODILESS:
            body = b""
        large = len(body) > JOIN_BYTES
        out = self._compose(status, headers, framing, b"" if large else body)
        if not self.disconnected:
            if large:
                self._channel.write_large((out, body), len(body))
            else:
                self._channel.write(out)
        self._finish()

    def start(self, status: int, headers: bytes) -> None:
        """Begins a stream. The head waits for the first `write` (or `end`) and leaves in the same write."""
        self._begin()
        if self.request.version == "1.0":
            self._keep_alive = False
            self._head = self._compose(status, headers, b"")
        else:
            self._chunked = True
            self._head = self._compose(status, headers, b"transfer-encoding: chunked\r\n")
        self.extra = b""
        self._channel.streams()

    def write(self, data: bytes) -> None:
        """One piece of the stream. Ignored when the caller has gone, and for HEAD."""
        if self.disconnected or self.finished or not data:
            return
        head = self._head
        if self.request.method == "HEAD":
            return
        if self._chunked:
            data = b"%b%x\r\n%b\r\n" % (head, len(data), data)
        elif head:
            data = head + data
        if head:
            self._head = b""
        self._channel.write(data)

    def end(self, data: bytes = b"") -> None:
        """Ends the stream properly, with a last piece if there is one, in one write."""
        if self.finished:
            return
        if not self.disconnected:
            out = self._head
            self._head = b""
            if self.request.method != "HEAD":
                if self._chunked:
                    out += b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if data else b"0\r\n\r\n"
                else:
                    out += data
            if out:
                self._channel.write(out)
        self._finish()

    def through(self, channel: Channel) -> None:
        """Has the answer pass another channel, which passes it on. Only before it has begun."""
        self._channel = channel

    @property
    def channel(self) -> Channel:
        return self._channel

    def hold(self, size: int) -> None:
        """Counts so many bytes more for the request's body, which has become longer, until it is answered."""
        self.held += size
        self._channel.hold(size)

    def leave(self, error: BaseException) -> None:
        """Ends the answer with this error now, although its handler continues: what that writes is for nobody, as if
        the caller had gone."""
        self._channel.failed(self, error)
        self.disconnected = True

    def gone(self) -> None:
        """The caller has disconnected."""
        self.disconnected = True
        on_disconnect, self.on_disconnect = self.on_disconnect, None
        if on_disconnect is not None:
            on_disconnect()
        elif self.running is not None:
            self.running.interrupt(CallerGone("The caller disconnected."))

    def abort(self) -> None:
        """Cuts the connection, so that a stream that has begun is seen to be incomplete."""
        if self.finished:
            return
        self._keep_alive = False
        if not self.disconnected:
            self._channel.abort()
        self._finish()

    def _begin(self) -> None:
        if self.started:
            raise RuntimeError("this request has been answered already")
        self.started = True

    def _finish(self) -> None:
        self.finished = True
        self.on_disconnect = self.on_pause = self.on_resume = self.error_event = None
        self._channel.answered(self._keep_alive)
