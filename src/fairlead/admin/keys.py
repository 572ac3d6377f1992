"""Keys: create, change, disable, revoke, rotate, list."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from fairlead.accounts import keys
from fairlead.accounts.accounts import AccountInfo, account_info, add_account, check_name, continued, first_account
from fairlead.accounts.groups import TABLES, check_groups, group_info
from fairlead.accounts.keys import KeyFilter, KeyInfo
from fairlead.admin.accounts import changed_members, check_prepaid, each_user_entry
from fairlead.admin.audit import Actor, record
from fairlead.errors import ConfigurationError, NotFound
from fairlead.ledger.funds import grant
from fairlead.money import Picodollars
from fairlead.store import Store


def create_key(
    store: Store,
    actor: Actor,
    name: str,
    *,
    account_id: str | None = None,
    credit: Picodollars | None = None,
    columns: Mapping[str, Any] | None = None,
) -> str:
    """Creates a key and returns it; it cannot be shown again.

    A key of a project or a member (`project_id`, `member_id` in `columns`) belongs to its account. Without any of them
    and without `account_id` it gets a prepaid account of its own when there is `credit`, else the operator's account.
    `columns`: what the key is limited to, from `accounts.options.as_columns`. Raises ConfigurationError.
    """
    columns = columns or {}
    expires_at = columns.get("expires_at")
    if expires_at is not None and expires_at <= time.time():
        raise ConfigurationError("--expires is in the past.")
    with store.write() as connection:
        if account_id is None and credit is None:
            account_id = _account_of_groups(connection, columns)
        if account_id is not None:
            account_id = account_info(connection, account_id).id
        elif credit is not None:
            account_id = add_account(connection, name, prepaid=True)
        else:
            account_id = first_account(connection)
        if credit is not None:
            check_prepaid(connection, account_id)
            grant(connection, account_id, credit.value, "credit of a new key")
        check_groups(connection, account_id, columns)
        key = keys.add_key(connection, name, account_id, columns)
        made = keys.key_by_hash(connection, hash_of(key))
        assert made is not None
        after = _audited(made) | ({} if credit is None else {"credit_usd": credit.dollars()})
        record(connection, actor, "key.create", made.id, None, after, account_id=account_id)
        return key


def _account_of_groups(connection: Connection, columns: Mapping[str, Any]) -> str | None:
    """The account of the project or the member that a key is to belong to; None for a key of neither."""
    for kind in TABLES:
        if columns.get(f"{kind}_id") is not None:
            return group_info(connection, kind, columns[f"{kind}_id"]).account_id
    return None


def hash_of(key: str) -> str:
    """SHA-256 of a key, in hexadecimal digits: what it is named by where its id is not known."""
    return hashlib.sha256(key.encode()).hexdigest()


def account_of(store: Store, key: str) -> AccountInfo:
    """The account of a key that was just created."""
    with store.read() as connection:
        return account_info(connection, keys.account_id_of(connection, key))


def change_key(store: Store, actor: Actor, key_id: str, columns: Mapping[str, Any], *, name: str | None = None) -> None:
    """Replaces the limits that `columns` names, and the name. Raises NotFound or ConfigurationError."""
    if name is not None:
        check_name(name)
        columns = {**columns, "name": name}
    _change(store, actor, "key.change", key_id, columns)


def disable_key(store: Store, actor: Actor, key_id: str, *, disabled: bool) -> None:
    """A disabled key is refused until it is enabled again. Raises NotFound."""
    _change(store, actor, "key.disable" if disabled else "key.enable", key_id,
            {"disabled_at": int(time.time()) if disabled else None})  # fmt: skip


def revoke_key(store: Store, actor: Actor, key_id: str) -> None:
    """Revokes a key; one that was revoked before stays so. Raises NotFound."""
    with store.write() as connection:
        before = keys.key_info(connection, key_id)
        if before is None:
            raise _no_such(key_id)
        if before.revoked_at is None:
            keys.revoke_key(connection, key_id)
            _record_change(connection, actor, "key.revoke", before)


def rotate_key(store: Store, actor: Actor, key_id: str) -> str:
    """Revokes a key and returns a new one with the same name, account and restrictions; it cannot be shown again.

    What its own budgets have spent stays with the old key. Raises NotFound, also for a key that was revoked."""
    with store.write() as connection:
        before = keys.key_info(connection, key_id)
        if before is None or before.revoked_at is not None:
            raise _no_such(key_id)
        key = keys.add_key(connection, before.name, before.account_id, keys.columns_of(connection, key_id))
        keys.revoke_key(connection, key_id)
        made = keys.key_by_hash(connection, hash_of(key))
        assert made is not None
        record(
            connection, actor, "key.rotate", key_id, {"id": key_id}, {"id": made.id}, account_id=before.account_id
        )  # fmt: skip
        return key


def key_by_hash(store: Store, hash_: str) -> KeyInfo:
    """Raises NotFound."""
    with store.read() as connection:
        found = keys.key_by_hash(connection, hash_)
    if found is None:
        raise NotFound("There is no key with this hash.", param="hash")
    return found


def key_info(store: Store, key_id: str) -> KeyInfo:
    """Raises NotFound."""
    with store.read() as connection:
        found = keys.key_info(connection, key_id)
    if found is None:
        raise _no_such(key_id)
    return found


def _change(store: Store, actor: Actor, action: str, key_id: str, columns: Mapping[str, Any]) -> None:
    with store.write() as connection:
        before = keys.key_info(connection, key_id)
        if before is None:
            raise _no_such(key_id)
        check_groups(connection, before.account_id, columns)
        keys.change_key(connection, key_id, columns)
        _record_change(connection, actor, action, before)


def _record_change(connection: Connection, actor: Actor, action: str, before: KeyInfo) -> None:
    after = keys.key_info(connection, before.id)
    assert after is not None
    was, became = changed_members(_audited(before), _audited(after))
    if was != became:
        record(connection, actor, action, before.id, was, became, account_id=before.account_id)


def _audited(key: KeyInfo) -> dict[str, Any]:
    """What the audit log shows of a key: nothing that it could be found by."""
    return {name: value for name, value in key_entry(key).items() if name not in ("id", "key", "hash", "created_at")}


def list_keys(store: Store) -> list[KeyInfo]:
    """All keys, oldest first, those that were revoked included."""
    return keys.list_keys(store)


def page_of_keys(
    store: Store,
    limit: int,
    after: str | None = None,
    account_id: str | None = None,
    *,
    offset: int = 0,
    disabled: bool = True,
    revoked: bool = True,
    expired: bool = True,
    group: tuple[str, str] | None = None,
) -> list[KeyInfo]:
    """So many keys, by their ids; `after`: those behind this one; `offset`: without the first ones; `group`: those
    whose column of this name has this value. Those that are disabled, revoked or expired only where the caller wants
    them."""
    with store.read() as connection:
        return keys.page_of_keys(
            connection, limit, after, account_id, offset=offset, disabled=disabled, revoked=revoked, expired=expired,
            group=group,
        )  # fmt: skip


def newest_keys(store: Store, wanted: KeyFilter, limit: int, before: tuple[int, str] | None = None) -> list[KeyInfo]:
    """So many keys of an account, the newest first; `before`: those behind this time of creation and id."""
    with store.read() as connection:
        return keys.newest_keys(connection, wanted, limit, before)


def own_key(store: Store, account_id: str, key_id: str, member_id: str | None = None) -> KeyInfo:
    """A key of an account; with `member_id` of this member. Raises NotFound for any other, whether it exists or not."""
    with store.read() as connection:
        found = keys.key_info(connection, key_id)
    if found is None or found.account_id != account_id or member_id not in (None, found.member_id):
        raise NotFound("There is no such key.", param="key")
    return found


def count_keys(store: Store, account_id: str | None = None, group: tuple[str, str] | None = None) -> int:
    """Keys that were not revoked, of one account or of all; `group` as that of `page_of_keys`."""
    with store.read() as connection:
        return keys.count_keys(connection, account_id, group)


def key_entry(key: KeyInfo) -> dict[str, Any]:
    """A key as JSON documents show it. Times in seconds since 1970, amounts as decimal dollars."""
    return {
        "id": key.id,
        "key": key.shown,
        "hash": key.hash,
        "name": key.name,
        "account": key.account_id,
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
        "expires_at": key.expires_at,
        "disabled_at": key.disabled_at,
        "budgets_usd": {one.period: Picodollars(one.picodollars).dollars() for one in key.budgets},
        **continued(key.budgets),
        "limits": {} if key.limits is None else key.limits.by_name(),
        "models": key.models,
        "networks": key.networks,
        "project": key.project_id,
        "member": key.member_id,
        "each_user": each_user_entry(key.each_user),
    }


def _no_such(key_id: str) -> NotFound:
    return NotFound(f"There is no key {key_id!r}. `fairlead keys list` shows the ids.")
