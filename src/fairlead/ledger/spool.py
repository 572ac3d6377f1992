"""The usage spool: an append-only file per process that keeps records until the database has them.

A record is in the kernel's hands before the last byte of its answer leaves, so a killed process loses none: segments
are mapped into memory, and what is written there belongs to the kernel at once, without a call to it. A record is a
length, a CRC-32 and the bytes, the length written last; a torn tail is left out. A directory belongs to the process
that holds its lock; one whose process has died is adopted by the next.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import shutil
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from fairlead.ledger.spool_lock import made_and_locked

log = logging.getLogger("fairlead.ledger")

SEGMENT_BYTES = 512 * 1024
# Segments whose records are in the database are written to again: a page that is touched for the first time costs the
# kernel more than ten records do. So many are kept for it.
MOST_KEPT: Final = 2
LONGEST_RECORD: Final = 1024 * 1024
# Records that are kept in memory until they are drained; behind so many they are read from the segments again.
MOST_FRESH: Final = 20_000
Position = tuple[int, int]  # segment, offset
_HEAD: Final = struct.Struct("<II")
_pack_into: Final = _HEAD.pack_into
_crc32: Final = zlib.crc32
RECORD_HEAD_BYTES: Final = 8


class Segment(NamedTuple):
    """A segment that is not written to at the moment: its bytes up to `used` are not zeros."""

    file: int
    mapped: mmap.mmap
    used: int
    path: Path

    def close(self) -> None:
        self.mapped.close()
        os.close(self.file)


class Spool:
    """`full` says that no further paid call may begin: the bound is reached, or the disk takes nothing.

    `append` is called by one thread, `read` and `drained` by another one, `sync` by a third. `power`: records are kept
    in memory until `sync` has seen them to the disk.
    """

    def __init__(self, root: Path, name: str, most_bytes: int, *, power: bool = False) -> None:
        self.name = name
        self.waiting = 0
        self.appended = 0
        self.synced = 0
        self._power = power
        self._unsynced: list[bytes] = []
        self._to_close: list[int] = []
        self._sync_failed = False
        self._files = threading.Lock()
        self._most_bytes = most_bytes
        self._directory = root / name
        self._lock = made_and_locked(self._directory)
        self._number = -1
        self._written = self._size = 0
        self._map: mmap.mmap | None = None
        self._file = -1
        self._written_full: dict[int, Segment] = {}  # by number, until they are drained
        self._spare: list[Segment] = []  # drained, and zeros again
        self._held: list[tuple[bytes, object]] = []
        self._fresh: list[bytes] | None = []
        self._settled: list[Any] = []
        self._next_segment(0)

    @property
    def full(self) -> bool:
        return bool(self._held) or self.waiting >= self._most_bytes or self._sync_failed

    def append(self, record: bytes, settled: object = None) -> None:
        """Writes a record. What the disk does not take is kept in memory and written with the next one. `settled`:
        what the bytes say, for a reader that takes them at once."""
        if self._power:
            with self._files:  # `sync` may be about to change the segment
                self.appended += 1
                self._unsynced.append(record)
                self._append(record, settled)
        else:
            self.appended += 1
            self._append(record, settled)

    def _append(self, record: bytes, settled: object) -> None:
        self.waiting += RECORD_HEAD_BYTES + len(record)
        if self._held:
            self._held.append((record, settled))
            self.retry()
            return
        try:
            self._write(record, settled)
        except OSError:
            self._held.append((record, settled))

    def retry(self) -> None:
        """Writes what the disk did not take before."""
        while self._held:
            record, settled = self._held[0]
            try:
                self._write(record, settled)
            except OSError:
                return
            self._held.pop(0)

    def _write(self, record: bytes, settled: object) -> None:
        start = self._written + RECORD_HEAD_BYTES
        end = start + len(record)
        if end > self._size:
            self._next_segment(len(record))
            start = RECORD_HEAD_BYTES
            end = start + len(record)
        mapped = self._map
        assert mapped is not None
        mapped[start:end] = record
        _pack_into(mapped, self._written, len(record), _crc32(record))
        self._written = end
        fresh = self._fresh
        if fresh is not None:
            fresh.append(record)
            self._settled.append(settled)
            if len(fresh) > MOST_FRESH:
                self._fresh, self._settled = None, []

    def _next_segment(self, needed: int) -> None:
        """Raises OSError when the disk has no room for it; then the old one stays. The room is taken now, because a
        full disk would end the process that writes to a mapping."""
        size = max(SEGMENT_BYTES, _HEAD.size + needed)
        path = self._path(self._number + 1)
        spare = self._take_spare(path) if size == SEGMENT_BYTES else None
        if spare is not None:
            file, mapped = spare.file, spare.mapped
        else:
            file, mapped = _new_segment(path, size)
        if self._map is not None:
            old = Segment(self._file, self._map, self._written, self._path(self._number))
            if self._power:
                self._map.close()
                self._to_close.append(self._file)
            elif self._size == SEGMENT_BYTES and len(self._written_full) < MOST_KEPT:
                self._written_full[self._number] = old
            else:
                old.close()
        self._number += 1
        self._file, self._map, self._size, self._written = file, mapped, size, 0

    def _take_spare(self, path: Path) -> Segment | None:
        """A drained segment under its new name. After a failed fsync there is none: only a new one tells the truth."""
        while self._spare:
            spare = self._spare.pop()
            if not self._sync_failed:
                try:
                    spare.path.rename(path)
                except OSError:
                    pass
                else:
                    return spare
            spare.close()
        return None

    def take_back(self, number: int, path: Path) -> None:
        """The records of this segment are in the database: it is removed, or kept to be written to again. Called by the
        thread that drains. Raises OSError."""
        segment = self._written_full.pop(number, None)
        if segment is None:
            path.unlink(missing_ok=True)
            return
        free = path.with_suffix(".free")
        try:
            path.rename(free)  # first: a segment that is half zeros would look damaged to the next process
        except OSError:
            segment.close()
            raise
        segment.mapped[: segment.used] = bytes(segment.used)
        self._spare.append(segment._replace(path=free))

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:08d}.spool"

    def sync(self) -> None:
        """Everything that was appended before this call is on the disk when it returns, or `full` says that it is not.

        After a failed fsync the kernel may have dropped what it could not write and call it clean: another fsync would
        tell a lie. So the records are written again, from memory, to a new segment; a reader of both takes one.
        """
        with self._files:
            count, target = len(self._unsynced), self.appended
            files, self._to_close = [*self._to_close, self._file], []
        try:
            self._sync_files(files)
        except OSError as error:
            log.error("The usage spool cannot be synced to disk: %s.", error.strerror)
            try:
                with self._files:
                    again = self._unsynced[:count]
                    self._next_segment(sum(_HEAD.size + len(record) for record in again))
                    files, self._to_close = [*self._to_close, self._file], []
                    self._fresh, self._settled = None, []  # some would be there twice
                    for record in again:
                        self._write(record, None)
                        self.waiting += _HEAD.size + len(record)
                self._sync_files(files)
            except OSError:
                self._sync_failed = True
                return
        self._sync_failed = False
        with self._files:
            del self._unsynced[:count]
        self.synced = target

    @property
    def unsafe(self) -> bool:
        """Whether the disk was seen not to keep what it was given."""
        return self._sync_failed

    def to_probe(self) -> int:
        """A descriptor for `probe`. After a failure it is a new segment's: of the old one another fsync would tell a
        lie. Raises OSError. By the thread that appends."""
        if self._sync_failed and self._written:
            self._next_segment(0)
        return os.dup(self._file)

    def probe(self, file: int) -> None:
        """Whether the disk keeps what waits for the database: a file system that became read-only takes what is written
        to mapped memory, and forgets it. May be called by any thread; closes the descriptor."""
        try:
            os.fsync(file)
        except OSError as error:
            if not self._sync_failed:
                log.error("The usage spool cannot be synced to disk: %s.", error.strerror)
            self._sync_failed = True
        else:
            self._sync_failed = False
        finally:
            os.close(file)

    def _sync_files(self, files: list[int]) -> None:
        """The last one stays open."""
        try:
            for file in files:
                os.fsync(file)
            directory = os.open(self._directory, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        finally:
            for file in files[:-1]:
                os.close(file)

    def take_fresh(self) -> tuple[list[bytes] | None, list[Any], Position]:
        """What was written since the last call, unless it was too much; the same settled; and where it ends."""
        fresh, self._fresh = self._fresh, []
        settled, self._settled = self._settled, []
        return fresh, settled, (self._number, self._written)

    def reader(self) -> Reader:
        return Reader(self._directory, self.take_back)

    def drained(self, size: int) -> None:
        self.waiting -= size

    def close(self, *, empty: bool) -> None:
        """Lets go of the lock; the directory stays unless everything is in the database."""
        if self._map is not None:
            self._map.close()
            self._map = None
        for file in (*self._to_close, self._file):
            os.close(file)
        for segment in (*self._written_full.values(), *self._spare):
            segment.close()
        if empty and not self._held:
            shutil.rmtree(self._directory, ignore_errors=True)
        os.close(self._lock)


class Reader:
    """Reads a directory's records in their order; `next_batch` continues where the last one ended. `set_aside` is given
    the segments that could not be read to their end, `remove` the others, with their numbers."""

    def __init__(self, directory: Path, remove: Callable[[int, Path], None] | None = None) -> None:
        self.directory = directory
        self._remove = remove or _remove
        self.set_aside: Callable[[Path], None] = _leave
        self._damaged: set[int] = set()
        self._segment = 0
        self._offset = 0
        self._next: tuple[int, int] = (0, 0)

    def next_batch(self, most: int, until: Position | None = None) -> tuple[list[bytes], int]:
        """Up to `most` records, none behind `until`, and the bytes that they take in the spool. `advance` confirms
        them."""
        records: list[bytes] = []
        taken = 0
        segment, offset = self._segment, self._offset
        while len(records) < most:
            end = until[1] if until is not None and segment == until[0] else None
            found = list(read_segment(self._path(segment), offset, most - len(records), end))
            for record in found:
                offset += _HEAD.size + len(record)
                taken += _HEAD.size + len(record)
            records += found
            if found:
                continue
            if end is not None or not self._path(segment + 1).exists():
                break
            if rest := _unread(self._path(segment), offset):
                log.error(
                    "Spool file %s is damaged: its last %d bytes cannot be read and are skipped.",
                    self._path(segment),
                    rest,
                )
                self._damaged.add(segment)
            segment, offset = segment + 1, 0
        self._next = (segment, offset)
        return records, taken

    def advance(self) -> None:
        """The last batch is in the database: segments that are done are removed."""
        self.move_to(self._next)

    def move_to(self, position: Position) -> None:
        """Everything before it is in the database."""
        segment, offset = position
        for number in range(self._segment, segment):
            if number in self._damaged:
                self.set_aside(self._path(number))
            else:
                # What cannot be removed is read again by the next process: its records are known by their ids.
                with contextlib.suppress(OSError):
                    self._remove(number, self._path(number))
        self._segment, self._offset = segment, offset

    def _path(self, segment: int) -> Path:
        return self.directory / f"{segment:08d}.spool"

    def to_first(self) -> None:
        """Begins at the first segment that is still there: earlier ones were drained before."""
        names = sorted(path.stem for path in self.directory.glob("*.spool"))
        self._segment = int(names[0]) if names else 0


def _leave(_segment: Path) -> None:
    """Where nobody said what to do with a damaged segment, it stays."""


def _remove(_number: int, segment: Path) -> None:
    segment.unlink(missing_ok=True)


def _new_segment(path: Path, size: int) -> tuple[int, mmap.mmap]:
    """A file of zeros for which the disk has room, and its mapping. Raises OSError."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        _take_room(file, size)
        return file, mmap.mmap(file, size)
    except BaseException:
        os.close(file)
        path.unlink(missing_ok=True)
        raise


