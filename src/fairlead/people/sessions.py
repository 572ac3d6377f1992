"""Who is signed in. A browser holds a random token; the database has its SHA-256, and is read for each page."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import LABEL_STYLE_TABLENAME_PLUS_COL, Connection, delete, func, insert, select, update

from fairlead.people.persons import Membership, Person, as_person, memberships_of
from fairlead.store.tables import people, person_sessions

TOKEN_BYTES: Final = 32
TOKEN_LENGTH: Final = 43  # of base64url
# `seen_at` is written again after so long: a visit need not be a write.
SEEN_SECONDS: Final = 60
# Of one person; a further sign-in ends the one that was seen longest ago.
MOST_SESSIONS: Final = 50
# What a session may be waiting for (`Session.pending`): that its next request gets another token; a second factor.
NEW_TOKEN: Final = "new token"  # noqa: S105 - a state
SECOND_FACTOR: Final = "second factor"


@dataclass(frozen=True, slots=True)
class Session:
    """Times in seconds since 1970. `proved_at`: when they last signed in or proved again who they are; `pending`: what
    is missing before they are signed in, "" when nothing is; `notice`: to be shown once."""

    id: str
    person_id: str
    account_id: str | None
    created_at: int
    seen_at: int
    expires_at: int
    proved_at: int
    pending: str
    method: str
    address: str
    agent: str
    notice: str | None
    challenge: str | None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session with whose it is and where they have a role."""

    session: Session
    person: Person
    memberships: tuple[Membership, ...]


def digest_of(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def new_token() -> str:
    return secrets.token_urlsafe(TOKEN_BYTES)


def begin(
    connection: Connection,
    person_id: str,
    seconds: float,
    *,
    method: str,
    address: str,
    agent: str,
    account_id: str | None = None,
    pending: str = "",
    notice: str | None = None,
) -> str:
    """Signs somebody in for so long and returns the new token."""
    token, now = new_token(), int(time.time())
    forget_expired(connection)
    rows = connection.execute(
        select(person_sessions.c.id)
        .where(person_sessions.c.person_id == person_id)
        .order_by(person_sessions.c.seen_at.desc(), person_sessions.c.id)
    ).all()
    for row in rows[MOST_SESSIONS - 1 :]:
        connection.execute(delete(person_sessions).where(person_sessions.c.id == row.id))
    connection.execute(
        insert(person_sessions).values(
            id="ses_" + secrets.token_hex(8),
            digest=digest_of(token),
            person_id=person_id,
            account_id=account_id,
            created_at=now,
            seen_at=now,
            expires_at=now + int(seconds),
            proved_at=now,
            pending=pending,
            method=method,
            address=address[:64],
            agent=agent[:256],
            notice=notice,
            challenge=None,
        )
    )
    return token


def find(connection: Connection, token: str) -> SignedIn | None:
    """Who holds this token; None when it is unknown, expired or revoked, or the person may not sign in any more."""
    if len(token) != TOKEN_LENGTH:
        return None
    now = int(time.time())
    row = connection.execute(
        select(person_sessions, people)
        .join(people, people.c.id == person_sessions.c.person_id)
        .where(
            person_sessions.c.digest == digest_of(token),
            person_sessions.c.expires_at > now,
            people.c.disabled_at.is_(None),
        )
        .set_label_style(LABEL_STYLE_TABLENAME_PLUS_COL)
    ).first()
    if row is None:
        return None
    session = Session(*(getattr(row, f"person_sessions_{name}") for name in Session.__slots__))
    person = as_person(_Part(row, "people_"))
    return SignedIn(session, person, memberships_of(connection, person.id))


def lasts(connection: Connection, session: Session) -> bool:
    """Whether a session that was read before is still there."""
    wanted = (person_sessions.c.id == session.id) & (person_sessions.c.expires_at > int(time.time()))
    return connection.execute(select(person_sessions.c.id).where(wanted)).first() is not None


def is_stale(session: Session) -> bool:
    """Whether it is worth a write that a session is in use: once a minute."""
    return time.time() - session.seen_at >= SEEN_SECONDS


def see(connection: Connection, session: Session, address: str) -> None:
    """Writes down that a session is in use now."""
    change(connection, session.id, seen_at=int(time.time()), address=address[:64])


def change(connection: Connection, session_id: str, **columns: Any) -> None:
    connection.execute(update(person_sessions).where(person_sessions.c.id == session_id).values(**columns))


def renew(connection: Connection, session_id: str, **columns: Any) -> str:
    """Another token for the same session: the one before is worth nothing from now on."""
    token = new_token()
    change(connection, session_id, digest=digest_of(token), **columns)
    return token


def renew_all(connection: Connection, person_id: str) -> None:
    """Their browsers get other tokens with their next requests."""
    mine = (person_sessions.c.person_id == person_id) & (person_sessions.c.pending == "")
    connection.execute(update(person_sessions).where(mine).values(pending=NEW_TOKEN))


def end(connection: Connection, session_id: str, person_id: str) -> bool:
    """Revokes a session of this person; False when there is none."""
    wanted = (person_sessions.c.id == session_id) & (person_sessions.c.person_id == person_id)
    return connection.execute(delete(person_sessions).where(wanted)).rowcount > 0


def end_all(connection: Connection, person_id: str, *, but: str | None = None) -> int:
    """Revokes all sessions of a person, except one; returns how many there were."""
    wanted = person_sessions.c.person_id == person_id
    if but is not None:
        wanted &= person_sessions.c.id != but
    return connection.execute(delete(person_sessions).where(wanted)).rowcount


def list_sessions(connection: Connection, person_id: str) -> list[Session]:
    """Those in force, the one that was used last first."""
    rows = connection.execute(
        select(person_sessions)
        .where(person_sessions.c.person_id == person_id, person_sessions.c.expires_at > int(time.time()))
        .order_by(person_sessions.c.seen_at.desc(), person_sessions.c.created_at.desc())
    )
    return [Session(*(getattr(row, name) for name in Session.__slots__)) for row in rows]


def last_seen(connection: Connection, person_ids: Sequence[str]) -> dict[str, int]:
    """When each of those with a session in force used it last."""
    mine = person_sessions.c.person_id.in_(person_ids) & (person_sessions.c.expires_at > int(time.time()))
    newest = func.max(person_sessions.c.seen_at)
    rows = connection.execute(
        select(person_sessions.c.person_id, newest).where(mine).group_by(person_sessions.c.person_id)
    )
    return {person_id: int(at) for person_id, at in rows}


def forget_expired(connection: Connection) -> None:
    connection.execute(delete(person_sessions).where(person_sessions.c.expires_at <= int(time.time())))


class _Part:
    """The columns of one table in a row of two."""

    def __init__(self, row: Any, prefix: str) -> None:
        self._row, self._prefix = row, prefix

    def __getattr__(self, name: str) -> Any:
        return getattr(self._row, self._prefix + name)
