"""The audit log: who changed what, from where, what it was before and after. Rows are added and never changed."""

from __future__ import annotations

import csv
import getpass
import io
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final, Literal, NamedTuple

import msgspec
from sqlalchemy import Connection, Select, insert, select

from fairlead.errors import InvalidRequest
from fairlead.store import Store
from fairlead.store.tables import audit_log

ActorKind = Literal["management key", "key", "command line", "file", "server", "person"]

# What begins like one of our keys and codes and is longer than what lists show of them.
_SECRET: Final = re.compile(r"(?:sk-fl-|fl-mgmt-|fl-code-|fl-auth-|fl-link-|fl-hook-)[A-Za-z0-9_-]{16,}")

FORMATS: Final = ("jsonl", "csv")
READ_ROWS: Final = 1_000
_COLUMNS: Final = (
    "id", "at", "actor_kind", "actor", "address", "action", "subject", "account", "before", "after",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something. `id`: of the key, or the name of the user on this machine; `address`: where the request
    came from, "" for what comes from this machine itself."""

    kind: ActorKind
    id: str = ""
    address: str = ""


def command_line() -> Actor:
    """The user who runs a command, by the name that the system has for them."""
    try:
        return Actor("command line", getpass.getuser())
    except (OSError, KeyError):  # a container whose user has no name
        return Actor("command line")


class Change(NamedTuple):
    """What `record` writes down of one change."""

    action: str
    subject: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    account_id: str | None = None


def record(
    connection: Connection,
    actor: Actor,
    action: str,
    subject: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    *,
    account_id: str | None = None,
) -> None:
    """Adds a row, in the transaction of the change itself.

    `action`: what was done, such as "key.create"; `subject`: the id of what was changed; `before` and `after`: the
    members that changed, as JSON values, None where there was nothing; `account_id`: whose it is. Never a secret:
    raises InvalidRequest for a name or a note that holds one of our own.
    """
    connection.execute(insert(audit_log).values(_row(actor, Change(action, subject, before, after, account_id))))


def record_all(connection: Connection, actor: Actor, changes: Sequence[Change]) -> None:
    """A row for each of many changes, as `record`."""
    if changes:
        connection.execute(insert(audit_log), [_row(actor, change) for change in changes])


def _row(actor: Actor, change: Change) -> dict[str, Any]:
    before, after = (
        None if one is None else msgspec.json.encode(one, order="sorted").decode()
        for one in (change.before, change.after)
    )
    if any(_SECRET.search(text) for text in (change.subject, *filter(None, (before, after)))):
        raise InvalidRequest("A name or a note must not contain a key or a code: it would be stored in the audit log.")
    return {
        "at": int(time.time() * 1000),
        "actor_kind": actor.kind,
        "actor": actor.id[:128],
        "address": actor.address[:64],
        "action": change.action,
        "subject": change.subject[:256],
        "account_id": change.account_id,
        "before": before,
        "after": after,
    }


class AuditFilter(NamedTuple):
    """Which rows. None: all. Times in milliseconds since 1970; `until` is not included. `action` may be a beginning,
    such as "key."."""

    account_id: str | None = None
    action: str | None = None
    subject: str | None = None
    actor: str | None = None
    since: int | None = None
    until: int | None = None

    def of(self, statement: Select[Any]) -> Select[Any]:
        for column, value in (
            (audit_log.c.account_id, self.account_id), (audit_log.c.subject, self.subject),
            (audit_log.c.actor, self.actor),
        ):  # fmt: skip
            if value is not None:
                statement = statement.where(column == value)
        if self.action is not None:
            statement = statement.where(audit_log.c.action.startswith(self.action, autoescape=True))
        if self.since is not None:
            statement = statement.where(audit_log.c.at >= self.since)
        return statement if self.until is None else statement.where(audit_log.c.at < self.until)


def list_audit(store: Store, wanted: AuditFilter, limit: int, before_id: int | None = None) -> list[dict[str, Any]]:
    """The newest rows, newest first; `before_id`: those that are older than this one."""
    statement = wanted.of(select(audit_log)).order_by(audit_log.c.id.desc()).limit(limit)
    if before_id is not None:
        statement = statement.where(audit_log.c.id < before_id)
    with store.read() as connection:
        return [_entry(row) for row in connection.execute(statement)]


def export_audit(store: Store, wanted: AuditFilter, kind: str, out: BinaryIO) -> int:
    """Writes all rows, oldest first, in one of FORMATS; returns how many. In CSV `before` and `after` are JSON."""
    count = 0
    with store.snapshot() as connection:
        statement = wanted.of(select(audit_log)).order_by(audit_log.c.id).execution_options(yield_per=READ_ROWS)
        with connection.execute(statement) as rows:
            for line in _lines(map(_entry, rows), kind):
                out.write(line)
                count += 1
    return count - (kind == "csv")


def audit_part(
    store: Store, wanted: AuditFilter, kind: str, limit: int, after: int | None = None
) -> tuple[bytes, int | None]:
    """So many rows of what `export_audit` writes, behind the one with this id (None: the beginning), and the id of the
    last; None: there are no more. Each part is read for itself, so an export holds no transaction open."""
    statement = wanted.of(select(audit_log)).order_by(audit_log.c.id).limit(limit)
    if after is not None:
        statement = statement.where(audit_log.c.id > after)
    with store.read() as connection:
        rows = connection.execute(statement).all()
    body = b"".join(_lines(map(_entry, rows), kind, with_head=after is None))
    return body, rows[-1].id if len(rows) == limit else None


def _lines(entries: Iterator[dict[str, Any]], kind: str, *, with_head: bool = True) -> Iterator[bytes]:
    if kind == "jsonl":
        for entry in entries:
            yield msgspec.json.encode(entry) + b"\n"
        return
    if with_head:
        yield _csv_line(_COLUMNS)
    for entry in entries:
        yield _csv_line(
            [
                _cell(msgspec.json.encode(value).decode() if name in ("before", "after") and value else value)
                for name, value in entry.items()
            ]
        )


def _csv_line(cells: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    # What begins like a formula is one to a spreadsheet.
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _entry(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "at": datetime.fromtimestamp(row.at / 1000, UTC).isoformat(timespec="milliseconds"),
        "actor_kind": row.actor_kind,
        "actor": row.actor,
        "address": row.address,
        "action": row.action,
        "subject": row.subject,
        "account": row.account_id,
        "before": None if row.before is None else msgspec.json.decode(row.before),
        "after": None if row.after is None else msgspec.json.decode(row.after),
    }
