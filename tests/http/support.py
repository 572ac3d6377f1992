"""A real server in this process, on its own loop in a thread, and raw sockets to talk to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import uvloop

from fairlead.compose.options import server_limits
from fairlead.errors import FairleadError
from fairlead.http.client import Pool
from fairlead.http.eager import Signal
from fairlead.http.limits import PoolLimits, Timeouts
from fairlead.http.request import Request, Response
from fairlead.http.server import Server
from fairlead.http.state import Admit, Handler, OnError, ServerLimits
from fairlead.http.upload import Uploads
from fairlead.settings import ProviderSettings, ServerSettings


def limits_with(**changed: Any) -> ServerLimits:
    """The defaults of the settings, but for what is given."""
    return replace(server_limits(ServerSettings()), **changed)


def timeouts_with(**changed: float) -> Timeouts:
    given = ProviderSettings("p")
    usual = Timeouts(
        given.connect_timeout_seconds,
        given.first_byte_timeout_seconds,
        given.idle_timeout_seconds,
        given.total_timeout_seconds,
    )
    return replace(usual, **changed)


def pool_limits_with(**changed: Any) -> PoolLimits:
    given = ProviderSettings("p")
    return replace(PoolLimits(given.max_connections, given.max_queue, given.queue_timeout_seconds), **changed)


def pool_to(url: str, **options: Any) -> Pool:
    return Pool(url, **{"timeouts": timeouts_with(), "limits": pool_limits_with(), **options})


def refuse(status: int, code: str, sentence: str) -> tuple[bytes, bytes]:
    return b"content-type: application/json\r\n", json.dumps({"code": code, "message": sentence}).encode()


def on_error(_request: Request, response: Response, error: BaseException) -> None:
    if response.started or response.disconnected:
        response.abort()
    else:
        status = error.status if isinstance(error, FairleadError) else 500
        response.send(status, b"", f"{type(error).__name__}: {error}".encode())


def echo(request: Request, response: Response) -> None:
    """Answers with what arrived."""
    seen = {"method": request.method, "path": request.path, "query": request.query, "length": len(request.body)}
    response.send(200, b"content-type: application/json\r\n", json.dumps(seen).encode())


class Running:
    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop, port: int) -> None:
        self.server = server
        self.loop = loop
        self.port = port

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def ask(self, data: bytes) -> bytes:
        """Sends, and gives everything up to the end of the connection."""
        with self.connect() as connection:
            connection.sendall(data)
            return read_all(connection)

    def call(self, function: Callable[[], Any]) -> Any:
        done: Any = asyncio.run_coroutine_threadsafe(_call(function), self.loop)
        return done.result(60)


async def _call(function: Callable[[], Any]) -> Any:
    found = function()
    return await found if asyncio.iscoroutine(found) else found


@contextlib.contextmanager
def running(
    handler: Handler = echo,
    *,
    admit: Admit | None = None,
    tls: ssl.SSLContext | None = None,
    on_error: OnError = on_error,
    uploads: Uploads | None = None,
    **limits: Any,
) -> Iterator[Running]:
    ready: list[Any] = []
    event = threading.Event()

    async def main() -> None:
        server = Server(
            handler, limits=limits_with(**limits), refuse=refuse, on_error=on_error, tls=tls, admit=admit,
            uploads=uploads,
        )  # fmt: skip
        _, port = await server.listen("127.0.0.1", 0)
        stop = asyncio.Event()
        ready.extend((Running(server, asyncio.get_running_loop(), port), stop))
        event.set()
        await stop.wait()
        await server.drain(0.2)

    thread = threading.Thread(target=lambda: uvloop.run(main()), daemon=True)
    thread.start()
    assert event.wait(60)
    found, stop = ready
    try:
        yield found
    finally:
        found.loop.call_soon_threadsafe(stop.set)
        thread.join(60)
        assert not thread.is_alive()


def read_all(connection: socket.socket) -> bytes:
    seen = b""
    with contextlib.suppress(ConnectionResetError):
        while block := connection.recv(65536):
            seen += block
    return seen


def read_until(connection: socket.socket, text: bytes) -> bytes:
    seen = b""
    while text not in seen:
        block = connection.recv(65536)
        assert block, seen
        seen += block
    return seen


def eventually(condition: Callable[[], Any], seconds: float = 60.0) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(0.005)
    return time.monotonic() - began


__all__ = ["Request", "Response", "Running", "Signal", "echo", "eventually", "read_all", "read_until", "running"]
