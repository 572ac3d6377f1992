"""What may be spent, in the database: credit and budgets, and the slices (leases) that processes hold of them.

Every function works on one open transaction. `granted - spent - leased` of a scope is free to take; a slice is taken by
one conditional UPDATE, so the slices of all processes together never exceed it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, insert, select, text, update

from fairlead.errors import ConfigurationError
from fairlead.money import MOST_PICODOLLARS
from fairlead.store.tables import entries, funds, leases, postings

# A slice is at most this part of what is free, unless more is needed now.
SLICE_PART = 8
# How long after a process found too little the others give back what they hold and do not use.
WANTED_MILLISECONDS = 1_000
# Sessions of which a key or an account has budgets at the same time, beyond which the oldest are forgotten, and how
# long each is kept.
MOST_SESSIONS = 10_000
SESSION_DAYS = 30
# They are counted once for about so many new ones.
NEW_SESSIONS_PER_LOOK = 64
SESSION_PART = "/session/"
# Scopes whose balances are read by one statement.
SCOPES_AT_ONCE = 500

# What each batch of records runs, made once: making a statement takes longer than running it.
_OF = funds.c.scope == bindparam("of")
_LOCK = update(funds).where(_OF).values(wanted_at=funds.c.wanted_at)
_SPEND = (
    update(funds)
    .where(_OF)
    .values(spent=funds.c.spent + bindparam("amount"), leased=funds.c.leased - bindparam("leased_amount"))
)
_MINE = (leases.c.process_id == bindparam("by")) & (leases.c.scope == bindparam("of"))
_USE_LEASE = (
    update(leases)
    .where(_MINE, leases.c.remaining >= bindparam("amount"))
    .values(remaining=leases.c.remaining - bindparam("amount"))
)
_END_USED = delete(leases).where(_MINE, leases.c.remaining == 0)


class Taken(NamedTuple):
    """What a process got, what is left to take, and what other processes have leased. Picodollars."""

    amount: int
    left: int
    others: int


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
        raise ConfigurationError("The amount exceeds the credit that an account can hold.")
    if held is None:
        connection.execute(insert(funds).values(scope=scope, granted=0, spent=0, leased=0, wanted_at=0))
    connection.execute(update(funds).where(funds.c.scope == scope).values(granted=funds.c.granted + picodollars))
    if picodollars:
        add_entry(connection, "grant", note, {credit_scope(account_id): picodollars, "grants": -picodollars})


def take(
    connection: Connection,
    process_id: str,
    scope: str,
    granted: int | None,
    need: int,
    wanted: int,
    lease_seconds: float,
) -> Taken:
    """Leases a slice: at least `need` when there is so much, else all there is; up to `wanted` when that is a small
    part of what is free. `granted`: what a budget is now."""
    now = _now()
    row = _locked(connection, scope, granted)
    if row is None:
        return Taken(0, 0, 0)
    free = row.granted - row.spent - row.leased
    own = connection.execute(
        select(leases.c.remaining).where(leases.c.process_id == process_id, leases.c.scope == scope)
    ).scalar()
    others = row.leased - (own or 0)
    amount = max(0, min(free, max(need, min(free // SLICE_PART, wanted))))
    if amount:
        taken = connection.execute(
            update(funds)
            .where(funds.c.scope == scope, funds.c.granted - funds.c.spent - funds.c.leased >= amount)
            .values(leased=funds.c.leased + amount)
        )
        assert taken.rowcount == 1
        expires = now + int(lease_seconds * 1000)
        if own is None:
            connection.execute(
                insert(leases).values(process_id=process_id, scope=scope, remaining=amount, expires_at=expires)
            )
        else:
            connection.execute(
                update(leases)
                .where(leases.c.process_id == process_id, leases.c.scope == scope)
                .values(remaining=leases.c.remaining + amount, expires_at=expires)
            )
    if amount < need and others:
        connection.execute(update(funds).where(funds.c.scope == scope).values(wanted_at=now))
    return Taken(amount, free - amount, others)


def _locked(connection: Connection, scope: str, granted: int | None) -> Any:
    """The row of a scope, locked for this transaction by writing to it first; a budget's is made or adapted."""
    changes = {"wanted_at": funds.c.wanted_at} if granted is None else {"granted": granted}
    found = connection.execute(update(funds).where(funds.c.scope == scope).values(**changes))
    if not found.rowcount:
        if granted is None:
            return None
        # Two processes may begin a period at once: the second one waits here, and finds the first one's row.
        at = 0
        if is_of_session(scope):
            at = _now() - WANTED_MILLISECONDS
            _make_room(connection, scope)
        connection.execute(
            text(
                "INSERT INTO funds (scope, granted, spent, leased, wanted_at) VALUES (:scope, :granted, 0, 0, :at) "
                "ON CONFLICT (scope) DO UPDATE SET granted = excluded.granted"
            ),
            {"scope": scope, "granted": granted, "at": at},
        )
    return connection.execute(select(funds).where(funds.c.scope == scope)).one()


def is_of_session(scope: str) -> bool:
    """Whether it is the budget of one session, such as key/ID/session/DIGEST."""
    return SESSION_PART in scope


