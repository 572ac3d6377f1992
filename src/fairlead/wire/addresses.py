"""Which addresses are of the public internet: in URLs as they are written, and as names resolve to them."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import Final

# Stricter than RFC 3986: what parsers of URLs disagree about (user names, backslashes, other letters) is no host here.
WEB_ADDRESS: Final = re.compile(
    r"https?://(?P<host>[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?P<port>:[0-9]{1,5})?(?:[/?#][^\x00-\x20\x7f\\]*)?",
    re.IGNORECASE,
)
_PRIVATE_NAMES: Final = (".localhost", ".local", ".internal", ".lan", ".home", ".home.arpa", ".corp", ".intranet")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
# Where clouds hand credentials to their machines, in ranges that are otherwise public or may be allowed: AWS and most
# others, ECS, EC2 over IPv6, Alibaba, Oracle, Azure.
METADATA: Final = frozenset(
    map(
        ipaddress.ip_address,
        (
            "169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23",
            "100.100.100.200", "192.0.0.192", "168.63.129.16",
        ),
    )
)  # fmt: skip
_METADATA_NAMES: Final = frozenset({"metadata.google.internal", "metadata.goog", "metadata"})


def is_private(host: str) -> bool:
    """Whether a URL's host is not of the public internet, as far as its text says: nothing is resolved. Addresses in
    all the ways that C libraries read them (`0x7f.1`, `2130706433`), names that only a local network has."""
    name = host.lower().rstrip(".").removeprefix("[").removesuffix("]")
    if ":" in name:
        try:
            return not is_public(ipaddress.ip_address(name))
        except ValueError:
            return True
    try:
        return not is_public(ipaddress.IPv4Address(socket.inet_aton(name)))
    except OSError:
        return "." not in name or name.endswith(_PRIVATE_NAMES)


def is_metadata(host: str) -> bool:
    """Whether a URL's host is a metadata service of a cloud, in whatever spelling, as far as its text says."""
    name = host.lower().rstrip(".").removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(name if ":" in name else socket.inet_aton(name))
    except (ValueError, OSError):
        return name in _METADATA_NAMES
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address.sixtofour or _translated(address) or address
    return address in METADATA


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether it is of the public internet; an IPv4 address inside an IPv6 one must be, too."""
    if isinstance(address, ipaddress.IPv6Address):
        inside = address.ipv4_mapped or address.sixtofour or _translated(address)
        if address.teredo is not None or address.is_site_local:
            return False
        if inside is not None:
            return is_public(inside)
    if address in METADATA:
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _translated(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address behind a NAT64 (RFC 6052) or an IPv4-compatible one."""
    if address in _NAT64 or int(address) >> 32 == 0:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None
