"""One call for its account: the receipt with its charge made again, how it was routed, when each attempt began."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from sqlalchemy import select

from fairlead.accounts import keys
from fairlead.errors import NotFound
from fairlead.ledger.books import stored_record, stored_sheet
from fairlead.ledger.credit import refunded
from fairlead.ledger.receipts import receipt
from fairlead.ledger.record import EMPTY, UsageRecord, usage_of
from fairlead.prices import PriceSheet, amounts
from fairlead.store import Store
from fairlead.store.health import decision
from fairlead.store.tables import accounts, calls


class Derived(NamedTuple):
    """The charge made again from the price sheet and the tokens. `picodollars`: None where there is no sheet; `right`:
    it is what was charged and waived; `sheet_right`: the sheet has the content that its id is made of."""

    picodollars: int | None
    right: bool
    sheet_right: bool


class Bar(NamedTuple):
    """An attempt in the course of a call; milliseconds from its beginning. `first_token`: of the answer, in the attempt
    that brought it; None: in another one, or not known."""

    deployment: str
    outcome: str
    begin: int
    end: int
    first_token: int | None = None


class CallDetail(NamedTuple):
    """`routed`: what was decided, as `routing.decision.body` has it; None where there was nothing to decide."""

    record: UsageRecord
    receipt: dict[str, Any]
    derived: Derived
    refunded: int
    key_name: str
    routed: dict[str, Any] | None
    course: tuple[Bar, ...]


def call_detail(
    store: Store, account_id: str, generation_id: str, member_id: str | None = None, *, show_cost: bool = False
) -> CallDetail:
    """`member_id`: only a call of a key of this member. `show_cost`: prepaid accounts see what attempts cost the
    operator; other accounts do anyway. Raises NotFound, also for a call of another account."""
    missing = NotFound("There is no such call. Calls are stored a quarter of a second after they end.", param="id")
    with store.read() as connection:
        record = stored_record(connection, generation_id, account_id)
        if record is None:
            raise missing
        key = keys.key_info(connection, record.key)
        if member_id is not None:
            counted = connection.execute(select(calls.c.member_id).where(calls.c.id == record.id)).scalar()
            if member_id not in (counted, None if key is None else key.member_id):
                raise missing
        sheet, version = stored_sheet(connection, record.sheet)
        given_back = refunded(connection, record.id)
        routed = decision(connection, record.id)
        prepaid = connection.execute(select(accounts.c.prepaid).where(accounts.c.id == account_id)).scalar_one()
    return CallDetail(
        record,
        receipt(record, sheet, given_back, version, cost=show_cost or not prepaid),
        derived(record, sheet),
        given_back,
        record.key if key is None else key.name,
        None if routed is None else msgspec.json.decode(routed),
        tuple(course(record)),
    )


def derived(record: UsageRecord, sheet: PriceSheet | None) -> Derived:
    """As `fairlead verify` does it."""
    sheet_right = sheet is None or sheet.id == record.sheet
    if record.usage in ("none", "usage_missing"):
        return Derived(0, record.price == 0, sheet_right)
    if sheet is None:
        return Derived(None, False, False)
    price = 0 if record.outcome == EMPTY else amounts(sheet, usage_of(record))[0]
    return Derived(price, price == record.price + record.shortfall, sheet_right)


def course(record: UsageRecord) -> list[Bar]:
    """Attempts follow one another; the last one ends with the call."""
    bars, at = [], 0
    for attempt in record.attempts:
        end = at + max(0, attempt.milliseconds)
        first = record.first_token if at < record.first_token <= end else None
        bars.append(Bar(attempt.deployment, attempt.outcome, at, end, first))
        at = end
    return bars
