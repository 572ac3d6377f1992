"""Where a body grows that arrives in several pieces."""

from __future__ import annotations

import ctypes
from io import BytesIO
from typing import Final

# From here on a body whose length is known gets its place at once. A buffer that grows is copied again and again, and
# the last copies of 30 MB hold the event loop for 50 ms: fresh pages cost more than what is written to them.
PLACED_BYTES: Final = 1 << 20

_new_bytes = ctypes.pythonapi.PyBytes_FromStringAndSize
_new_bytes.argtypes = (ctypes.c_char_p, ctypes.c_ssize_t)
_new_bytes.restype = ctypes.py_object
# A bytes object is a header and its content with a NUL behind it (CPython, Objects/bytesobject.c).
_HEADER_BYTES: Final = bytes.__basicsize__ - 1


class BodyBuffer:
    """`length`: of the whole body; 0 when it is not known. What is not written to yet takes no memory: the place of a
    body that never comes costs addresses only."""

    __slots__ = ("_at", "_growing", "_length", "_placed")

    def __init__(self, length: int = 0) -> None:
        self._length = length
        self._at = 0
        self._growing: BytesIO | None = BytesIO()
        self._placed = b""

    def write(self, data: bytes) -> None:
        growing = self._growing
        if growing is None:
            self._place(data)
        elif self._at + len(data) <= PLACED_BYTES or self._length < self._at + len(data):
            growing.write(data)  # grows by an eighth at a time, and gives its bytes without a copy
            self._at += len(data)
        else:
            # As extensions make a bytes object: its content is written before anybody else sees it.
            self._placed = _new_bytes(None, self._length)
            self._growing = None
            before, self._at = growing.getvalue(), 0
            self._place(before)
            self._place(data)

    def _place(self, data: bytes) -> None:
        size = len(data)
        if self._at + size > self._length:
            raise ValueError("a body is longer than its length")
        ctypes.memmove(id(self._placed) + _HEADER_BYTES + self._at, data, size)
        self._at += size

    def getvalue(self) -> bytes:
        """The whole body. Raises ValueError when some of it is missing."""
        if self._growing is not None:
            return self._growing.getvalue()
        if self._at != self._length:
            raise ValueError("a body is shorter than its length")
        return self._placed
