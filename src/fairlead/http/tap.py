"""A channel that passes an answer on to its caller, and keeps what was sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fairlead.http.request import Channel, Response


class Tap(Channel):
    """Stands before the channel of one response. What is kept is what went over the wire, head and framing included:
    to make sense of it is for later, and for somebody else.

    `pieces`: what was sent; only the first one, which has the head, when it was more than `most` bytes (`lost` is
    "long"), or `take` had no room for it ("memory"). `size`: of all that was sent. `on_end` is called once, when the
    response is complete or was cut.
    """

    __slots__ = ("_channel", "_most", "_on_end", "_take", "lost", "pieces", "size", "taken")

    def __init__(self, channel: Channel, most: int, take: Callable[[int], bool], on_end: Callable[[Tap], None]) -> None:
        self._channel = channel
        self._most = most
        self._take = take
        self._on_end: Callable[[Tap], None] | None = on_end
        self.pieces: list[bytes] = []
        self.size = 0
        self.taken = 0  # bytes that `take` has granted
        self.lost = ""

    def _keep(self, data: bytes | memoryview) -> None:
        length = len(data)
        self.size += length
        if self.lost:
            return
        if self.pieces and self.size > self._most:
            self._lose("long")
        elif not self._take(length):
            self._lose("memory")
        else:
            self.taken += length
            self.pieces.append(bytes(data))

    def _lose(self, why: str) -> None:
        self.lost = why
        del self.pieces[1:]

    def date_line(self) -> bytes:
        return self._channel.date_line()

    def is_draining(self) -> bool:
        return self._channel.is_draining()

    def write(self, data: bytes) -> None:
        self._channel.write(data)
        self._keep(data)

    def write_large(self, parts: Sequence[bytes | memoryview], length: int) -> None:
        self._channel.write_large(parts, length)
        for part in parts:
            self._keep(part)

    def abort(self) -> None:
        self._channel.abort()

    def streams(self) -> None:
        self._channel.streams()

    def failed(self, response: Response, error: BaseException) -> None:
        self._channel.failed(response, error)

    def answered(self, keep_alive: bool) -> None:
        self._channel.answered(keep_alive)
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end(self)

    def hold(self, size: int) -> None:
        self._channel.hold(size)
