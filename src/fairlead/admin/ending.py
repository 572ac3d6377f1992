"""Sessions end here, and with them the short-lived keys of the playground, in the same transaction.

Code that ends a session, a membership or a role calls these functions and not those of `people.sessions`."""

from __future__ import annotations

import hashlib
from typing import Final

from sqlalchemy import Connection, select

from fairlead.accounts.keys import expire_keys
from fairlead.people import sessions
from fairlead.people.persons import memberships_of
from fairlead.store.tables import people

START: Final = "key_play"
ID_DIGITS: Final = 20


def key_id_of(account_id: str, member_id: str) -> str:
    """One row for each membership, so that its usage is one line. Somebody who comes back has another one."""
    return START + hashlib.sha256(f"{account_id}/{member_id}".encode()).hexdigest()[:ID_DIGITS]


def lock(connection: Connection, person_id: str) -> None:
    """Until the transaction ends: so that no key is made while another transaction ends what it is made for. SQLite has
    one writer anyhow."""
    connection.execute(select(people.c.id).where(people.c.id == person_id).with_for_update())


def end_playground_keys(connection: Connection, person_id: str) -> None:
    """Refuses them within a second, in the transaction of what ends a session, a membership or a role. A browser that
    is still signed in gets another one."""
    lock(connection, person_id)
    expire_keys(connection, [key_id_of(one.account_id, one.member_id) for one in memberships_of(connection, person_id)])


def end(connection: Connection, session_id: str, person_id: str) -> bool:
    """Revokes a session of this person; False when there is none."""
    end_playground_keys(connection, person_id)
    return sessions.end(connection, session_id, person_id)


def end_all(connection: Connection, person_id: str, *, but: str | None = None) -> int:
    """Revokes all sessions of a person, except one; returns how many there were."""
    end_playground_keys(connection, person_id)
    return sessions.end_all(connection, person_id, but=but)


def renew_all(connection: Connection, person_id: str) -> None:
    """For another role: their browsers get other tokens with their next requests."""
    end_playground_keys(connection, person_id)
    sessions.renew_all(connection, person_id)
