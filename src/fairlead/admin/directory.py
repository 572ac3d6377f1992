"""Everybody who may sign in, for the operator: who they are, what they asked for, and that they may not any more."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from fairlead.accounts.accounts import add_account, check_name
from fairlead.admin import ending
from fairlead.admin.audit import Actor, record
from fairlead.admin.member_keys import KeysFate, end_keys, keys_of_member, restore_keys
from fairlead.errors import Forbidden, InvalidRequest, NotFound
from fairlead.people import factors, links, persons, sessions
from fairlead.people.links import Link
from fairlead.people.persons import Membership, Person, checked_email
from fairlead.store import Store
from fairlead.store.tables import accounts, people


class Entry(NamedTuple):
    """A person with their organisations. `seen_at`: when they last used a page, None where no session is left;
    `second_factor`: whether a password alone signs them in no more; `keys`: how many keys they made that were not
    revoked, by the id of the organisation, of one person only."""

    person: Person
    memberships: tuple[Membership, ...]
    seen_at: int | None
    second_factor: bool
    keys: Mapping[str, int] = {}


def list_people(store: Store, limit: int, after: str = "", text: str = "") -> list[Entry]:
    """So many, by e-mail address, behind `after`; `text`: what the address or the name begins with."""
    with store.read() as connection:
        return entries_of(connection, persons.search(connection, limit, after, text))


def one_person(store: Store, person_id: str) -> Entry:
    """Raises NotFound."""
    with store.read() as connection:
        found = entries_of(connection, [_person(connection, person_id)])[0]
        counts = {one.account_id: len(keys_of_member(connection, one)) for one in found.memberships}
        return found._replace(keys=counts)


def names_of(store: Store, ids: Collection[str]) -> dict[str, str]:
    """What people and accounts with these ids are called."""
    with store.read() as connection:
        found = {}
        for table in (people, accounts):
            rows = connection.execute(select(table.c.id, table.c.name).where(table.c.id.in_(ids)))
            found.update({row.id: row.name for row in rows})
        return found


def requests(store: Store) -> list[Link]:
    """Links that people have asked for and were sent no mail about."""
    with store.read() as connection:
        return links.requested(connection)


def hand_over(store: Store, actor: Actor, link_id: str) -> tuple[Link, str]:
    """A token for a link that somebody asked for, to be given to them; one before is worth nothing. Raises NotFound."""
    with store.write() as connection:
        link = links.link_of(connection, link_id)
        if link is None or link.kind not in links.REQUESTED or link.used_at is not None:
            raise NotFound("There is no such request.")
        token = links.new_token(connection, link)
        links.mark_mailed(connection, link_id, mailed=False)
        record(connection, actor, "link.create", link_id, None, {"kind": link.kind, "email": link.email})
        return link, token


def make_reset(store: Store, actor: Actor, person_id: str) -> str:
    """The token of a link for a new password, to be given to its person. Raises NotFound."""
    with store.write() as connection:
        person = _person(connection, person_id)
        links.end_links(connection, "reset", person.email)
        token, link = links.add_link(connection, "reset", person.email, person_id=person.id, made_by=actor.id[:32])
        record(connection, actor, "link.create", link.id, None, {"kind": "reset", "email": person.email})
        return token


def disable(
    store: Store, actor: Actor, person_id: str, *, disabled: bool, fates: Mapping[str, KeysFate] | None = None
) -> None:
    """Whether somebody may sign in; their sessions end at once. `fates`: what becomes of the keys that they made, by
    the id of the organisation; where it says nothing they are disabled, and enabled with the person. Raises NotFound
    and Forbidden."""
    with store.write() as connection:
        person = _person(connection, person_id)
        if (person.disabled_at is not None) == disabled:
            return
        if disabled and person.operator and persons.count_operators(connection) == 1:
            raise Forbidden("The last operator stays.")
        persons.change_person(connection, person_id, disabled_at=int(time.time()) if disabled else None)
        ended = ending.end_all(connection, person_id) if disabled else 0
        done: dict[str, Any] = {}
        for one in persons.memberships_of(connection, person_id):
            if disabled:
                fate = (fates or {}).get(one.account_id, "disable")
                count = end_keys(connection, actor, one, fate, leaves=False)
                done[one.account_id] = {"keys": fate, "number_of_keys": count}
            else:
                restored = restore_keys(connection, actor, one.account_id, person_id)
                done[one.account_id] = {"keys": "enable", "number_of_keys": len(restored)}
        action = "person.disable" if disabled else "person.enable"
        record(connection, actor, action, person_id, None, {"sessions_ended": ended, "organisations": done})


def make_operator(store: Store, actor: Actor, person_id: str, *, operator: bool) -> None:
    """Whether somebody operates the server, in force with their next request. Raises NotFound and Forbidden."""
    with store.write() as connection:
        person = _person(connection, person_id)
        if person.operator == operator:
            return
        if not operator and persons.count_operators(connection) == 1:
            raise Forbidden("The last operator stays.")
        persons.change_person(connection, person_id, operator=operator)
        ending.renew_all(connection, person_id)
        record(connection, actor, "person.operator", person_id, {"operator": person.operator}, {"operator": operator})


def remove_second_factors(store: Store, actor: Actor, person_id: str) -> int:
    """For somebody who has lost them: a password signs them in again. Returns how many there were. Raises NotFound."""
    with store.write() as connection:
        _person(connection, person_id)
        removed = factors.remove_all(connection, person_id, "totp", "passkey", "recovery")
        ended = ending.end_all(connection, person_id)
        after = {"removed": removed, "sessions_ended": ended}
        record(connection, actor, "factor.remove", person_id, None, after)
        return removed


def invite_customer(store: Store, actor: Actor, name: str, email: str, *, mailed: bool) -> str:
    """A new prepaid account, and an invitation of its owner; returns the token of the link. Raises InvalidRequest and
    ConfigurationError."""
    email = checked_email(email)
    if not name.strip():
        raise InvalidRequest("Enter the name of the organisation.", param="organisation")
    check_name(name.strip())
    with store.write() as connection:
        account_id = add_account(connection, name.strip(), prepaid=True)
        record(
            connection, actor, "account.create", account_id, None, {"name": name.strip(), "prepaid": True},
            account_id=account_id,
        )  # fmt: skip
        token, link = links.add_link(
            connection, "invitation", email, account_id=account_id, role="owner", made_by=actor.id[:32], mailed=mailed
        )
        after = {"email": email, "role": "owner"}
        record(connection, actor, "invitation.create", link.id, None, after, account_id=account_id)
    return token


def _person(connection: Connection, person_id: str) -> Person:
    found = persons.person_of(connection, person_id)
    if found is None:
        raise NotFound("There is no such person.")
    return found


def entries_of(connection: Connection, people: Sequence[Person]) -> list[Entry]:
    ids = [one.id for one in people]
    organisations = persons.memberships_by_person(connection, ids)
    seen = sessions.last_seen(connection, ids)
    safe = factors.with_second_factor(connection, ids)
    return [Entry(one, organisations.get(one.id, ()), seen.get(one.id), one.id in safe) for one in people]
