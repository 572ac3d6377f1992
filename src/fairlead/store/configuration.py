"""Versions of the configuration, which of them is in force, and what each process runs. Versions are added, never
changed; which one is in force is one number, replaced in the transaction that adds the version."""

from __future__ import annotations

import socket
import time
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from fairlead.store.tables import configuration_versions, processes, versions

CONFIGURATION = "configuration"
# A process that was heard of so long ago is not shown as running; its row is removed after a day.
SILENT_MS = 20_000
KEPT_PROCESSES_MS = 86_400_000


class StoredVersion(NamedTuple):
    """One version. `at`: milliseconds since 1970; `restored`: the version that it repeats; `document`: TOML, None: the
    files of the nodes are in force again, or it was not read; `guarded`: JSON, addresses of providers that came over
    HTTP."""

    number: int
    at: int
    author: str
    comment: str
    digest: str
    restored: int | None
    document: str | None = None
    guarded: str = "[]"


class ProcessState(NamedTuple):
    """What a process runs. Times in milliseconds since 1970. `version`: 0 where a file is in force; `answered`: the
    newest version that it has taken or refused; `error`: the reason why a newer configuration was refused; `note`: what
    else somebody should look at; `restart`: settings, separated by commas, that are in force after a restart;
    `in_flight`: JSON, calls under way by deployment."""

    id: str
    node: str
    pid: int
    place: int
    release: str
    started_at: int
    heard_at: int
    source: str
    version: int
    digest: str
    since: int
    file: str
    answered: int
    error: str
    note: str
    restart: str
    in_flight: str


def node_name() -> str:
    """What this machine, or container, is called."""
    return socket.gethostname()[:255]


def number_in_force(connection: Connection) -> int:
    """The newest version; 0 when there is none."""
    return int(
        connection.execute(select(versions.c.number).where(versions.c.name == CONFIGURATION)).scalar_one_or_none() or 0
    )


def read_version(connection: Connection, number: int) -> StoredVersion | None:
    row = connection.execute(select(configuration_versions).where(configuration_versions.c.number == number)).first()
    if row is None:
        return None
    return StoredVersion(
        row.number, row.at, row.author, row.comment, row.digest, row.restored, row.document, row.guarded
    )


def list_versions(connection: Connection, most: int) -> list[StoredVersion]:
    """The newest first, without their documents."""
    table = configuration_versions.c
    columns = (table.number, table.at, table.author, table.comment, table.digest, table.restored)
    rows = connection.execute(select(*columns).order_by(table.number.desc()).limit(most))
    return [StoredVersion(*row) for row in rows]


def add_version(connection: Connection, expected: int, version: StoredVersion) -> bool:
    """Adds a version, whose number is the one after `expected`, and puts it in force. False when another version was
    added meanwhile. Of two that try at once the second waits for the first."""
    assert version.number == expected + 1
    moved = connection.execute(
        update(versions)
        .where(versions.c.name == CONFIGURATION, versions.c.number == expected)
        .values(number=version.number)
    )
    if not moved.rowcount:
        return False
    connection.execute(insert(configuration_versions), [version._asdict()])
    return True


def keep_process(connection: Connection, state: ProcessState) -> None:
    """Stores what a process runs, in place of what was stored of it."""
    connection.execute(delete(processes).where(processes.c.id == state.id))
    connection.execute(insert(processes), [state._asdict()])


def forget_process(connection: Connection, process_id: str) -> None:
    """Removes a process that has ended, and those that were not heard of for a day."""
    now = int(time.time() * 1000)
    connection.execute(
        delete(processes).where((processes.c.id == process_id) | (processes.c.heard_at < now - KEPT_PROCESSES_MS))
    )


def list_processes(connection: Connection) -> list[ProcessState]:
    """Those that were heard of in the last 20 seconds, by node and place."""
    now = int(time.time() * 1000)
    rows = connection.execute(
        select(processes)
        .where(processes.c.heard_at >= now - SILENT_MS)
        .order_by(processes.c.node, processes.c.place, processes.c.started_at)
    )
    return [ProcessState(**row) for row in rows.mappings()]
