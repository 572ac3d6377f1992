"""Responses that are kept, so that callers can read them again and continue them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from fairlead.errors import FairleadError


class StoredResponse(NamedTuple):
    """`previous`: the id of the one that it continues, "": none; `items`: the input of its own request, a JSON list;
    `body`: the response, with what only its model may read. `created_at`: milliseconds since 1970, 0 until it is
    stored. `heard_at`: the same of the process that works on it in the background; 0: it is complete."""

    id: str
    previous: str
    items: bytes
    body: bytes
    created_at: int = 0
    heard_at: int = 0


class Pending(NamedTuple):
    """A response that its caller will come back for. `stored`: what the caller gets now; `document`: the same with
    another status, and with an error when it has failed."""

    stored: StoredResponse
    document: Callable[[str, FairleadError | None], bytes]


class Archive(Protocol):
    """Where the responses of all accounts are kept; none is given to another account."""

    def keep(self, account_id: str, response: StoredResponse, /) -> None:
        """Stores it soon. It can be read at once."""

    def finish(self, account_id: str, response: StoredResponse, /) -> None:
        """The same for one that was worked on in the background, unless it was cancelled or deleted meanwhile."""

    async def chain(self, account_id: str, response_id: str, /) -> list[StoredResponse]:
        """A response with all that it continues, the first one first. Raises NotFound when one is not there, and
        InvalidRequest when they are too many."""
