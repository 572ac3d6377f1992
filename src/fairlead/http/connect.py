"""Reaching an address: Unix sockets, both internet families racing (RFC 8305), TLS, and proxies."""

from __future__ import annotations

import asyncio
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any
from urllib.parse import unquote, urlsplit

from fairlead.errors import UpstreamUnreachable

# RFC 8305 section 5: the recommended pause before the next address is tried beside the first.
STAGGER_SECONDS = 0.25
PROXY_HEAD_BYTES = 16_384

Factory = Callable[[], asyncio.Protocol]


@dataclass(frozen=True, slots=True)
class Address:
    """Where an upstream listens: `unix_path`, or host and port, with TLS when `tls` is given. `allows`: whether an IP
    address may be connected to, asked each time the name was resolved; None: all may."""

    host: str = ""
    port: int = 0
    unix_path: str | None = None
    tls: ssl.SSLContext | None = None
    allows: Callable[[str], bool] | None = None


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy; `authorization_line` is a ready header line or empty."""

    host: str
    port: int
    authorization_line: bytes = b""

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """From `http://[user:password@]host[:port]`. Raises ValueError for another scheme."""
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError("a proxy must be given as http://host:port")
        line = b""
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            line = b"proxy-authorization: Basic " + b64encode(pair.encode()) + b"\r\n"
        return cls(parts.hostname, parts.port or 80, line)


async def connect(loop: asyncio.AbstractEventLoop, factory: Factory, address: Address, proxy: Proxy | None) -> None:
    """Connects the protocol that `factory` makes. Raises OSError, ssl.SSLError or UpstreamUnreachable."""
    if address.unix_path is not None:
        await loop.create_unix_connection(factory, address.unix_path)
        return
    if proxy is None:
        connection = await _race(loop, address.host, address.port, address.allows)
        await _hand_over(loop, factory, connection, address)
        return
    connection = await _race(loop, proxy.host, proxy.port)
    if address.tls is None:
        await loop.create_connection(factory, sock=connection)
        return
    try:
        await _open_tunnel(loop, connection, address, proxy)
    except BaseException:
        connection.close()
        raise
    await _hand_over(loop, factory, connection, address)


async def _hand_over(
    loop: asyncio.AbstractEventLoop, factory: Factory, connection: socket.socket, address: Address
) -> None:
    options: dict[str, Any] = {}
    if address.tls is not None:
        options = {"ssl": address.tls, "server_hostname": address.host}
    try:
        await loop.create_connection(factory, sock=connection, **options)
    except BaseException:
        connection.close()
        raise


async def _race(
    loop: asyncio.AbstractEventLoop, host: str, port: int, allows: Callable[[str], bool] | None = None
) -> socket.socket:
    """The first address of `host` that accepts, tried in turn with a head start each."""
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise UpstreamUnreachable("No connection to the provider: its name cannot be resolved.") from error
    if allows is not None and not all(allows(str(one[4][0])) for one in found):
        raise UpstreamUnreachable("No connection to the provider: its name leads to a private address now.")
    addresses = _alternate(found)
    if len(addresses) == 1:
        return await _open(loop, *addresses[0])
    tasks: list[asyncio.Task[socket.socket]] = []
    failure: OSError | None = None
    winner: asyncio.Task[socket.socket] | None = None
    pending = iter(addresses)
    try:
        waiting: set[asyncio.Task[socket.socket]] = set()
        while winner is None:
            following = next(pending, None)
            if following is not None:
                task = loop.create_task(_open(loop, *following))
                tasks.append(task)
                waiting.add(task)
            elif not waiting:
                break
            done, waiting = await asyncio.wait(
                waiting,
                timeout=STAGGER_SECONDS if following is not None else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                problem = task.exception()
                if problem is None:
                    winner = task
                elif isinstance(problem, OSError):
                    failure = problem
                else:
                    raise problem
    finally:
        for task in tasks:
            if task is not winner:
                task.add_done_callback(_discard)
                task.cancel()
    if winner is None:
        raise failure or OSError("no address")
    return winner.result()


def _discard(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


def _alternate(found: Sequence[Any]) -> list[tuple[int, Any]]:
    """Families in turn, the resolver's first family first (RFC 8305 section 4)."""
    first = [one for one in found if one[0] == found[0][0]]
    other = [one for one in found if one[0] != found[0][0]]
    mixed = chain.from_iterable(zip_longest(first, other))
    return list(dict.fromkeys((one[0], one[4]) for one in mixed if one is not None))


async def _open(loop: asyncio.AbstractEventLoop, family: int, address: Any) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(connection, address)
    except BaseException:
        connection.close()
        raise
    return connection


async def _open_tunnel(loop: asyncio.AbstractEventLoop, connection: socket.socket, to: Address, proxy: Proxy) -> None:
    host = f"[{to.host}]" if ":" in to.host else to.host
    target = f"{host}:{to.port}".encode()
    await loop.sock_sendall(
        connection, b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (target, target, proxy.authorization_line)
    )
    head = b""
    while b"\r\n\r\n" not in head:
        # One byte at a time would be exact; the proxy sends nothing after its head before we speak, so a block is.
        block = await loop.sock_recv(connection, 4096)
        head += block
        if not block or len(head) > PROXY_HEAD_BYTES:
            raise UpstreamUnreachable("No connection to the provider: the proxy's answer is not valid HTTP.")
    status = head.split(b"\r\n", 1)[0].split(b" ")
    if len(status) < 2 or status[1] != b"200":
        code = status[1].decode("latin-1") if len(status) > 1 else "nothing"
        raise UpstreamUnreachable(f"No connection to the provider: the proxy answered {code[:3]}.")
