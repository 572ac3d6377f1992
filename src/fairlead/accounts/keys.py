"""API keys: made once, shown once, kept as a digest, found in memory.

A key is `sk-fl-`, 8 letters or digits to look it up by, and 32 random bytes in base64url.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import logging
import secrets
import sqlite3
import string
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from fairlead.accounts.accounts import (
    Budget,
    budgets_from_json,
    changed,
    check_name,
    first_account,
)
from fairlead.accounts.caller import Caller
from fairlead.accounts.limits import Limited, OwnLimits
from fairlead.accounts.options import read_limits, read_list
from fairlead.store import Store
from fairlead.store.tables import accounts, api_keys, versions

log = logging.getLogger("fairlead.accounts")

KEY_START = "sk-fl-"
PREFIX_LETTERS = 8
SECRET_BYTES = 32
LONGEST_KEY = 128
# A revoked key is refused within a second: this is how often the database is asked whether it changed.
WATCH_SECONDS = 0.25
# A key that nobody here knows may have been made a moment ago. The database is asked at most this often, whoever comes
# with whatever keys: what it costs strangers is nothing, so it must be little.
ASK_SECONDS = 0.02
# The same for a database across the network, which is asked from a thread; how long a request waits for that; and how
# many keys are remembered that it does not have.
SHARED_ASK_SECONDS = 0.05
LONGEST_LOOKUP_SECONDS = 2.0
MOST_UNKNOWN_KEYS = 1_024
KEY_BYTES = len(KEY_START) + PREFIX_LETTERS + 43  # base64url of 32 bytes
_LETTERS = string.ascii_letters + string.digits
_START = KEY_START.encode()
_LOOKUP = slice(len(KEY_START), len(KEY_START) + PREFIX_LETTERS)


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


def add_key(connection: Connection, name: str, account_id: str, columns: Mapping[str, Any] | None = None) -> str:
    """Makes a key of this account and gives it; it cannot be shown again. `columns`: see `options.as_columns`.

    Raises ConfigurationError.
    """
    check_name(name)
    prefix = "".join(secrets.choice(_LETTERS) for _ in range(PREFIX_LETTERS))
    key = KEY_START + prefix + secrets.token_urlsafe(SECRET_BYTES)
    connection.execute(
        insert(api_keys).values(
            id="key_" + secrets.token_hex(6),
            account_id=account_id,
            name=name,
            prefix=prefix,
            digest=_digest(key.encode()),
            created_at=int(time.time()),
            **(columns or {}),
        )
    )
    changed(connection)
    return key


def account_id_of(connection: Connection, key: str) -> str:
    """Whose a key is, that is there."""
    found = connection.execute(select(api_keys.c.account_id).where(api_keys.c.digest == _digest(key.encode())))
    return str(found.scalar_one())


def create_key(store: Store, name: str) -> str:
    """Makes a key of the first account and gives it. Raises ConfigurationError."""
    with store.write() as connection:
        return add_key(connection, name, first_account(connection))


def first_start(store: Store) -> str | None:
    """The first account and key of a new database; None when there are keys already."""
    with store.read() as connection:
        if connection.execute(select(accounts.c.id).limit(1)).first() is not None:
            return None
    return create_key(store, "first key")


def list_keys(store: Store) -> list[KeyInfo]:
    """All keys, oldest first."""
    with store.read() as connection:
        rows = connection.execute(select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id)).all()
    return [_info(row) for row in rows]


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


def columns_of(connection: Connection, key_id: str) -> dict[str, Any]:
    """What a key is limited to, as `add_key` takes it."""
    kept = (api_keys.c.expires_at, api_keys.c.models, api_keys.c.networks, api_keys.c.budgets, api_keys.c.limits)
    return dict(connection.execute(select(*kept).where(api_keys.c.id == key_id)).mappings().one())


def _info(row: Any) -> KeyInfo:
    return KeyInfo(
        row.id,
        row.name,
        KEY_START + row.prefix,
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
    )


def revoke_key(connection: Connection, key_id: str) -> bool:
    """False when there is no such key. A key that was revoked before stays so."""
    if connection.execute(select(api_keys.c.id).where(api_keys.c.id == key_id)).first() is None:
        return False
    connection.execute(
        update(api_keys)
        .where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
        .values(revoked_at=int(time.time()))
    )
    changed(connection)
    return True


def change_key(connection: Connection, key_id: str, columns: Mapping[str, Any]) -> bool:
    """Changes what a key may do, within a second; False when there is no such key."""
    found = connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(**columns)).rowcount
    changed(connection)
    return bool(found)


class KeyRing:
    """The keys in force, in memory. `watch` follows the database.

    `active`: those that are in force at this moment, another object after each change."""

    __slots__ = ("_ask_at", "_number", "_store", "_unknown", "_version", "active")

    def __init__(self, store: Store) -> None:
        self._store = store
        self.active: Mapping[bytes, tuple[bytes, Caller]] = {}
        self._version = self._number = -1
        self._ask_at = 0.0
        self._unknown: dict[bytes, None] = {}  # digests, oldest first: those that the shared database does not have
        self.reload()

    def find(self, key: bytes) -> Caller | None:
        """Who holds this key, in constant time for keys that begin alike; None when it is not in force."""
        entry = self.active.get(key[_LOOKUP])
        if entry is None and self._has_changed_for(key):
            entry = self.active.get(key[_LOOKUP])
        if entry is None or len(key) > LONGEST_KEY:
            return None
        if hmac.compare_digest(entry[0], _digest(key)):
            return entry[1]
        return None

    def _has_changed_for(self, key: bytes) -> bool:
        """Looks whether an unknown key was made since the last look: by one look at the local database's counter, and
        more when that has moved. A database across the network is asked by `look_up`."""
        if len(key) != KEY_BYTES or not key.startswith(_START) or self._store.is_shared:
            return False
        now = time.monotonic()
        if now < self._ask_at:
            return False
        self._ask_at = now + ASK_SECONDS
        before = self._number
        try:
            self._follow()
        except (sqlite3.Error, SQLAlchemyError):  # `watch` says so
            return False
        return self._number != before

    def look_up(self, key: bytes) -> asyncio.Future[None] | None:
        """Asks a shared database whether a key that is unknown here was made since the last look. Done when `find` can
        say so, after LONGEST_LOOKUP_SECONDS at the latest. None when it is not asked: for what is no key, for a key
        that it did not have before, and within SHARED_ASK_SECONDS of another question. For an event loop."""
        if not self._store.is_shared or len(key) != KEY_BYTES or not key.startswith(_START):
            return None
        now = time.monotonic()
        digest = _digest(key)
        if now < self._ask_at or digest in self._unknown:
            return None
        self._ask_at = now + SHARED_ASK_SECONDS
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def end(asked: asyncio.Future[None] | None = None) -> None:
            if (
                asked is not None
                and not asked.cancelled()
                and asked.exception() is None
                and key[_LOOKUP] not in self.active
            ):
                if len(self._unknown) >= MOST_UNKNOWN_KEYS:
                    del self._unknown[next(iter(self._unknown))]
                self._unknown[digest] = None
            if not done.done():
                done.set_result(None)

        # Where it cannot be asked, `watch` says so.
        loop.run_in_executor(self._store.threads, self._follow).add_done_callback(end)
        loop.call_later(LONGEST_LOOKUP_SECONDS, end)
        return done

    def reload(self) -> None:
        version = self._store.version()
        with self._store.read() as connection:
            number = connection.execute(select(versions.c.number).where(versions.c.name == "keys")).scalar_one()
            if number == self._number:  # the database has changed, the keys have not: usage is stored all the time
                self._version = version
                return
            rows = connection.execute(
                select(
                    api_keys,
                    accounts.c.prepaid,
                    accounts.c.budgets.label("account_budgets"),
                    accounts.c.limits.label("account_limits"),
                )
                .join(accounts, accounts.c.id == api_keys.c.account_id)
                .where(api_keys.c.revoked_at.is_(None), api_keys.c.disabled_at.is_(None))
            ).all()
        self.active = {row.prefix.encode(): (row.digest, _caller(row)) for row in rows}
        self._version, self._number = version, number

    async def watch(self) -> None:
        """Reloads when the database was changed. While it cannot be read, what is known stays in force."""
        in_trouble = False  # said once, not four times a second
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                # In a thread: a database across the network may take its time, and calls continue.
                await asyncio.get_running_loop().run_in_executor(self._store.threads, self._follow)
            except (sqlite3.Error, SQLAlchemyError) as error:
                if not in_trouble:
                    log.warning(
                        "Key changes cannot be read, the last known keys stay in force; retrying: %s",
                        getattr(error, "orig", None) or error,
                    )
                in_trouble = True
            else:
                in_trouble = False

    def _follow(self) -> None:
        if self._store.version() != self._version:
            self.reload()


def _caller(row: Any) -> Caller:
    budgets = (
        *budgets_from_json(f"key/{row.id}", row.budgets),
        *budgets_from_json(f"account/{row.account_id}", row.account_budgets),
    )
    own, account = read_limits(row.limits), read_limits(row.account_limits)
    models, networks = read_list(row.models), read_list(row.networks)
    return Caller(
        row.account_id,
        row.id,
        row.name,
        row.prepaid,
        budgets,
        Limited(row.id, row.account_id, own, account) if own is not None or account is not None else None,
        None if models is None else frozenset(models),
        row.expires_at is not None or networks is not None,
        row.expires_at,
        None if networks is None else tuple(map(ipaddress.ip_network, networks)),
    )


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
