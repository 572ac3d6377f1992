"""Signing in by another provider: whose identity it is, who is let in, and what groups give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from fairlead.admin import ending
from fairlead.admin.audit import Actor, record
from fairlead.admin.members import leave
from fairlead.admin.people import Visitor, begin_session, join, new_organisation
from fairlead.errors import Forbidden, InvalidRequest
from fairlead.people import identities, persons
from fairlead.people.identities import Identity
from fairlead.people.persons import LONGEST_NAME, Person, checked_email
from fairlead.people.roles import ROLES, Role
from fairlead.settings import ConsoleSettings, GroupSettings
from fairlead.store import Store

NOT_ALLOWED: Final = "You may not sign in here. Ask the operator of this server."
NOT_CONFIRMED: Final = (
    "There is an account with your e-mail address whose owner has not been confirmed. Sign in with its password, or "
    "ask the operator of this server."
)
NO_EMAIL: Final = "The provider does not say that your e-mail address is confirmed. Confirm it there first."


class Claimed(NamedTuple):
    """What a provider says of somebody. `verified`: it vouches for the e-mail address; `groups`: their names."""

    identity: Identity
    email: str
    verified: bool
    name: str
    groups: frozenset[str]


class Rules(NamedTuple):
    """What groups give: roles in accounts, and the server to operate. `sign_up`, `domains`: of `[console]`."""

    groups: tuple[GroupSettings, ...]
    operators: frozenset[str]
    console: ConsoleSettings


def sign_in_by_identity(
    store: Store, claimed: Claimed, rules: Rules, visitor: Visitor, hours: float, before: str | None = None
) -> str:
    """Signs somebody in, makes them a person when they may come, and gives the roles of their groups. Returns the token
    of a session; `before`: a session that it replaces. Raises Forbidden, which is in the audit log."""
    try:
        with store.write() as connection:
            person = _person(connection, claimed, rules, visitor)
            _give_roles(store, connection, person, claimed, rules, visitor)
            if before is not None:
                ending.end(connection, before, person.id)
            provider = "github" if claimed.identity.provider == "github" else "oidc"
            return begin_session(connection, person, visitor, hours, provider)
    except Forbidden:
        with store.write() as connection:
            after = {"by": claimed.identity.provider}
            record(connection, Actor("person", "", visitor.address), "sign-in.refuse", "unknown", None, after)
        raise


def _person(connection: Connection, claimed: Claimed, rules: Rules, visitor: Visitor) -> Person:
    known = identities.person_id_of(connection, claimed.identity)
    if known is not None:
        person = persons.person_of(connection, known)
        if person is None or person.disabled_at is not None:
            raise Forbidden(NOT_ALLOWED)
        return person
    # From here on the e-mail address says who it is: only one that the provider vouches for.
    if not claimed.verified:
        raise Forbidden(NO_EMAIL)
    try:
        email = checked_email(claimed.email)
    except InvalidRequest:
        raise Forbidden(NO_EMAIL) from None
    found = persons.find_by_email(connection, email)
    if found is None:
        return _new(connection, claimed, email, rules, visitor)
    person = found[0]
    if person.disabled_at is not None:
        raise Forbidden(NOT_ALLOWED)
    if person.confirmed_at is None:  # else somebody could take an address first and wait for its owner
        raise Forbidden(NOT_CONFIRMED)
    identities.add_identity(connection, claimed.identity, person.id)
    actor = Actor("person", person.id, visitor.address)
    record(connection, actor, "identity.create", person.id, None, {"provider": claimed.identity.provider})
    return person


def _new(connection: Connection, claimed: Claimed, email: str, rules: Rules, visitor: Visitor) -> Person:
    wanted, console = _roles(claimed.groups, rules.groups), rules.console
    operates = bool(claimed.groups & rules.operators)
    own = console.sign_up == "open" or (console.sign_up == "domain" and email.rpartition("@")[2] in console.domains)
    if not wanted and not operates and not own:
        raise Forbidden(NOT_ALLOWED)
    printable = "".join(one for one in claimed.name if one.isprintable()).strip()[:LONGEST_NAME]
    name = printable or email.partition("@")[0]
    person = persons.add_person(connection, email, name, None, operator=False, confirmed=True)
    identities.add_identity(connection, claimed.identity, person.id)
    actor = Actor("person", person.id, visitor.address)
    after = {"email": email, "name": name, "provider": claimed.identity.provider}
    record(connection, actor, "person.create", person.id, None, after)
    if own and not wanted:
        new_organisation(connection, actor, person, name)
    return person


def _give_roles(
    store: Store, connection: Connection, person: Person, claimed: Claimed, rules: Rules, visitor: Visitor
) -> None:
    """Memberships of accounts that the rules name follow the groups, at each sign-in; all others stay."""
    actor = Actor("person", person.id, visitor.address)
    wanted = _roles(claimed.groups, rules.groups)
    changed = False
    for account_id in dict.fromkeys(one.account for one in rules.groups):
        before = persons.membership_of(connection, person.id, account_id)
        role = wanted.get(account_id)
        if (before.role if before is not None else None) == role:
            continue
        if before is not None and before.role == "owner" and persons.owners(connection, account_id) == 1:
            continue  # one owner stays
        if before is not None and role is None:
            leave(store, connection, actor, account_id, before)
        elif before is not None and role is not None:
            persons.change_role(connection, person.id, account_id, role)
        elif role is not None and persons.is_account(connection, account_id):
            join(connection, person, account_id, role, actor)
        else:
            continue  # a rule names an account that there is not
        changed = True
        was = None if before is None else {"role": before.role}
        became = None if role is None else {"role": role}
        record(connection, actor, "membership.follow", person.id, was, became, account_id=account_id)
    operates = bool(claimed.groups & rules.operators)
    last = person.operator and persons.count_operators(connection) == 1
    if rules.operators and person.operator != operates and not last:
        changed = True
        persons.change_person(connection, person.id, operator=operates)
        record(connection, actor, "person.operator", person.id, {"operator": person.operator}, {"operator": operates})
    if changed:
        ending.renew_all(connection, person.id)


def _roles(groups: Iterable[str], rules: Sequence[GroupSettings]) -> Mapping[str, Role]:
    """The role in each account; of several the one that may most."""
    found: dict[str, Role] = {}
    known = frozenset(groups)
    for one in rules:
        if one.group in known:
            before = found.get(one.account)
            if before is None or ROLES.index(one.role) < ROLES.index(before):
                found[one.account] = one.role
    return found


def names_of(claim: Any) -> frozenset[str]:
    """The groups of a claim: a list of names, or one name."""
    listed = [claim] if isinstance(claim, str) else claim if isinstance(claim, list) else []
    return frozenset(one for one in listed[:1_000] if isinstance(one, str) and len(one) <= 256)
