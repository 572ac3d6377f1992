"""`fairlead verify`: every charge made again from its record and its sheet, and the books added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from fairlead.ledger.books import (
    READ_ROWS,
    Columns,
    Unusable,
    all_sheets,
    bodies_of,
    count_records,
    postings_of,
    records_by_entry,
    unbalanced_entry,
    unequal_balance,
    without_entry,
    wrong_budget,
    wrong_charges,
)
from fairlead.ledger.credit import wrong_refund
from fairlead.ledger.funds import overdrawn
from fairlead.ledger.record import EMPTY, UsageRecord, decode, usage_of
from fairlead.ledger.settled import settled_of
from fairlead.ledger.spool import read_segment
from fairlead.ledger.sums import moves
from fairlead.ledger.unreadable import Unreadable
from fairlead.prices import PriceSheet, amounts
from fairlead.wire.usage import PROMPT_CLASSES

# What SQLite says when a sum has no 64 bits.
OVERFLOW = "integer overflow"


@dataclass(frozen=True, slots=True)
class Verified:
    """What was checked. `charged` in picodollars; `implausible`: calls whose provider reported usage that cannot be;
    `discrepancy` is the first one, in a sentence."""

    records: int = 0
    sheets: int = 0
    charged: int = 0
    missing: int = 0
    implausible: tuple[str, ...] = ()
    discrepancy: str | None = None


def verify(connection: Connection, since: int = 0, progress: Callable[[int], None] = lambda _: None) -> Verified:
    """Checks all records stored since a time (milliseconds since 1970). Stops at the first discrepancy."""
    try:
        sheets = all_sheets(connection)
        for name, sheet in sheets.items():
            if sheet.id != name:
                return Verified(discrepancy=f"The price sheet {name} has been changed: its content is {sheet.id}.")
        return _verify(connection, since, sheets, progress)
    except Unusable as error:
        return Verified(discrepancy=str(error))
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        # SQLite keeps anything in any column: text or NULL where a number belongs.
        return Verified(discrepancy=f"A stored value is not what belongs there: {error}.")
    except OperationalError as error:
        if OVERFLOW not in str(error.orig):
            raise
        return Verified(discrepancy="Stored amounts do not add up to a number of 64 bits.")


def _verify(
    connection: Connection, since: int, sheets: dict[str, PriceSheet], progress: Callable[[int], None]
) -> Verified:
    records = charged = missing = 0
    by_scope: Counter[str] = Counter()
    implausible: list[str] = []
    for entry, found in records_by_entry(connection, since):
        for columns, record in found:
            if wrong := _wrong(record, columns, sheets):
                return Verified(records, len(sheets), charged, missing, discrepancy=f"{columns.id}: {wrong}")
            charged += record.price
            for scope in record.scopes:
                by_scope[scope] += record.price
            missing += record.missing
            if record.implausible is not None:
                implausible.append(record.id)
        if (kept := postings_of(connection, entry)) != (made := moves(settled_of(record) for _, record in found)):
            text = f"The postings of entry {entry} are {kept}; its records make {made}."
            return Verified(records, len(sheets), charged, missing, discrepancy=text)
        records += len(found)
        progress(len(found))
    entry_id = unbalanced_entry(connection)
    wrong = None if entry_id is None else f"The postings of entry {entry_id} do not sum to zero."
    wrong = (
        wrong
        or without_entry(connection)
        or wrong_refund(connection)
        or wrong_charges(connection)
        or unequal_balance(connection)
        or overdrawn(connection)
        or (None if since else wrong_budget(connection, by_scope))
    )
    return Verified(records, len(sheets), charged, missing, tuple(implausible), wrong)


def verify_spools(connection: Connection, root: Path) -> tuple[int, str | None]:
    """How many records still wait in spools, and the first discrepancy: a record that the books have otherwise, or one
    that nobody here can read."""
    waiting = 0
    aside = Unreadable(root.parent)
    if count := aside.count():
        return 0, (
            f"{count:,} records or pieces of the spool are not in the books, because they could not be read: "
            f"see {aside.directory}."
        )
    for directory in sorted(root.iterdir()) if root.is_dir() else []:
        for path in sorted(directory.glob("*.spool")):
            for bodies in batched(read_segment(path), READ_ROWS):
                try:
                    records = [decode(body) for body in bodies]
                except (msgspec.DecodeError, RecursionError) as error:
                    return waiting, f"A record in {path} cannot be read by this version: {error}."
                stored = bodies_of(connection, [record.id for record in records])
                for record in records:
                    kept = stored.get(record.id)
                    if kept is None:
                        waiting += 1
                    elif not _is(kept, record):
                        return waiting, f"{record.id}: the spool and the database have it differently."
    return waiting, None


def _is(kept: str, record: UsageRecord) -> bool:
    try:
        return decode(kept) == record
    except (msgspec.DecodeError, TypeError, RecursionError):
        return False


def batched(records: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    source = iter(records)
    while found := list(islice(source, size)):
        yield found


def _wrong(record: UsageRecord, columns: Columns, sheets: dict[str, PriceSheet]) -> str | None:
    if columns.price != record.price:
        return f"the record says {record.price} picodollars, its column {columns.price}."
    if columns != (record.id, record.at, record.account, record.key, record.price):
        return f"the record is of {record.id}, {record.account} and {record.key}; its columns say something else."
    classes = record.tokens
    if record.balanced and (sum(classes[:PROMPT_CLASSES]), sum(classes[PROMPT_CLASSES:-1])) != (
        record.prompt,
        record.completion,
    ):
        return "its classes of tokens do not add up to its prompt and its answer."
    wasted = 0
    for attempt in record.attempts:
        if attempt.tokens is not None:
            sheet = sheets.get(attempt.sheet)
            if sheet is None or sheet.cost is None:
                return f"the price sheet {attempt.sheet} of an attempt is missing, or has no cost."
            if attempt.cost != sheet.cost.charge(attempt.tokens, attempt.prompt):
                return f"an attempt cost {attempt.cost} picodollars; its sheet says otherwise."
        wasted += attempt.cost
    if record.usage in ("none", "usage_missing"):
        return None if not record.price and (record.cost or 0) == wasted else "it is charged without any usage."
    sheet = sheets.get(record.sheet)
    if sheet is None:
        return f"its price sheet {record.sheet} is missing."
    full, cost = amounts(sheet, usage_of(record))
    # Whose usage is another one than the caller's has its cost in its attempt.
    own = 0 if record.attempts and record.attempts[-1].tokens is not None else cost or 0
    price = 0 if record.outcome == EMPTY else full
    if (price, own + wasted) != (
        record.price + record.shortfall,
        record.cost or 0,
    ) or record.shortfall < 0:
        return (
            f"charged {record.price} (and {record.shortfall} waived), by its sheet {price} picodollars "
            f"(cost {record.cost} and {own + wasted})."
        )
    return None


def total_records(connection: Connection, since: int = 0) -> int:
    """How many records `verify` will look at."""
    return count_records(connection, since)
