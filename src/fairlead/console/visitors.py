"""Where a request is from and how it came, as far as proxies can be believed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from starlette.requests import Request

Network = IPv4Network | IPv6Network
_HOST: Final = re.compile(r"[A-Za-z0-9.\-:\[\]]{1,255}")
# Of X-Forwarded-For: what stands farther to the left was written by nobody that is trusted.
MOST_HOPS: Final = 20


class Origin(NamedTuple):
    """`address`: of the visitor; `secure`: whether they came by https; `host`: as they wrote it."""

    address: str
    secure: bool
    host: str


def is_own_host(host: str, public_url: str | None, more: Sequence[str]) -> bool:
    """Whether the console may be asked for under this name. Where it is known which name that is, others are refused:
    somebody else's name that leads here (DNS rebinding) makes their page one of this host. An address is nobody's
    name."""
    if public_url is None:
        return True
    name = (urlsplit(f"//{host}").hostname or "").lower().rstrip(".")
    known = {"localhost", (urlsplit(public_url).hostname or "").lower(), *(one.lower() for one in more)}
    return name in known or _address(name) is not None


def networks(given: Sequence[str]) -> tuple[Network, ...]:
    return tuple(ip_network(one, strict=False) for one in given)


def origin_of(request: Request, trusted: Sequence[Network], public_url: str | None) -> Origin:
    """Headers of proxies count only where the connection is from a trusted one."""
    peer = request.client.host if request.client is not None else ""
    secure = request.scope["scheme"] == "https"
    given = request.headers.get("host", "")
    host = given if _HOST.fullmatch(given) else "invalid"
    secure = secure or public_url == f"https://{host}"
    if not _is_in(peer, trusted):
        return Origin(peer, secure, host)
    address = peer
    hops = [one.strip() for one in request.headers.get("x-forwarded-for", "").split(",")][-MOST_HOPS:]
    while hops and _is_in(address, trusted):
        hop = hops.pop()
        if _address(hop) is None:
            break
        address = hop
    proto = request.headers.get("x-forwarded-proto", "").strip().lower()
    secure = proto == "https" if proto in ("http", "https") else secure
    return Origin(address, secure, host)


def _is_in(address: str, trusted: Sequence[Network]) -> bool:
    found = _address(address)
    return found is not None and any(found in one for one in trusted)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
