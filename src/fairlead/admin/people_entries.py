"""People, memberships, invitations and sessions for other programs: lists, changes, and their JSON."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import select

from fairlead.accounts.accounts import account_info
from fairlead.admin import directory, ending
from fairlead.admin.audit import Actor, record
from fairlead.admin.directory import Entry
from fairlead.admin.people import join
from fairlead.errors import InvalidRequest, NotFound
from fairlead.people import links, persons, sessions
from fairlead.people.links import Link
from fairlead.people.persons import Membership
from fairlead.people.roles import ROLES, Role, is_role
from fairlead.people.sessions import Session
from fairlead.store import Store
from fairlead.store.tables import memberships


def page_of_people(
    store: Store, limit: int, after: str = "", account_id: str | None = None, email: str | None = None
) -> list[Entry]:
    """So many, by their ids, behind `after`; `account_id`: members of this organisation alone; `email`: who has this
    address."""
    with store.read() as connection:
        found = persons.page_of_people(connection, limit, after, account_id, email)
        return directory.entries_of(connection, found)


def page_of_memberships(
    store: Store, limit: int, after: str = "", account_id: str | None = None, person_id: str | None = None
) -> list[Membership]:
    """So many, by their ids, which are those of the rows of `members`."""
    with store.read() as connection:
        return persons.page_of_memberships(connection, limit, after, account_id, person_id)


def one_membership(store: Store, membership_id: str) -> Membership:
    """Raises NotFound."""
    with store.read() as connection:
        found = connection.execute(select(memberships).where(memberships.c.member_id == membership_id)).first()
        one = None if found is None else persons.membership_of(connection, found.person_id, found.account_id)
    if one is None:
        raise NotFound(f"There is no membership {membership_id[:64]!r}.")
    return one


def checked_role(name: str) -> Role:
    """Raises InvalidRequest."""
    if not is_role(name):
        raise InvalidRequest(f"A role is one of {', '.join(ROLES)}.", param="role")
    return next(one for one in ROLES if one == name)


def add_membership(store: Store, actor: Actor, account_id: str, person_id: str, role: Role) -> Membership:
    """Makes a person a member of an organisation, without asking them. Raises NotFound and InvalidRequest."""
    with store.write() as connection:
        account_info(connection, account_id)
        person = persons.person_of(connection, person_id)
        if person is None:
            raise NotFound("There is no such person.", param="person")
        if persons.membership_of(connection, person_id, account_id) is not None:
            raise InvalidRequest("This person is a member already.", param="person")
        join(connection, person, account_id, role, actor)
        after = {"person": person_id, "role": role}
        record(connection, actor, "membership.create", person_id, None, after, account_id=account_id)
        made = persons.membership_of(connection, person_id, account_id)
        assert made is not None
        return made


class Invited(NamedTuple):
    """`token`: it cannot be shown again."""

    link: Link
    token: str


def page_of_invitations(store: Store, limit: int, after: str = "", account_id: str | None = None) -> list[Link]:
    """Those that are open, so many, by their ids."""
    with store.read() as connection:
        return links.page_of_invitations(connection, limit, after, account_id)


def one_invitation(store: Store, link_id: str) -> Link:
    """Raises NotFound."""
    with store.read() as connection:
        found = links.link_of(connection, link_id)
    if found is None or found.kind != "invitation" or found.used_at is not None:
        raise NotFound(f"There is no invitation {link_id[:64]!r}.")
    return found


def invitation_of(store: Store, token: str) -> Link:
    """Of a token that was just made."""
    with store.read() as connection:
        found = links.find_link(connection, token)
    assert found is not None
    return found


def end_sessions(store: Store, actor: Actor, person_id: str, session_id: str | None = None) -> int:
    """Ends all sessions of somebody, or one; returns how many. Raises NotFound."""
    directory.one_person(store, person_id)
    with store.write() as connection:
        if session_id is None:
            ended = ending.end_all(connection, person_id)
        else:
            ended = int(ending.end(connection, session_id, person_id))
            if not ended:
                raise NotFound("There is no such session.", param="session")
        before: dict[str, Any] = {"sessions": ended} if session_id is None else {"id": session_id}
        record(connection, actor, "session.revoke", person_id, before, None)
        return ended


def list_sessions(store: Store, person_id: str) -> list[Session]:
    """Raises NotFound."""
    directory.one_person(store, person_id)
    with store.read() as connection:
        return sessions.list_sessions(connection, person_id)


def person_entry(entry: Entry, account_id: str | None = None) -> dict[str, Any]:
    """A person as JSON documents show them; `account_id`: without their other organisations. Times in seconds since
    1970."""
    person = entry.person
    return {
        "id": person.id,
        "email": person.email,
        "name": person.name,
        "operator": person.operator,
        "created_at": person.created_at,
        "confirmed_at": person.confirmed_at,
        "disabled_at": person.disabled_at,
        "seen_at": entry.seen_at,
        "second_factor": entry.second_factor,
        "memberships": [
            membership_entry(one) for one in entry.memberships if account_id in (None, one.account_id)
        ],
    }  # fmt: skip


def membership_entry(one: Membership) -> dict[str, Any]:
    return {
        "id": one.member_id,
        "person": one.person_id,
        "account": one.account_id,
        "role": one.role,
        "created_at": one.created_at,
    }


def invitation_entry(link: Link) -> dict[str, Any]:
    return {
        "id": link.id,
        "account": link.account_id,
        "email": link.email,
        "role": link.role,
        "created_at": link.created_at,
        "expires_at": link.expires_at,
    }


def session_entry(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "method": session.method,
        "address": session.address,
        "agent": session.agent,
        "created_at": session.created_at,
        "seen_at": session.seen_at,
        "expires_at": session.expires_at,
    }
