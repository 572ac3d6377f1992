"""Guards connections to addresses that are not the operator's own: they go to the public internet, or to networks that
the operator has allowed, and nowhere else.

Every address that a name resolves to is checked, and the connection goes to one of those that were checked: a name that
resolves differently a moment later changes nothing. Redirects are never followed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from fairlead.http.trust import machine_trust
from fairlead.wire.addresses import METADATA, WEB_ADDRESS, is_private, is_public
from fairlead.wire.bounds import LONGEST_URL

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Awaitable[list[str]]]

BLOCK_BYTES: Final = 65_536


class RefusedAddress(Exception):
    """Why nothing is sent to an address; the text may be shown to the one who gave it."""


class Target(NamedTuple):
    """Where a URL leads. `netloc`: for the Host header; `path`: with its query."""

    host: str
    port: int
    secure: bool
    netloc: str
    path: str


async def resolve(host: str, port: int) -> list[str]:
    """The IP addresses of a name. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def public(address: str) -> bool:
    return is_public(ipaddress.ip_address(address.partition("%")[0]))


class Guard:
    """`networks`: ranges that are allowed besides the public internet. Metadata services of clouds never are."""

    def __init__(self, networks: Iterable[Network] = (), resolve: Resolve = resolve) -> None:
        self._networks = tuple(networks)
        self._resolve = resolve

    def allows(self, address: str) -> bool:
        """Whether a connection to an IP address may be made."""
        found = ipaddress.ip_address(address.partition("%")[0])
        if is_public(found):
            return True
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return found not in METADATA and any(found in one for one in self._networks)

    def target(self, url: str) -> Target:
        """Where an http:// or https:// URL leads; nothing is resolved. Raises RefusedAddress, also for every spelling
        of an address but the usual one, and for a user name or letters beyond ASCII in the host."""
        if len(url) > LONGEST_URL:
            raise RefusedAddress(f"the URL is longer than {LONGEST_URL:,} characters")
        found = WEB_ADDRESS.fullmatch(url)
        if found is None:
            raise RefusedAddress(
                "the URL must be http:// or https:// with a host of ASCII letters and digits, without a user name"
            )
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            raise RefusedAddress("the URL has no valid port") from None
        host = (parts.hostname or "").rstrip(".")
        self._check_spelling(host)
        secure = parts.scheme == "https"
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Target(host, port or (443 if secure else 80), secure, parts.netloc, path)

    def _check_spelling(self, host: str) -> None:
        try:
            usual = str(ipaddress.ip_address(host))
        except ValueError:
            usual = ""
        if usual:
            if not self.allows(usual):
                raise RefusedAddress("the URL names a private address")
            return
        try:
            socket.inet_aton(host)
        except OSError:
            if not host or (not self._networks and is_private(host)):
                raise RefusedAddress("the URL names a private host") from None
            return
        raise RefusedAddress("an address must be written as four decimal numbers")

    async def addresses(self, target: Target) -> list[str]:
        """The IP addresses of a target, all of them allowed, at least one. Raises RefusedAddress."""
        try:
            found = await self._resolve(target.host, target.port)
        except (OSError, UnicodeError):
            raise RefusedAddress("its name cannot be resolved") from None
        if not found or not all(self.allows(address) for address in found):
            raise RefusedAddress("its name resolves to a private address")
        return found

    async def check(self, url: str) -> Target:
        """Where a URL leads that may be connected to. Raises RefusedAddress. A later connection must be made by `open`,
        which checks again: names change."""
        target = self.target(url)
        await self.addresses(target)
        return target

    async def open(
        self, target: Target, tls: ssl.SSLContext | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to an address that was checked. Raises RefusedAddress, OSError."""
        addresses = await self.addresses(target)
        return await asyncio.open_connection(
            addresses[0],
            target.port,
            ssl=(tls or machine_trust()) if target.secure else None,
            server_hostname=target.host if target.secure else None,
            limit=BLOCK_BYTES,
        )
