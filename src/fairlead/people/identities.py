"""Who a person is at providers of sign-ins: rows."""

from __future__ import annotations

import time
from typing import NamedTuple

from sqlalchemy import Connection, insert, select

from fairlead.store.tables import person_identities


class Identity(NamedTuple):
    """`provider`: the issuer, or "github"; `subject`: who it is there, for ever."""

    provider: str
    subject: str


def person_id_of(connection: Connection, identity: Identity) -> str | None:
    mine = (person_identities.c.provider == identity.provider) & (person_identities.c.subject == identity.subject)
    found: str | None = connection.execute(select(person_identities.c.person_id).where(mine)).scalar()
    return found


def add_identity(connection: Connection, identity: Identity, person_id: str) -> None:
    connection.execute(
        insert(person_identities).values(
            provider=identity.provider, subject=identity.subject, person_id=person_id, created_at=int(time.time())
        )
    )
