"""One signed POST of an alert to its webhook."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import Final

import httptools

from fairlead.alerts.signature import HEADER, sign
from fairlead.http.fetch import quoted
from fairlead.http.guard import BLOCK_BYTES, Guard, RefusedAddress

SECONDS: Final = 10.0
HEAD_BYTES: Final = 65_536


class NotDelivered(Exception):
    """Why an alert did not arrive, for the log and `fairlead alerts list`."""


async def post(
    guard: Guard,
    url: str,
    secret: str,
    event: str,
    body: bytes,
    tls: ssl.SSLContext | None = None,
    hint: str = "; allow a private network with alerts.allow_networks",
) -> None:
    """Returns when the receiver has answered 2xx. Raises NotDelivered; a redirect is a failure, and is not followed.
    `hint`: what else to say of an address that is refused."""
    try:
        async with asyncio.timeout(SECONDS):
            status = await _status(guard, url, secret, event, body, tls)
    except TimeoutError:
        raise NotDelivered(f"no answer within {SECONDS:g} s") from None
    except RefusedAddress as error:
        raise NotDelivered(f"{error}{hint}") from None
    except (OSError, EOFError) as error:
        raise NotDelivered(f"no connection: {getattr(error, 'strerror', None) or type(error).__name__}") from None
    if not 200 <= status < 300:
        raise NotDelivered(f"the receiver answered {status}")


async def _status(guard: Guard, url: str, secret: str, event: str, body: bytes, tls: ssl.SSLContext | None) -> int:
    target = guard.target(url)
    reader, writer = await guard.open(target, tls)
    try:
        lines = (
            b"POST %b HTTP/1.1" % quoted(target.path),
            b"host: %b" % target.netloc.encode("ascii"),
            b"user-agent: fairlead",
            b"content-type: application/json",
            b"content-length: %d" % len(body),
            b"fairlead-event: %b" % event.encode("ascii"),
            b"%b: %b" % (HEADER.encode(), sign(secret, body, int(time.time())).encode()),
            b"connection: close",
        )
        writer.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        return await _answered(reader)
    finally:
        writer.transport.abort()


class _Head:
    def __init__(self) -> None:
        self.complete = False

    def on_headers_complete(self) -> None:
        self.complete = True


async def _answered(reader: asyncio.StreamReader) -> int:
    head = _Head()
    parser = httptools.HttpResponseParser(head)
    read = 0
    while not head.complete:
        block = await reader.read(BLOCK_BYTES)
        read += len(block)
        if not block or read > HEAD_BYTES:
            raise NotDelivered("no valid answer")
        try:
            parser.feed_data(block)
        except httptools.HttpParserError:
            if not head.complete:
                raise NotDelivered("no valid answer") from None
    return int(parser.get_status_code())
