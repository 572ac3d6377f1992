"""Credit of prepaid accounts: grant, withdraw, refund, redemption codes, balances."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection

from fairlead.accounts.accounts import AccountInfo, account_info, list_accounts
from fairlead.admin.accounts import check_prepaid, page_of_accounts
from fairlead.admin.audit import Actor, record
from fairlead.ledger import credit, funds
from fairlead.ledger.credit import Refunded
from fairlead.ledger.funds import Balance, credit_scope
from fairlead.money import Picodollars
from fairlead.store import Store

MOST_LISTED = 100  # of codes that are made at once, in the audit log


class AccountBalance(NamedTuple):
    """`held`: granted, spent and leased picodollars. What calls in flight hold is not spent yet."""

    account: AccountInfo
    held: Balance


def grant(store: Store, actor: Actor, account_id: str, amount: Picodollars, note: str) -> None:
    """Adds credit. Raises ConfigurationError."""
    with store.write() as connection:
        check_prepaid(connection, account_id)
        funds.grant(connection, account_id, amount.value, note)
        _moved(connection, actor, "credit.grant", account_id, account_id, amount, note)


def withdraw(store: Store, actor: Actor, account_id: str, amount: Picodollars, note: str) -> None:
    """Takes credit away, as far as it is free. Raises ConfigurationError or InvalidRequest."""
    with store.write() as connection:
        check_prepaid(connection, account_id)
        credit.withdraw(connection, account_id, amount.value, note)
        _moved(connection, actor, "credit.withdraw", account_id, account_id, amount, note)


def refund(store: Store, actor: Actor, generation_id: str, amount: Picodollars | None, note: str) -> Refunded:
    """Refunds a part of a charge; `amount` None: all that is left of it. Raises NotFound or InvalidRequest."""
    with store.write() as connection:
        note = note or f"refund of {generation_id}"
        done = credit.refund(connection, generation_id, None if amount is None else amount.value, note)
        worth = Picodollars(done.picodollars)
        _moved(connection, actor, "credit.refund", generation_id, done.account_id, worth, note)
        return done


def make_codes(store: Store, actor: Actor, amount: Picodollars, count: int) -> list[str]:
    """Creates redemption codes, which are never shown again. Raises InvalidRequest."""
    with store.write() as connection:
        made = credit.make_codes(connection, amount.value, count)
        after = {
            "amount_usd": amount.dollars(),
            "count": count,
            "codes": list(map(credit.shown_of, made[:MOST_LISTED])),
        }
        record(connection, actor, "credit.codes", "codes", None, after)
        return made


def redeem(store: Store, actor: Actor, code: str, account_id: str) -> Picodollars:
    """Grants an account what a code is worth. Raises NotFound for an unknown or used code, or ConfigurationError."""
    with store.write() as connection:
        check_prepaid(connection, account_id)
        amount = Picodollars(credit.redeem(connection, code, account_id))
        record_redeemed(connection, actor, code, account_id, amount)
        return amount


def record_redeemed(connection: Connection, actor: Actor, code: str, account_id: str, amount: Picodollars) -> None:
    """Of a code that was redeemed in this transaction."""
    note = f"code {credit.shown_of(code.strip())}"
    _moved(connection, actor, "credit.redeem", account_id, account_id, amount, note)


def _moved(
    connection: Connection, actor: Actor, action: str, subject: str, account_id: str, amount: Picodollars, note: str
) -> None:
    after = {"amount_usd": amount.dollars(), "note": note}
    record(connection, actor, action, subject, None, after, account_id=account_id)


def balances(store: Store, account_id: str | None = None) -> list[AccountBalance]:
    """Of one account or of all. Raises ConfigurationError when there is no such account."""
    with store.read() as connection:
        found = [account_info(connection, account_id)] if account_id else list_accounts(connection)
        return _balances(connection, found)


def page_of_balances(
    store: Store, limit: int, after: str | None = None, account_id: str | None = None
) -> list[AccountBalance]:
    """So many accounts, by their ids; `after`: those behind this one; `account_id`: this one alone."""
    with store.read() as connection:
        return _balances(connection, page_of_accounts(store, limit, after, account_id))


def _balances(connection: Connection, found: list[AccountInfo]) -> list[AccountBalance]:
    held = funds.balances(connection, [credit_scope(one.id) for one in found])
    return [AccountBalance(one, held.get(credit_scope(one.id), Balance(0, 0, 0))) for one in found]
