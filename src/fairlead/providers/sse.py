"""Server-sent events, block by block: what arrives in any pieces becomes whole payloads."""

from __future__ import annotations

from typing import Final

from fairlead.errors import UpstreamInvalid

MAX_EVENT_BYTES: Final = 16 * 1024 * 1024


class EventReader:
    """`feed` gives the `data` of every event that the block completes. Comments and other fields are left out."""

    __slots__ = ("_begun", "_carriage_return", "_length")

    def __init__(self) -> None:
        # An event that has begun, as it came: put together once, so that a long one costs no more than its bytes.
        self._begun: list[bytes] = []
        self._length = 0
        self._carriage_return = False

    def feed(self, block: bytes) -> list[bytes]:
        if (  # one whole event of one line, as most blocks are
            not self._begun
            and not self._carriage_return
            and block[:6] == b"data: "
            and block.find(b"\n") == len(block) - 2
            and block[-1:] == b"\n"
            and block.find(b"\r") < 0
        ):
            return [block[6:-2]]
        if self._carriage_return or b"\r" in block:
            block = self._without_carriage_returns(block)
        begun = self._begun
        if begun and block:
            self._length += len(block)
            if self._length > MAX_EVENT_BYTES:
                raise UpstreamInvalid("The provider sent an event larger than an event may be.")
            # Only the seam and what is new can hold the end of an event.
            is_seam = begun[-1].endswith(b"\n") and block.startswith(b"\n")
            begun.append(block)
            if b"\n\n" not in block and not is_seam:
                return []
            block = b"".join(begun)
            begun.clear()
        if block.endswith(b"\n\n"):
            events = block[:-2].split(b"\n\n")
        else:
            events = block.split(b"\n\n")
            if rest := events.pop():
                begun.append(rest)
                self._length = len(rest)
        payloads = []
        for event in events:
            if event.startswith(b"data: ") and b"\n" not in event:
                payloads.append(event[6:])
            elif event and (payload := _data(event)):
                payloads.append(payload)
        return payloads

    def _without_carriage_returns(self, block: bytes) -> bytes:
        if self._carriage_return:
            block = b"\r" + block
        self._carriage_return = block.endswith(b"\r")
        if self._carriage_return:
            block = block[:-1]
        return block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _data(event: bytes) -> bytes:
    lines = []
    for line in event.split(b"\n"):
        name, _, value = line.partition(b":")
        if name == b"data":
            lines.append(value.removeprefix(b" "))
    return b"\n".join(lines)
