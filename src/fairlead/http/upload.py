"""Bodies that are files: written to the disk as they arrive, and sent on from there, so that their length costs no
memory.

An upload is a file without a name in the data directory: it is gone with its last reader, also when the process is
killed. All of them together have a bound, because the ledger needs the same disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, cast

# What is read of a file at a time, and may wait in a transport.
BLOCK_BYTES: Final = 262_144
# How often it is looked whether a transport has sent what waits in it.
PUMP_SECONDS: Final = 0.005
# All uploads together have so many times the bytes of one.
MOST_UPLOADS: Final = 16


class Upload:
    """A body on the disk. `size`: of what was written. Usable from one thread."""

    __slots__ = ("_file", "_uploads", "size")

    def __init__(self, file: int, uploads: Uploads) -> None:
        self._file = file
        self._uploads = uploads
        self.size = 0

    def write(self, data: bytes) -> None:
        """Raises OSError when the disk has no room."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        self.size += len(data)
        self._uploads.stored += len(data)

    def read(self, at: int, length: int) -> bytes:
        return os.pread(self._file, length, at)

    def piece(self, start: int, end: int) -> bytes | memoryview:
        """A part of a body that is sent. A long one is no bytes: `pump` reads it when its turn has come."""
        if end - start <= BLOCK_BYTES:
            return self.read(start, end - start)
        return cast("memoryview", FilePiece(self, start, end))

    def close(self) -> None:
        if self._file >= 0:
            self._uploads.stored -= self.size
            os.close(self._file)
            self._file = -1

    def __del__(self) -> None:
        self.close()


class MemoryUpload:
    """The same for a body that came in one block."""

    __slots__ = ("_body", "size")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.size = len(body)

    def read(self, at: int, length: int) -> bytes:
        return self._body[at : at + length]

    def piece(self, start: int, end: int) -> memoryview:
        return memoryview(self._body)[start:end]

    def close(self) -> None:
        self._body = b""


class FilePiece:
    """A part of an upload, as a part of a body."""

    __slots__ = ("_end", "_start", "_upload")

    def __init__(self, upload: Upload, start: int, end: int) -> None:
        self._upload = upload
        self._start = start
        self._end = end

    def __len__(self) -> int:
        return self._end - self._start

    def blocks(self) -> Iterable[bytes]:
        for at in range(self._start, self._end, BLOCK_BYTES):
            yield self._upload.read(at, min(BLOCK_BYTES, self._end - at))


class Uploads:
    """`paths`: whose bodies are uploads; `most_bytes`: of one. `stored`: the bytes of all that are there."""

    def __init__(self, directory: Path, paths: Iterable[str], most_bytes: int) -> None:
        self.paths = frozenset(path.encode() for path in paths)
        self.most_bytes = most_bytes
        self.stored = 0
        self._directory = directory

    def takes(self, target: bytes) -> bool:
        return target.partition(b"?")[0] in self.paths

    @property
    def is_full(self) -> bool:
        """Uploads that begin at once have each found room. Asked again as they arrive."""
        return self.stored > self.most_bytes * MOST_UPLOADS

    def begin(self, length: int) -> Upload | None:
        """A new one, for a body of this length (0: not known). None: there is no room."""
        if self.stored + length > self.most_bytes * MOST_UPLOADS:
            return None
        try:
            return Upload(_nameless(self._directory), self)
        except OSError:
            return None


def _nameless(directory: Path) -> int:
    if hasattr(os, "O_TMPFILE"):
        with contextlib.suppress(OSError):  # some file systems have none
            return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    file, name = tempfile.mkstemp(dir=directory)
    Path(name).unlink()
    return file


class Going(Protocol):
    """An exchange as far as its body is concerned."""

    over: bool

    def sending(self) -> None:
        """Some more was sent."""


def has_files(parts: Sequence[object]) -> bool:
    return any(isinstance(part, FilePiece) for part in parts)


async def pump(transport: asyncio.WriteTransport, parts: Sequence[Any], going: Going) -> None:
    """Sends parts as fast as the peer takes them. An answer that is complete before has made the rest worthless, and
    the connection with it."""
    for part in parts:
        for block in part.blocks() if isinstance(part, FilePiece) else (part,):
            await _room(transport, going)
            if transport.is_closing():
                return
            if going.over:
                transport.abort()
                return
            transport.write(block)
            going.sending()


async def _room(transport: asyncio.WriteTransport, going: Going) -> None:
    """Until little waits in a transport: it has no event for that."""
    while True:
        if transport.get_write_buffer_size() <= BLOCK_BYTES or transport.is_closing() or going.over:
            return
        await asyncio.sleep(PUMP_SECONDS)
