"""Signs and verifies webhooks, in the scheme that Stripe documents: https://docs.stripe.com/webhooks#verify-manually"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

HEADER: Final = "Fairlead-Signature"
# How old a delivery may be for its receiver: one that was recorded is of no use later.
TOLERANCE_SECONDS: Final = 300


def sign(secret: str, body: bytes, at: int) -> str:
    """The header's value: `t=UNIX,v1=HEX`, an HMAC-SHA256 of "UNIX.BODY"."""
    return f"t={at},v1={_digest(secret, body, at)}"


def is_genuine(secret: str, header: str, body: bytes, now: float, tolerance_seconds: float = TOLERANCE_SECONDS) -> bool:
    """Whether a delivery was signed with this secret, lately."""
    parts = [part.partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name.strip() == "t"]
    if len(times) != 1 or not times[0].isascii() or not times[0].isdigit():
        return False
    at = int(times[0])
    expected = _digest(secret, body, at).encode()
    given = [value.strip().encode("utf-8", "replace") for name, _, value in parts if name.strip() == "v1"]
    return abs(now - at) <= tolerance_seconds and any(hmac.compare_digest(expected, one) for one in given)


def _digest(secret: str, body: bytes, at: int) -> str:
    return hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
