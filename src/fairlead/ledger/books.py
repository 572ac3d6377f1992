"""The books: double entry, append-only. All SQL of the ledger is here; each function works on one open transaction.

Books: `account/ID` what an account has (below zero: what it owes), `revenue` what callers were charged, `cost` what
providers charge the operator, `provider/ID` what a provider is owed. The postings of an entry sum to zero.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Connection, delete, func, insert, literal, select, text, update

from fairlead.ledger.funds import is_of_session, spend
from fairlead.ledger.record import PostingFields, UsageRecord, decode
from fairlead.ledger.settled import Settled, settled_of
from fairlead.ledger.sums import rows, sums
from fairlead.ledger.thresholds import announce_crossings
from fairlead.money import MOST_PICODOLLARS, MoneyOverflow
from fairlead.prices import PriceSheet
from fairlead.store.alerts import AlertRules
from fairlead.store.tables import (
    accounts,
    charges,
    entries,
    funds,
    postings,
    price_sheets,
    refunds,
    usage_records,
    versions,
)

READ_ROWS = 1_000
NOBODY: Final = AlertRules()


class Unusable(Exception):
    """Something stored that is not what it should be: a sentence for the auditor."""


def keep_sheets(connection: Connection, sheets: Iterable[PriceSheet]) -> None:
    """Stores the sheets that are not there yet, each as the next version of its deployment."""
    # Written to first, so that of two processes which start at once the second waits, and then finds the first's.
    connection.execute(update(versions).where(versions.c.name == "keys").values(number=versions.c.number))
    for sheet in sheets:
        if connection.execute(select(price_sheets.c.id).where(price_sheets.c.id == sheet.id)).first() is not None:
            continue
        latest = connection.execute(
            select(func.max(price_sheets.c.version)).where(price_sheets.c.deployment == sheet.deployment)
        ).scalar()
        connection.execute(
            insert(price_sheets).values(
                id=sheet.id,
                deployment=sheet.deployment,
                version=(latest or 0) + 1,
                created_at=int(time.time()),
                body=sheet.body().decode(),
            )
        )


# Many rows are one statement: SQLite lets go of Python's lock once per statement, and every change of hands costs a
# call that is being served more than a row costs here.
# Sizes by halves: what is left of a batch takes eight statements at most. SQLite's driver keeps each of them prepared.
ROWS_PER_STATEMENT = (256, 128, 64, 32, 16, 8, 4, 2, 1)
_COLUMNS = ("id", "at", "account_id", "key_id", "price", "entry_id", "body")
_CHARGE = text(
    "INSERT INTO charges (account_id, key_id, charged) VALUES (:account, :key, :amount) "
    "ON CONFLICT (account_id, key_id) DO UPDATE SET charged = charges.charged + excluded.charged "
    "WHERE charges.charged <= :room"  # SQLite would continue with a float
)


def post(
    connection: Connection,
    batch: Sequence[bytes],
    process_id: str,
    settled: Sequence[Settled] | None = None,
    alerts: AlertRules = NOBODY,
) -> int:
    """Puts records of a process into the books, once each however often they come; gives how many were new.
    `settled`: the same, where they are known already; `alerts`: who is told of thresholds that they cross.

    One entry for the batch, its postings summed by book: the records are the detail behind it.
    """
    entry: int = connection.execute(
        insert(entries).values(kind="settle", at=int(time.time() * 1000), note="usage")
    ).inserted_primary_key[0]  # type: ignore[index]
    last = connection.execute(select(func.coalesce(func.max(usage_records.c.number), 0))).scalar_one()
    if settled is None:
        settled = [settled_of(moved) for moved in _batch.decode(b"[%b]" % b",".join(batch))]
    new = _keep_records(connection, batch, settled, entry)
    _keep_sessions(connection, batch)
    if new < len(batch):  # replayed after a crash: only those that were not there before count
        mine = (usage_records.c.number > last) & (usage_records.c.entry_id == entry)
        kept = connection.execute(select(usage_records.c.body).where(mine)).scalars()
        settled = [settled_of(_moved.decode(body)) for body in kept]
    if not settled:
        connection.execute(delete(entries).where(entries.c.id == entry))
        return 0
    books, spent, charged_by_key = sums(settled)
    if books:
        connection.execute(
            insert(postings), [{"entry_id": entry, "book": book, "amount": value} for book, value in books.items()]
        )
    for (account, key), amount in sorted(charged_by_key.items()):  # in one order, so that no two processes wait
        room = MOST_PICODOLLARS - amount
        found = connection.execute(_CHARGE, {"account": account, "key": key, "amount": amount, "room": room})
        if not found.rowcount:
            raise MoneyOverflow(f"{key} has been charged more than a sum holds")
    spend(connection, process_id, spent)
    announce_crossings(connection, alerts, spent)
    return new


def _keep_records(connection: Connection, batch: Sequence[bytes], settled: Sequence[Settled], entry: int) -> int:
    """How many of them were new."""
    new = start = 0
    for size in ROWS_PER_STATEMENT:
        while len(batch) - start >= size:
            end = start + size
            values = rows(settled[start:end], batch[start:end], entry)
            new += connection.exec_driver_sql(_insert(connection.dialect.name, size), values).rowcount
            start = end
    return new


class _Named(msgspec.Struct, gc=False):
    id: str
    account: str
    session: str = ""
    user: str = ""


_named = msgspec.json.Decoder(_Named)
_NEEDLE = b',"session":"'
_SESSION = text(
    "INSERT INTO call_sessions (record_id, account_id, session, caller_user) VALUES (:id, :account, :session, :user) "
    "ON CONFLICT (record_id) DO NOTHING"
)


def _keep_sessions(connection: Connection, batch: Sequence[bytes]) -> None:
    """Of records whose callers named a session, as coding agents do. Who names only a user, as many programs do in each
    call, has that in the record alone: a second row would cost as much as the first."""
    named = [_named.decode(body) for body in batch if _NEEDLE in body]
    if named:
        connection.execute(_SESSION, [msgspec.structs.asdict(one) for one in named])


@cache
def _insert(dialect: str, count: int) -> str:
    mark = "?" if dialect == "sqlite" else "%s"
    row = f"({', '.join([mark] * len(_COLUMNS))})"
    return (
        f"INSERT INTO usage_records ({', '.join(_COLUMNS)}) VALUES {', '.join([row] * count)} "  # noqa: S608
        "ON CONFLICT (id) DO NOTHING"
    )


_moved = msgspec.json.Decoder(PostingFields)
_batch = msgspec.json.Decoder(list[PostingFields])


def charged(connection: Connection, account_id: str, key_id: str | None) -> int:
    """Picodollars that all calls of an account, or of one key of it, were charged."""
    which = charges.c.account_id == account_id
    if key_id is not None:
        which &= charges.c.key_id == key_id
    return int(connection.execute(select(func.coalesce(func.sum(charges.c.charged), 0)).where(which)).scalar_one())


def wrong_charges(connection: Connection) -> str | None:
    """The first key whose sum is not what its records were charged."""
    made = (
        select(usage_records.c.account_id, usage_records.c.key_id, func.sum(usage_records.c.price).label("total"))
        .group_by(usage_records.c.account_id, usage_records.c.key_id)
        .having(func.sum(usage_records.c.price) > 0)
        .subquery()
    )
    both = (made.c.account_id == charges.c.account_id) & (made.c.key_id == charges.c.key_id)
    rows = connection.execute(
        select(charges, func.coalesce(made.c.total, 0).label("total"))
        .outerjoin(made, both)
        .where(func.coalesce(made.c.total, 0) != charges.c.charged)
        .order_by(charges.c.account_id, charges.c.key_id)
        .limit(1)
    ).first()
    if rows is not None:
        return f"{rows.key_id} was charged {rows.total} picodollars; its sum says {rows.charged}."
    lost = connection.execute(
        select(made).outerjoin(charges, both).where(charges.c.key_id.is_(None)).order_by(made.c.key_id).limit(1)
    ).first()
    return None if lost is None else f"{lost.key_id} was charged {lost.total} picodollars; it has no sum."


def stored_record(connection: Connection, record_id: str, account_id: str) -> UsageRecord | None:
    """A record of this account; None when there is none."""
    body = connection.execute(
        select(usage_records.c.body).where(usage_records.c.id == record_id, usage_records.c.account_id == account_id)
    ).scalar()
    return None if body is None else decode(body)


def bodies_of(connection: Connection, record_ids: Sequence[str]) -> dict[str, str]:
    """The stored records among these, as JSON."""
    rows = connection.execute(
        select(usage_records.c.id, usage_records.c.body).where(usage_records.c.id.in_(record_ids))
    )
    return {row.id: row.body for row in rows}


def stored_sheet(connection: Connection, sheet_id: str) -> tuple[PriceSheet | None, int]:
    """A sheet and its version among those of its deployment; (None, 0) when it is not there."""
    row = connection.execute(
        select(price_sheets.c.body, price_sheets.c.version).where(price_sheets.c.id == sheet_id)
    ).first()
    return (None, 0) if row is None else (PriceSheet.from_body(row.body), row.version)


def sheets_of(connection: Connection, deployments: Sequence[str]) -> list[tuple[int, PriceSheet]]:
    """Every sheet that these deployments have had, each with the time of its first use in seconds since 1970, the
    oldest first. What cannot be read is left out: it is for the auditor."""
    found = []
    chosen = (
        select(price_sheets.c.created_at, price_sheets.c.body)
        .where(price_sheets.c.deployment.in_(deployments))
        .order_by(price_sheets.c.created_at, price_sheets.c.version)
    )
    for row in connection.execute(chosen):
        with suppress(msgspec.DecodeError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError):
            found.append((row.created_at, PriceSheet.from_body(row.body)))
    return found


def all_sheets(connection: Connection) -> dict[str, PriceSheet]:
    """Every sheet by the id under which it is stored. Raises Unusable."""
    found: dict[str, PriceSheet] = {}
    for row in connection.execute(select(price_sheets.c.id, price_sheets.c.body)):
        try:
            found[row.id] = PriceSheet.from_body(row.body)
        except (msgspec.DecodeError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
            raise Unusable(f"The price sheet {row.id} cannot be read: {error}.") from None
    return found


class Columns(NamedTuple):
    """What stands beside a record's body, to find it by and to add up."""

    id: str
    at: int
    account: str
    key: str
    price: int


