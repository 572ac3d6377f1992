"""Keys that were disabled with their person or with a membership, so that they can be enabled with them again: rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select

from fairlead.store.tables import api_keys, suspended_keys


class SuspendedKey(NamedTuple):
    """`at`: when, in seconds since 1970: a key that was disabled at another time is not ours to enable."""

    key_id: str
    at: int
    member_id: str | None


def add_suspended(connection: Connection, account_id: str, person_id: str, key_ids: Sequence[str], at: int) -> None:
    if key_ids:
        connection.execute(delete(suspended_keys).where(suspended_keys.c.key_id.in_(key_ids)))
        rows = [{"key_id": one, "account_id": account_id, "person_id": person_id, "at": at} for one in key_ids]
        connection.execute(insert(suspended_keys), rows)


def take_suspended(connection: Connection, account_id: str, person_id: str) -> list[SuspendedKey]:
    """Those that are still as they were left; they are forgotten here."""
    mine = (suspended_keys.c.account_id == account_id) & (suspended_keys.c.person_id == person_id)
    rows = connection.execute(
        select(api_keys.c.id, suspended_keys.c.at, api_keys.c.member_id)
        .join(api_keys, api_keys.c.id == suspended_keys.c.key_id)
        .where(mine, api_keys.c.revoked_at.is_(None), api_keys.c.disabled_at == suspended_keys.c.at)
        .order_by(api_keys.c.id)
    ).all()
    connection.execute(delete(suspended_keys).where(mine))
    return [SuspendedKey(row.id, row.at, row.member_id) for row in rows]


def forget_suspended(connection: Connection, *, account_id: str | None = None, person_id: str | None = None) -> None:
    """They stay disabled for good, of an account or of a person."""
    for column, value in ((suspended_keys.c.account_id, account_id), (suspended_keys.c.person_id, person_id)):
        if value is not None:
            connection.execute(delete(suspended_keys).where(column == value))
