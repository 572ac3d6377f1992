"""API keys: made once, shown once, kept as a digest.

A key that is made here is `sk-fl-`, 8 letters or digits to show it by, and 32 random bytes in base64url. Keys of other
systems keep working as they are: whatever its spelling, a key is found by the SHA-256 of the whole of it.
"""

from __future__ import annotations

import hashlib
import secrets
import string
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, func, insert, select, tuple_, update

from fairlead.accounts.accounts import Budget, budgets_from_json, check_name, first_account
from fairlead.accounts.changes import changed
from fairlead.accounts.end_users import EachUser, read_each_user
from fairlead.accounts.limits import OwnLimits
from fairlead.accounts.options import read_limits, read_list
from fairlead.errors import ConfigurationError
from fairlead.store import Store
from fairlead.store.tables import accounts, api_keys

KEY_START = "sk-fl-"
PREFIX_LETTERS = 8
SECRET_BYTES = 32
LONGEST_KEY = 256
DIGEST_BYTES = 32
# The account of visitors without a key, which the server adds by itself (`guests.py`).
GUESTS = "acc_guests"
LONGEST_SHOWN = 32
_LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key as lists show it. Times in seconds since 1970; `shown` is its beginning. What it is bound to: None or
    empty where it is not."""

    id: str
    name: str
    shown: str
    account_id: str
    created_at: int
    revoked_at: int | None
    expires_at: int | None
    budgets: tuple[Budget, ...] = ()
    limits: OwnLimits | None = None
    models: list[str] | None = None
    networks: list[str] | None = None
    hash: str = ""  # SHA-256 of the key, in hexadecimal digits
    disabled_at: int | None = None  # it is refused until it is enabled again
    project_id: str | None = None
    member_id: str | None = None
    each_user: EachUser | None = None


def add_key(
    connection: Connection,
    name: str,
    account_id: str,
    columns: Mapping[str, Any] | None = None,
    *,
    key_id: str | None = None,
) -> str:
    """Makes a key of this account and gives it; it cannot be shown again. `columns`: see `options.as_columns`;
    `key_id`: where it is to have a certain one.

    Raises ConfigurationError.
    """
    check_name(name)
    prefix, key = _new()
    given = dict(columns or {}) if key_id is None else {**(columns or {}), "id": key_id}
    _insert(connection, name, account_id, prefix, key_digest(key.encode()), given)
    return key


def renew_key(connection: Connection, key_id: str, columns: Mapping[str, Any]) -> str:
    """Puts another secret in the place of a key's, which is refused from then on, and gives the new key."""
    before = connection.execute(select(api_keys.c.digest).where(api_keys.c.id == key_id)).scalar_one()
    prefix, key = _new()
    digest = key_digest(key.encode())
    connection.execute(
        update(api_keys).where(api_keys.c.id == key_id).values({**columns, "prefix": prefix, "digest": digest})
    )
    changed(connection, [before, digest])
    return key


def _new() -> tuple[str, str]:
    """The letters that a key is shown by, and the key."""
    prefix = "".join(secrets.choice(_LETTERS) for _ in range(PREFIX_LETTERS))
    return prefix, KEY_START + prefix + secrets.token_urlsafe(SECRET_BYTES)


def import_key(
    connection: Connection,
    name: str,
    account_id: str,
    digest: bytes,
    shown: str,
    columns: Mapping[str, Any] | None = None,
) -> str:
    """Adds a key of another system and returns its id; its holder goes on using it. `digest`: see `key_digest`;
    `shown`: what lists show of it, such as "sk-Ab3d". Raises ConfigurationError, also when the key is there already.
    """
    check_name(name)
    if len(digest) != DIGEST_BYTES:
        raise ConfigurationError(f"The digest of a key has {DIGEST_BYTES} bytes, not {len(digest)}.")
    if connection.execute(select(api_keys.c.id).where(api_keys.c.digest == digest)).first() is not None:
        raise ConfigurationError(f"The key {shown[:LONGEST_SHOWN]}... is here already.")
    # The column must be unique; such a key is not shown by it.
    prefix = digest.hex()[:32]
    return _insert(connection, name, account_id, prefix, digest, {**(columns or {}), "shown": shown[:LONGEST_SHOWN]})


class ImportedKey(NamedTuple):
    """A key of another system: see `import_key`. `columns` must have the same names in all keys of one import."""

    name: str
    account_id: str
    digest: bytes
    shown: str
    columns: Mapping[str, Any]