def records_by_entry(connection: Connection, since: int) -> Iterator[tuple[int, list[tuple[Columns, UsageRecord]]]]:
    """Entry by entry: its records beside their columns. `since`: milliseconds since 1970. Raises Unusable."""
    # SQLite lets one process write at a time, so the order of arrival is that of the entries.
    order = [usage_records.c.number]
    if connection.dialect.name != "sqlite":
        order.insert(0, usage_records.c.entry_id)
    rows = connection.execute(
        select(
            usage_records.c.id,
            usage_records.c.at,
            usage_records.c.account_id,
            usage_records.c.key_id,
            usage_records.c.price,
            usage_records.c.entry_id,
            usage_records.c.body,
        )
        .join(entries, entries.c.id == usage_records.c.entry_id)
        .where(entries.c.at >= since)
        .order_by(*order)
        .execution_options(yield_per=READ_ROWS)
    )
    current, found = -1, list[tuple[Columns, UsageRecord]]()
    for row in rows:
        if row.entry_id != current and found:
            yield current, found
            found = []
        current = row.entry_id
        try:
            found.append((Columns(*row[:5]), decode(row.body)))
        except (msgspec.DecodeError, TypeError, ValueError, RecursionError) as error:
            raise Unusable(f"{row.id}: its record cannot be read by this version: {error}.") from None
    if found:
        yield current, found


