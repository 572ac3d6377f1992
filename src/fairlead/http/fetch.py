"""One GET of an address that a caller named, guarded (`http.guard`), bounded in size and time; no redirect."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final, NamedTuple

import httptools

from fairlead.http.guard import BLOCK_BYTES, Guard, RefusedAddress

FETCH_SECONDS: Final = 10.0
HEAD_BYTES: Final = 65_536
REQUEST: Final = (
    b"GET %b HTTP/1.1\r\nhost: %b\r\nuser-agent: fairlead\r\naccept: */*\r\naccept-encoding: identity\r\n"
    b"connection: close\r\n\r\n"
)


class FetchError(Exception):
    """Why there is nothing; the text may be shown to the caller."""


class Fetched(NamedTuple):
    """`kind`: the content type, in lower case and without parameters."""

    kind: str
    data: bytes


class Fetcher:
    """`guard` allows no private network, except in tests, which have no public address."""

    def __init__(
        self, guard: Guard | None = None, tls: ssl.SSLContext | None = None, seconds: float = FETCH_SECONDS
    ) -> None:
        self._guard = guard or Guard()
        self._tls = tls
        self._seconds = seconds

    async def fetch(self, url: str, most_bytes: int) -> Fetched:
        """What is at an http:// or https:// URL that `wire.media` has checked. Raises FetchError."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._get(url, most_bytes)
        except TimeoutError:
            raise FetchError(f"it did not arrive within {self._seconds:g} s") from None
        except (OSError, ssl.SSLError, EOFError):
            raise FetchError("no connection") from None

    async def _get(self, url: str, most_bytes: int) -> Fetched:
        try:
            target = self._guard.target(url)
            reader, writer = await self._guard.open(target, self._tls)
        except RefusedAddress as error:
            raise FetchError(str(error)) from None
        try:
            writer.write(REQUEST % (quoted(target.path), target.netloc.encode("ascii")))
            return await _answer(reader, most_bytes)
        finally:
            writer.transport.abort()  # it was asked to close, and may not


def quoted(target: str) -> bytes:
    """Letters beyond ASCII as a browser sends them."""
    return b"".join(bytes([byte]) if byte < 0x80 else b"%%%02X" % byte for byte in target.encode())


class _Answer:
    """Callbacks of the parser."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.kind = ""
        self.parts: list[bytes] = []
        self.length = 0
        self.began = self.complete = self.sized = False

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in (b"content-length", b"transfer-encoding"):
            self.sized = True
        elif name == b"content-type":
            self.kind = value.decode("latin-1").partition(";")[0].strip().lower()

    def on_headers_complete(self) -> None:
        self.began = True

    def on_body(self, data: bytes) -> None:
        self.length += len(data)
        if self.length <= self.most_bytes:
            self.parts.append(data)

    def on_message_complete(self) -> None:
        self.complete = True


async def _answer(reader: asyncio.StreamReader, most_bytes: int) -> Fetched:
    answer = _Answer(most_bytes)
    parser = httptools.HttpResponseParser(answer)
    read = 0
    while not answer.complete:
        block = await reader.read(BLOCK_BYTES)
        read += len(block)
        if not block:
            break
        try:
            parser.feed_data(block)
        except httptools.HttpParserError:
            raise FetchError("no valid answer") from None
        if answer.length > most_bytes:
            raise FetchError(f"it is larger than {most_bytes:,} bytes")
        if not answer.began and read > HEAD_BYTES:
            raise FetchError("no valid answer")
        if answer.began and parser.get_status_code() != 200:
            break
    if not answer.began:
        raise FetchError("no valid answer")
    status = parser.get_status_code()
    if 300 <= status < 400:
        raise FetchError("it redirects to another address")
    if status != 200:
        raise FetchError(f"its server answered {status}")
    # Without a length the answer ends with its connection; with one, it was cut.
    if answer.sized and not answer.complete:
        raise FetchError("the answer was cut")
    return Fetched(answer.kind, b"".join(answer.parts))
