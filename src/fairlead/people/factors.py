"""What people prove who they are with besides a password: rows."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Connection, delete, insert, select, update

from fairlead.store.tables import person_factors

FactorKind = Literal["totp", "passkey", "recovery"]
# Of one person.
MOST_PASSKEYS: Final = 20


@dataclass(frozen=True, slots=True)
class Factor:
    """Times in seconds since 1970. `handle`: the id of a passkey's credential; `body`: a sealed secret, a public key or
    a digest; `counter`: of a passkey its own, of TOTP the last period that was used; `used_at`: of TOTP None until
    the first code has shown that the app has the secret."""

    id: str
    person_id: str
    kind: FactorKind
    name: str
    handle: bytes | None
    body: str
    counter: int
    created_at: int
    used_at: int | None

    @property
    def counts(self) -> bool:
        return self.kind == "passkey" or (self.kind == "totp" and self.used_at is not None)


def add_factor(
    connection: Connection,
    factor_id: str,
    person_id: str,
    kind: FactorKind,
    name: str,
    body: str,
    *,
    handle: bytes | None = None,
    counter: int = 0,
) -> None:
    connection.execute(
        insert(person_factors).values(
            id=factor_id,
            person_id=person_id,
            kind=kind,
            name=name,
            handle=handle,
            body=body,
            counter=counter,
            created_at=int(time.time()),
            used_at=None,
        )
    )


def new_id() -> str:
    return "fac_" + secrets.token_hex(8)


def factors_of(connection: Connection, person_id: str) -> list[Factor]:
    """Oldest first; recovery codes among them."""
    rows = connection.execute(
        select(person_factors)
        .where(person_factors.c.person_id == person_id)
        .order_by(person_factors.c.created_at, person_factors.c.id)
    )
    return [_factor(row) for row in rows]


def has_second_factor(connection: Connection, person_id: str) -> bool:
    """Whether a password alone signs this person in no more."""
    return any(one.counts for one in factors_of(connection, person_id))


def with_second_factor(connection: Connection, person_ids: Sequence[str]) -> set[str]:
    """Those of them whom a password alone signs in no more."""
    rows = connection.execute(select(person_factors).where(person_factors.c.person_id.in_(person_ids)))
    return {one.person_id for one in map(_factor, rows) if one.counts}


def by_handle(connection: Connection, handle: bytes) -> Factor | None:
    row = connection.execute(select(person_factors).where(person_factors.c.handle == handle)).first()
    return None if row is None else _factor(row)


def use(connection: Connection, factor: Factor, counter: int) -> bool:
    """Writes down a use; False when somebody was faster, with this code or a later one."""
    wanted = person_factors.c.id == factor.id
    if factor.kind == "totp":
        wanted &= person_factors.c.counter < counter
    changed = update(person_factors).where(wanted).values(counter=counter, used_at=int(time.time()))
    return connection.execute(changed).rowcount == 1


def remove(connection: Connection, person_id: str, factor_id: str) -> bool:
    wanted = (person_factors.c.id == factor_id) & (person_factors.c.person_id == person_id)
    return connection.execute(delete(person_factors).where(wanted)).rowcount == 1


def remove_all(connection: Connection, person_id: str, *kinds: FactorKind) -> int:
    wanted = (person_factors.c.person_id == person_id) & person_factors.c.kind.in_(kinds)
    return connection.execute(delete(person_factors).where(wanted)).rowcount


def _factor(row: Any) -> Factor:
    return Factor(*(getattr(row, name) for name in Factor.__slots__))


def sealed_with(connection: Connection, key_id: str) -> list[Factor]:
    """The secrets of apps that were sealed with this key."""
    rows = connection.execute(
        select(person_factors).where(
            person_factors.c.kind == "totp", person_factors.c.body.startswith(f"{key_id}:", autoescape=True)
        )
    )
    return [_factor(row) for row in rows]


def change_body(connection: Connection, factor_id: str, body: str) -> None:
    connection.execute(update(person_factors).where(person_factors.c.id == factor_id).values(body=body))
