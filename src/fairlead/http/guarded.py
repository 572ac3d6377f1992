"""One small request to an address that was checked (`Guard`), and its whole answer. Redirects are not followed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Final, NamedTuple

import httptools

from fairlead.http.fetch import quoted
from fairlead.http.guard import BLOCK_BYTES, Guard, RefusedAddress

SECONDS: Final = 10.0
MOST_BYTES: Final = 1_048_576


class NotAnswered(Exception):
    """Why there is no answer; the text names no address."""


class Answered(NamedTuple):
    status: int
    body: bytes


async def ask(
    guard: Guard,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes = b"",
    tls: ssl.SSLContext | None = None,
) -> Answered:
    """Raises NotAnswered: no connection, no answer within SECONDS, an answer of more than MOST_BYTES."""
    try:
        async with asyncio.timeout(SECONDS):
            return await _ask(guard, method, url, headers, body, tls)
    except TimeoutError:
        raise NotAnswered(f"no answer within {SECONDS:g} s") from None
    except RefusedAddress as error:
        raise NotAnswered(str(error)) from None
    except (OSError, EOFError) as error:
        raise NotAnswered(f"no connection: {getattr(error, 'strerror', None) or type(error).__name__}") from None


async def _ask(
    guard: Guard, method: str, url: str, headers: Mapping[str, str], body: bytes, tls: ssl.SSLContext | None
) -> Answered:
    target = guard.target(url)
    reader, writer = await guard.open(target, tls)
    try:
        given = {
            "host": target.netloc,
            "user-agent": "fairlead",
            "accept-encoding": "identity",
            "connection": "close",
            **headers,
        }
        if body:
            given["content-length"] = str(len(body))
        lines = [f"{name}: {value}".encode("latin-1") for name, value in given.items()]
        if any(b"\r" in line or b"\n" in line for line in lines):
            raise NotAnswered("a header has more than one line")
        head = b"\r\n".join([b"%b %b HTTP/1.1" % (method.encode(), quoted(target.path)), *lines])
        writer.write(head + b"\r\n\r\n" + body)
        return await _answer(reader)
    finally:
        writer.transport.abort()


class _Message:
    def __init__(self) -> None:
        self.complete = False
        self.body = bytearray()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete = True


async def _answer(reader: asyncio.StreamReader) -> Answered:
    message, read = _Message(), 0
    parser = httptools.HttpResponseParser(message)
    while not message.complete:
        block = await reader.read(BLOCK_BYTES)
        read += len(block)
        if read > MOST_BYTES:
            raise NotAnswered("the answer is too long")
        try:
            parser.feed_data(block)
        except httptools.HttpParserError:
            if not message.complete:
                raise NotAnswered("no valid answer") from None
        if not block:
            break  # an answer without a length ends with its connection
    if not parser.get_status_code():
        raise NotAnswered("no valid answer")
    return Answered(int(parser.get_status_code()), bytes(message.body))
