"""Secrets in the database, sealed by AES-GCM with a key that is kept outside of it.

Every function works on one open transaction. A secret is bound to its name: moved to another row it cannot be opened.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from fairlead.errors import ConfigurationError
from fairlead.settings.environment import SEAL_KEY, secret_variable
from fairlead.store import Store
from fairlead.store.tables import sealed_secrets, versions

KEY_BYTES = 32
NONCE_BYTES = 12
FILE = "seal.key"
CHANGED = "credentials"  # the row of `versions` that changes with them


class SealKey:
    """The key that secrets are sealed with. `id` names it without telling it."""

    __slots__ = ("_key", "id")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.id = hashlib.sha256(b"fairlead seal key" + key).hexdigest()[:16]

    def __repr__(self) -> str:
        return f"SealKey({self.id!r})"

    def seal(self, name: str, secret: str | bytes) -> tuple[bytes, bytes]:
        """(nonce, what to store)."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(NONCE_BYTES)
        data = secret.encode() if isinstance(secret, str) else secret
        return nonce, AESGCM(self._key).encrypt(nonce, data, name.encode())

    def name_of(self, secret: str) -> str:
        """A name for a secret that does not tell it, the same each time."""
        return hmac.digest(self._key, b"name" + secret.encode(), "sha256").hex()[:10]

    def open(self, name: str, nonce: bytes, body: bytes) -> str:
        """Raises ConfigurationError when it was not sealed with this key under this name."""
        data = self.opened(name, nonce, body)
        if data is None:
            raise ConfigurationError(f"The sealed credential {name!r} is damaged.")
        return data.decode()

    def opened(self, name: str, nonce: bytes, body: bytes) -> bytes | None:
        """What was sealed; None when it was not sealed with this key under this name."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            return AESGCM(self._key).decrypt(nonce, body, name.encode())
        except InvalidTag:
            return None


class SealedSecret(NamedTuple):
    """A row without its secret. Times in seconds since 1970."""

    name: str
    key_id: str
    created_at: int
    changed_at: int


def seal_key(store: Store, environment: Mapping[str, str] | None = None, *, make: bool = False) -> SealKey:
    """The key in FAIRLEAD_SEAL_KEY (32 bytes in base64), else that in the file `seal.key` of the data directory, which
    is made (mode 0600) when `make` is set and no other machine uses the database. Raises ConfigurationError."""
    environment = os.environ if environment is None else environment
    if given := secret_variable(SEAL_KEY, environment):
        return _key_of(given, f"The environment variable {SEAL_KEY.name}")
    file = store.directory / FILE
    if make and not file.exists():
        if store.is_shared:
            raise ConfigurationError(
                f"Credentials are sealed with a key that every machine with this database needs: set {SEAL_KEY.name} "
                f"to it on each of them. `openssl rand -base64 {KEY_BYTES}` prints one."
            )
        try:
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            pass  # somebody else was faster
        except OSError as error:
            raise ConfigurationError(f"{file} cannot be made: {error.strerror}.") from None
        else:
            with os.fdopen(handle, "wb") as opened:
                opened.write(base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")
                opened.flush()
                os.fsync(opened.fileno())
    try:
        return key_in(file)
    except FileNotFoundError:
        raise ConfigurationError(
            f"Sealed credentials need their key: set {SEAL_KEY.name} to it, or restore the file {file}."
        ) from None


def key_in(file: Path) -> SealKey:
    """The key that a file holds. Raises ConfigurationError, FileNotFoundError."""
    try:
        return _key_of(file.read_text("utf-8"), str(file))
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise ConfigurationError(f"{file} cannot be read: {reason}.") from None


def _key_of(text: str, where: str) -> SealKey:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError:  # binascii.Error is one
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigurationError(
            f"{where} must hold {KEY_BYTES} random bytes in base64: `openssl rand -base64 {KEY_BYTES}` prints some."
        )
    return SealKey(key)


def put(connection: Connection, key: SealKey, name: str, secret: str) -> bool:
    """Stores a secret under a name; True when it has replaced another one."""
    nonce, body = key.seal(name, secret)
    now = int(time.time())
    values = {"key_id": key.id, "nonce": nonce, "body": body, "changed_at": now}
    found = connection.execute(update(sealed_secrets).where(sealed_secrets.c.name == name).values(**values)).rowcount
    if not found:
        connection.execute(insert(sealed_secrets).values(name=name, created_at=now, **values))
    _changed(connection)
    return bool(found)


def remove(connection: Connection, name: str) -> bool:
    """False when there is none of this name."""
    found = connection.execute(delete(sealed_secrets).where(sealed_secrets.c.name == name)).rowcount
    _changed(connection)
    return bool(found)


def get(connection: Connection, key: SealKey, name: str) -> str:
    """The secret of this name. Raises ConfigurationError."""
    row = connection.execute(select(sealed_secrets).where(sealed_secrets.c.name == name)).first()
    if row is None:
        raise ConfigurationError(
            f"There is no sealed credential {name!r}. Store one: `fairlead credentials set {name}`."
        )
    if row.key_id != key.id:
        raise ConfigurationError(
            f"The credential {name!r} was sealed with another key ({row.key_id}) than the one here ({key.id})."
        )
    return key.open(name, row.nonce, row.body)


def listed(connection: Connection) -> list[SealedSecret]:
    """All of them by name, without their secrets."""
    columns = [sealed_secrets.c[name] for name in SealedSecret._fields]
    return [SealedSecret(*row) for row in connection.execute(select(*columns).order_by(sealed_secrets.c.name))]


def number(connection: Connection) -> int:
    """Changes with every change of them."""
    found = connection.execute(select(versions.c.number).where(versions.c.name == CHANGED)).scalar()
    return 0 if found is None else int(found)


def _changed(connection: Connection) -> None:
    row = versions.c.name == CHANGED
    if not connection.execute(update(versions).where(row).values(number=versions.c.number + 1)).rowcount:
        connection.execute(insert(versions).values(name=CHANGED, number=1))


class Reader:
    """Gives sealed secrets by name to a process that calls providers."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(self, name: str) -> str:
        """Raises ConfigurationError."""
        key = seal_key(self._store)
        with self._store.read() as connection:
            return get(connection, key, name)

    def number(self) -> int:
        """Changes with every change of them."""
        with self._store.read() as connection:
            return number(connection)
