"""Sends what is written while a batch of events is handled when all of them have been: one after another.

The reader at the other end sleeps between two writes that are far apart, and waking it costs the writer more than
the write itself; several close together wake it once. It also lets our own code and the kernel's run warm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

# What waits at most, so that nothing waits long: a batch of events that is larger is sent in several parts.
MOST_WRITES: Final = 64
MOST_BYTES: Final = 2_097_152


class Outbox:
    """Writes to any number of transports, kept in order. It is empty again before the loop waits for new events."""

    __slots__ = ("_bytes", "_data", "_transports")

    def __init__(self) -> None:
        self._transports: list[asyncio.Transport] = []
        self._data: list[bytes | Sequence[bytes | memoryview]] = []
        self._bytes = 0

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        self._add(transport, data, len(data))

    def write_large(self, transport: asyncio.Transport, parts: Sequence[bytes | memoryview], length: int) -> None:
        """What is too large to be copied together: `length` bytes in all."""
        self._add(transport, parts, length)

    def _add(self, transport: asyncio.Transport, data: bytes | Sequence[bytes | memoryview], length: int) -> None:
        transports = self._transports
        if not transports:
            asyncio.get_running_loop().call_soon(self.flush)
        transports.append(transport)
        self._data.append(data)
        self._bytes += length
        if len(transports) >= MOST_WRITES or self._bytes > MOST_BYTES:
            self.flush()

    def flush(self) -> None:
        """Sends all of it now: before a transport is closed by hand."""
        transports, data = self._transports, self._data
        if not transports:
            return
        self._transports, self._data, self._bytes = [], [], 0
        for at, transport in enumerate(transports):
            if transport.is_closing():
                continue
            one = data[at]
            try:
                if isinstance(one, bytes):
                    transport.write(one)
                else:
                    transport.writelines(one)
            except RuntimeError:  # it takes nothing any more; what is for the others must still leave
                transport.abort()
