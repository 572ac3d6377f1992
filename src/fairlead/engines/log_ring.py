"""The last lines of a process, in bounded memory."""

from __future__ import annotations

import threading
from collections import deque

MOST_LINES = 400
MOST_BYTES = 64 * 1024
MOST_LINE_BYTES = 2048


class LogRing:
    """Fed with the blocks that come out of a pipe, from any thread; the oldest lines go first."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._unfinished = b""
        self._lock = threading.Lock()

    def feed(self, block: bytes) -> None:
        """Adds a block of output. A line longer than `MOST_LINE_BYTES` is cut."""
        with self._lock:
            *lines, rest = (self._unfinished + block).split(b"\n")
            for line in lines:
                self._add(line)
            self._unfinished = rest[:MOST_LINE_BYTES]

    def finish(self) -> None:
        """The process has ended: what it wrote last is a line although nothing ends it."""
        with self._lock:
            if self._unfinished:
                self._add(self._unfinished)
                self._unfinished = b""

    def lines(self) -> tuple[str, ...]:
        """The lines kept, oldest first."""
        with self._lock:
            return tuple(line.decode("utf-8", "replace") for line in self._lines)

    def _add(self, line: bytes) -> None:
        line = line.rstrip(b"\r")[:MOST_LINE_BYTES]
        if not line:
            return
        self._lines.append(line)
        self._bytes += len(line)
        while len(self._lines) > MOST_LINES or self._bytes > MOST_BYTES:
            self._bytes -= len(self._lines.popleft())
