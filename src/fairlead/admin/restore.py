"""Backups back into a data directory and its database, SQLite or PostgreSQL, whichever the backup is of.

All is made in a directory inside of the data directory and moved into place at the end; while it is there, nothing
opens the data directory. A restore that was killed is run again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple

from sqlalchemy import Connection, inspect
from sqlalchemy.exc import SQLAlchemyError

from fairlead.admin.audit import Actor, record
from fairlead.admin.backup_file import CONFIGURATION, BackupReader, Manifest, sync_directory
from fairlead.admin.configuration import IN_FORCE
from fairlead.errors import ConfigurationError
from fairlead.ledger.ledger import SPOOL
from fairlead.ledger.unreadable import UNREADABLE
from fairlead.ledger.verify import Verified, verify, verify_spools
from fairlead.providers.sealed import FILE as SEAL_KEY
from fairlead.store import Store, open_store, reason
from fairlead.store.database import DATABASE, HEAD, MARK, RESTORING, make_tables, run_migrations
from fairlead.store.dump import continue_numbers, empty, load

# What may be in an "empty" data directory: ext4 makes the one, an operator brings the other.
ALLOWED: Final = frozenset({"lost+found", SEAL_KEY, RESTORING})
# In the order in which they are put into place: the database last, without which nothing is served.
PLACED: Final = (SPOOL, UNREADABLE, IN_FORCE, CONFIGURATION, MARK, DATABASE)
LONGEST_CHAIN: Final = 1_000
RESTORED: Final = "backup.restore"  # the action in the audit log
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*")


class Checked(NamedTuple):
    """What a backup holds. `rows`: of all tables; `books`: what the verification of the books found, None when they
    were not verified; `waiting`: records that only the spool has; `note`: what is wrong with the spool."""

    manifest: Manifest
    rows: int
    books: Verified | None
    waiting: int | None
    note: str | None = None

    @property
    def discrepancy(self) -> str | None:
        return None if self.books is None else self.books.discrepancy


class Chain:
    """A backup and those that it continues, which lie beside it. Raises ConfigurationError when one is damaged or
    missing."""

    def __init__(self, path: Path) -> None:
        self._readers: list[BackupReader] = []
        try:
            self._open(path)
        except BaseException:
            self.close()
            raise

    def _open(self, path: Path) -> None:
        reader = BackupReader(path)
        self._readers.append(reader)
        while (base := reader.manifest.base) is not None:
            if not _NAME.fullmatch(base.file) or len(self._readers) > LONGEST_CHAIN:
                raise ConfigurationError(f"{reader.path} continues a backup that cannot be: {base.file!r}.")
            before = path.with_name(base.file)
            if not before.exists():
                raise ConfigurationError(f"{reader.path} continues {before}, which is missing.")
            reader = BackupReader(before)
            self._readers.append(reader)
            if reader.manifest.id != base.id:
                raise ConfigurationError(f"{before} is another backup than the one that {path.name} continues.")

    def __enter__(self) -> Chain:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for reader in self._readers:
            reader.__exit__(None, None, None)

    @property
    def path(self) -> Path:
        return self._readers[0].path

    @property
    def manifest(self) -> Manifest:
        """Of the newest one."""
        return self._readers[0].manifest

    def parts(self, table: str) -> list[BackupReader]:
        """The backups that have rows of a table, the oldest first."""
        found = []
        for reader in self._readers:
            found.append(reader)
            part = reader.manifest.table(table)
            if part is None or part.since is None:
                break
        return found[::-1]

    def lines(self, table: str) -> Iterator[bytes]:
        for reader in self.parts(table):
            part = reader.manifest.table(table)
            rows = 0
            with reader.member(f"tables/{table}.jsonl") as member:
                for line in member:
                    rows += 1
                    yield line
            if part is None or rows != part.rows:
                raise ConfigurationError(
                    f"{reader.path}: the table {table} has {rows} rows, not those of its manifest."
                )

    def file(self, path: str) -> bytes:
        with self._readers[0].member(f"files/{path}") as member:
            return member.read()

    def count_rows(self) -> int:
        """Reads everything. Raises ConfigurationError."""
        for path in self.manifest.files:
            self.file(path)
        return sum(1 for part in self.manifest.tables for _ in self.lines(part.name))


def restore(path: Path, directory: Path, url: str | None, by: Actor, *, accept_discrepancy: bool = False) -> Checked:
    """Restores a backup into an empty data directory and the database at `url` (None: SQLite in the directory), then
    verifies the books there. `accept_discrepancy`: also where they are wrong.

    Raises ConfigurationError, or OSError for trouble with the disk; then the data directory is as it was.
    """
    with Chain(path) as chain, _held(directory) as target:
        if chain.manifest.migration > HEAD:
            raise ConfigurationError(
                f"{path} was made by Fairlead {chain.manifest.release} (migration {chain.manifest.migration}; this "
                f"version supports up to {HEAD}). Restore it with that version."
            )
        target.staging.mkdir(mode=0o700)
        _write_files(target.staging, chain)
        store = open_store(target.staging, url, migrate=False)
        try:
            if store.is_shared:
                checked = _restore_shared(store, chain, target, by, accept_discrepancy)
            else:
                with store.write() as connection:
                    checked = _accepted(_fill(connection, chain, target.staging), path, accept_discrepancy)
                    record(connection, by, RESTORED, path.name, None, {"id": chain.manifest.id})
        except SQLAlchemyError as error:
            raise _trouble(error, f"The database {store.shown} cannot be used") from None
        finally:
            store.close()
        if not store.is_shared:
            _sync_file(target.staging / DATABASE)
            target.place()
        target.is_complete = True
        shutil.rmtree(target.staging)
        sync_directory(directory)
    return checked


def _restore_shared(store: Store, chain: Chain, target: Target, by: Actor, accept_discrepancy: bool) -> Checked:
    """Files are put into place before the commit. A restore that is killed before the commit starts over; one that is
    killed after it is finished by the next run."""
    path = chain.path
    if target.was_interrupted and _is_committed(store, chain.manifest):
        target.place()
        with store.read() as connection:
            waiting, note = verify_spools(connection, target.directory / SPOOL)
            return Checked(
                chain.manifest, sum(part.rows for part in chain.manifest.tables), verify(connection), waiting, note
            )
    with store.write() as connection:
        checked = _accepted(_fill(connection, chain, target.staging), path, accept_discrepancy)
        record(connection, by, RESTORED, path.name, None, {"id": chain.manifest.id})
        connection.exec_driver_sql(f"COMMENT ON TABLE alembic_version IS '{_mark(chain.manifest)}'")
        target.place()
    return checked


def _accepted(checked: Checked, path: Path, accept_discrepancy: bool) -> Checked:
    if checked.discrepancy is not None and not accept_discrepancy:
        raise ConfigurationError(f"The books in {path} are wrong: {checked.discrepancy}")
    return checked


def _is_committed(store: Store, manifest: Manifest) -> bool:
    with store.read() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return False
        found = connection.exec_driver_sql("SELECT obj_description('alembic_version'::regclass, 'pg_class')").scalar()
        return bool(found == _mark(manifest))


def _mark(manifest: Manifest) -> str:
    if not re.fullmatch(r"bak_[0-9a-f]+", manifest.id):
        raise ConfigurationError(f"A backup cannot have the id {manifest.id!r}.")
    return f"restored from {manifest.id}"


def restored_to(directory: Path, chain: Chain) -> Checked:
    """Restores into a temporary directory and verifies the books there. Raises ConfigurationError."""
    _write_files(directory, chain)
    store = open_store(directory, migrate=False)
    try:
        with store.write() as connection:
            return _fill(connection, chain, directory)
    except SQLAlchemyError as error:
        raise _trouble(error, "The backup cannot be read into a database") from None
    finally:
        store.close()


def _trouble(error: SQLAlchemyError, sentence: str) -> Exception:
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", 0)
    if code & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return OSError(errno.ENOSPC if code & 0xFF == sqlite3.SQLITE_FULL else errno.EIO, reason(error))
    return ConfigurationError(f"{sentence}: {reason(error)}.")


def _fill(connection: Connection, chain: Chain, directory: Path) -> Checked:
    """All tables as a part of this transaction, brought to the newest migration, and their books verified."""
    if connection.dialect.name == "sqlite":
        # What is made here is thrown away unless it is complete: no journal, and pages need not wait in memory.
        for setting in ("journal_mode = OFF", "synchronous = OFF", "cache_spill = ON", "cache_size = -65536"):
            connection.exec_driver_sql(f"PRAGMA {setting}").close()
    else:
        for setting in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
            connection.exec_driver_sql(f"SET LOCAL {setting} = 0")
        if inspect(connection).get_table_names():
            raise ConfigurationError("The database has tables already; a backup is restored into an empty one only.")
    manifest = chain.manifest
    make_tables(connection, manifest.migration)
    rows = 0
    for part in manifest.tables:
        empty(connection, part.name)
        rows += load(connection, part.name, part.columns, chain.lines(part.name))
    continue_numbers(connection)
    if manifest.migration != HEAD:
        run_migrations(connection)
    books = verify(connection)
    waiting, note = verify_spools(connection, directory / SPOOL)
    return Checked(manifest, rows, books, waiting, note)


def _write_files(directory: Path, chain: Chain) -> None:
    for path in chain.manifest.files:
        folder, slash, name = path.rpartition("/")
        known = folder in (SPOOL, UNREADABLE) if slash else name in (IN_FORCE, CONFIGURATION)
        if not known or not _NAME.fullmatch(name):
            raise ConfigurationError(f"The backup has a file that cannot be: {path!r}.")
        # A spool is the directory of a process that is not there any more: the next start stores what it holds.
        place = directory / folder / name / "00000000.spool" if folder == SPOOL else directory / folder / name
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(chain.file(path))
            file.flush()
            os.fsync(file.fileno())


class Target:
    """The data directory that is restored into. `was_interrupted`: an earlier restore into it was killed."""

    def __init__(self, directory: Path, *, was_interrupted: bool) -> None:
        self.directory = directory
        self.staging = directory / RESTORING
        self.was_interrupted = was_interrupted
        self.is_complete = False

    def place(self) -> None:
        """Moves what was made into place."""
        for name in PLACED:
            if (self.staging / name).exists():
                (self.staging / name).rename(self.directory / name)
        sync_directory(self.directory)


@contextlib.contextmanager
def _held(directory: Path) -> Iterator[Target]:
    """The data directory, made where it is missing, empty, and nobody else's. Left by an error it is as it was; a kill
    leaves what the next restore removes."""
    made = not directory.exists()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(f"Another restore into {directory} is running.") from None
        target = Target(directory, was_interrupted=(directory / RESTORING).exists())
        found = {one.name for one in directory.iterdir()} - ALLOWED
        if found - set(PLACED if target.was_interrupted else ()):
            raise ConfigurationError(
                f"{directory} is not empty ({', '.join(sorted(found)[:3])}). A backup is restored into an empty data "
                "directory only: select another one with --data, or move this one away."
            )
        if target.was_interrupted:
            _remove_placed(directory)
        try:
            yield target
        except BaseException:
            if not target.is_complete:
                _remove_placed(directory)
                if made:
                    with contextlib.suppress(OSError):
                        directory.rmdir()
            raise
    finally:
        os.close(handle)


def _remove_placed(directory: Path) -> None:
    for name in (*PLACED, RESTORING):
        path = directory / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
