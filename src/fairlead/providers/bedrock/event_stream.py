"""Amazon's event stream: binary frames with two checksums, in any pieces.

Format: total length, length of the headers, CRC-32 of both; headers; payload; CRC-32 of everything before.
Source: https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html (event stream encoding); the tests
read every frame with botocore too.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from fairlead.errors import UpstreamInvalid

MAX_FRAME_BYTES = 16 * 1024 * 1024
PRELUDE_BYTES = 12
LEAST_BYTES = 16
STRING, BYTES = 7, 6
# Bytes of the values of a fixed size: true, false, byte, short, integer, long, timestamp, UUID.
FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}


class Frame(NamedTuple):
    """`headers`: those that are strings, such as `:event-type`."""

    headers: dict[str, str]
    payload: bytes


class FrameReader:
    """`feed` gives the frames that a block completes. Raises UpstreamInvalid for what is none."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = bytearray()

    @property
    def in_the_middle(self) -> bool:
        """A frame has begun and not ended."""
        return bool(self._rest)

    def feed(self, block: bytes) -> list[Frame]:
        rest = self._rest
        rest += block
        frames: list[Frame] = []
        while len(rest) >= PRELUDE_BYTES:
            total, headers, checksum = struct.unpack_from(">III", rest)
            if zlib.crc32(rest[:8]) != checksum:
                raise UpstreamInvalid("The provider sent a frame whose head is damaged.")
            if not LEAST_BYTES + headers <= total <= MAX_FRAME_BYTES:
                raise UpstreamInvalid("The provider sent a frame of an invalid size.")
            if len(rest) < total:
                break
            frame = bytes(rest[:total])
            del rest[:total]
            if zlib.crc32(frame[:-4]) != int.from_bytes(frame[-4:], "big"):
                raise UpstreamInvalid("The provider sent a damaged frame.")
            end = PRELUDE_BYTES + headers
            frames.append(Frame(_headers(frame[PRELUDE_BYTES:end]), frame[end:-4]))
        return frames


def _headers(block: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    try:
        while at < len(block):
            end = at + 1 + block[at]
            name, kind = block[at + 1 : end].decode(), block[end]
            at = end + 1
            if kind in (STRING, BYTES):
                size = int.from_bytes(block[at : at + 2], "big")
                value = block[at + 2 : at + 2 + size]
                at += 2 + size
                if kind == STRING:
                    found[name] = value.decode()
            else:
                at += FIXED[kind]
    except (IndexError, KeyError, UnicodeDecodeError):
        at = -1
    if at != len(block):
        raise UpstreamInvalid("The provider sent a frame with broken headers.")
    return found
