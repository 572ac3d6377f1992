"""Projects and members of an account. Keys of a project, and keys of a member, share what is set for it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Table, insert, select, update

from fairlead.accounts.accounts import Budget, account_info, budgets_from_json, check_name
from fairlead.accounts.changes import changed
from fairlead.accounts.end_users import EachUser, read_each_user
from fairlead.accounts.limits import OwnLimits
from fairlead.accounts.options import read_limits, read_list
from fairlead.errors import ConfigurationError
from fairlead.store.tables import api_keys, members, projects

GroupKind = Literal["project", "member"]
TABLES: dict[GroupKind, Table] = {"project": projects, "member": members}
_STARTS: dict[GroupKind, str] = {"project": "prj_", "member": "mem_"}


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """A project or a member as lists show it. Times in seconds since 1970."""

    kind: GroupKind
    id: str
    name: str
    account_id: str
    created_at: int
    budgets: tuple[Budget, ...] = ()
    limits: OwnLimits | None = None
    models: list[str] | None = None
    each_user: EachUser | None = None
    archived_at: int | None = None


def add_group(
    connection: Connection, kind: GroupKind, name: str, account_id: str, columns: Mapping[str, Any] | None = None
) -> str:
    """Creates a project or a member of an account and returns its id. Raises ConfigurationError."""
    check_name(name)
    account_info(connection, account_id)
    group_id = _STARTS[kind] + secrets.token_hex(6)
    row = {"id": group_id, "account_id": account_id, "name": name, "created_at": int(time.time()), **(columns or {})}
    connection.execute(insert(TABLES[kind]).values(row))
    return group_id


def group_info(connection: Connection, kind: GroupKind, group_id: str) -> GroupInfo:
    """Raises ConfigurationError when there is none."""
    table = TABLES[kind]
    row = connection.execute(select(table).where(table.c.id == group_id)).first()
    if row is None:
        raise ConfigurationError(f"There is no {kind} {group_id!r}. `fairlead {kind}s list` shows the ids.")
    return _info(kind, row)


def list_groups(
    connection: Connection, kind: GroupKind, account_id: str | None = None, *, archived: bool = False
) -> list[GroupInfo]:
    """Those of one account, or all, oldest first. `archived`: the archived ones among them."""
    table = TABLES[kind]
    statement = select(table).order_by(table.c.created_at, table.c.id)
    if not archived:
        statement = statement.where(table.c.archived_at.is_(None))
    if account_id is not None:
        statement = statement.where(table.c.account_id == account_id)
    return [_info(kind, row) for row in connection.execute(statement)]


def page_of_groups(
    connection: Connection,
    kind: GroupKind,
    limit: int,
    after: str | None,
    account_id: str | None,
    *,
    archived: bool = False,
) -> list[GroupInfo]:
    """So many in the order of their ids; `after`: those behind this one; `archived`: the archived ones among them."""
    table = TABLES[kind]
    statement = select(table).order_by(table.c.id).limit(limit)
    if not archived:
        statement = statement.where(table.c.archived_at.is_(None))
    if after is not None:
        statement = statement.where(table.c.id > after)
    if account_id is not None:
        statement = statement.where(table.c.account_id == account_id)
    return [_info(kind, row) for row in connection.execute(statement)]


def change_group(connection: Connection, kind: GroupKind, group_id: str, columns: Mapping[str, Any]) -> None:
    """Changes what a project or a member may use, for all its keys. Raises ConfigurationError."""
    found = group_info(connection, kind, group_id)
    table = TABLES[kind]
    connection.execute(update(table).where(table.c.id == group_id).values(**columns))
    changed(connection, account_id=found.account_id)


def archive_group(connection: Connection, kind: GroupKind, group_id: str, *, archived: bool) -> bool:
    """Refuses the keys of a project or a member from now on, or takes that back. False when it was so already. Raises
    ConfigurationError."""
    found = group_info(connection, kind, group_id)
    if (found.archived_at is not None) == archived:
        return False
    table = TABLES[kind]
    at = int(time.time()) if archived else None
    connection.execute(update(table).where(table.c.id == group_id).values(archived_at=at))
    # By their digests: a key that was refused is remembered by its own.
    of_it = api_keys.c[f"{kind}_id"] == group_id
    if digests := list(connection.execute(select(api_keys.c.digest).where(of_it)).scalars()):
        changed(connection, digests)
    return True


def check_groups(connection: Connection, account_id: str, columns: Mapping[str, Any]) -> None:
    """Raises ConfigurationError when a key is to belong to a project or a member of another account."""
    for kind, table in TABLES.items():
        group_id = columns.get(f"{kind}_id")
        if group_id is None:
            continue
        row = connection.execute(select(table).where(table.c.id == group_id)).first()
        if row is None or row.account_id != account_id:  # whether another account has it is not told
            raise ConfigurationError(f"The account of the key has no {kind} {group_id!r}.")
        found = _info(kind, row)
        if found.archived_at is not None:
            raise ConfigurationError(f"The {kind} {group_id} is archived: restore it, or choose another one.")


def _info(kind: GroupKind, row: Any) -> GroupInfo:
    return GroupInfo(
        kind,
        row.id,
        row.name,
        row.account_id,
        row.created_at,
        budgets_from_json(f"{kind}/{row.id}", row.budgets),
        read_limits(row.limits),
        read_list(row.models),
        read_each_user(row.each_user),
        row.archived_at,
    )
