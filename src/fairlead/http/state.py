"""What a server and its connections share: its bounds, what is counted against them, and how each sees the other.

What callers may make the process hold is bounded and counted: `ServerState.buffered` has the bytes of all bodies, from
their arrival until their requests are answered, `ServerState.ahead` those of requests that were sent ahead of their
answers.
"""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Final

from fairlead.http.outbox import Outbox
from fairlead.http.request import Channel, Request, Response
from fairlead.http.upload import Uploads

Handler = Callable[[Request, Response], Coroutine[Any, Any, None] | None]
Refusal = Callable[[int, str, str], tuple[bytes, bytes]]
OnError = Callable[[Request, Response, BaseException], None]
Admit = Callable[[Request], bool]

NEVER: Final = math.inf
# Of `max_buffered_bytes`, what all callers together may send ahead: a stranger can, since it needs no key.
AHEAD_SHARE: Final = 8
# The last quarter of `max_buffered_bytes` is for bodies up to here: a few large ones do not lock out the usual call.
SMALL_BODY_BYTES: Final = 1 << 20
LARGE_BODIES_SHARE: Final = 0.75


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What a caller may cost; the settings of `[server]`. What happens beyond each: docs/internals/http.md."""

    head_bytes: int
    body_bytes: int
    head_seconds: float
    body_seconds: float
    idle_seconds: float
    stall_seconds: float
    connections: int
    requests_in_flight: int
    buffered_bytes: int
    write_buffer_bytes: int = 262_144


class Peer(Channel):
    """A connection as its server sees it. Classes and not protocols, so that compiled code calls them directly."""

    __slots__ = ("deadline", "transport")

    transport: asyncio.Transport
    deadline: float  # in the time of the event loop; NEVER while nothing is awaited from the caller

    def expired(self) -> None:
        """The deadline has passed."""
        raise NotImplementedError

    def close_if_idle(self) -> None:
        """Closes the connection unless a request is under way."""
        raise NotImplementedError


class ServerState:
    """A server as its connections see it. Arguments: see `Server`."""

    def __init__(
        self,
        handler: Handler,
        *,
        limits: ServerLimits,
        refuse: Refusal,
        on_error: OnError,
        tls: ssl.SSLContext | None = None,
        admit: Admit | None = None,
        uploads: Uploads | None = None,
    ) -> None:
        self.uploads = uploads
        self.handler = handler
        self.admit = admit
        self.limits = limits
        self.room = limits.buffered_bytes
        self.room_for_large = int(limits.buffered_bytes * LARGE_BODIES_SHARE)
        self.room_ahead = limits.buffered_bytes // AHEAD_SHARE
        self.buffered = 0
        self.ahead = 0
        self.valid_host = b"localhost"  # the last one that was found valid: most heads have the same
        self.refuse = refuse
        self.on_error = on_error
        self.tls = tls
        self.draining = False
        self.in_flight = 0
        self.outbox = Outbox()
        self.requests = 0  # that were handed over so far
        self.open: set[Peer] = set()
        self.date = date_line()

    def sweep_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Looks at the deadlines of open connections from now on."""
        raise NotImplementedError

    def closed(self, connection: Peer) -> None:
        """A connection is gone."""
        raise NotImplementedError


def date_line() -> bytes:
    return f"date: {formatdate(time.time(), usegmt=True)}\r\n".encode()