def import_keys(connection: Connection, given: Sequence[ImportedKey]) -> list[str]:
    """Adds many keys of another system, none of which is here yet, and returns their ids. Raises ConfigurationError."""
    for key in given:
        check_name(key.name)
    rows = [
        {
            "id": "key_" + secrets.token_hex(6),
            "account_id": key.account_id,
            "name": key.name,
            "prefix": key.digest.hex()[:32],
            "digest": key.digest,
            "shown": key.shown[:LONGEST_SHOWN],
            "created_at": int(time.time()),
            **key.columns,
        }
        for key in given
    ]
    if rows:
        connection.execute(insert(api_keys), rows)
        changed(connection, [key.digest for key in given])
    return [str(row["id"]) for row in rows]


def _insert(
    connection: Connection,
    name: str,
    account_id: str,
    prefix: str,
    digest: bytes,
    columns: Mapping[str, Any] | None,
) -> str:
    key_id = "key_" + secrets.token_hex(6)
    row = {
        "id": key_id,
        "account_id": account_id,
        "name": name,
        "prefix": prefix,
        "digest": digest,
        "created_at": int(time.time()),
        **(columns or {}),
    }
    connection.execute(insert(api_keys).values(row))
    changed(connection, [digest])
    return str(row["id"])


def account_id_of(connection: Connection, key: str) -> str:
    """Whose a key is, that is there."""
    found = connection.execute(select(api_keys.c.account_id).where(api_keys.c.digest == key_digest(key.encode())))
    return str(found.scalar_one())


def create_key(store: Store, name: str) -> str:
    """Makes a key of the first account and gives it. Raises ConfigurationError."""
    with store.write() as connection:
        return add_key(connection, name, first_account(connection))


def first_start(store: Store) -> str | None:
    """The first account and key of a new database; None when there are keys already."""
    with store.read() as connection:
        if connection.execute(select(accounts.c.id).where(accounts.c.id != GUESTS).limit(1)).first() is not None:
            return None
    return create_key(store, "first key")


def list_keys(store: Store) -> list[KeyInfo]:
    """All keys, oldest first."""
    with store.read() as connection:
        return [
            _info(row) for row in connection.execute(select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id))
        ]


def page_of_keys(
    connection: Connection,
    limit: int,
    after: str | None,
    account_id: str | None,
    *,
    offset: int,
    disabled: bool,
    revoked: bool,
    expired: bool,
    group: tuple[str, str] | None = None,
) -> list[KeyInfo]:
    """See `admin.keys.page_of_keys`."""
    statement = select(api_keys).order_by(api_keys.c.id).limit(limit).offset(offset)
    if after is not None:
        statement = statement.where(api_keys.c.id > after)
    if account_id is not None:
        statement = statement.where(api_keys.c.account_id == account_id)
    if group is not None:
        statement = statement.where(api_keys.c[group[0]] == group[1])
    if not disabled:
        statement = statement.where(api_keys.c.disabled_at.is_(None))
    if not revoked:
        statement = statement.where(api_keys.c.revoked_at.is_(None))
    if not expired:
        statement = statement.where(api_keys.c.expires_at.is_(None) | (api_keys.c.expires_at > int(time.time())))
    return [_info(row) for row in connection.execute(statement)]


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """Which keys of an account. None or "": all. `text`: a part of the name, or of what is shown of the key; `state`:
    "active" (the default), "disabled", "revoked" or "all"."""

    account_id: str
    member_id: str | None = None
    project_id: str | None = None
    text: str = ""
    state: str = "active"


def newest_keys(
    connection: Connection, wanted: KeyFilter, limit: int, before: tuple[int, str] | None = None
) -> list[KeyInfo]:
    """The newest keys first; `before`: those behind this time and id."""
    table = api_keys.c
    statement = select(api_keys).where(table.account_id == wanted.account_id)
    for column, value in ((table.member_id, wanted.member_id), (table.project_id, wanted.project_id)):
        if value is not None:
            statement = statement.where(column == value)
    if wanted.text:
        shown = wanted.text.removeprefix(KEY_START)
        statement = statement.where(
            table.name.icontains(wanted.text, autoescape=True)
            | table.prefix.startswith(shown[:PREFIX_LETTERS], autoescape=True)
            | (table.id == wanted.text)
        )
    if wanted.state in ("active", "disabled"):
        statement = statement.where(table.revoked_at.is_(None))
    if wanted.state == "disabled":
        statement = statement.where(table.disabled_at.is_not(None))
    if wanted.state == "revoked":
        statement = statement.where(table.revoked_at.is_not(None))
    if before is not None:
        statement = statement.where(tuple_(table.created_at, table.id) < before)
    ordered = statement.order_by(table.created_at.desc(), table.id.desc()).limit(limit)
    return [_info(row) for row in connection.execute(ordered)]


