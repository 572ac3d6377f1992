"""Where the key stands: `Authorization: Bearer KEY`."""

from __future__ import annotations

from typing import Final

from fairlead.errors import Unauthenticated
from fairlead.http.request import Request

KEY_EXAMPLE: Final = "Authorization: Bearer sk-fl-..."


def bearer_key(head: Request) -> bytes | None:
    """None when there is no Authorization header. Raises Unauthenticated when it holds something else."""
    value = head.header(b"authorization")
    if value is None:
        return None
    if value[:7].lower() != b"bearer ":
        raise Unauthenticated("The Authorization header must be 'Bearer' and a key.")
    return value[7:].strip()
