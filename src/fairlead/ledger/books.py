"""The books: double entry, append-only. All SQL of the ledger is here; each function works on one open transaction.

Books: `account/ID` what an account has (below zero: what it owes), `revenue` what callers were charged, `cost` what
providers charge the operator, `provider/ID` what a provider is owed. The postings of an entry sum to zero.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import Connection, func, insert, select

from fairlead.ledger.record import UsageRecord, decode
from fairlead.prices import PriceSheet
from fairlead.store.tables import entries, postings, price_sheets, usage_records

READ_ROWS = 1_000


def keep_sheets(connection: Connection, sheets: Iterable[PriceSheet]) -> None:
    """Stores the sheets that are not there yet, each as the next version of its deployment."""
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


def post(connection: Connection, batch: Sequence[bytes]) -> int:
    """Puts records into the books, once each however often they come; gives how many were new.

    One entry for the batch, its postings summed by book: the records are the detail behind it.
    """
    found = {record.id: (record, body) for record, body in ((decode(body), body) for body in batch)}
    known = set(connection.execute(select(usage_records.c.id).where(usage_records.c.id.in_(list(found)))).scalars())
    new = [pair for name, pair in found.items() if name not in known]
    if not new:
        return 0
    entry = connection.execute(
        insert(entries).values(kind="settle", at=int(time.time() * 1000), note=f"{len(new)} calls")
    ).inserted_primary_key[0]  # type: ignore[index]
    connection.execute(
        insert(usage_records),
        [
            {
                "id": record.id,
                "at": record.at,
                "account_id": record.account,
                "key_id": record.key,
                "model": record.model,
                "sheet_id": record.sheet or None,
                "price": record.price,
                "cost": record.cost,
                "entry_id": entry,
                "body": body,
            }
            for record, body in new
        ],
    )
    moved = moves(record for record, _ in new)
    if moved:
        connection.execute(
            insert(postings),
            [{"entry_id": entry, "book": book, "amount": amount} for book, amount in sorted(moved.items())],
        )
    return len(new)


def moves(records: Iterable[UsageRecord]) -> dict[str, int]:
    """The postings that records make, by book; those of zero are left out."""
    found: Counter[str] = Counter()
    for record in records:
        found[f"account/{record.account}"] -= record.price
        found["revenue"] += record.price
        if record.cost:
            found[f"provider/{record.deployment.partition('/')[0]}"] += record.cost
            found["cost"] -= record.cost
    return {book: amount for book, amount in found.items() if amount}


def stored_record(connection: Connection, record_id: str, account_id: str) -> UsageRecord | None:
    """A record of this account; None when there is none."""
    body = connection.execute(
        select(usage_records.c.body).where(usage_records.c.id == record_id, usage_records.c.account_id == account_id)
    ).scalar()
    return None if body is None else decode(body)


def stored_sheet(connection: Connection, sheet_id: str) -> PriceSheet | None:
    body = connection.execute(select(price_sheets.c.body).where(price_sheets.c.id == sheet_id)).scalar()
    return None if body is None else PriceSheet.from_body(body)


def all_sheets(connection: Connection) -> dict[str, PriceSheet]:
    """Every sheet by the id under which it is stored."""
    rows = connection.execute(select(price_sheets.c.id, price_sheets.c.body))
    return {row.id: PriceSheet.from_body(row.body) for row in rows}


def records_by_entry(connection: Connection, since: int) -> Iterator[tuple[int, list[tuple[int, UsageRecord]]]]:
    """Entry by entry: its records beside the price in their own column. `since`: milliseconds since 1970."""
    rows = connection.execution_options(yield_per=READ_ROWS).execute(
        select(usage_records.c.entry_id, usage_records.c.price, usage_records.c.body)
        .join(entries, entries.c.id == usage_records.c.entry_id)
        .where(entries.c.at >= since)
        .order_by(usage_records.c.entry_id)
    )
    current, found = -1, list[tuple[int, UsageRecord]]()
    for row in rows:
        if row.entry_id != current and found:
            yield current, found
            found = []
        current = row.entry_id
        found.append((row.price, decode(row.body)))
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
