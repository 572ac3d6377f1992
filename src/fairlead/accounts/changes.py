"""The log of what has changed about keys, so that a process reads only what changed.

A change takes the next number of the row "keys" of `versions`, which it locks until it commits: numbers are committed
in their order and without gaps. Where a number is missing in the log, something changed that is not in it (it was
pruned, or too much changed at once): the process reads everything again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from fairlead.store.tables import key_changes, versions

# Changes that are kept. A process that is further behind reads everything again.
KEPT_CHANGES = 10_000
# Keys that one transaction may log: beyond, reading everything again is cheaper.
MOST_LOGGED = 1_000

_KEYS = versions.c.name == "keys"
_NUMBER = select(versions.c.number).where(_KEYS)


class Changes(NamedTuple):
    """Keys by the SHA-256 of the whole key, new ones included, and accounts, whose keys have changed with them."""

    digests: list[bytes]
    accounts: set[str]


def changed(connection: Connection, digests: Sequence[bytes] = (), account_id: str | None = None) -> None:
    """Reports changed keys, or those of a changed account, to every running process, in the transaction of the change.
    Without either, or with too many: everything may have changed."""
    rows: list[dict[str, object]] = [{"digest": digest, "account_id": None} for digest in digests]
    if account_id is not None:
        rows.append({"digest": None, "account_id": account_id})
    if len(rows) > MOST_LOGGED:
        rows.clear()
    connection.execute(update(versions).where(_KEYS).values(number=versions.c.number + (len(rows) or 1)))
    last = current_number(connection)
    if rows:
        first = last - len(rows) + 1
        connection.execute(insert(key_changes), [{"number": first + at, **row} for at, row in enumerate(rows)])
    connection.execute(delete(key_changes).where(key_changes.c.number <= last - KEPT_CHANGES))


def current_number(connection: Connection) -> int:
    """The number of the last change."""
    return int(connection.execute(_NUMBER).scalar_one())


def changes_since(connection: Connection, number: int, last: int) -> Changes | None:
    """What changed after `number`, up to `last`. None: not all of it is in the log."""
    if not 0 < last - number <= KEPT_CHANGES:
        return None
    within = (key_changes.c.number > number) & (key_changes.c.number <= last)
    rows = connection.execute(select(key_changes).where(within).order_by(key_changes.c.number)).all()
    if len(rows) != last - number:
        return None
    return Changes(
        [row.digest for row in rows if row.digest is not None],
        {row.account_id for row in rows if row.account_id is not None},
    )
