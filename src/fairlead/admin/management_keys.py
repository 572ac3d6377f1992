"""Management keys: create, revoke, list."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from fairlead.accounts import management_keys as keys
from fairlead.accounts.management_keys import SCOPES, ManagementKey
from fairlead.admin.audit import Actor, record
from fairlead.errors import NotFound
from fairlead.store import Store


class NewManagementKey(NamedTuple):
    """`key`: it cannot be shown again."""

    key: str
    info: ManagementKey


def create_management_key(
    store: Store,
    actor: Actor,
    name: str,
    scopes: Collection[str],
    *,
    account_id: str | None = None,
    expires_at: int | None = None,
) -> NewManagementKey:
    """`account_id`: the only account that it may touch; `expires_at`: seconds since 1970. Raises ConfigurationError."""
    with store.write() as connection:
        made = NewManagementKey(
            *keys.add_management_key(connection, name, scopes, account_id=account_id, expires_at=expires_at)
        )
        entry = management_key_entry(made.info)
        record(connection, actor, "management_key.create", made.info.id, None, entry, account_id=account_id)
    return made


def revoke_management_key(store: Store, actor: Actor, key_id: str) -> None:
    """In force at once, everywhere; one that was revoked before stays so. Raises NotFound."""
    with store.write() as connection:
        found = keys.revoke_management_key(connection, key_id)
        if found is None:
            raise NotFound(f"There is no management key {key_id!r}. `fairlead management-keys list` shows the ids.")
        if found.revoked_at is None:
            record(
                connection, actor, "management_key.revoke", key_id, {"revoked": False}, {"revoked": True},
                account_id=found.account_id,
            )  # fmt: skip


def list_management_keys(store: Store) -> list[ManagementKey]:
    """All of them, oldest first, those that were revoked included."""
    with store.read() as connection:
        return keys.list_management_keys(connection)


def management_key_entry(key: ManagementKey) -> dict[str, Any]:
    """A management key as JSON documents show it. Times in seconds since 1970."""
    return {
        "id": key.id,
        "key": key.shown,
        "name": key.name,
        "scopes": [scope for scope in SCOPES if scope in key.scopes],
        "account": key.account_id,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }
