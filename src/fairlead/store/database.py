"""Opens the data directory: its mode, its lock, its SQLite database, brought to the newest migration."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DatabaseError

from fairlead.errors import ConfigurationError

# The newest migration. Alembic is only loaded (a third of a second) when the database is not there yet.
HEAD = "0003"
BUSY_MILLISECONDS = 10_000
DATABASE = "fairlead.db"


class Store:
    """The database of one data directory; usable from any thread."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / DATABASE
        self._engine = create_engine(f"sqlite:///{self.path}", pool_pre_ping=False)
        event.listen(self._engine, "connect", _prepare)
        self._watcher: sqlite3.Connection | None = None

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        with self._engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: committed at the end of the block, rolled back by an exception."""
        with self._engine.begin() as connection:
            yield connection

    def version(self) -> int:
        """A number that changes when another connection has committed something."""
        if self._watcher is None:
            self._watcher = sqlite3.connect(self.path, timeout=0, check_same_thread=False)
        row = self._watcher.execute("PRAGMA data_version").fetchone()
        return int(row[0])

    def close(self) -> None:
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        self._engine.dispose()


def open_store(directory: Path) -> Store:
    """Makes or opens a data directory (mode 0700). Raises ConfigurationError when that cannot be done."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if directory.stat().st_uid == os.getuid():
            directory.chmod(0o700)
        with (directory / "migrate.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two first starts at once must not both create the tables
            # Made before SQLite does, which gives its mode to the files beside it.
            os.close(os.open(directory / DATABASE, os.O_RDWR | os.O_CREAT, 0o600))
            store = Store(directory)
            try:
                _migrate(store)
            except BaseException:
                store.close()
                raise
    except OSError as error:
        raise ConfigurationError(f"The data directory {directory} cannot be used: {error.strerror}.") from None
    except DatabaseError as error:
        raise ConfigurationError(f"The database {directory / DATABASE} cannot be used: {error.orig}.") from None
    return store


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    for statement in (
        f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}",
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "PRAGMA foreign_keys = ON",
    ):
        connection.execute(statement)


def _migrate(store: Store) -> None:
    with store.read() as connection:
        found = connection.exec_driver_sql(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'"
        ).first()
        version = (
            None if found is None else connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        )
    if version == HEAD:
        return
    if version is not None and version > HEAD:
        raise ConfigurationError(
            f"The database in {store.directory} was made by a newer Fairlead "
            f"(migration {version}; this one knows {HEAD}). "
            "Start that version."
        )
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "fairlead.store:migrations")
    with store.write() as connection:
        # sqlite3 begins no transaction for CREATE TABLE by itself; a start that dies half-way must leave nothing.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
