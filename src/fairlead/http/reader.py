"""Reads the requests of one connection with llhttp: heads are checked, bodies bounded and counted."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import httptools

from fairlead.http.authority import is_authority, is_target
from fairlead.http.body import BodyBuffer
from fairlead.http.request import KnownHead, Request, Response
from fairlead.http.state import NEVER, SMALL_BODY_BYTES, Peer, ServerState
from fairlead.http.upload import Upload

MOST_HEADERS: Final = 128
# A body that nobody wants is read and dropped up to here, to keep the connection; before a longer one it is closed.
DISCARDED_BYTES: Final = 65_536
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
NO_ROOM: Final = "The memory for request bodies (max_buffered_bytes) is in use. Try again in a moment."
NO_UPLOAD: Final = "There is no room for another upload at the moment. Try again soon."
# Stands for a refusal that the handler has worded: nothing more is read, and nothing more is answered.
ANSWERED: Final = (0, "", "")


class RequestReader(Peer):
    """The parser's callbacks, and the state of the connection that they depend on. `Pipeline` decides what follows from
    a request or a refusal."""

    __slots__ = (
        "_body",
        "_body_bytes",
        "_body_left",
        "_broken",
        "_buffer",
        "_chunked",
        "_continue_owed",
        "_discarding",
        "_early",
        "_fed",
        "_feeding",
        "_first_block",
        "_headers",
        "_in_head",
        "_known",
        "_lingering",
        "_loop",
        "_parser",
        "_peer",
        "_reading_paused",
        "_request",
        "_response",
        "_served_one",
        "_taken",
        "_target",
        "_upgrading",
        "_upload",
        "_work",
        "_writing_paused",
        "server",
    )

    def __init__(self, server: ServerState, loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self._loop = loop
        self._parser: Any = None  # made for the first bytes
        self._feeding = False
        self._headers: list[tuple[bytes, bytes]] = []
        self._target = b""
        self._request: Request | None = None  # whose body is arriving
        self._body = b""  # when it came in one piece; else it is in `_buffer`
        self._buffer: BodyBuffer | None = None
        self._body_bytes = 0
        self._body_left = 0
        self._chunked = False
        self._discarding = False
        self._fed = 0  # bytes of a head, or of what stands between the pieces of a chunked body and behind it
        self._in_head = True
        self._first_block = b""
        self._known: KnownHead | None = None
        self._early = b""  # a message with the known head whose last bytes are still to come
        self._served_one = False
        self._response: Response | None = None
        self._work = 0
        self._taken = 0  # bytes of a body since others had their turn
        self._continue_owed = False
        self._reading_paused = False
        self._writing_paused = False
        self._broken: tuple[int, str, str] | None = None
        self._lingering = False
        self._peer: tuple[str, int] | None = None
        self._upgrading = False
        self._upload: Upload | None = None  # where the body is written that is arriving
        self.deadline = NEVER

    def _take(self, request: Request, keep_alive: bool) -> None:
        """A request is complete, or its handler answers without its body."""
        raise NotImplementedError

    def _break(self, status: int, code: str, sentence: str) -> None:
        """Nothing more is read from this caller; the refusal comes after the answers that are still owed."""
        raise NotImplementedError

    def _stop_reading(self) -> None:
        if not self._reading_paused and not self.transport.is_closing():
            self._reading_paused = True
            self.transport.pause_reading()

    def _wait_for_more(self) -> None:
        """Nothing is being answered: sets the deadline for what the caller is sending."""
        limits = self.server.limits
        if not self._in_head or self._early:
            seconds = limits.body_seconds
        elif self._fed:
            seconds = limits.head_seconds
        else:
            seconds = limits.idle_seconds
        self.deadline = self._loop.time() + seconds

    def _feed(self, data: bytes | memoryview) -> None:
        rest = data
        if self._in_head or self._chunked:
            self._fed += len(data)
        if self._parser is None:
            self._parser = httptools.HttpRequestParser(self)
            if self._peer is None:
                self._peer = peer_of(self.transport)
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
        """The request is served as if Upgrade had not been sent (RFC 9110 section 7.8; Java's client sends it unasked).
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
            self._refuse_length(length)
        self._in_head = False
        self._fed = 0
        self._chunked = chunked
        self._body_left = length
        expecting, self._continue_owed = self._continue_owed, False
        if length or chunked:
            self._body_comes(length, expecting)

    def _refuse_length(self, length: int) -> None:
        """Unless it is an upload, which has a limit of its own."""
        uploads = self.server.uploads
        most = self.server.limits.body_bytes
        if uploads is not None and uploads.takes(self._target):
            most = uploads.most_bytes
        if length > most:
            self._give_up(413, "request_too_large", f"The body is over {most} bytes.")

    def _body_comes(self, length: int, expecting: bool) -> None:
        """A head with a body is complete: is the body wanted, and is there room for it?"""
        server = self.server
        request = self._request = self._new_request()
        if server.admit is not None and not server.admit(request):
            self._answer_without_body(request, not expecting and not self._chunked and length <= DISCARDED_BYTES)
            return
        uploads = server.uploads
        if uploads is not None and uploads.takes(self._target):
            self._upload = uploads.begin(length)
            if self._upload is None:
                self._give_up(503, "overloaded", NO_UPLOAD)
        elif server.buffered + length > (server.room if length <= SMALL_BODY_BYTES else server.room_for_large):
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
        if self._upload is not None:
            self._store(self._upload, data)
            return
        server = self.server
        before = self._body_bytes
        total = self._body_bytes = before + size
        server.buffered += size
        if not before:
            self._body = data
        else:
            buffer = self._buffer
            if buffer is None:
                buffer = self._buffer = BodyBuffer(0 if self._chunked else total + self._body_left)
                buffer.write(self._body)
                self._body = b""
            buffer.write(data)
            self._taken += size
        if total > server.limits.body_bytes:
            self._give_up(413, "request_too_large", f"The body is over {server.limits.body_bytes} bytes.")
        if server.buffered > (server.room if total <= SMALL_BODY_BYTES else server.room_for_large):
            self._give_up(503, "overloaded", NO_ROOM)

    def _store(self, upload: Upload, data: bytes) -> None:
        stored = True
        try:
            upload.write(data)
        except OSError:
            stored = False
        uploads = self.server.uploads
        assert uploads is not None
        if not stored or uploads.is_full:
            self._give_up(503, "overloaded", NO_UPLOAD)
        if upload.size > uploads.most_bytes:
            self._give_up(413, "request_too_large", f"The body is over {uploads.most_bytes} bytes.")

    def _drop_body(self) -> None:
        if self._upload is not None:
            self._upload.close()
            self._upload = None
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
            self._target, self._headers, self._first_block = b"", [], b""
            if self._response is None:
                self._wait_for_more()
            return
        request = self._request
        if request is None:
            request = self._new_request()
        elif self._upload is not None:
            request.outline, self._upload = self._upload, None
        elif self._body_bytes:
            request.block = self._body if self._buffer is None else self._buffer.getvalue()
            self._drop_body()
        self._request = None
        if self._first_block:
            self._learn(request, keep_alive)
        self._target = b""
        self._headers = []
        self._take(request, keep_alive)

    def _learn(self, request: Request, keep_alive: bool) -> None:
        """Remembers the head of a request for the next one, if it came in one piece: with its body, or without it, as
        most libraries send it."""
        block, self._first_block = self._first_block, b""
        if not self._served_one:  # most connections that serve one request serve no second one
            self._served_one = True
            return
        end = block.find(b"\r\n\r\n") + 4
        if keep_alive and request.outline is None and len(block) - end in (0, len(request.body)):
            self._known = request.known = KnownHead.learn(block[:end], request)

    def _give_up(self, status: int, code: str, sentence: str) -> None:
        """Refuses from inside a parser callback: raising stops the parser."""
        self._break(status, code, sentence)
        raise _Refused


def peer_of(transport: asyncio.BaseTransport) -> tuple[str, int] | None:
    peer = transport.get_extra_info("peername")
    return (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) else None


class _Refused(Exception):
    """Stops llhttp after a refusal; never leaves this file."""
