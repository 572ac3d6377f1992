"""Passwords, hashed with argon2id. Both functions take some 30 ms of a core and 19 MiB: for a thread."""

from __future__ import annotations

from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from fairlead.errors import InvalidRequest

SHORTEST: Final = 12  # NIST SP 800-63B-4 asks for 15 where it is the only factor, 8 beside another
LONGEST: Final = 256
# OWASP's password storage cheat sheet, 2025: 19 MiB, two passes, one lane.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def hashed(password: str) -> str:
    """As it is stored, with salt and parameters."""
    return _HASHER.hash(password)


def checked(password: str, *words: str) -> str:
    """Raises InvalidRequest for one that is short, or the same as one of `words` (a name, an e-mail address)."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidRequest(f"A password has {SHORTEST} to {LONGEST} characters.", param="password")
    plain = password.casefold()
    if len(set(plain)) < 4 or any(word and plain == word.casefold() for word in words):
        raise InvalidRequest("This password is easy to guess. Use several random words.", param="password")
    return password


def verify(stored: str | None, password: str) -> bool:
    """Whether it is the password. Takes as long for somebody without one (None), so that time tells nothing."""
    if len(password) > LONGEST:
        password = ""
    try:
        _HASHER.verify(stored or _nobody(), password)
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


def needs_new_hash(stored: str) -> bool:
    """Whether it was made with weaker parameters."""
    return _HASHER.check_needs_rehash(stored)


@cache
def _nobody() -> str:
    return _HASHER.hash("nobody has this password")
