"""Credit by hand: grants, withdrawals, refunds and redemption codes. Each is an entry of its own; nothing is edited.

Every function works on one open transaction.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import NamedTuple

from sqlalchemy import Connection, func, insert, select, update

from fairlead.errors import InvalidRequest, NotFound
from fairlead.ledger.funds import add_entry, credit_scope, grant
from fairlead.ledger.record import decode
from fairlead.money import dollars
from fairlead.store.tables import credit_codes, funds, postings, refunds, usage_records, versions

CODE_START = "fl-code-"
CODE_BYTES = 15
LONGEST_CODE = 64
MOST_CODES = 10_000


class Refunded(NamedTuple):
    account_id: str
    picodollars: int


def withdraw(connection: Connection, account_id: str, picodollars: int, note: str) -> None:
    """Takes credit away again. Raises InvalidRequest when less is free: what calls hold at this moment is not."""
    taken = connection.execute(
        update(funds)
        .where(
            funds.c.scope == credit_scope(account_id),
            funds.c.granted - funds.c.spent - funds.c.leased >= picodollars,
        )
        .values(granted=funds.c.granted - picodollars)
    )
    if not taken.rowcount:
        raise InvalidRequest(f"{account_id} has less than {dollars(picodollars)} USD of unused credit.")
    add_entry(connection, "withdrawal", note, {credit_scope(account_id): -picodollars, "grants": picodollars})


def refund(connection: Connection, record_id: str, picodollars: int | None, note: str) -> Refunded:
    """Gives back what a call was charged, or a part of it; to the account and to the budgets that it was taken from.

    Raises NotFound, or InvalidRequest when that is more than is left of the charge.
    """
    _one_at_a_time(connection)
    body = connection.execute(select(usage_records.c.body).where(usage_records.c.id == record_id)).scalar()
    if body is None:
        raise NotFound(f"No generation {record_id!r} in the books.")
    record = decode(body)
    before = connection.execute(
        select(func.coalesce(func.sum(refunds.c.amount), 0)).where(refunds.c.record_id == record_id)
    ).scalar_one()
    left = record.price - int(before)
    amount = left if picodollars is None else picodollars
    if not 0 < amount <= left:
        raise InvalidRequest(
            f"{record_id} was charged {dollars(record.price)} USD; {dollars(left)} of it can still be refunded."
        )
    account = credit_scope(record.account)
    entry = add_entry(connection, "refund", note, {account: amount, "revenue": -amount})
    connection.execute(insert(refunds).values(entry_id=entry, record_id=record_id, amount=amount))
    connection.execute(
        update(funds).where(funds.c.scope.in_([account, *record.scopes])).values(spent=funds.c.spent - amount)
    )
    return Refunded(record.account, amount)


def refunded(connection: Connection, record_id: str) -> int:
    """Picodollars that were given back of a call."""
    statement = select(func.coalesce(func.sum(refunds.c.amount), 0)).where(refunds.c.record_id == record_id)
    return int(connection.execute(statement).scalar_one())


def wrong_refund(connection: Connection) -> str | None:
    """The first call that was given back more than it was charged, or other than its postings say."""
    given = func.sum(refunds.c.amount)
    rows = connection.execute(
        select(usage_records.c.id, usage_records.c.price, given.label("given"))
        .join(refunds, refunds.c.record_id == usage_records.c.id)
        .group_by(usage_records.c.id, usage_records.c.price)
        .having(given > usage_records.c.price)
        .limit(1)
    ).first()
    if rows is not None:
        return f"{rows.id} was charged {rows.price} picodollars and given back {rows.given}."
    wrong = connection.execute(
        select(refunds.c.record_id, refunds.c.amount, postings.c.amount.label("posted"))
        .join(postings, (postings.c.entry_id == refunds.c.entry_id) & (postings.c.book == "revenue"), isouter=True)
        .where(func.coalesce(postings.c.amount, 0) != -refunds.c.amount)
        .limit(1)
    ).first()
    return None if wrong is None else f"{wrong.record_id} was given back {wrong.amount}; posted was {wrong.posted}."


def make_codes(connection: Connection, picodollars: int, count: int) -> list[str]:
    """Codes that are worth an amount each, once. Only their digests are kept."""
    if not 1 <= count <= MOST_CODES:
        raise InvalidRequest(f"1 to {MOST_CODES} codes can be created at a time.")
    if picodollars <= 0:
        raise InvalidRequest("The value of a code must be above 0.")
    made = [CODE_START + secrets.token_hex(CODE_BYTES) for _ in range(count)]
    connection.execute(
        insert(credit_codes),
        [
            {
                "digest": _digest(code),
                "shown": shown_of(code),
                "amount": picodollars,
                "created_at": int(time.time()),
            }
            for code in made
        ],
    )
    return made


def redeem(connection: Connection, code: str, account_id: str) -> int:
    """Grants an account what a code is worth; gives the picodollars. Raises NotFound for a code that is unknown or
    used: the two are not told apart."""
    digest = _digest(code.strip()[:LONGEST_CODE])
    used = connection.execute(
        update(credit_codes)
        .where(credit_codes.c.digest == digest, credit_codes.c.redeemed_at.is_(None))
        .values(redeemed_at=int(time.time()), account_id=account_id)
    )
    if not used.rowcount:
        raise NotFound("This code is unknown or was already redeemed.", param="code")
    row = connection.execute(select(credit_codes).where(credit_codes.c.digest == digest)).one()
    grant(connection, account_id, row.amount, f"code {row.shown}")
    return int(row.amount)


def shown_of(code: str) -> str:
    """The beginning of a code, by which lists name it."""
    return code[: len(CODE_START) + 6]


def _one_at_a_time(connection: Connection) -> None:
    """Written to first: a second transaction like this one waits for the end of the first."""
    connection.execute(update(versions).where(versions.c.name == "keys").values(number=versions.c.number))


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()
