"""An ASGI app behind the server's own requests and answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from fairlead.http.asgi import App, AsgiBridge
from fairlead.http.request import Request, Response


class Answer:
    """A response that nobody reads; keeps what was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, bytes, bytes]] = []
        self.started = self.finished = False
        self.aborted = 0
        self.on_disconnect: Callable[[], None] | None = None
        self.on_pause: Callable[[], None] | None = None
        self.on_resume: Callable[[], None] | None = None

    def send(self, status: int, headers: bytes, body: bytes) -> None:
        self.sent.append((status, headers, body))
        self.finished = True

    def abort(self) -> None:
        self.aborted += 1
        self.finished = True


def handled(app: App, request: Request, answer: Answer) -> None:
    def failed(_request: Request, _response: Response, error: BaseException) -> None:
        raise AssertionError from error

    AsgiBridge(app, failed).handle(request, cast("Response", answer))


def request(*headers: tuple[bytes, bytes]) -> Request:
    return Request("GET", b"/models", headers, b"", "1.1", ("192.0.2.1", 1))


def test_a_caller_who_leaves_ends_the_work_for_its_page() -> None:
    ended: list[str] = []

    async def waits(_scope: Any, _receive: Any, _send: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    async def run() -> None:
        answer = Answer()
        handled(waits, request(), answer)
        await asyncio.sleep(0)
        assert answer.on_disconnect is not None
        answer.on_disconnect()
        await asyncio.sleep(0.01)
        assert (ended, answer.aborted, answer.sent) == (["ended"], 1, [])

    asyncio.run(run())


def test_whatever_host_is_sent_is_a_name_and_a_port_for_the_app_and_answers_are_not_sniffed() -> None:
    seen: list[Any] = []

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        seen.append(scope["server"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def run() -> None:
        for host in (b"a.example:81", b"a.example", b"a:\xb2", b"a:" + b"9" * 5_000, b"[", b"[::1]:81"):
            answer = Answer()
            handled(app, request((b"host", host)), answer)
            await asyncio.sleep(0.01)
            assert answer.sent == [(200, b"content-type: text/plain\r\nx-content-type-options: nosniff\r\n", b"ok")], (
                host
            )

    asyncio.run(run())
    assert seen[0] == ("a.example", 81)
    assert seen[1] == ("a.example", 80)
    assert all(isinstance(port, int) for _, port in seen)