def count_keys(connection: Connection, account_id: str | None, group: tuple[str, str] | None = None) -> int:
    """Keys that were not revoked, of one account or of all; `group` as that of `page_of_keys`."""
    statement = select(func.count()).select_from(api_keys).where(api_keys.c.revoked_at.is_(None))
    if account_id is not None:
        statement = statement.where(api_keys.c.account_id == account_id)
    if group is not None:
        statement = statement.where(api_keys.c[group[0]] == group[1])
    return int(connection.execute(statement).scalar_one())


def key_info(connection: Connection, key_id: str) -> KeyInfo | None:
    """The key with this id; None when there is none."""
    row = connection.execute(select(api_keys).where(api_keys.c.id == key_id)).first()
    return None if row is None else _info(row)


def key_by_hash(connection: Connection, hash_: str) -> KeyInfo | None:
    """The key whose SHA-256 has these hexadecimal digits; None when there is none."""
    try:
        digest = bytes.fromhex(hash_)
    except ValueError:
        return None
    row = connection.execute(select(api_keys).where(api_keys.c.digest == digest)).first()
    return None if row is None else _info(row)


def keys_where(connection: Connection, account_id: str, wanted: ColumnElement[bool]) -> list[KeyInfo]:
    """The keys of an account that this is true of, without those that were revoked."""
    mine = wanted & (api_keys.c.account_id == account_id) & api_keys.c.revoked_at.is_(None)
    return [_info(row) for row in connection.execute(select(api_keys).where(mine).order_by(api_keys.c.id))]


def names_of(connection: Connection, key_ids: Sequence[str]) -> dict[str, str]:
    """The names of these keys, by id."""
    rows = connection.execute(select(api_keys.c.id, api_keys.c.name).where(api_keys.c.id.in_(key_ids)))
    return {row.id: row.name for row in rows}


def columns_of(connection: Connection, key_id: str) -> dict[str, Any]:
    """What a key is limited to, as `add_key` takes it."""
    names = (
        "expires_at", "models", "networks", "budgets", "limits", "project_id", "member_id", "each_user",
    )  # fmt: skip
    kept = [api_keys.c[name] for name in names]
    return dict(connection.execute(select(*kept).where(api_keys.c.id == key_id)).mappings().one())


def _info(row: Any) -> KeyInfo:
    return KeyInfo(
        row.id,
        row.name,
        row.shown or KEY_START + row.prefix,
        row.account_id,
        row.created_at,
        row.revoked_at,
        row.expires_at,
        budgets_from_json(f"key/{row.id}", row.budgets),
        read_limits(row.limits),
        read_list(row.models),
        read_list(row.networks),
        row.digest.hex(),
        row.disabled_at,
        row.project_id,
        row.member_id,
        read_each_user(row.each_user),
    )


def revoke_key(connection: Connection, key_id: str) -> bool:
    """False when there is no such key. A key that was revoked before stays so."""
    digest = _digest_of(connection, key_id)
    if digest is None:
        return False
    connection.execute(
        update(api_keys)
        .where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
        .values(revoked_at=int(time.time()))
    )
    changed(connection, [digest])
    return True


def expire_keys(connection: Connection, key_ids: Sequence[str]) -> None:
    """Ends those of these keys that have not expired, within a second."""
    now = int(time.time())
    wanted = api_keys.c.id.in_(key_ids) & api_keys.c.revoked_at.is_(None) & (api_keys.c.expires_at > now)
    rows = connection.execute(select(api_keys.c.id, api_keys.c.digest).where(wanted)).all()
    if rows:
        ended = api_keys.c.id.in_([row.id for row in rows])
        connection.execute(update(api_keys).where(ended).values(expires_at=now))
        changed(connection, [row.digest for row in rows])


def change_key(connection: Connection, key_id: str, columns: Mapping[str, Any]) -> bool:
    """Changes what a key may do, within a second; False when there is no such key."""
    digest = _digest_of(connection, key_id)
    if digest is None:
        return False
    connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(**columns))
    changed(connection, [digest])
    return True


def _digest_of(connection: Connection, key_id: str) -> bytes | None:
    return connection.execute(select(api_keys.c.digest).where(api_keys.c.id == key_id)).scalar()


def key_digest(key: bytes) -> bytes:
    """SHA-256 of the whole key, by which it is found."""
    return hashlib.sha256(key).digest()
