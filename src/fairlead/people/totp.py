"""Codes by time (RFC 6238) as authenticator apps make them, and recovery codes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import struct
from typing import Final
from urllib.parse import quote

PERIOD_SECONDS: Final = 30
DIGITS: Final = 6
SECRET_BYTES: Final = 20  # as long as SHA-1's output, RFC 4226 4
# A clock may be wrong by so many periods.
DRIFT: Final = 1
RECOVERY_CODES: Final = 10
RECOVERY_BYTES: Final = 10  # 80 bits: nobody finds one by its SHA-256


def new_secret() -> str:
    """In base32, as apps take it."""
    return base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()


def code_at(secret: str, period: int) -> str:
    """The code of a period: seconds since 1970, divided by PERIOD_SECONDS."""
    digest = hmac.digest(base64.b32decode(secret), struct.pack(">Q", period), "sha1")
    at = digest[-1] & 0x0F
    number = struct.unpack(">I", digest[at : at + 4])[0] & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def period_of(secret: str, code: str, now: float, after: int) -> int | None:
    """The period that a code belongs to; None: it is wrong. One that is not later than `after` was used before."""
    given = code.replace(" ", "")
    if len(given) != DIGITS or not given.isascii() or not given.isdecimal():
        return None
    current = int(now // PERIOD_SECONDS)
    found = None
    for period in range(current - DRIFT, current + DRIFT + 1):
        if hmac.compare_digest(code_at(secret, period), given) and period > after:
            found = period
    return found


def address(secret: str, issuer: str, name: str) -> str:
    """What a QR code holds for an app."""
    label = quote(f"{issuer}:{name}", safe="")
    return f"otpauth://totp/{label}?secret={secret}&issuer={quote(issuer, safe='')}"


def new_recovery_codes() -> list[str]:
    """Such as "abcd-efgh-ijkl-mnop"."""
    found = []
    for _ in range(RECOVERY_CODES):
        text = base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode().lower()
        found.append("-".join(text[at : at + 4] for at in range(0, len(text), 4)))
    return found


def recovery_digest(code: str) -> str:
    plain = code.strip().lower().replace("-", "").replace(" ", "")
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()
