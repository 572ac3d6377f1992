"""Idempotency-Key: a POST that is repeated is done once, and answered with the same bytes.

The answer may hold a key that is shown once, so it is encrypted before it is stored, with a key made of the management
key and the Idempotency-Key: neither is in the database.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from typing import Final, NamedTuple

from sqlalchemy import Connection, delete, select, text, update

from fairlead.errors import IdempotencyConflict, InvalidRequest
from fairlead.store.tables import idempotent_answers

LIFE_MS: Final = 24 * 3_600_000
LONGEST_NAME: Final = 255
_SALT_BYTES: Final = 16
_MAC_BYTES: Final = 32
_CLAIM: Final = text(
    "INSERT INTO idempotent_answers (owner, name, at, request, status, answer) "
    "VALUES (:owner, :name, :at, :request, 0, :answer) ON CONFLICT (owner, name) DO NOTHING"
)


class Repeatable(NamedTuple):
    """A request with an Idempotency-Key. `secret`: the management key; `request`: SHA-256 of what was asked for."""

    owner: str
    secret: bytes
    name: bytes
    request: bytes

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.name).digest()


def check_name(name: bytes) -> None:
    """Raises InvalidRequest."""
    if not 1 <= len(name) <= LONGEST_NAME or not name.isascii() or not name.decode("ascii").isprintable():
        raise InvalidRequest(
            f"Idempotency-Key must have 1 to {LONGEST_NAME} printable ASCII characters.", param="Idempotency-Key"
        )


def claim(connection: Connection, one: Repeatable) -> tuple[int, bytes] | None:
    """The stored answer; None when this is the first request, which must be done and `keep` its answer. A second one
    waits here for the end of the first. Raises IdempotencyConflict for another request with the same name."""
    now = int(time.time() * 1000)
    connection.execute(delete(idempotent_answers).where(idempotent_answers.c.at < now - LIFE_MS))
    claimed = connection.execute(
        _CLAIM, {"owner": one.owner, "name": one.digest, "at": now, "request": one.request, "answer": b""}
    )
    if claimed.rowcount:
        return None
    row = connection.execute(
        select(idempotent_answers).where(
            idempotent_answers.c.owner == one.owner, idempotent_answers.c.name == one.digest
        )
    ).one()
    if not hmac.compare_digest(row.request, one.request):
        raise IdempotencyConflict(
            "This Idempotency-Key was used for another request. Use a new one for each request.", status=422
        )
    return row.status, _open(one, row.answer)


def keep(connection: Connection, one: Repeatable, status: int, answer: bytes) -> None:
    """In the transaction of the change itself."""
    connection.execute(
        update(idempotent_answers)
        .where(idempotent_answers.c.owner == one.owner, idempotent_answers.c.name == one.digest)
        .values(status=status, answer=_seal(one, answer))
    )


def _seal(one: Repeatable, answer: bytes) -> bytes:
    salt = os.urandom(_SALT_BYTES)
    hidden = _mixed(answer, _key(one, b"stream", salt))
    return salt + hmac.digest(_key(one, b"mac", salt), hidden, "sha256") + hidden


def _open(one: Repeatable, sealed: bytes) -> bytes:
    salt, mac = sealed[:_SALT_BYTES], sealed[_SALT_BYTES : _SALT_BYTES + _MAC_BYTES]
    hidden = sealed[_SALT_BYTES + _MAC_BYTES :]
    if not hmac.compare_digest(mac, hmac.digest(_key(one, b"mac", salt), hidden, "sha256")):
        raise IdempotencyConflict("The stored answer cannot be read. Use a new Idempotency-Key.", status=409)
    return _mixed(hidden, _key(one, b"stream", salt))


def _key(one: Repeatable, purpose: bytes, salt: bytes) -> bytes:
    return hmac.digest(one.secret, b"%b\0%b\0%b" % (purpose, salt, one.name), "sha256")


def _mixed(data: bytes, key: bytes) -> bytes:
    """With a stream of SHAKE-256 that is used for this answer alone: the salt is new for each."""
    stream = hashlib.shake_256(key).digest(len(data))
    return (int.from_bytes(data) ^ int.from_bytes(stream)).to_bytes(len(data))
