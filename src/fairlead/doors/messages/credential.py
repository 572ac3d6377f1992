"""Where the key stands: `x-api-key: KEY`, or `Authorization: Bearer KEY` as newer SDKs and Claude Code's gateway mode
send it."""

from __future__ import annotations

from typing import Final

from fairlead.errors import Unauthenticated
from fairlead.http.request import Request

KEY_EXAMPLE: Final = "x-api-key: sk-fl-..."
# How keys made here begin; others may have been imported.
_OURS: Final = b"sk-fl-"


def api_key(head: Request) -> bytes | None:
    """None when there is no key. Of two, the one that was made here: clients also send what they have for Anthropic.
    Raises Unauthenticated for an Authorization header that holds something else."""
    key = head.header(b"x-api-key")
    given = head.header(b"authorization")
    bearer = None if given is None or given[:7].lower() != b"bearer " else given[7:].strip()
    if key is None and given is not None and bearer is None:
        raise Unauthenticated("The Authorization header must be 'Bearer' and a key.")
    if bearer is not None and (not key or (bearer.startswith(_OURS) and not key.startswith(_OURS))):
        return bearer
    return key.strip() if key else None