def count_records(connection: Connection, since: int) -> int:
    statement = select(func.count()).select_from(usage_records).join(entries, entries.c.id == usage_records.c.entry_id)
    return connection.execute(statement.where(entries.c.at >= since)).scalar() or 0


def postings_of(connection: Connection, entry_id: int) -> dict[str, int]:
    rows = connection.execute(select(postings.c.book, postings.c.amount).where(postings.c.entry_id == entry_id))
    return {row.book: row.amount for row in rows}


def unbalanced_entry(connection: Connection) -> int | None:
    """The first entry whose postings do not sum to zero."""
    statement = select(postings.c.entry_id).group_by(postings.c.entry_id).having(func.sum(postings.c.amount) != 0)
    return connection.execute(statement.order_by(postings.c.entry_id).limit(1)).scalar()


def without_entry(connection: Connection) -> str | None:
    """The first posting or record whose entry is not there."""
    for table, what in ((postings, "postings"), (usage_records, "records")):
        entry = connection.execute(
            select(table.c.entry_id)
            .outerjoin(entries, entries.c.id == table.c.entry_id)
            .where(entries.c.id.is_(None))
            .limit(1)
        ).scalar()
        if entry is not None:
            return f"There are {what} of entry {entry}, which does not exist."
    return None


def wrong_budget(connection: Connection, charged: Mapping[str, int]) -> str | None:
    """The first budget of which not what calls were charged, less what was given back, is spent. `charged`: of all
    records, by scope."""
    returned: Counter[str] = Counter()
    for row in connection.execute(
        select(refunds.c.amount, usage_records.c.body).join(usage_records, usage_records.c.id == refunds.c.record_id)
    ):
        for scope in decode(row.body).scopes:
            returned[scope] += row.amount
    rows = connection.execute(
        select(funds.c.scope, funds.c.spent).where(funds.c.scope.like("%/%/%")).order_by(funds.c.scope)
    )
    for row in rows:
        if is_of_session(row.scope):
            continue  # one that was forgotten may have begun again
        if row.spent != (made := charged.get(row.scope, 0) - returned[row.scope]):
            return f"Of {row.scope} {row.spent} picodollars are spent; its calls come to {made}."
    return None


def unequal_balance(connection: Connection) -> str | None:
    """The first account whose credit is not what its postings come to."""
    books = select(postings.c.book, func.sum(postings.c.amount).label("total")).group_by(postings.c.book).subquery()
    rows = connection.execute(
        select(funds.c.scope, funds.c.granted, funds.c.spent, func.coalesce(books.c.total, 0).label("total"))
        .outerjoin(books, books.c.book == funds.c.scope)
        .where(~funds.c.scope.like("%/%/%"))
        .order_by(funds.c.scope)
    )
    for row in rows:
        if row.granted - row.spent != row.total:
            return f"{row.scope} has {row.granted - row.spent} picodollars of credit; its postings come to {row.total}."
    scope = literal("account/") + accounts.c.id
    lost = connection.execute(
        select(books.c.book, books.c.total)
        .join(accounts, scope == books.c.book)
        .outerjoin(funds, funds.c.scope == books.c.book)
        .where(accounts.c.prepaid, funds.c.scope.is_(None), books.c.total != 0)
        .limit(1)
    ).first()
    return None if lost is None else f"{lost.book} has no credit; its postings come to {lost.total}."
