"""Accounts: create, change, list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from fairlead.accounts import accounts
from fairlead.accounts.accounts import AccountInfo, account_info, add_account, check_name, continued
from fairlead.accounts.end_users import EachUser, read_each_user
from fairlead.admin.audit import Actor, record
from fairlead.errors import ConfigurationError, NotFound
from fairlead.ledger.funds import grant
from fairlead.money import Picodollars
from fairlead.store import Store


def create_account(
    store: Store,
    actor: Actor,
    name: str,
    credit: Picodollars,
    columns: Mapping[str, Any] | None = None,
    *,
    prepaid: bool = True,
) -> str:
    """Creates an account and returns its id. `prepaid`: its paid calls need credit. `columns`: its budgets and limits,
    from `accounts.options.as_columns`. Raises ConfigurationError."""
    with store.write() as connection:
        account_id = add_account(connection, name, prepaid=prepaid)
        if prepaid:
            grant(connection, account_id, credit.value, "credit of a new account")
        if columns:
            accounts.change_account(connection, account_id, columns)
        after = _audited(account_info(connection, account_id)) | {"credit_usd": credit.dollars()}
        record(connection, actor, "account.create", account_id, None, after, account_id=account_id)
    return account_id


def change_account(store: Store, actor: Actor, account_id: str, columns: Mapping[str, Any]) -> None:
    """Replaces the budgets and limits that `columns` names, or the name. Raises ConfigurationError."""
    with store.write() as connection:
        if "name" in columns:
            check_name(columns["name"])
        before = account_info(connection, account_id)
        accounts.change_account(connection, account_id, columns)
        was, became = changed_members(_audited(before), _audited(account_info(connection, account_id)))
        if was != became:
            record(connection, actor, "account.change", account_id, was, became, account_id=account_id)


def disable_account(store: Store, actor: Actor, account_id: str, *, disabled: bool = True) -> bool:
    """Refuses the keys of an account within a second, or takes that back; its credit and its keys stay. False when it
    was so already. Raises ConfigurationError."""
    with store.write() as connection:
        done = accounts.disable_account(connection, account_id, disabled=disabled)
        if done:
            action = "account.disable" if disabled else "account.enable"
            was, becomes = {"disabled": not disabled}, {"disabled": disabled}
            record(connection, actor, action, account_id, was, becomes, account_id=account_id)
        return done


def changed_members(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Those that differ, as they were and as they are."""
    names = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in names}, {name: after[name] for name in names}


def list_accounts(store: Store) -> list[AccountInfo]:
    """All accounts, oldest first."""
    with store.read() as connection:
        return accounts.list_accounts(connection)


def find_accounts(store: Store, text: str, limit: int) -> list[tuple[str, str]]:
    """Id and name of so many accounts whose name has this in it or whose id it is, oldest first."""
    with store.read() as connection:
        return accounts.find_accounts(connection, text, limit)


def one_account(store: Store, account_id: str) -> AccountInfo:
    """Raises NotFound."""
    with store.read() as connection:
        (found,) = accounts.page_of_accounts(connection, 1, None, account_id) or (None,)
    if found is None:
        raise NotFound(f"There is no account {account_id[:64]!r}.", param="account")
    return found


def page_of_accounts(store: Store, limit: int, after: str | None = None, only: str | None = None) -> list[AccountInfo]:
    """So many accounts, by their ids; `after`: those behind this one; `only`: this one alone."""
    with store.read() as connection:
        return accounts.page_of_accounts(connection, limit, after, only)


def limited_accounts(store: Store, limit: int) -> list[AccountInfo]:
    """So many accounts that have limits of their own, by their ids."""
    with store.read() as connection:
        return accounts.limited_accounts(connection, limit)


def account_entry(account: AccountInfo) -> dict[str, Any]:
    """An account as JSON documents show it. Times in seconds since 1970, amounts as decimal dollars."""
    return {
        "id": account.id,
        "name": account.name,
        "prepaid": account.prepaid,
        "budgets_usd": {one.period: Picodollars(one.picodollars).dollars() for one in account.budgets},
        **continued(account.budgets),
        "limits": {} if account.limits is None else account.limits.by_name(),
        "models": account.models,
        "each_user": each_user_entry(read_each_user(account.each_user)),
        "created_at": account.created_at,
        "disabled_at": account.disabled_at,
    }


def each_user_entry(cap: EachUser | None) -> dict[str, Any] | None:
    """The cap of each end user as JSON documents show it."""
    if cap is None:
        return None
    return {
        "budgets_usd": {period: Picodollars(amount).dollars() for period, amount in cap.budgets.items()},
        "limits": cap.limits.by_name(),
    }


def _audited(account: AccountInfo) -> dict[str, Any]:
    own = ("id", "created_at", "disabled_at")
    return {name: value for name, value in account_entry(account).items() if name not in own}


def check_prepaid(connection: Connection, account_id: str) -> None:
    """Raises ConfigurationError for an unknown account and for one whose paid calls are not limited by credit."""
    if not account_info(connection, account_id).prepaid:
        raise ConfigurationError(f"{account_id} needs no credit: its paid calls are not limited.")
