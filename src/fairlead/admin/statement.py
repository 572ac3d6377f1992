"""The statement of an account: what it was granted, charged and given back, by day, and invoices of months."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Literal, NamedTuple

from sqlalchemy import Connection, select

from fairlead.accounts.accounts import AccountInfo, account_info
from fairlead.clock import utc_now
from fairlead.errors import ConfigurationError, NotFound
from fairlead.ledger.funds import Balance, balance, credit_scope
from fairlead.ledger.rollups import DAY, DAY_SECONDS, Sums, charged_before, rollups, seconds_of
from fairlead.store import Store
from fairlead.store.tables import MOVES, entries, postings, refunds

Kind = Literal["grant", "withdrawal", "refund", "charge"]


class StatementLine(NamedTuple):
    """`at`: seconds since 1970; of charges the day. `amount`: picodollars, negative for what was taken; `balance`: that
    after it; `call`: whose charge was refunded; `calls`: how many were charged that day."""

    at: int
    kind: Kind
    note: str
    amount: int
    balance: int
    call: str = ""
    calls: int = 0


class Statement(NamedTuple):
    """Of one month, oldest line first. Picodollars."""

    account: AccountInfo
    month: date
    opening: int
    lines: tuple[StatementLine, ...]
    closing: int

    def total(self, *kinds: Kind) -> int:
        return sum(line.amount for line in self.lines if line.kind in kinds)


class Invoice(NamedTuple):
    """What the calls of a month came to, by model; `refunded`: picodollars that were given back in it."""

    account: AccountInfo
    month: date
    number: str
    models: tuple[tuple[str, Sums], ...]
    charged: int
    refunded: int


class _Move(NamedTuple):
    at: int
    kind: Kind
    note: str
    amount: int
    call: str


def account_credit(store: Store, account_id: str) -> tuple[AccountInfo, Balance]:
    """Raises NotFound."""
    with store.read() as connection:
        return _account(connection, account_id), balance(connection, credit_scope(account_id)) or Balance(0, 0, 0)


def statement(store: Store, account_id: str, month: date) -> Statement:
    """Charges are as fresh as the roll-ups. Raises NotFound."""
    first, end = month_of(month)
    begin = seconds_of(first)
    with store.read() as connection:
        account = _account(connection, account_id)
        moves = _moves(connection, account_id, seconds_of(end))
        days = rollups(connection, f"account/{account_id}", DAY, begin, seconds_of(end))
        opening = -charged_before(connection, f"account/{account_id}", begin)
    opening += sum(move.amount for move in moves if move.at < begin)
    found = [move for move in moves if move.at >= begin]
    charged: dict[int, Sums] = {}
    for day in days:
        if day.sums.charged:
            charged.setdefault(day.start, Sums()).add(day.sums)
    lines, now = [], opening
    for at, move, sums in sorted(
        [(move.at, move, None) for move in found]
        # A day's charges stand behind what was granted in the course of it.
        + [(start + DAY_SECONDS - 1, None, sums) for start, sums in charged.items()],
        key=lambda one: (one[0], one[1] is None),
    ):
        if move is not None:
            now += move.amount
            lines.append(StatementLine(at, move.kind, move.note, move.amount, now, move.call))
        elif sums is not None:
            now -= sums.charged
            lines.append(StatementLine(at - DAY_SECONDS + 1, "charge", "", -sums.charged, now, calls=sums.requests))
    return Statement(account, first, opening, tuple(lines), now)


def invoice(store: Store, account_id: str, month: date) -> Invoice:
    """Raises NotFound."""
    first, end = month_of(month)
    with store.read() as connection:
        account = _account(connection, account_id)
        days = rollups(connection, f"account/{account_id}", DAY, seconds_of(first), seconds_of(end))
        moves = _moves(connection, account_id, seconds_of(end))
    models: dict[str, Sums] = {}
    for day in days:
        models.setdefault(day.model, Sums()).add(day.sums)
    given_back = sum(move.amount for move in moves if move.kind == "refund" and move.at >= seconds_of(first))
    return Invoice(
        account,
        first,
        f"{account_id.removeprefix('acc_')}-{first:%Y-%m}",
        tuple(sorted(models.items(), key=lambda pair: (-pair[1].charged, pair[0]))),
        sum(sums.charged for sums in models.values()),
        given_back,
    )


def month_of(day: date) -> tuple[date, date]:
    """Its first day, and that of the next month."""
    first = day.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1)


def read_month(text: str) -> date:
    """ "2027-01"; the current one for nothing. Raises NotFound for anything else."""
    if not text:
        return utc_now().date().replace(day=1)
    try:
        return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError:
        raise NotFound("There is no such month: it is written as 2027-01.", param="month") from None


def _account(connection: Connection, account_id: str) -> AccountInfo:
    try:
        return account_info(connection, account_id)
    except ConfigurationError:
        raise NotFound("There is no such account.", param="account") from None


def _moves(connection: Connection, account_id: str, until: int) -> list[_Move]:
    """Everything but charges, before a time in seconds since 1970."""
    rows = connection.execute(
        select(entries.c.at, entries.c.kind, entries.c.note, postings.c.amount, refunds.c.record_id)
        .join(postings, postings.c.entry_id == entries.c.id)
        .outerjoin(refunds, refunds.c.entry_id == entries.c.id)
        .where(MOVES, entries.c.at < until * 1000, postings.c.book == credit_scope(account_id))
        .order_by(entries.c.id)
    )
    return [_Move(row.at // 1000, row.kind, row.note, int(row.amount), row.record_id or "") for row in rows]
