"""Addresses that others give: every spelling of a private one is refused, and what was checked is what is connected to."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable

import pytest

from fairlead.http.guard import Guard, RefusedAddress

# Spellings of this machine, of private networks and of metadata services, by the tricks that are known.
PRIVATE = [
    # plain
    "http://127.0.0.1/", "http://localhost/", "http://LOCALHOST:8080/x", "http://0.0.0.0/", "http://10.0.0.1/",
    "http://172.16.5.4/", "http://192.168.1.1/", "http://169.254.169.254/latest/meta-data/", "http://100.64.0.1/",
    "http://100.100.100.200/", "http://168.63.129.16/", "http://192.0.0.192/", "http://224.0.0.1/", "http://240.0.0.1/",
    "http://255.255.255.255/", "http://198.18.0.1/", "http://192.0.2.1/",
    # decimal, octal, hexadecimal, short, mixed
    "http://2130706433/", "http://0177.0.0.1/", "http://0x7f.0.0.1/", "http://0x7f000001/", "http://127.1/",
    "http://127.0.1/", "http://0/", "http://017700000001/", "http://0x7f.1/", "http://10.1/", "http://0xA9FEA9FE/",
    "http://2852039166/", "http://127.0.0.01/", "http://0251.0376.0251.0376/",
    # a trailing dot
    "http://127.0.0.1./", "http://localhost./", "http://169.254.169.254./", "http://127.1./",
    # IPv6: this machine, mapped, compatible, NAT64, 6to4, Teredo, private, link-local, multicast
    "http://[::1]/", "http://[::]/", "http://[0:0:0:0:0:0:0:1]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/",
    "http://[::ffff:169.254.169.254]/", "http://[::127.0.0.1]/", "http://[64:ff9b::127.0.0.1]/",
    "http://[64:ff9b::a9fe:a9fe]/", "http://[64:ff9b:1::1]/", "http://[2002:7f00:1::]/", "http://[2002:a00:1::1]/",
    "http://[2001:0:1:2::1]/", "http://[fe80::1]/", "http://[fc00::1]/", "http://[fd00:ec2::254]/", "http://[fec0::1]/",
    "http://[ff02::1]/", "http://[2001:db8::1]/",
    # user names, backslashes, fragments in the place of a host, letters that normalize to others
    "http://example.com@127.0.0.1/", "http://127.0.0.1@example.com/", "http://example.com:80@127.0.0.1/",
    "http://example.com\\@127.0.0.1/", "http://127.0.0.1\\.example.com/", "http://example.com%00.internal/",
    "http://１２７.0.0.1/", "http://127。0。0。1/", "http://ⓛocalhost/", "http://①②⑦.0.0.1/", "http://bücher.example/",
    "http://127.0.0.1%2f@example.com/", "http://[fe80::1%25eth0]/", "http://[::ffff:127.0.0.1", "http:///x",
    # names of private networks, other schemes, broken URLs
    "http://metadata.google.internal/", "http://router.local/", "http://printer.lan/", "http://intranet/",
    "file:///etc/passwd", "gopher://127.0.0.1:70/", "ftp://example.com/", "//127.0.0.1/", "http:127.0.0.1",
    "http://example.com:99999/", "http://exa mple.com/", "http://example.com/\r\nHost: x", "unix:///run/x.sock",
]  # fmt: skip


def names(*addresses: str) -> Callable[[str, int], Awaitable[list[str]]]:
    async def resolve(_host: str, _port: int) -> list[str]:
        return list(addresses)

    return resolve


async def itself(host: str, _port: int) -> list[str]:
    return [host if host.replace(".", "").isdigit() or ":" in host else "8.8.8.8"]


@pytest.mark.parametrize("url", PRIVATE)
def test_a_private_address_is_refused_however_it_is_spelled(url: str) -> None:
    with pytest.raises(RefusedAddress):
        asyncio.run(Guard(resolve=itself).check(url))
    assert len(set(PRIVATE)) == len(PRIVATE) >= 40


@pytest.mark.parametrize(
    "url",
    ["https://example.com/hook?x=1", "http://8.8.8.8/", "https://[2606:4700:4700::1111]:8443/", "http://EXAMPLE.com./"],
)
def test_public_addresses_are_let_through(url: str) -> None:
    asyncio.run(Guard(resolve=itself).check(url))


@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.1",), ("8.8.8.8", "10.0.0.1"), ("8.8.8.8", "::1"), ("::ffff:10.0.0.1",), ("fe80::1%eth0",),
        ("64:ff9b::a00:1",), ("169.254.169.254",), ("fd00::1",), ("100.64.1.1",), ("168.63.129.16",), (),
    ],
)  # fmt: skip
def test_a_name_is_refused_when_any_address_of_it_is_private(addresses: tuple[str, ...]) -> None:
    with pytest.raises(RefusedAddress):
        asyncio.run(Guard(resolve=names(*addresses)).check("https://example.com/"))


def test_an_owner_allows_ranges_and_never_metadata_services() -> None:
    guard = Guard([ipaddress.ip_network(one) for one in ("10.0.0.0/8", "169.254.0.0/16", "::/0")], itself)
    asyncio.run(guard.check("http://10.1.2.3:9000/hook"))
    asyncio.run(guard.check("http://[::ffff:10.1.2.3]/hook"))
    asyncio.run(Guard([ipaddress.ip_network("10.0.0.0/8")], names("10.0.0.7")).check("http://hooks.internal/"))
    for url in (
        "http://192.168.0.1/", "http://127.0.0.1/", "http://169.254.169.254/", "http://[fd00:ec2::254]/",
        "http://0x0a.1/", "http://user@10.0.0.1/", "http://[::ffff:169.254.169.254]/",
    ):  # fmt: skip
        with pytest.raises(RefusedAddress):
            asyncio.run(guard.check(url))


def test_a_name_that_resolves_differently_a_moment_later_changes_nothing() -> None:
    """DNS rebinding: the second answer of the name server is another address, and the connection goes to the first."""
    asked: list[str] = []

    async def rebinding(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.2"] if len(asked) == 1 else ["127.0.0.3"]

    async def run() -> tuple[str, int]:
        async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.2", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            guard = Guard([ipaddress.ip_network("127.0.0.2/32")], rebinding)
            _, writer = await guard.open(guard.target(f"http://example.com:{port}/"))
            peer = writer.get_extra_info("peername")[0]
            writer.close()
            await writer.wait_closed()
            with pytest.raises(RefusedAddress):  # a second connection resolves again, and is checked again
                await guard.open(guard.target(f"http://example.com:{port}/"))
            return peer, len(asked)

    assert asyncio.run(run()) == ("127.0.0.2", 2)
