"""Credit of prepaid accounts: grant, withdraw, refund, redemption codes, balances."""

from __future__ import annotations

from typing import NamedTuple

from fairlead.accounts.accounts import AccountInfo, account_info, list_accounts
from fairlead.admin.accounts import check_prepaid
from fairlead.ledger import credit, funds
from fairlead.ledger.credit import Refunded
from fairlead.ledger.funds import Balance, credit_scope
from fairlead.money import Picodollars
from fairlead.store import Store


class AccountBalance(NamedTuple):
    """`held`: granted, spent and leased picodollars. What calls in flight hold is not spent yet."""

    account: AccountInfo
    held: Balance


def grant(store: Store, account_id: str, amount: Picodollars, note: str) -> None:
    """Adds credit. Raises ConfigurationError."""
    with store.write() as connection:
        check_prepaid(connection, account_id)
        funds.grant(connection, account_id, amount.value, note)


def withdraw(store: Store, account_id: str, amount: Picodollars, note: str) -> None:
    """Takes credit away, as far as it is free. Raises ConfigurationError or InvalidRequest."""
    with store.write() as connection:
        check_prepaid(connection, account_id)
        credit.withdraw(connection, account_id, amount.value, note)


def refund(store: Store, generation_id: str, amount: Picodollars | None, note: str) -> Refunded:
    """Refunds a part of a charge; `amount` None: all that is left of it. Raises NotFound or InvalidRequest."""
    with store.write() as connection:
        return credit.refund(
            connection, generation_id, None if amount is None else amount.value, note or f"refund of {generation_id}"
        )


def make_codes(store: Store, amount: Picodollars, count: int) -> list[str]:
    """Creates redemption codes, which are never shown again. Raises InvalidRequest."""
    with store.write() as connection:
        return credit.make_codes(connection, amount.value, count)


def redeem(store: Store, code: str, account_id: str) -> Picodollars:
    """Grants an account what a code is worth. Raises NotFound for an unknown or used code, or ConfigurationError."""
    with store.write() as connection:
        check_prepaid(connection, account_id)
        return Picodollars(credit.redeem(connection, code, account_id))


def balances(store: Store, account_id: str | None = None) -> list[AccountBalance]:
    """Of one account or of all. Raises ConfigurationError when there is no such account."""
    with store.read() as connection:
        found = [account_info(connection, account_id)] if account_id else list_accounts(connection)
        return [
            AccountBalance(one, funds.balance(connection, credit_scope(one.id)) or Balance(0, 0, 0)) for one in found
        ]
