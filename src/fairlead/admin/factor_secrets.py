"""The secrets of authenticator apps, sealed in the database. Apart from `factors`, which loads more."""

from __future__ import annotations

import base64

from sqlalchemy import Connection

from fairlead.errors import Forbidden
from fairlead.people import factors
from fairlead.people.factors import Factor
from fairlead.providers.sealed import NONCE_BYTES, SealKey


def sealed(key: SealKey, factor_id: str, secret: str) -> str:
    """As it is stored: bound to the factor, and with the name of the key."""
    nonce, body = key.seal(factor_id, secret)
    return f"{key.id}:{base64.b64encode(nonce + body).decode()}"


def opened(key: SealKey, factor: Factor) -> str:
    """Raises Forbidden where the key is another one than it was sealed with."""
    key_id, _, text = factor.body.partition(":")
    if key_id != key.id:
        raise Forbidden("This server cannot read the secret of your app any more. Use a recovery code.")
    raw = base64.b64decode(text)
    return key.open(factor.id, raw[:NONCE_BYTES], raw[NONCE_BYTES:])


def reseal_factors(connection: Connection, old: SealKey, new: SealKey) -> int:
    """Seals what was sealed with `old` with `new`; gives how many."""
    moved = factors.sealed_with(connection, old.id)
    for one in moved:
        factors.change_body(connection, one.id, sealed(new, one.id, opened(old, one)))
    return len(moved)
