"""Accounts: create, change, list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from fairlead.accounts import accounts
from fairlead.accounts.accounts import AccountInfo, account_info, add_account
from fairlead.errors import ConfigurationError
from fairlead.ledger.funds import grant
from fairlead.money import Picodollars
from fairlead.store import Store


def create_account(store: Store, name: str, credit: Picodollars) -> str:
    """Creates a prepaid account and returns its id. Raises ConfigurationError."""
    with store.write() as connection:
        account_id = add_account(connection, name, prepaid=True)
        grant(connection, account_id, credit.value, "credit of a new account")
    return account_id


def change_account(store: Store, account_id: str, columns: Mapping[str, Any]) -> None:
    """Replaces the budgets and limits that `columns` names. Raises ConfigurationError."""
    with store.write() as connection:
        accounts.change_account(connection, account_id, columns)


def list_accounts(store: Store) -> list[AccountInfo]:
    """All accounts, oldest first."""
    with store.read() as connection:
        return accounts.list_accounts(connection)


def account_entry(account: AccountInfo) -> dict[str, Any]:
    """An account as JSON documents show it. Times in seconds since 1970, amounts as decimal dollars."""
    return {
        "id": account.id,
        "name": account.name,
        "prepaid": account.prepaid,
        "budgets_usd": {one.period: Picodollars(one.picodollars).dollars() for one in account.budgets},
        "created_at": account.created_at,
    }


def check_prepaid(connection: Connection, account_id: str) -> None:
    """Raises ConfigurationError for an unknown account and for one whose paid calls are not limited by credit."""
    if not account_info(connection, account_id).prepaid:
        raise ConfigurationError(f"{account_id} needs no credit: its paid calls are not limited.")