def _take_room(file: int, size: int) -> None:
    """Zeros for which the disk has room. Raises OSError."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    elif os.write(file, bytes(size)) != size:  # macOS
        raise OSError("short write")


def framed(record: bytes) -> bytes:
    """A record as it stands in a segment."""
    return _HEAD.pack(len(record), zlib.crc32(record)) + record


def _unread(path: Path, offset: int) -> int:
    """Bytes behind an offset up to the last that is not zero: a segment is made of zeros."""
    with path.open("rb") as file:
        file.seek(offset)
        return len(file.read().rstrip(b"\0"))


def read_segment(path: Path, offset: int = 0, most: int | None = None, end: int | None = None) -> Iterator[bytes]:
    """The whole records of a segment from an offset, to an end if one is given. A torn or damaged one ends it: nothing
    behind it is trusted."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        file.seek(offset)
        while (most is None or most > 0) and (end is None or offset < end):
            head = file.read(_HEAD.size)
            if len(head) < _HEAD.size:
                return
            length, checksum = _HEAD.unpack(head)
            record = file.read(length) if 0 < length <= LONGEST_RECORD else b""
            if len(record) != length or not record or zlib.crc32(record) != checksum:
                return
            offset += _HEAD.size + length
            yield record
            if most is not None:
                most -= 1
