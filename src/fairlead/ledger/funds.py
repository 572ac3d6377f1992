"""What may be spent, in the database: credit and budgets, and the slices (leases) that processes hold of them.

Every function works on one open transaction. `granted - spent - leased` of a scope is free to take; a slice is taken by
one conditional UPDATE, so the slices of all processes together never exceed it.
"""

from __future__ import annotations

import time

from sqlalchemy import Connection, insert, select, update

from fairlead.errors import ConfigurationError
from fairlead.money import MOST_PICODOLLARS
from fairlead.store.tables import entries, funds, postings


def credit_scope(account_id: str) -> str:
    return f"account/{account_id}"


def add_entry(connection: Connection, kind: str, note: str, amounts: dict[str, int]) -> int:
    """An entry whose postings are these amounts by book. They must sum to zero."""
    assert sum(amounts.values()) == 0
    entry: int = connection.execute(
        insert(entries).values(kind=kind, at=int(time.time() * 1000), note=note)
    ).inserted_primary_key[0]  # type: ignore[index]
    connection.execute(
        insert(postings), [{"entry_id": entry, "book": book, "amount": value} for book, value in amounts.items()]
    )
    return entry


def grant(connection: Connection, account_id: str, picodollars: int, note: str) -> None:
    """Adds credit to an account. Raises ConfigurationError when that is more than an account holds."""
    scope = credit_scope(account_id)
    held = connection.execute(select(funds.c.granted).where(funds.c.scope == scope)).scalar()
    if (held or 0) + picodollars > MOST_PICODOLLARS:
        raise ConfigurationError("That is more credit than an account can hold.")
    if held is None:
        connection.execute(insert(funds).values(scope=scope, granted=0, spent=0, leased=0, wanted_at=0))
    connection.execute(update(funds).where(funds.c.scope == scope).values(granted=funds.c.granted + picodollars))
    add_entry(connection, "grant", note, {credit_scope(account_id): picodollars, "grants": -picodollars})
