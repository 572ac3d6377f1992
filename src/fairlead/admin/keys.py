"""Keys: create, change, revoke, list."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from fairlead.accounts import keys
from fairlead.accounts.accounts import AccountInfo, account_info, add_account, first_account
from fairlead.accounts.keys import KeyInfo
from fairlead.admin.accounts import check_prepaid
from fairlead.errors import ConfigurationError, NotFound
from fairlead.ledger.funds import grant
from fairlead.money import Picodollars
from fairlead.store import Store


def create_key(
    store: Store,
    name: str,
    *,
    account_id: str | None = None,
    credit: Picodollars | None = None,
    columns: Mapping[str, Any] | None = None,
) -> str:
    """Creates a key and returns it; it cannot be shown again.

    Without `account_id` the key gets a prepaid account of its own when there is `credit`, else the operator's account.
    `columns`: what the key is limited to, from `accounts.options.as_columns`. Raises ConfigurationError.
    """
    columns = columns or {}
    expires_at = columns.get("expires_at")
    if expires_at is not None and expires_at <= time.time():
        raise ConfigurationError("--expires is in the past.")
    with store.write() as connection:
        if account_id is not None:
            account_id = account_info(connection, account_id).id
        elif credit is not None:
            account_id = add_account(connection, name, prepaid=True)
        else:
            account_id = first_account(connection)
        if credit is not None:
            check_prepaid(connection, account_id)
            grant(connection, account_id, credit.value, "credit of a new key")
        return keys.add_key(connection, name, account_id, columns)


def account_of(store: Store, key: str) -> AccountInfo:
    """The account of a key that was just created."""
    with store.read() as connection:
        return account_info(connection, keys.account_id_of(connection, key))


def change_key(store: Store, key_id: str, columns: Mapping[str, Any]) -> None:
    """Replaces the limits that `columns` names. Raises NotFound."""
    if not keys.change_key(store, key_id, columns):
        raise _no_such(key_id)


def revoke_key(store: Store, key_id: str) -> None:
    """Revokes a key; one that was revoked before stays so. Raises NotFound."""
    if not keys.revoke_key(store, key_id):
        raise _no_such(key_id)


def list_keys(store: Store) -> list[KeyInfo]:
    """All keys, oldest first, those that were revoked included."""
    return keys.list_keys(store)


def key_entry(key: KeyInfo) -> dict[str, Any]:
    """A key as JSON documents show it. Times in seconds since 1970, amounts as decimal dollars."""
    return {
        "id": key.id,
        "key": key.shown,
        "name": key.name,
        "account": key.account_id,
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
        "expires_at": key.expires_at,
        "budgets_usd": {one.period: Picodollars(one.picodollars).dollars() for one in key.budgets},
        "limits": {} if key.limits is None else key.limits.by_name(),
        "models": key.models,
        "networks": key.networks,
    }


def _no_such(key_id: str) -> NotFound:
    return NotFound(f"There is no key {key_id!r}. `fairlead keys list` shows the ids.")
