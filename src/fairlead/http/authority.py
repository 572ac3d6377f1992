"""Which hosts and request targets are valid (RFC 9110 section 7.2, RFC 9112 section 3.2, RFC 3986 section 3.2.2)."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

# A DNS name has at most 253 bytes, a port 5.
MOST_AUTHORITY_BYTES: Final = 260
MOST_PORT: Final = 65_535
_NAME: Final = re.compile(rb"((?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+)(?::([0-9]{0,5}))?")
_IPV6: Final = re.compile(rb"\[([0-9A-Fa-f:.]{2,45})\](?::([0-9]{0,5}))?")


def is_authority(value: bytes) -> bool:
    """Whether `value` is `host` or `host:port`. A user name in it is refused (RFC 9110 section 4.2.4)."""
    if len(value) > MOST_AUTHORITY_BYTES:
        return False
    found = _NAME.fullmatch(value) or _IPV6.fullmatch(value)
    if found is None or int(found[2] or b"0") > MOST_PORT:
        return False
    if value[:1] == b"[":
        try:
            ipaddress.IPv6Address(found[1].decode("ascii"))
        except ValueError:
            return False
    return True


def is_target(method: bytes, target: bytes) -> bool:
    """Whether a target has one of the four forms, and the one that its method takes."""
    if method == b"CONNECT":
        return is_authority(target)
    if target[:1] == b"/":
        return True
    if target == b"*":
        return method == b"OPTIONS"
    scheme, separator, rest = target.partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https"):
        return False
    return is_authority(re.split(rb"[/?#]", rest, maxsplit=1)[0])
