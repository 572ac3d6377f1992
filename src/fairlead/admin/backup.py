"""A backup of everything that a gateway keeps: database, spool, configuration, sealed credentials without their key.

It may be taken while calls are served. The spool is copied first and the database is then read in one snapshot: a
record that leaves the spool in between is in the snapshot, and one that is in both comes back once, because the books
know records by their ids.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, inspect

from fairlead import __version__
from fairlead.admin.audit import Actor, record
from fairlead.admin.backup_file import (
    CONFIGURATION,
    FORMAT,
    SUFFIX,
    BackupReader,
    BackupWriter,
    Base,
    Manifest,
    Need,
    TablePart,
    base_of,
    remove_leftovers,
    scratch_directory,
)
from fairlead.admin.configuration import IN_FORCE
from fairlead.admin.masking import masked
from fairlead.admin.restore import Chain, Checked, restored_to
from fairlead.errors import ConfigurationError
from fairlead.ledger.ledger import SPOOL
from fairlead.ledger.spool import framed, read_segment
from fairlead.ledger.unreadable import UNREADABLE
from fairlead.store import Store
from fairlead.store.database import HEAD, migration_of
from fairlead.store.dump import Range, TableShape, count_and_last, dump, row_at, shapes_of

# Tables whose rows are added in the order of a number and never changed: an incremental backup has the new ones.
NUMBERED: Final[Mapping[str, str]] = {
    "usage_records": "number",
    "entries": "id",
    "postings": "entry_id",
    "audit_log": "id",
}
_KINDS: Final = {"env": "environment variable", "file": "file", "command": "command"}
_NAMED: Final = re.compile(rf"fairlead-\d{{8}}T\d{{6}}Z{re.escape(SUFFIX)}")
CREATED: Final = "backup.create"  # the action in the audit log


class Backup(NamedTuple):
    """A backup that was written. `checked`: what verifying it found."""

    path: Path
    manifest: Manifest
    size: int
    checked: Checked


def backup_name(now: float | None = None) -> str:
    """A name that sorts by time."""
    at = datetime.fromtimestamp(time.time() if now is None else now, UTC)
    return f"fairlead-{at.strftime('%Y%m%dT%H%M%SZ')}{SUFFIX}"


def prune(directory: Path, keep: int) -> list[Path]:
    """Removes all backups that `backup_name` has named but the newest, and those that one of these continues; gives
    what was removed."""
    found = sorted((one for one in directory.iterdir() if _NAMED.fullmatch(one.name)), reverse=True)
    kept = set()
    for one in found[:keep]:
        name: str | None = one.name
        while name is not None and name not in kept:
            kept.add(name)
            name = base_of(directory / name)
    removed = [one for one in found if one.name not in kept]
    for one in removed:
        one.unlink()
    return removed


def create_backup(
    store: Store, by: Actor, out: Path, *, file: Path | None = None, base: Path | None = None, books: bool = True
) -> Backup:
    """Writes a backup, then reads it again and verifies it (`verify_backup`). `file`: the configuration file of this
    node; `base`: an earlier backup in the same directory, whose rows need not be written again; `books`: False checks
    the bytes alone.

    Raises ConfigurationError, or OSError for trouble with the disk: then there is no file.
    """
    remove_leftovers(out.parent)
    with BackupWriter(out) as writer:
        before = None if base is None else _base(base, out)
        files, spooled = _copy_files(writer, store.directory, file)
        with store.snapshot() as connection:
            parts = tuple(_dump_tables(writer, connection, before))
            texts = [*_documents(connection), *_texts(store.directory, file)]
            manifest = Manifest(
                format=FORMAT,
                id=f"bak_{os.urandom(8).hex()}",
                at=int(time.time() * 1000),
                release=__version__,
                migration=_migration(store),
                engine=connection.dialect.name,
                database=store.shown,
                base=None if base is None or before is None else Base(before.id, base.name),
                tables=parts,
                files=files,
                spooled=spooled,
                needs=tuple(_needs(connection, texts)),
                plain_secrets=any(masked(text) != text for text in texts),
            )
        writer.finish(manifest)
    try:
        checked = verify_backup(out, books=books)
    except (ConfigurationError, OSError):
        out.unlink()
        raise
    if manifest.migration == HEAD:
        with store.write() as connection:
            record(connection, by, CREATED, out.name, None, {"id": manifest.id, "migration": manifest.migration})
    return Backup(out, manifest, out.stat().st_size, checked)


def verify_backup(path: Path, *, books: bool = True) -> Checked:
    """Reads every byte of a backup and of those that it continues; with `books` it is restored to a temporary SQLite
    database beside it, whose books are verified. Raises ConfigurationError when something is damaged or missing,
    OSError for trouble with the disk. A discrepancy in the books is returned: the database that was backed up has it.
    """
    with Chain(path) as chain:
        if not books:
            return Checked(chain.manifest, chain.count_rows(), None, None)
        with scratch_directory(path.parent) as directory:
            return restored_to(directory, chain)


def _base(path: Path, out: Path) -> Manifest:
    if path.absolute().parent != out.absolute().parent:
        raise ConfigurationError(f"{path} must be in the same directory as the backup that continues it.")
    with BackupReader(path) as reader:
        return reader.manifest


def _migration(store: Store) -> str:
    found = migration_of(store)
    if found is None:
        raise ConfigurationError(f"The database {store.shown} is empty; there is nothing to back up.")
    return found


def _dump_tables(writer: BackupWriter, connection: Connection, base: Manifest | None) -> Iterator[TablePart]:
    for shape in shapes_of(connection):
        column = NUMBERED.get(shape.name)
        since = None if column is None else _since(connection, shape, column, base)
        rows = 0
        with writer.member(f"tables/{shape.name}.jsonl") as out:
            for line in dump(connection, shape, None if column is None else Range(column, since)):
                out.write(line)
                rows += 1
        if column is None:
            yield TablePart(shape.name, shape.columns, rows)
        else:
            total, last = count_and_last(connection, shape, column)
            digest = _digest(row_at(connection, shape, column, last))
            yield TablePart(shape.name, shape.columns, rows, since, last, total, digest)


def _since(connection: Connection, shape: TableShape, column: str, base: Manifest | None) -> int | None:
    """Up to which number the base has every row of a table; None: that is not sure, so all are written.

    PostgreSQL gives numbers before they are committed: rows may come later with a number that the base is past. And a
    database that was restored may have other rows under the same numbers.
    """
    part = None if base is None else base.table(shape.name)
    if part is None or part.last is None or part.columns != shape.columns:
        return None
    count, _ = count_and_last(connection, shape, column, part.last)
    if count != part.total or _digest(row_at(connection, shape, column, part.last)) != part.digest:
        return None
    return part.last


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _copy_files(writer: BackupWriter, directory: Path, file: Path | None) -> tuple[dict[str, int], int]:
    """Copies what is not in the database; gives the sizes by path, and how many records the spool has."""
    found: dict[str, int] = {}
    spooled = 0
    for spool in _spools(directory / SPOOL):
        records = (record for path in sorted(spool.glob("*.spool")) for record in read_segment(path))
        count, found[name] = _copy(writer, name := f"{SPOOL}/{spool.name}", map(framed, records))
        spooled += count
    for path in sorted((directory / UNREADABLE).glob("*.[sd]*")):
        _, found[name] = _copy(writer, name := f"{UNREADABLE}/{path.name}", [path.read_bytes()])
    for name, source in ((IN_FORCE, directory / IN_FORCE), (CONFIGURATION, _configuration(directory, file))):
        if source is not None and source.is_file():
            _, found[name] = _copy(writer, name, [source.read_bytes()])
    return found, spooled


def _spools(root: Path) -> list[Path]:
    return sorted(one for one in root.iterdir() if not one.name.startswith(".")) if root.is_dir() else []


def _configuration(directory: Path, file: Path | None) -> Path | None:
    """The file of the node; where it is not known, the copy that `serve` keeps of it."""
    return directory / IN_FORCE if file is None else file


def _copy(writer: BackupWriter, name: str, pieces: Iterable[bytes]) -> tuple[int, int]:
    """Gives the number of pieces and of bytes."""
    count = size = 0
    with writer.member(f"files/{name}") as out:
        for piece in pieces:
            out.write(piece)
            count += 1
            size += len(piece)
    return count, size


def _documents(connection: Connection) -> list[str]:
    """The newest version of the configuration in the database."""
    if not inspect(connection).has_table("configuration_versions"):
        return []
    newest = connection.exec_driver_sql("SELECT document FROM configuration_versions ORDER BY number DESC LIMIT 1")
    return [row.document for row in newest if row.document is not None]


def _texts(directory: Path, file: Path | None) -> list[str]:
    source = _configuration(directory, file)
    return [] if source is None or not source.is_file() else [source.read_text("utf-8")]


def _needs(connection: Connection, texts: list[str]) -> list[Need]:
    """What configuration and sealed credentials refer to."""
    found = {need: None for text in texts for need in _references(tomllib.loads(text))}
    if inspect(connection).has_table("sealed_secrets"):
        keys = connection.exec_driver_sql("SELECT DISTINCT key_id FROM sealed_secrets ORDER BY key_id")
        found |= {Need("seal key", row.key_id): None for row in keys}
    return list(found)


def _references(value: Any) -> Iterator[Need]:
    if isinstance(value, dict):
        for name, kind in _KINDS.items():
            if name in value and len(value) <= 2:  # a command may have its `refresh_seconds`
                given = value[name]
                yield Need(kind, given if isinstance(given, str) else " ".join(map(str, given)))
        for one in value.values():
            yield from _references(one)
    elif isinstance(value, list):
        for one in value:
            yield from _references(one)
