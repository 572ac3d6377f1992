"""What an upgrade to this version will do to a data directory that another version serves from. Nothing is changed."""

from __future__ import annotations

import inspect as source_of
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import Connection, inspect

from fairlead import __version__
from fairlead.admin.backup import CREATED
from fairlead.admin.configuration import IN_FORCE
from fairlead.errors import ConfigurationError
from fairlead.ledger.unreadable import Unreadable
from fairlead.settings import parse_settings
from fairlead.store import Store
from fairlead.store.database import DATABASE, HEAD, Migration, migration_of, pending_migrations
from fairlead.toml import read_text

# A backup that is older is said to be too old to go back to.
FRESH_SECONDS: Final = 86_400.0
# A process is running that was heard of so long ago.
HEARD_MS: Final = 30_000
# A migration copies what it changes, and SQLite keeps both until it is committed.
ROOM: Final = 2


class PendingMigration(NamedTuple):
    """`tables`: those that are there already and that it names, with the estimated number of their rows."""

    version: str
    summary: str
    tables: dict[str, int]


class LastBackup(NamedTuple):
    """Of the audit log. `at`: milliseconds since 1970."""

    name: str
    at: int
    age_seconds: float


class Running(NamedTuple):
    """Processes of one release that were heard of lately."""

    release: str
    node: str
    processes: int


class UpgradeCheck(NamedTuple):
    """`migration`: of the database, "" for an empty one. `deprecated`: settings that are still read under their old
    name; `obstacles`: what must be done before, `notes`: what is worth knowing."""

    release: str
    migration: str
    migrations: tuple[PendingMigration, ...]
    deprecated: tuple[str, ...]
    running: tuple[Running, ...]
    backup: LastBackup | None
    can_go_back: bool
    obstacles: tuple[str, ...]
    notes: tuple[str, ...]


def check_upgrade(store: Store, file: Path | None = None, now: float | None = None) -> UpgradeCheck:
    """Looks at the database, which `open_store(..., migrate=False)` opened, and at the configuration. `file`: that of
    this node."""
    now = time.time() if now is None else now
    migration = migration_of(store) or ""
    obstacles: list[str] = []
    notes: list[str] = []
    pending: tuple[PendingMigration, ...] = ()
    with store.read() as connection:
        if migration > HEAD:
            obstacles.append(f"The database was made by a newer Fairlead (migration {migration}); this one has {HEAD}.")
        elif migration:
            pending = tuple(_pending(connection, migration))
        documents = [*_documents(connection), *_files(store.directory, file)]
        running = tuple(_running(connection, now))
        backup = last_backup(connection, now)
    deprecated, wrong = _settings(documents)
    obstacles += wrong
    if pending:
        obstacles += _room(store)
        if backup is None or backup.age_seconds > FRESH_SECONDS:
            obstacles.append("There is no backup of the last 24 hours to go back to: run `fairlead backup create`.")
        notes.append("All processes must be stopped before the first of this version starts: it migrates the database.")
    if count := Unreadable(store.directory).count():
        notes.append(f"{count:,} usage records that could not be read are tried again at the first start.")
    return UpgradeCheck(
        release=__version__,
        migration=migration,
        migrations=pending,
        deprecated=tuple(deprecated),
        running=running,
        backup=backup,
        can_go_back=not pending or (backup is not None and backup.age_seconds <= FRESH_SECONDS),
        obstacles=tuple(obstacles),
        notes=tuple(notes),
    )


def _pending(connection: Connection, migration: str) -> Iterator[PendingMigration]:
    there = inspect(connection).get_table_names()
    for one in pending_migrations(migration):
        text = _text(one)
        named = [name for name in there if re.search(rf"\b{re.escape(name)}\b", text)]
        yield PendingMigration(one.version, one.summary, {name: _rows(connection, name) for name in named})


def _text(migration: Migration) -> str:
    return source_of.getsource(migration.module)


def _rows(connection: Connection, table: str) -> int:
    """Without a look at each of them, but where SQLite numbers no rows."""
    if connection.dialect.name == "sqlite":
        made = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).scalar()
        what = "count(*)" if "WITHOUT ROWID" in str(made).upper() else "max(rowid)"
        found = connection.exec_driver_sql(f'SELECT {what} FROM "{table}"').scalar()  # noqa: S608
    else:
        found = connection.exec_driver_sql(
            "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = %s::regclass", (table,)
        ).scalar()
    return int(found or 0)


def _documents(connection: Connection) -> Iterator[tuple[str, str]]:
    """The version of the configuration that is in force, as (name, text)."""
    if not inspect(connection).has_table("configuration_versions"):
        return
    newest = connection.exec_driver_sql(
        "SELECT number, document FROM configuration_versions ORDER BY number DESC LIMIT 1"
    ).first()
    if newest is not None and newest.document is not None:
        yield f"version {newest.number}", newest.document


def _files(directory: Path, file: Path | None) -> Iterator[tuple[str, str]]:
    source = directory / IN_FORCE if file is None else file
    if source.is_file():
        yield str(source), read_text(source)


def _settings(documents: Iterable[tuple[str, str]]) -> tuple[list[str], list[str]]:
    """What is deprecated, and what this version does not read."""
    deprecated, wrong = [], []
    for name, text in documents:
        try:
            settings = parse_settings(text, name)
        except ConfigurationError as error:
            wrong.append(error.message)
        else:
            if settings.warning:
                deprecated.append(settings.warning)
    return deprecated, wrong


def _running(connection: Connection, now: float) -> Iterator[Running]:
    if not inspect(connection).has_table("processes"):
        return
    since = int(now * 1000) - HEARD_MS
    for row in connection.exec_driver_sql(
        f"SELECT release, node, count(*) AS many FROM processes WHERE heard_at > {since} "  # noqa: S608
        "GROUP BY release, node ORDER BY release, node"
    ):
        yield Running(row.release, row.node, row.many)


def last_backup(connection: Connection, now: float) -> LastBackup | None:
    """The newest one that the audit log knows of."""
    if not inspect(connection).has_table("audit_log"):
        return None
    row = connection.exec_driver_sql(
        f"SELECT subject, at FROM audit_log WHERE action = '{CREATED}' ORDER BY id DESC LIMIT 1"  # noqa: S608
    ).first()
    return None if row is None else LastBackup(row.subject, row.at, max(0.0, now - row.at / 1000))


def _room(store: Store) -> list[str]:
    if store.is_shared:
        return []
    size = (store.directory / DATABASE).stat().st_size
    free = shutil.disk_usage(store.directory).free
    if free >= ROOM * size:
        return []
    return [
        f"A migration may need {ROOM * size:,} bytes beside the database, and {free:,} are free in {store.directory}."
    ]
