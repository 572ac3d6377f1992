"""Server-sent events as they came: split, but not changed."""

from __future__ import annotations

import re
from typing import Final

from fairlead.errors import UpstreamInvalid
from fairlead.providers.sse import MAX_EVENT_BYTES

_DATA: Final = b"\ndata:"
_END: Final = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LINES: Final = re.compile(rb"\r\n|\n|\r")


class FrameReader:
    """`feed` gives each event that a block completes, its blank line included."""

    __slots__ = ("_begun", "_length", "_tail")

    def __init__(self) -> None:
        self._begun: list[bytes] = []  # put together once, so that a long event costs no more than its bytes
        self._length = 0
        self._tail = b""  # the last bytes of what has begun: an end may be split anywhere

    def feed(self, block: bytes) -> list[bytes]:
        begun = self._begun
        if not begun and block[-2:] == b"\n\n" and b"\r" not in block:
            if block.find(b"\n\n") == len(block) - 2:  # one whole event, as most blocks are
                return [block]
            return [frame + b"\n\n" for frame in block[:-2].split(b"\n\n")]
        if begun and block:
            self._length += len(block)
            if self._length > MAX_EVENT_BYTES:
                raise UpstreamInvalid("The provider sent an event larger than an event may be.")
            seam = self._tail + block  # only there, and in what is new, can the end of an event be
            begun.append(block)
            self._tail = seam[-3:]
            if _END.search(seam) is None:
                return []
            block = b"".join(begun)
            begun.clear()
        frames = []
        at = 0
        for found in _END.finditer(block):
            frames.append(block[at : found.end()])
            at = found.end()
        if at < len(block):
            begun.append(block[at:])
            self._length = len(block) - at
            self._tail = block[at:][-3:]
        return frames

    def rest(self) -> bytes:
        """What an end without a blank line left behind."""
        rest = b"".join(self._begun)
        self._begun.clear()
        return rest


def payload_of(frame: bytes) -> bytes:
    """The `data` of an event; empty: it has none."""
    end = len(frame) - 2
    if frame[end:] == b"\n\n" and b"\r" not in frame:
        # Most have one line of data, which is their last.
        at = -1 if frame.startswith(b"data:") else frame.find(_DATA)
        if frame[at + 1 : at + 7] == b"data: " and frame.find(b"\n", at + 7) == end:
            return frame[at + 7 : end]
    lines = []
    for line in _LINES.split(frame):
        name, _, value = line.partition(b":")
        if name == b"data":
            lines.append(value.removeprefix(b" "))
    return b"\n".join(lines)
