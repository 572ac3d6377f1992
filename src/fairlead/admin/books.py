"""The books: verify, explain a call, export usage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from fairlead.ledger import export
from fairlead.ledger.books import bodies_of
from fairlead.ledger.ledger import SPOOL
from fairlead.ledger.record import decode
from fairlead.ledger.verify import Verified, total_records, verify, verify_spools
from fairlead.routing.explain import explained
from fairlead.store import Store
from fairlead.store.health import decision


class BooksVerified(NamedTuple):
    """`discrepancy`: the first one, in a sentence; None: the books are right. `waiting`: records still in spools."""

    found: Verified
    waiting: int
    discrepancy: str | None


def verify_books(store: Store, since: int, begin: Callable[[int], Callable[[int], None]]) -> BooksVerified:
    """Recomputes every charge stored since a time (milliseconds since 1970), in one snapshot of the database.

    `begin` gets the number of records and returns what is called with how many more of them were checked.
    """
    with store.snapshot() as connection:
        found = verify(connection, since, begin(total_records(connection, since)))
        if found.discrepancy is not None:
            return BooksVerified(found, 0, found.discrepancy)
        waiting, wrong = verify_spools(connection, store.directory / SPOOL)
    return BooksVerified(found, waiting, wrong)


def explain(store: Store, generation_id: str) -> dict[str, Any] | None:
    """How a call was routed; None when nothing is stored of it. Records are stored with a moment's delay."""
    with store.read() as connection:
        body = bodies_of(connection, [generation_id]).get(generation_id)
        return explained(None if body is None else decode(body), decision(connection, generation_id))


def account_of_call(store: Store, generation_id: str) -> str | None:
    """Whose call it was; None when there is no record of it."""
    with store.read() as connection:
        body = bodies_of(connection, [generation_id]).get(generation_id)
    return None if body is None else decode(body).account


def one_call(store: Store, generation_id: str) -> dict[str, Any] | None:
    """The usage record of a call as `page_of_usage` shows it; None when there is none."""
    with store.read() as connection:
        body = bodies_of(connection, [generation_id]).get(generation_id)
    return None if body is None else export.row_of(decode(body))


def page_of_usage(
    store: Store, limit: int, after: int, account_id: str | None = None, session: str | None = None
) -> list[tuple[int, dict[str, Any]]]:
    """So many usage records behind this number, with theirs, in the order in which they were stored."""
    with store.read() as connection:
        return export.page(connection, limit, after, account_id, session)


class UsageRange(NamedTuple):
    """Milliseconds since 1970; `until` is not included, None: no end. `account_id`, `session`: None for all."""

    since: int
    until: int | None
    account_id: str | None
    session: str | None = None


def export_usage(store: Store, wanted: UsageRange, kind: str, out: BinaryIO | Path) -> int:
    """Writes usage records, oldest first, in one of `ledger.export.FORMATS`; returns how many.

    Raises OSError, or ConfigurationError without what Parquet needs. A file is there whole or not at all.
    """
    with store.snapshot() as connection:
        found = export.rows(connection, *wanted)
        return export.write_file(found, kind, out) if isinstance(out, Path) else export.write(found, kind, out)
