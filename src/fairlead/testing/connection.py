"""The scripted upstream's side of one connection: HTTP/1.1 read and written by hand.

An independent witness: it shares no code with the gateway's own HTTP, and it can break every rule on purpose.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

HEAD_BYTES = 64 * 1024
BODY_BYTES = 256 * 1024 * 1024
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 429: "Too Many Requests"}


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came: header names in lower case, the body decoded from chunks."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    version: str = "1.1"

    @property
    def json(self) -> Any:
        """The body as JSON. Raises ValueError when it is none."""
        return json.loads(self.body)


class NotServedError(Exception):
    """What was received is no request that this server takes."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class RequestReader:
    """Takes bytes, gives requests. `next()` is None until one is complete; raises NotServedError for what is none."""

    def __init__(self, on_continue: Callable[[], None]) -> None:
        self._buffer = bytearray()
        self._head: tuple[str, str, dict[str, str], str] | None = None
        self._length: int | None = None
        self._body = bytearray()
        self._on_continue = on_continue

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> Received | None:
        if self._head is None and not self._read_head():
            return None
        complete = self._read_chunks() if self._length is None else self._read_length()
        if not complete:
            return None
        assert self._head is not None
        method, path, headers, version = self._head
        request = Received(method, path, headers, bytes(self._body), version)
        self._head = None
        self._body = bytearray()
        return request

    def _read_head(self) -> bool:
        while self._buffer.startswith(b"\r\n"):
            del self._buffer[:2]
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > HEAD_BYTES:
                raise NotServedError(431, "The head of the request is too long.")
            return False
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        words = lines[0].split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            raise NotServedError(400, "The request line is malformed.")
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon:
                raise NotServedError(400, "A header line has no colon.")
            headers[name.lower()] = value.strip()
        self._head = (words[0], words[1], headers, words[2][5:])
        if headers.get("transfer-encoding", "").lower() == "chunked":
            self._length = None
        else:
            length = headers.get("content-length", "0")
            if not length.isdecimal() or int(length) > BODY_BYTES:
                raise NotServedError(400, "The content-length is not a number, or too large.")
            self._length = int(length)
        if headers.get("expect", "").lower() == "100-continue" and not self._buffer:
            self._on_continue()
        return True

    def _read_length(self) -> bool:
        assert self._length is not None
        if len(self._buffer) < self._length:
            return False
        self._body = self._buffer[: self._length]
        del self._buffer[: self._length]
        return True

    def _read_chunks(self) -> bool:
        while (end := self._buffer.find(b"\r\n")) >= 0:
            try:
                size = int(bytes(self._buffer[:end]).split(b";")[0], 16)
            except ValueError:
                raise NotServedError(400, "A chunk has no size.") from None
            if size < 0 or len(self._body) + size > BODY_BYTES:
                raise NotServedError(413, "The body is too large.")
            if size == 0:
                # Trailers are read and forgotten.
                last = self._buffer.find(b"\r\n\r\n", end)
                if last < 0:
                    return False
                del self._buffer[: last + 4]
                return True
            if len(self._buffer) < end + 2 + size + 2:
                return False
            self._body += self._buffer[end + 2 : end + 2 + size]
            del self._buffer[: end + 2 + size + 2]
        return False


class Wire:
    """What an answer is written to: paced by the peer's reading, and able to end in every wrong way."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._room = asyncio.Event()
        self._room.set()
        self.cut = False

    async def send(self, data: bytes) -> None:
        self._transport.write(data)
        await self._room.wait()
        if self._transport.is_closing():
            await self.hang()  # nobody reads any more: its end is on the way, and cancels this

    async def send_bytewise(self, data: bytes) -> None:
        for at in range(len(data)):
            self._transport.write(data[at : at + 1])
            await asyncio.sleep(0)

    def close(self) -> None:
        """Ends the connection after what was written."""
        self.cut = True
        self._transport.close()

    async def reset(self) -> None:
        """Ends the connection by RST. What was written before gets a moment to be read: a RST may overtake it."""
        await asyncio.sleep(0.02)
        self.cut = True
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    async def hang(self) -> None:
        """Waits until the peer goes away."""
        await asyncio.Event().wait()

    def pause(self) -> None:
        self._room.clear()

    def resume(self) -> None:
        self._room.set()


Answer = Callable[[Received, Wire], Awaitable[bool]]


class Connection(asyncio.Protocol):
    """Reads requests, answers them one after the other in a task, and notices a disconnect at once."""

    def __init__(
        self, answer: Answer, opened: Callable[[Connection], None], lost: Callable[[Connection, bool], None]
    ) -> None:
        self._answer = answer
        self._opened = opened
        self._lost = lost
        self._reader = RequestReader(self._continue)
        self._task: asyncio.Task[None] | None = None
        self.stale = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._wire = Wire(transport)
        self._opened(self)

    def data_received(self, data: bytes) -> None:
        if self.stale:
            self._transport.close()
            return
        self._reader.feed(data)
        if self._task is None:
            self._next()

    def _next(self) -> None:
        try:
            request = self._reader.next()
        except NotServedError as refused:
            self._transport.write(head(refused.status, {"content-length": "0", "connection": "close"}))
            self._transport.close()
            return
        if request is not None:
            self._task = asyncio.get_running_loop().create_task(self._serve(request))

    async def _serve(self, request: Received) -> None:
        stale = await self._answer(request, self._wire)
        self._task = None
        self.stale = stale
        if self._wire.cut:
            return
        if request.headers.get("connection", "").lower() == "close" or request.version == "1.0":
            self._transport.close()
        elif not self.stale:
            self._next()

    def _continue(self) -> None:
        self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def pause_writing(self) -> None:
        self._wire.pause()

    def resume_writing(self) -> None:
        self._wire.resume()

    def eof_received(self) -> bool:
        # A peer that stops sending counts as gone, as vLLM's server does.
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        task, self._task = self._task, None
        working = task is not None and not self._wire.cut
        if task is not None:
            task.cancel()
        self._lost(self, working)

    async def end(self) -> None:
        """Cuts the connection and waits for its task."""
        task = self._task
        self._transport.abort()
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """A response head."""
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Scripted')}"]
    lines.extend(f"{name}: {value}" for name, value in headers.items())
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)
