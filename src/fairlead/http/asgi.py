"""An ASGI app behind the same port, for everything that is not the data plane. Runs in ordinary tasks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from fairlead.http.failure_log import FailureLog
from fairlead.http.request import Request, Response

log = logging.getLogger("fairlead.http")

LONGEST_PORT = 5
NOSNIFF = b"x-content-type-options: nosniff\r\n"

Message = MutableMapping[str, Any]
App = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


class AsgiBridge:
    """`on_error(request, response, error)` answers for an app that failed. A caller who leaves cancels its task."""

    def __init__(self, app: App, on_error: Callable[[Request, Response, BaseException], None]) -> None:
        self._app = app
        self._on_error = on_error
        self._failures = FailureLog(log)
        self._tasks: set[asyncio.Task[None]] = set()

    def handle(self, request: Request, response: Response) -> None:
        task = asyncio.get_running_loop().create_task(self._run(request, response))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, request: Request, response: Response) -> None:
        call = _Call(request, response, asyncio.current_task())
        try:
            await self._app(call.scope(), call.receive, call.send)
        except Exception as error:
            if not response.finished:
                self._on_error(request, response, error)
            else:  # the app has answered for itself; the operator should still know
                self._failures.error(f"{request.method} {request.path!r} failed", error)
        finally:
            if not response.finished:
                response.abort()


class _Call:
    def __init__(self, request: Request, response: Response, task: asyncio.Task[None] | None) -> None:
        self._request = request
        self._response = response
        self._task = task
        self._body_given = False
        self._disconnected = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._start: tuple[int, bytes] | None = None
        response.on_disconnect = self._on_disconnect
        response.on_pause = self._drained.clear
        response.on_resume = self._drained.set

    def _on_disconnect(self) -> None:
        self._disconnected.set()
        self._drained.set()
        if self._task is not None:
            self._task.cancel()  # a request that waits for a turn gives up its place

    def scope(self) -> MutableMapping[str, Any]:
        host = (self._request.header(b"host") or b"").decode("latin-1")
        name, _, port = host.rpartition(":")
        secure = self._request.secure
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": self._request.version,
            "method": self._request.method,
            "scheme": "https" if secure else "http",
            "path": unquote(self._request.path),
            "raw_path": self._request.path.encode("latin-1"),
            "query_string": self._request.query.encode("latin-1"),
            "root_path": "",
            "headers": self._request.headers,
            "client": self._request.peer,
            # A Host is what a stranger wrote: "²" is a digit to Python and no number, as five thousand nines are.
            "server": (name, int(port))
            if name and port.isascii() and port.isdecimal() and len(port) <= LONGEST_PORT
            else (host, 443 if secure else 80),
            "state": {},
        }

    async def receive(self) -> Message:
        if not self._body_given:
            self._body_given = True
            return {"type": "http.request", "body": self._request.body, "more_body": False}
        await self._disconnected.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        response = self._response
        if message["type"] == "http.response.start":
            self._start = (message["status"], _lines(message.get("headers", ())))
            return
        if message["type"] != "http.response.body":
            return
        body = message.get("body", b"")
        if message.get("more_body", False):
            if not response.started:
                assert self._start is not None
                response.start(*self._start)
            response.write(body)
            await self._drained.wait()
        elif response.started:
            response.end(body)
        else:
            assert self._start is not None
            response.send(*self._start, body)


def _lines(headers: Any) -> bytes:
    """Header lines without those that the connection itself decides. Whatever the app says of its types is meant so."""
    found = b"".join(
        b"%b: %b\r\n" % (name, value)
        for name, value in headers
        if name.lower() not in (b"content-length", b"transfer-encoding", b"connection", b"date")
    )
    return found if NOSNIFF in found else found + NOSNIFF
