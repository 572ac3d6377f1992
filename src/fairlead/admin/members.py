"""The people of an organisation: their roles, their caps, and that they leave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection

from fairlead.accounts import groups
from fairlead.accounts.accounts import Budget
from fairlead.admin import ending
from fairlead.admin.audit import Actor, record
from fairlead.admin.ending import end_playground_keys
from fairlead.admin.groups import archive_group, change_group
from fairlead.admin.member_keys import KeysFate, end_keys, keys_of_member
from fairlead.errors import Forbidden, NotFound
from fairlead.people import links, persons
from fairlead.people.links import Link
from fairlead.people.persons import Membership, Person
from fairlead.people.roles import Role
from fairlead.store import Store


class Colleague(NamedTuple):
    """A member as the page of an organisation shows them. `caps`: what their keys share."""

    person: Person
    membership: Membership
    budgets: tuple[Budget, ...]
    limits: Mapping[str, int]


def list_members(store: Store, account_id: str) -> tuple[list[Colleague], list[Link]]:
    """The people of an organisation, and the invitations that are open."""
    with store.read() as connection:
        caps = {one.id: one for one in groups.list_groups(connection, "member", account_id)}
        known = persons.people_of(connection, account_id)
        found = []
        for one in persons.members_of(connection, account_id):
            cap = caps.get(one.member_id)
            limits = {} if cap is None or cap.limits is None else cap.limits.by_name()
            found.append(Colleague(known[one.person_id], one, () if cap is None else cap.budgets, limits))
        return found, links.open_links(connection, account_id)


def change_role(store: Store, actor: Actor, account_id: str, person_id: str, role: Role, *, by_owner: bool) -> Role:
    """Gives a member another role, in force with their next request, when their sessions get another token. Returns
    the one before. Only owners make and unmake owners, and one of them stays. Raises NotFound and Forbidden."""
    with store.write() as connection:
        before = _member(persons.membership_of(connection, person_id, account_id))
        if before.role == role:
            return role
        if "owner" in (before.role, role) and not by_owner:
            raise Forbidden("Only an owner can make or unmake an owner.")
        if before.role == "owner" and persons.owners(connection, account_id) == 1:
            raise Forbidden("An organisation keeps one owner. Make somebody else an owner first.")
        persons.change_role(connection, person_id, account_id, role)
        ending.renew_all(connection, person_id)
        was, became = {"role": before.role}, {"role": role}
        record(connection, actor, "membership.change", person_id, was, became, account_id=account_id)
        return before.role


def change_caps(store: Store, actor: Actor, account_id: str, person_id: str, columns: Mapping[str, Any]) -> None:
    """What the keys of a member share, from `accounts.options.as_columns`. Raises NotFound and ConfigurationError."""
    with store.read() as connection:
        found = _member(persons.membership_of(connection, person_id, account_id))
    change_group(store, actor, "member", found.member_id, columns)


def count_keys(store: Store, membership: Membership) -> int:
    """How many keys somebody has made for an organisation that were not revoked."""
    with store.read() as connection:
        return len(keys_of_member(connection, membership))


def remove_member(
    store: Store, actor: Actor, account_id: str, person_id: str, *, by_owner: bool, fate: KeysFate = "disable"
) -> int:
    """Takes somebody out of an organisation, and does that to the keys that they made there; returns to how many.
    Raises NotFound and Forbidden."""
    with store.write() as connection:
        before = _member(persons.membership_of(connection, person_id, account_id))
        if before.role == "owner":
            if not by_owner:
                raise Forbidden("Only an owner can remove an owner.")
            if persons.owners(connection, account_id) == 1:
                raise Forbidden("An organisation keeps one owner. Make somebody else an owner first.")
        return leave(store, connection, actor, account_id, before, fate)


def leave(
    store: Store,
    connection: Connection,
    actor: Actor,
    account_id: str,
    before: Membership,
    fate: KeysFate = "disable",
) -> int:
    """Ends a membership in an open transaction, and does that to the keys that the person made there; returns to how
    many."""
    end_playground_keys(connection, before.person_id)
    count = end_keys(connection, actor, before, fate, leaves=True)
    persons.remove_membership(connection, before.person_id, account_id)
    archive_group(store.joined(connection), actor, "member", before.member_id)
    was, became = {"role": before.role}, {"keys": fate, "number_of_keys": count}
    record(connection, actor, "membership.remove", before.person_id, was, became, account_id=account_id)
    return count


def _member(found: Membership | None) -> Membership:
    if found is None:
        raise NotFound("There is no such member.")
    return found
