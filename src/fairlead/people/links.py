"""One-time links: a random token that somebody was sent or shown, good for one use within some time."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Connection, delete, insert, select, update

from fairlead.people.roles import Role
from fairlead.people.sessions import digest_of
from fairlead.store.tables import person_links

LinkKind = Literal["operator", "sign-up", "confirm", "reset", "invitation"]

START: Final = "fl-link-"
SECONDS: Final[dict[LinkKind, int]] = {
    "operator": 86_400,
    "sign-up": 86_400,
    "confirm": 86_400,
    "reset": 3_600,
    "invitation": 7 * 86_400,
}
# Used and expired ones are kept for so long, to be listed.
KEPT_SECONDS: Final = 30 * 86_400
MOST_REQUESTED: Final = 200
# What people ask for themselves.
REQUESTED: Final[tuple[LinkKind, ...]] = ("sign-up", "reset", "confirm")


@dataclass(frozen=True, slots=True)
class Link:
    """Times in seconds since 1970. `account_id`, `role`: of an invitation. `mailed`: the token went to the
    address alone, so that its use shows whose address it is."""

    id: str
    kind: LinkKind
    email: str
    person_id: str | None
    account_id: str | None
    role: Role | None
    made_by: str | None
    mailed: bool
    created_at: int
    expires_at: int
    used_at: int | None


def add_link(
    connection: Connection,
    kind: LinkKind,
    email: str = "",
    *,
    person_id: str | None = None,
    account_id: str | None = None,
    role: Role | None = None,
    made_by: str | None = None,
    mailed: bool = False,
) -> tuple[str, Link]:
    """Makes a link and returns its token, which cannot be shown again."""
    token, now = START + secrets.token_urlsafe(24), int(time.time())
    connection.execute(delete(person_links).where(person_links.c.expires_at < now - KEPT_SECONDS))
    link = Link(
        "lnk_" + secrets.token_hex(8),
        kind,
        email,
        person_id,
        account_id,
        role,
        made_by,
        mailed,
        now,
        now + SECONDS[kind],
        None,
    )
    values = {name: getattr(link, name) for name in Link.__slots__}
    connection.execute(insert(person_links).values(**values, digest=digest_of(token)))
    return token, link


def find_link(connection: Connection, token: str) -> Link | None:
    """A link that can still be used."""
    if not token.startswith(START) or len(token) > 64:
        return None
    row = connection.execute(
        select(person_links).where(
            person_links.c.digest == digest_of(token),
            person_links.c.used_at.is_(None),
            person_links.c.expires_at > int(time.time()),
        )
    ).first()
    return None if row is None else _link(row)


def use_link(connection: Connection, link: Link) -> bool:
    """Marks it as used; False when somebody was faster."""
    wanted = (person_links.c.id == link.id) & person_links.c.used_at.is_(None)
    return connection.execute(update(person_links).where(wanted).values(used_at=int(time.time()))).rowcount == 1


def end_links(connection: Connection, kind: LinkKind, email: str, account_id: str | None = None) -> None:
    """Makes earlier links of a kind for an address worthless."""
    wanted = (person_links.c.kind == kind) & (person_links.c.email == email) & person_links.c.used_at.is_(None)
    if account_id is not None:
        wanted &= person_links.c.account_id == account_id
    connection.execute(delete(person_links).where(wanted))


def end_links_of(connection: Connection, kind: LinkKind, person_id: str) -> None:
    """The same for a person, whichever address they went to."""
    mine = (person_links.c.kind == kind) & (person_links.c.person_id == person_id) & person_links.c.used_at.is_(None)
    connection.execute(delete(person_links).where(mine))


def open_links(connection: Connection, account_id: str) -> list[Link]:
    """The invitations to an organisation that nobody has used yet, newest first."""
    rows = connection.execute(
        select(person_links)
        .where(
            person_links.c.account_id == account_id,
            person_links.c.kind == "invitation",
            person_links.c.used_at.is_(None),
            person_links.c.expires_at > int(time.time()),
        )
        .order_by(person_links.c.created_at.desc(), person_links.c.id)
    )
    return [_link(row) for row in rows]


def page_of_invitations(connection: Connection, limit: int, after: str, account_id: str | None) -> list[Link]:
    """Those that nobody has used yet, so many, by their ids, behind `after`."""
    statement = select(person_links).where(
        person_links.c.kind == "invitation",
        person_links.c.used_at.is_(None),
        person_links.c.expires_at > int(time.time()),
        person_links.c.id > after,
    )
    if account_id is not None:
        statement = statement.where(person_links.c.account_id == account_id)
    return [_link(row) for row in connection.execute(statement.order_by(person_links.c.id).limit(limit))]


def _link(row: Any) -> Link:
    return Link(*(getattr(row, name) for name in Link.__slots__))


def requested(connection: Connection) -> list[Link]:
    """What people have asked for and were sent no mail about: an operator gives them the link. Newest first."""
    rows = connection.execute(
        select(person_links)
        .where(
            person_links.c.kind.in_(REQUESTED),
            ~person_links.c.mailed,
            person_links.c.used_at.is_(None),
            person_links.c.expires_at > int(time.time()),
        )
        .order_by(person_links.c.created_at.desc(), person_links.c.id)
        .limit(MOST_REQUESTED)
    )
    return [_link(row) for row in rows]


def link_of(connection: Connection, link_id: str) -> Link | None:
    row = connection.execute(select(person_links).where(person_links.c.id == link_id)).first()
    return None if row is None else _link(row)


def new_token(connection: Connection, link: Link) -> str:
    """Another token for a link, which cannot be shown again either; the one before is worth nothing."""
    token = START + secrets.token_urlsafe(24)
    connection.execute(
        update(person_links)
        .where(person_links.c.id == link.id)
        .values(digest=digest_of(token), expires_at=int(time.time()) + SECONDS[link.kind])
    )
    return token


def end_link(connection: Connection, link_id: str) -> None:
    connection.execute(delete(person_links).where(person_links.c.id == link_id))


def mark_mailed(connection: Connection, link_id: str, *, mailed: bool) -> None:
    """Whether the token went to the address alone."""
    connection.execute(update(person_links).where(person_links.c.id == link_id).values(mailed=mailed))
