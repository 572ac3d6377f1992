"""Management keys: what they may manage, and for whom. They are no keys for calls, and the KeyRing never has them.

A key is `fl-mgmt-` and 32 random bytes in base64url; only its SHA-256 is stored.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from fairlead.accounts.accounts import account_info, check_name
from fairlead.errors import ConfigurationError
from fairlead.store.tables import management_keys
from fairlead.toml import unknown

KEY_START: Final = "fl-mgmt-"
SECRET_BYTES: Final = 32
KEY_LENGTH: Final = len(KEY_START) + 43  # base64url of 32 bytes
SHOWN_LENGTH: Final = len(KEY_START) + 6
# What a key may do: look at everything; change keys and accounts; move credit; change the
# configuration; say who signs in and where they have a role.
SCOPES: Final = ("read", "keys", "money", "configuration", "people")


@dataclass(frozen=True, slots=True)
class ManagementKey:
    """A management key as lists show it. Times in seconds since 1970; `account_id`: the only account that it may touch,
    None: all of them."""

    id: str
    name: str
    shown: str
    scopes: frozenset[str]
    account_id: str | None
    created_at: int
    expires_at: int | None
    revoked_at: int | None

    @property
    def in_force(self) -> bool:
        return self.revoked_at is None and (self.expires_at is None or time.time() < self.expires_at)


def digest_of(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def is_management_key(key: bytes) -> bool:
    """Whether it looks like one."""
    return len(key) == KEY_LENGTH and key.startswith(KEY_START.encode())


def check_scopes(scopes: Collection[str]) -> None:
    """Raises ConfigurationError for none, and for one that there is not."""
    if not scopes:
        raise ConfigurationError(f"A management key needs at least one scope of {', '.join(SCOPES)}.")
    for scope in scopes:
        if scope not in SCOPES:
            raise ConfigurationError(f"{unknown('scope', scope, SCOPES)} There are {', '.join(SCOPES)}.")


def add_management_key(
    connection: Connection,
    name: str,
    scopes: Collection[str],
    *,
    account_id: str | None = None,
    expires_at: int | None = None,
) -> tuple[str, ManagementKey]:
    """Makes a key and gives it; it cannot be shown again. Raises ConfigurationError."""
    check_name(name)
    check_scopes(scopes)
    if expires_at is not None and expires_at <= time.time():
        raise ConfigurationError("The key would have expired already.")
    if account_id is not None:
        account_id = account_info(connection, account_id).id
    key = KEY_START + secrets.token_urlsafe(SECRET_BYTES)
    made = ManagementKey(
        "mkey_" + secrets.token_hex(6),
        name,
        key[:SHOWN_LENGTH],
        frozenset(scopes),
        account_id,
        int(time.time()),
        expires_at,
        None,
    )
    connection.execute(
        insert(management_keys).values(
            id=made.id,
            name=name,
            shown=made.shown,
            digest=digest_of(key.encode()),
            scopes=" ".join(scope for scope in SCOPES if scope in scopes),
            account_id=account_id,
            created_at=made.created_at,
            expires_at=expires_at,
        )
    )
    return key, made


def find_management_key(connection: Connection, digest: bytes) -> ManagementKey | None:
    """By the SHA-256 of the whole key, whether it is in force or not."""
    row = connection.execute(select(management_keys).where(management_keys.c.digest == digest)).first()
    return None if row is None else _from_row(row)


def list_management_keys(connection: Connection) -> list[ManagementKey]:
    """All of them, oldest first, those that were revoked included."""
    rows = connection.execute(select(management_keys).order_by(management_keys.c.created_at, management_keys.c.id))
    return [_from_row(row) for row in rows]


def revoke_management_key(connection: Connection, key_id: str) -> ManagementKey | None:
    """The key as it was; None when there is none with this id. One that was revoked before stays so."""
    row = connection.execute(select(management_keys).where(management_keys.c.id == key_id)).first()
    if row is None:
        return None
    connection.execute(
        update(management_keys)
        .where(management_keys.c.id == key_id, management_keys.c.revoked_at.is_(None))
        .values(revoked_at=int(time.time()))
    )
    return _from_row(row)


def _from_row(row: Any) -> ManagementKey:
    return ManagementKey(
        row.id,
        row.name,
        row.shown,
        frozenset(row.scopes.split()),
        row.account_id,
        row.created_at,
        row.expires_at,
        row.revoked_at,
    )
