"""The file of a backup: a ZIP archive whose members are compressed by Zstandard, with a digest of all its bytes.

    tables/NAME.jsonl.zst     rows of a table, as `store/dump.py` writes them
    files/PATH.zst            configuration, spool, records that could not be read
    manifest.json             what is in it (`Manifest`), written last

The archive's comment is the SHA-256 of every byte before it, so each changed or missing byte is found. A file appears
under its name when it is complete and on the disk.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

import msgspec
import zstandard

from fairlead.errors import ConfigurationError

FORMAT: Final = 1
SUFFIX: Final = ".backup.zip"
# The configuration file of the node, in a backup and in a data directory that was restored.
CONFIGURATION: Final = "configuration.toml"
MANIFEST: Final = "manifest.json"
LARGEST_MANIFEST: Final = 16 * 1024 * 1024
_MARK: Final = b"sha256:"
_COMMENT_BYTES: Final = len(_MARK) + 64
_LEVEL: Final = 3  # of compression: the disk is slower than this
_READ_BYTES: Final = 1024 * 1024
_SCRATCH: Final = ".fairlead-verify-"


class TablePart(msgspec.Struct, frozen=True):
    """Rows of one table. `since`: only those with a larger number, where an earlier backup has the others; None: all of
    them. Of a table that is only added to: `last`, its largest number; `total`, how many rows it has up to there, those
    of earlier backups included; `digest`, SHA-256 of the line of the last one."""

    name: str
    columns: tuple[str, ...]
    rows: int
    since: int | None = None
    last: int | None = None
    total: int | None = None
    digest: str = ""


class Need(msgspec.Struct, frozen=True):
    """What the backup does not hold and the gateway needs besides. `kind`: "seal key", "environment variable", "file"
    or "command"."""

    kind: str
    name: str


class Base(msgspec.Struct, frozen=True):
    """The backup that an incremental one continues; its file lies beside it."""

    id: str
    file: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds. `at`: milliseconds since 1970; `files`: their paths and sizes in bytes; `spooled`: records
    of calls in the copy of the spool, of which the tables may have some too."""

    format: int
    id: str
    at: int
    release: str
    migration: str
    engine: str
    database: str
    base: Base | None
    tables: tuple[TablePart, ...]
    files: dict[str, int]
    spooled: int
    needs: tuple[Need, ...]
    plain_secrets: bool

    def table(self, name: str) -> TablePart | None:
        return next((one for one in self.tables if one.name == name), None)


class BackupWriter:
    """Writes a backup under another name; `finish` renames it. Left without `finish`, nothing remains. Raises
    ConfigurationError when there is such a file already, OSError for trouble with the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._partial = path.with_name(f".{path.name}.partial")
        self._file = _locked(self._partial)
        if path.exists():
            self._file.close()
            self._partial.unlink()
            raise ConfigurationError(f"{path} exists already; a backup never replaces a file.")
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED)

    def __enter__(self) -> BackupWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._zip.close()
        with contextlib.suppress(OSError):  # what was not written on a full disk is written once more here
            self._file.close()
        self._partial.unlink(missing_ok=True)

    @contextlib.contextmanager
    def member(self, name: str) -> Iterator[IO[bytes]]:
        """A member to write to; it is compressed."""
        with self._zip.open(_info(f"{name}.zst"), "w", force_zip64=True) as member:
            with zstandard.ZstdCompressor(level=_LEVEL).stream_writer(member, closefd=False) as out:
                yield out

    def finish(self, manifest: Manifest) -> None:
        """The file has its name when this returns, and is on the disk."""
        with self._zip.open(_info(MANIFEST), "w") as member:
            member.write(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        self._zip.comment = bytes(_COMMENT_BYTES)
        self._zip.close()
        self._file.flush()
        end = self._file.seek(0, os.SEEK_END) - _COMMENT_BYTES
        self._file.seek(0)
        digest = _digest(self._file, end)
        self._file.seek(end)
        self._file.write(_MARK + digest.encode())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._partial.rename(self.path)
        sync_directory(self.path.parent)


class BackupReader:
    """A backup whose every byte is what was written. Raises ConfigurationError for any other file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None
        try:
            self.manifest = self._read()
        except BaseException:
            self._file.close()
            raise

    def _read(self) -> Manifest:
        try:
            end = self._file.seek(0, os.SEEK_END) - _COMMENT_BYTES
            self._file.seek(max(end, 0))
            comment = self._file.read()
            self._file.seek(0)
            if end < 0 or not comment.startswith(_MARK):
                raise ConfigurationError(f"{self.path} is not a backup of Fairlead, or its end is missing.")
            if comment != _MARK + _digest(self._file, end).encode():
                raise ConfigurationError(f"{self.path} is damaged: its bytes do not match its SHA-256.")
            self._zip = zipfile.ZipFile(self._file)
            with self._zip.open(MANIFEST) as member:
                text = member.read(LARGEST_MANIFEST)
        except (zipfile.BadZipFile, KeyError) as error:
            raise ConfigurationError(f"{self.path} is not a backup of Fairlead: {error}.") from None
        except OSError as error:
            raise ConfigurationError(f"{self.path} cannot be read: {error.strerror}.") from None
        try:
            if (format_ := msgspec.json.decode(text, type=_Format).format) > FORMAT:
                raise ConfigurationError(
                    f"{self.path} has format {format_} of a newer Fairlead; this version reads up to {FORMAT}."
                )
            return msgspec.json.decode(text, type=Manifest)
        except msgspec.MsgspecError as error:
            raise ConfigurationError(f"{self.path} has a manifest that cannot be read: {error}.") from None

    def __enter__(self) -> BackupReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @contextlib.contextmanager
    def member(self, name: str) -> Iterator[io.BufferedReader]:
        """What was written to a member. Raises ConfigurationError."""
        try:
            with self._zip.open(f"{name}.zst") as member:
                with zstandard.ZstdDecompressor().stream_reader(member) as stream:
                    # Zstandard's reader has all that a buffer needs, though it is no RawIOBase.
                    raw: Any = stream
                    yield io.BufferedReader(raw, _READ_BYTES)
        except (zipfile.BadZipFile, zstandard.ZstdError, KeyError) as error:
            raise ConfigurationError(f"{self.path}: {name} cannot be read: {error}.") from None


def base_of(path: Path) -> str | None:
    """The file that a backup continues, without a look at all of its bytes; None: none, or it cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(MANIFEST) as member:
            found = msgspec.json.decode(member.read(LARGEST_MANIFEST), type=Manifest)
    except (OSError, zipfile.BadZipFile, KeyError, msgspec.MsgspecError):
        return None
    return None if found.base is None else found.base.file


class _Format(msgspec.Struct, frozen=True):
    format: int


@contextlib.contextmanager
def scratch_directory(parent: Path) -> Iterator[Path]:
    """A temporary directory, held for as long as it is used: `remove_leftovers` leaves it alone."""
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=parent) as directory:
        handle = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield Path(directory)
        finally:
            os.close(handle)


def remove_leftovers(directory: Path) -> None:
    """Removes what backups and verifications have left behind that were killed."""
    for path in (*directory.glob(f".*{SUFFIX}.partial"), *directory.glob(f"{_SCRATCH}*")):
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            finally:
                os.close(handle)


def sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _locked(path: Path) -> IO[bytes]:
    """A new file (mode 0600), held for as long as it is open: `remove_leftovers` leaves it alone, and nobody else
    writes a backup of the same name."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise ConfigurationError(f"Another process writes {path.name} at the moment.") from None
    fcntl.flock(handle, fcntl.LOCK_EX)
    return os.fdopen(handle, "r+b")


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o600 << 16
    return info


def _digest(file: IO[bytes], size: int) -> str:
    digest = hashlib.sha256()
    while size > 0 and (piece := file.read(min(size, _READ_BYTES))):
        digest.update(piece)
        size -= len(piece)
    return digest.hexdigest()
