"""Provider credentials that are sealed in the database: store, list, remove, seal with another key. Only the processes
that call providers read them back."""

from __future__ import annotations

import re

from fairlead.admin.audit import Actor, record
from fairlead.admin.factor_secrets import reseal_factors
from fairlead.errors import ConfigurationError, InvalidRequest, NotFound
from fairlead.providers import sealed
from fairlead.settings.secrets import LONGEST_SECRET
from fairlead.store import Store

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MOST_CREDENTIALS = 10_000


def set_credential(store: Store, actor: Actor, name: str, secret: str) -> bool:
    """Stores a secret under a name; True when it replaces another one, which processes do within seconds.

    Raises InvalidRequest, or ConfigurationError when it cannot be sealed."""
    if not NAME.fullmatch(name):
        raise InvalidRequest("A name has up to 64 letters, digits and . _ - without spaces, a letter or digit first.")
    if not re.fullmatch(rf"[\x21-\x7e]{{1,{LONGEST_SECRET}}}", secret):
        raise InvalidRequest(
            f"A credential is one line of 1 to {LONGEST_SECRET} printable ASCII characters without spaces."
        )
    key = sealed.seal_key(store, make=True)
    with store.write() as connection:
        replaced = sealed.put(connection, key, name, secret)
        record(connection, actor, "credential.set", name, None, {"sealed_with": key.id, "replaced": replaced})
        if not replaced and len(sealed.listed(connection)) > MOST_CREDENTIALS:
            raise InvalidRequest(f"There can be at most {MOST_CREDENTIALS} sealed credentials.")
    return replaced


def remove_credential(store: Store, actor: Actor, name: str) -> None:
    """Raises NotFound. A process that has read it keeps it until its configuration is replaced."""
    with store.write() as connection:
        if not sealed.remove(connection, name):
            raise NotFound(f"There is no sealed credential {name[:80]!r}.")
        record(connection, actor, "credential.remove", name, {"name": name}, None)


def list_credentials(store: Store) -> list[sealed.SealedSecret]:
    """All of them by name, without their secrets."""
    with store.read() as connection:
        return sealed.listed(connection)


def reseal(store: Store, actor: Actor, old: sealed.SealKey, new: sealed.SealKey) -> int:
    """Seals everything that was sealed with `old` with `new`, or nothing; gives how many. Raises ConfigurationError."""
    with store.write() as connection:
        rows = sealed.listed(connection)
        for row in rows:
            if row.key_id not in (old.id, new.id):
                raise ConfigurationError(f"The credential {row.name!r} was sealed with another key ({row.key_id}).")
        moved = [row.name for row in rows if row.key_id == old.id]
        for name in moved:
            sealed.put(connection, new, name, sealed.get(connection, old, name))
            record(connection, actor, "credential.reseal", name, {"sealed_with": old.id}, {"sealed_with": new.id})
        reseal_factors(connection, old, new)
    return len(moved)
