"""A request that is answered to nobody: its caller has been told that it is served, and comes back for the answer."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.http.request import Channel, Request, Response


class Detached(Channel):
    """Takes the bytes of an answer and drops them. `failure`: what ended it while its handler still ran, such as its
    deadline."""

    __slots__ = ("failure",)

    def __init__(self) -> None:
        self.failure: BaseException | None = None

    def date_line(self) -> bytes:
        return b""

    def is_draining(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        del data

    def write_large(self, parts: Sequence[bytes | memoryview], length: int) -> None:
        del parts, length

    def abort(self) -> None:
        pass

    def streams(self) -> None:
        pass

    def failed(self, response: Response, error: BaseException) -> None:
        del response
        self.failure = error

    def answered(self, keep_alive: bool) -> None:
        del keep_alive

    def hold(self, size: int) -> None:
        del size


def detached(request: Request) -> tuple[Response, Detached]:
    """A response that is sent nowhere."""
    channel = Detached()
    return Response(channel, request, True), channel
