"""One GET of an address that a caller named, guarded: only the public internet, no redirect, bounded in size and time.

Every address that the name resolves to must be public, and the connection goes to one of those that were checked: a
name that resolves differently a moment later changes nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import httptools

from fairlead.http.trust import machine_trust
from fairlead.wire.media import is_public

FETCH_SECONDS: Final = 10.0
HEAD_BYTES: Final = 65_536
BLOCK_BYTES: Final = 65_536
REQUEST: Final = (
    b"GET %b HTTP/1.1\r\nhost: %b\r\nuser-agent: fairlead\r\naccept: */*\r\naccept-encoding: identity\r\n"
    b"connection: close\r\n\r\n"
)

Resolve = Callable[[str, int], Awaitable[list[str]]]


class FetchError(Exception):
    """Why there is nothing; the text may be shown to the caller."""


class Fetched(NamedTuple):
    """`kind`: the content type, in lower case and without parameters."""

    kind: str
    data: bytes


async def resolve(host: str, port: int) -> list[str]:
    """The IP addresses of a name. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def public(address: str) -> bool:
    return is_public(ipaddress.ip_address(address.partition("%")[0]))


class Fetcher:
    """`resolve` and `allowed` are replaced in tests, which have no public address."""

    def __init__(
        self,
        resolve: Resolve = resolve,
        allowed: Callable[[str], bool] = public,
        tls: ssl.SSLContext | None = None,
        seconds: float = FETCH_SECONDS,
    ) -> None:
        self._resolve = resolve
        self._allowed = allowed
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
        parts = urlsplit(url)
        host = parts.hostname or ""
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        try:
            addresses = await self._resolve(host, port)
        except OSError:
            raise FetchError("its name cannot be resolved") from None
        if not addresses or not all(self._allowed(address) for address in addresses):
            raise FetchError("its name resolves to a private address")
        tls = (self._tls or machine_trust()) if secure else None
        reader, writer = await asyncio.open_connection(
            addresses[0], port, ssl=tls, server_hostname=host if secure else None, limit=BLOCK_BYTES
        )
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            writer.write(REQUEST % (quoted(target), parts.netloc.encode("ascii")))
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
