"""The server: listens, sweeps deadlines, drains. `Connection` has the callers' side."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from fairlead.http.connection import Connection
from fairlead.http.state import Admit, Handler, OnError, Peer, Refusal, ServerLimits, ServerState, date_line
from fairlead.http.upload import Uploads

# How often deadlines are looked at: one timer for all connections instead of one per request.
SWEEP_SECONDS: Final = 0.5
BACKLOG: Final = 4096


class Server(ServerState):
    """Listens, counts, sweeps. `refuse` words what is refused here; `on_error` answers for a failed handler.

    `admit(request)` is asked when the head of a request with a body is complete: False when the handler answers it
    without its body. The handler is then called at once, with an empty body, and what arrives of the body is dropped.
    """

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
        super().__init__(
            handler, limits=limits, refuse=refuse, on_error=on_error, tls=tls, admit=admit, uploads=uploads
        )
        self._listeners: list[asyncio.Server] = []
        self._sweeper: asyncio.TimerHandle | None = None
        self._drained: asyncio.Future[None] | None = None

    @property
    def connections(self) -> int:
        return len(self.open)

    async def accept_from(self, sockets: Iterable[socket.socket]) -> None:
        """Starts to accept from sockets that are bound already."""
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {} if self.tls is None else {"ssl_handshake_timeout": self.limits.head_seconds}
        for one in sockets:
            self._listeners.append(
                await loop.create_server(
                    partial(Connection, self, loop), sock=one, backlog=BACKLOG, ssl=self.tls, **options
                )
            )

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Starts to accept; gives the address, with the real port when 0 was asked."""
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {} if self.tls is None else {"ssl_handshake_timeout": self.limits.head_seconds}
        # uvloop's sockets are a list, against what asyncio says of them.
        listener: Any = await loop.create_server(
            partial(Connection, self, loop), host, port, backlog=BACKLOG, ssl=self.tls, reuse_address=True, **options
        )
        self._listeners.append(listener)
        address = listener.sockets[0].getsockname()
        return address[0], address[1]

    def sweep_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._sweeper is None:
            self.date = date_line()
            self._sweeper = loop.call_later(SWEEP_SECONDS, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweeper = None
        now = loop.time()
        for connection in [one for one in self.open if one.deadline <= now]:
            connection.expired()
        if self.open:
            self.sweep_soon(loop)

    async def drain(self, seconds: float) -> None:
        """Stops accepting, closes idle connections, lets requests in flight finish; cuts the rest after `seconds`."""
        self.draining = True
        for listener in self._listeners:
            listener.close()
        for connection in list(self.open):
            connection.close_if_idle()
        if self.open:
            loop = asyncio.get_running_loop()
            self._drained = loop.create_future()
            timer = loop.call_later(seconds, self._cut)
            await self._drained
            timer.cancel()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def _cut(self) -> None:
        for connection in list(self.open):
            connection.transport.abort()

    def closed(self, connection: Peer) -> None:
        self.open.discard(connection)
        if not self.open and self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
