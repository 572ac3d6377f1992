"""Addresses that callers name: only the public internet is asked, and only for so long and so much."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fairlead.http.fetch import Fetched, Fetcher, FetchError
from fairlead.http.guard import Guard, Network, public

IMAGE = b"HTTP/1.1 200 OK\r\ncontent-type: image/PNG; x=y\r\ncontent-length: 4\r\n\r\n\x89PNG"


HERE = ipaddress.ip_network("127.0.0.0/8")


def fetched(
    answer: bytes,
    *,
    path: str = "/a.png",
    most_bytes: int = 1000,
    seconds: float = 20,
    hangs: bool = False,
    resolve: Any = None,
    networks: tuple[Network, ...] = (HERE,),
) -> tuple[Fetched, list[bytes]]:
    """What a server on this machine that answers so gives a fetcher which takes this machine for public."""
    asked: list[bytes] = []
    served: list[asyncio.Event] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        done = asyncio.Event()
        served.append(done)
        try:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            if hangs:
                await reader.read()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        finally:
            writer.transport.abort()
            done.set()

    async def here(host: str, port: int) -> list[str]:
        assert host == "example.com"
        return ["127.0.0.1"]

    async def run() -> Fetched:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            fetcher = Fetcher(Guard(networks, resolve or here), seconds=seconds)
            try:
                return await fetcher.fetch(f"http://example.com:{port}{path}", most_bytes)
            finally:
                for done in served:
                    await done.wait()
                await asyncio.sleep(0)  # for the transports

    return asyncio.run(run()), asked


def test_an_answer_comes_with_its_type_and_the_host_is_named_in_the_request() -> None:
    found, (asked,) = fetched(IMAGE, path="/ä.png?x=1")
    assert found == Fetched("image/png", b"\x89PNG")
    assert asked.startswith(b"GET /%C3%A4.png?x=1 HTTP/1.1\r\nhost: example.com:")
    until_closed = IMAGE.replace(b"content-length: 4\r\n", b"")
    assert fetched(until_closed)[0].data == b"\x89PNG"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n", "redirects"),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "answered 404"),
        (IMAGE.replace(b": 4", b": 5"), "cut"),
        (IMAGE.replace(b": 4", b": 2000") + b"x" * 1996, "larger than 1,000 bytes"),
        (b"SSH-2.0-OpenSSH\r\n", "no valid answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000, "no valid answer"),
        (b"", "no valid answer"),
    ],
)
def test_what_is_no_answer_is_said_to_be_none(answer: bytes, reason: str) -> None:
    with pytest.raises(FetchError, match=reason):
        fetched(answer)


def test_a_server_that_says_nothing_is_left() -> None:
    with pytest.raises(FetchError, match=r"within 0.2 s"):
        fetched(b"HTTP/1.1 200 OK\r\n", seconds=0.2, hangs=True)


def names(*addresses: str) -> Callable[[str, int], Awaitable[list[str]]]:
    async def resolve(_host: str, _port: int) -> list[str]:
        return list(addresses)

    return resolve


@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.1",), ("8.8.8.8", "10.0.0.1"), ("::1",), ("::ffff:127.0.0.1",), ("::ffff:10.0.0.1",), ("fe80::1%eth0",),
        ("64:ff9b::a00:1",), ("169.254.169.254",), ("fd00::1",), (),
    ],
)  # fmt: skip
def test_a_name_that_leads_to_a_private_address_is_not_asked(addresses: tuple[str, ...]) -> None:
    with pytest.raises(FetchError, match="private address"):
        fetched(IMAGE, resolve=names(*addresses), networks=())


def test_a_name_that_nobody_knows_is_said_to_be_one() -> None:
    async def unknown(_host: str, _port: int) -> list[str]:
        raise OSError("no such name")

    with pytest.raises(FetchError, match="resolved"):
        fetched(IMAGE, resolve=unknown)


def test_public_addresses() -> None:
    assert public("8.8.8.8")
    assert public("2606:4700:4700::1111")
