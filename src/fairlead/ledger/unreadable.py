"""Records that the books cannot take: kept aside as they are, so that one of them does not stop all behind it.

A newer version may have written them, a disk may have damaged them. They are tried again at every start; until then
they are missing in the books, and `/readyz`, `/metrics` and `fairlead verify` say so.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from fairlead.ledger.spool import read_segment

UNREADABLE = "unreadable"
_HEAD = struct.Struct("<II")


class Unreadable:
    """The directory of a data directory that holds them: `NAME.spool` has single records of a process in the spool's
    own form, `NAME-N.damaged` a whole segment that could not be read to its end."""

    def __init__(self, data: Path) -> None:
        self.directory = data / UNREADABLE

    def put(self, process_id: str, record: bytes) -> None:
        """On the disk when this returns. Raises OSError."""
        with self._locked():
            file = os.open(
                self.directory / f"{process_id}.spool", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
            try:
                os.write(file, _HEAD.pack(len(record), zlib.crc32(record)) + record)
                os.fsync(file)
            finally:
                os.close(file)

    def put_segment(self, path: Path) -> None:
        """Moves a damaged segment here, out of the spool that it is a part of. Raises OSError."""
        with self._locked():
            path.rename(self.directory / f"{path.parent.name}-{path.stem}.damaged")

    def try_again(self, accepts: Callable[[str, list[bytes]], bool]) -> None:
        """Offers the records of each process; what is accepted as a whole goes, the rest stays."""
        if self.directory.is_dir():
            with self._locked():
                for path in self._files(".spool"):
                    if accepts(path.stem, list(read_segment(path))):
                        path.unlink()

    def count(self) -> int:
        """Records and damaged segments."""
        return sum(1 for path in self._files(".spool") for _ in read_segment(path)) + len(self._files(".damaged"))

    def _files(self, suffix: str) -> list[Path]:
        return sorted(self.directory.glob("*" + suffix)) if self.directory.is_dir() else []

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Several workers share the directory."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)
