"""What was asked and answered, as it is stored: sealed. Every function works on one open transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from fairlead.store.tables import accounts, call_content, content_counts, content_erasures

DAY_MS: Final = 86_400_000
COUNTS_KEPT_DAYS: Final = 400
# Rows that one transaction deletes: so who stores usage records waits for some tens of milliseconds at most.
DELETED_AT_ONCE: Final = 500


class ContentRow(NamedTuple):
    """A row of `call_content`."""

    id: str
    account_id: str
    key_id: str
    caller_user: str
    at: int
    sealed_with: str
    nonce: bytes
    body: bytes


class ContentCounts(NamedTuple):
    """Of some days: calls that were kept, dropped, and left out because they asked for it; bytes of those kept."""

    kept: int = 0
    dropped: int = 0
    left_out: int = 0
    bytes: int = 0

    def plus(self, other: ContentCounts) -> ContentCounts:
        return ContentCounts(*(a + b for a, b in zip(self, other, strict=True)))


def add_rows(connection: Connection, rows: Sequence[ContentRow]) -> None:
    """Adds rows; one of the same call is replaced."""
    if rows:
        connection.execute(delete(call_content).where(call_content.c.id.in_([row.id for row in rows])))
        connection.execute(insert(call_content), [row._asdict() for row in rows])


def add_counts(connection: Connection, counts: Mapping[tuple[str, int], ContentCounts]) -> None:
    """`counts`: by account and day."""
    for (account_id, day), more in counts.items():
        here = (content_counts.c.account_id == account_id) & (content_counts.c.day == day)
        added = {name: content_counts.c[name] + value for name, value in more._asdict().items()}
        if not connection.execute(update(content_counts).where(here).values(**added)).rowcount:
            connection.execute(insert(content_counts).values(account_id=account_id, day=day, **more._asdict()))


def counts_of(connection: Connection, account_id: str, since_day: int) -> ContentCounts:
    sums = [func.coalesce(func.sum(content_counts.c[name]), 0) for name in ContentCounts._fields]
    here = (content_counts.c.account_id == account_id) & (content_counts.c.day >= since_day)
    return ContentCounts(*(int(value) for value in connection.execute(select(*sums).where(here)).one()))


def erased_until(connection: Connection, account_ids: Sequence[str]) -> dict[tuple[str, str], int]:
    """When everything was deleted last, by account and end user ("": everybody)."""
    rows = connection.execute(select(content_erasures).where(content_erasures.c.account_id.in_(account_ids)))
    return {(row.account_id, row.caller_user): row.at for row in rows}


def content_row(connection: Connection, account_id: str, call_id: str) -> ContentRow | None:
    here = (call_content.c.account_id == account_id) & (call_content.c.id == call_id)
    row = connection.execute(select(*(call_content.c[name] for name in ContentRow._fields)).where(here)).one_or_none()
    return None if row is None else ContentRow(*row)


def delete_call(connection: Connection, account_id: str, call_id: str) -> bool:
    """Whether there was something."""
    here = (call_content.c.account_id == account_id) & (call_content.c.id == call_id)
    return bool(connection.execute(delete(call_content).where(here)).rowcount)


def erase(connection: Connection, account_id: str, caller_user: str, now_ms: int) -> None:
    """Says that what ended until now is to be deleted, and not to be stored. `caller_user`: "": of everybody."""
    here = (content_erasures.c.account_id == account_id) & (content_erasures.c.caller_user == caller_user)
    if not connection.execute(update(content_erasures).where(here).values(at=now_ms)).rowcount:
        connection.execute(insert(content_erasures).values(account_id=account_id, caller_user=caller_user, at=now_ms))
    if not caller_user:
        connection.execute(update(content_counts).where(content_counts.c.account_id == account_id).values(bytes=0))


def has_older(connection: Connection, account_id: str, before_ms: int, caller_user: str | None = None) -> bool:
    """Whether there are rows that `delete_older` would delete."""
    ids = select(call_content.c.id).where(_older(account_id, before_ms, caller_user)).limit(1)
    return connection.execute(ids).first() is not None


def _older(account_id: str, before_ms: int, caller_user: str | None) -> ColumnElement[bool]:
    here = (call_content.c.account_id == account_id) & (call_content.c.at < before_ms)
    return here if caller_user is None else here & (call_content.c.caller_user == caller_user)


def delete_older(connection: Connection, account_id: str, before_ms: int, caller_user: str | None = None) -> int:
    """Deletes some rows of an account that ended before; how many. Until it is less than DELETED_AT_ONCE there are
    more. `caller_user`: only theirs."""
    older = select(call_content.c.id).where(_older(account_id, before_ms, caller_user)).limit(DELETED_AT_ONCE)
    ids = connection.execute(older).scalars().all()
    if ids:
        connection.execute(delete(call_content).where(call_content.c.id.in_(ids)))
    return len(ids)


def accounts_with_policy(connection: Connection, after: str, most: int) -> list[tuple[str, str]]:
    """Accounts that have, or once had, content; with their policies."""
    rows = connection.execute(
        select(accounts.c.id, accounts.c.content)
        .where(accounts.c.content.is_not(None), accounts.c.id > after)
        .order_by(accounts.c.id)
        .limit(most)
    )
    return [(row.id, row.content) for row in rows]


def prune_counts(connection: Connection, today: int, erased_before_ms: int) -> None:
    """Forgets counts and erasures that nobody needs any more."""
    connection.execute(delete(content_counts).where(content_counts.c.day < today - COUNTS_KEPT_DAYS))
    connection.execute(delete(content_erasures).where(content_erasures.c.at < erased_before_ms))