def _make_room(connection: Connection, scope: str) -> None:
    """Forgets the oldest sessions of a key or an account that has many. `wanted_at` is when they began, or later."""
    if secrets.randbelow(NEW_SESSIONS_PER_LOOK):
        return
    start = scope[: scope.index(SESSION_PART) + len(SESSION_PART)]
    theirs = funds.c.scope.startswith(start, autoescape=True)
    count = connection.execute(select(func.count()).select_from(funds).where(theirs)).scalar_one()
    if count >= MOST_SESSIONS:
        oldest = (
            select(funds.c.scope)
            .where(theirs, funds.c.leased == 0)
            .order_by(funds.c.wanted_at)
            .limit(count - MOST_SESSIONS + max(1, MOST_SESSIONS // 10))
        )
        connection.execute(delete(funds).where(funds.c.scope.in_(oldest), funds.c.leased == 0))


def forget_sessions(connection: Connection) -> None:
    """Removes the budgets of sessions that began long ago."""
    old = funds.c.scope.like("%/session/%") & (funds.c.wanted_at < _now() - SESSION_DAYS * 86_400_000)
    connection.execute(delete(funds).where(old, funds.c.leased == 0))


def lock(connection: Connection, scope: str) -> None:
    """Every transaction takes the row of a scope before its leases, so that no two wait for each other."""
    connection.execute(_LOCK, {"of": scope})


def give_back(connection: Connection, process_id: str, scope: str, amount: int) -> None:
    """Returns a part of a lease. Does nothing when the lease is not there any more."""
    lock(connection, scope)
    mine = (leases.c.process_id == process_id) & (leases.c.scope == scope)
    if not connection.execute(
        update(leases).where(mine, leases.c.remaining >= amount).values(remaining=leases.c.remaining - amount)
    ).rowcount:
        return
    connection.execute(update(funds).where(funds.c.scope == scope).values(leased=funds.c.leased - amount))
    connection.execute(delete(leases).where(mine, leases.c.remaining == 0))


def spend(connection: Connection, process_id: str, charged: Mapping[str, int]) -> None:
    """What a process has charged, by scope, is spent now and no longer leased."""
    for scope, amount in sorted(charged.items()):  # in one order everywhere, so that no two wait for each other
        lock(connection, scope)
        mine = {"of": scope, "by": process_id}
        leased = connection.execute(_USE_LEASE, {**mine, "amount": amount}).rowcount
        # A lease that ran out was given back already.
        connection.execute(_SPEND, {"of": scope, "amount": amount, "leased_amount": amount if leased else 0})
        connection.execute(_END_USED, mine)


def release(connection: Connection, process_id: str) -> None:
    """Ends a process: whatever it had leased and not spent is free again."""
    _end(connection, leases.c.process_id == process_id)


def reclaim(connection: Connection) -> None:
    """Ends the leases of processes that have not been heard of for as long as a lease lasts."""
    _end(connection, leases.c.expires_at < _now())


def _end(connection: Connection, which: ColumnElement[bool]) -> None:
    for row in connection.execute(select(leases).where(which).order_by(leases.c.scope)).all():
        lock(connection, row.scope)
        ended = connection.execute(
            delete(leases).where(
                leases.c.process_id == row.process_id, leases.c.scope == row.scope, leases.c.remaining == row.remaining
            )
        )
        if ended.rowcount:  # else it was used in the meantime: it is not dead
            connection.execute(
                update(funds).where(funds.c.scope == row.scope).values(leased=funds.c.leased - row.remaining)
            )


def renew(connection: Connection, process_id: str, lease_seconds: float) -> None:
    """This process lives: its leases last on."""
    connection.execute(
        update(leases).where(leases.c.process_id == process_id).values(expires_at=_now() + int(lease_seconds * 1000))
    )


def wanted(connection: Connection, scopes: Iterable[str]) -> set[str]:
    """Those of these scopes of which another process has lately found too little."""
    rows = connection.execute(
        select(funds.c.scope).where(funds.c.scope.in_(list(scopes)), funds.c.wanted_at > _now() - WANTED_MILLISECONDS)
    )
    return {row.scope for row in rows}


class Balance(NamedTuple):
    """Picodollars of one scope. `leased` is what processes may be spending at this moment."""

    granted: int
    spent: int
    leased: int


def balance(connection: Connection, scope: str) -> Balance | None:
    """None when nothing was ever granted to it or taken from it."""
    row = connection.execute(select(funds).where(funds.c.scope == scope)).first()
    return None if row is None else Balance(row.granted, row.spent, row.leased)


def balances(connection: Connection, scopes: Sequence[str]) -> dict[str, Balance]:
    """Of those that something was ever granted to or taken from."""
    found = {}
    for at in range(0, len(scopes), SCOPES_AT_ONCE):
        for row in connection.execute(select(funds).where(funds.c.scope.in_(scopes[at : at + SCOPES_AT_ONCE]))):
            found[row.scope] = Balance(row.granted, row.spent, row.leased)
    return found


def overdrawn(connection: Connection) -> str | None:
    """The first scope whose leases do not add up to what it says, or are more than it has."""
    held = select(leases.c.scope, func.sum(leases.c.remaining).label("remaining")).group_by(leases.c.scope).subquery()
    statement = select(funds, func.coalesce(held.c.remaining, 0).label("remaining")).outerjoin(
        held, held.c.scope == funds.c.scope
    )
    for row in connection.execute(statement.order_by(funds.c.scope)):
        if row.leased != row.remaining:
            return f"{row.scope} says that {row.leased} picodollars are leased; its leases come to {row.remaining}."
        if "/" not in row.scope.removeprefix("account/") and row.leased > max(0, row.granted - row.spent):
            return f"{row.scope} has leased {row.leased} of {row.granted - row.spent} picodollars."
    return None


def _now() -> int:
    return int(time.time() * 1000)
