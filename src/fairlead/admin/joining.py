"""How people come: they sign up, are invited, get a new password. Each of it by a link that is good once."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection

from fairlead.accounts.accounts import account_info, check_name
from fairlead.admin import ending
from fairlead.admin.audit import Actor, record
from fairlead.admin.people import DELETED, EXPIRED, LINK, Visitor, begin_session, join, new_organisation, open_link
from fairlead.errors import Forbidden, InvalidRequest, NotFound
from fairlead.people import links, passwords, persons
from fairlead.people.attempts import OF_ADDRESS, OF_MAIL, attempt
from fairlead.people.links import Link
from fairlead.people.persons import Person, checked_email, checked_name
from fairlead.people.roles import Role
from fairlead.store import Store

TAKEN = "Somebody has this e-mail address already. Sign in, then open the link again."


class Requested(NamedTuple):
    """What to send to somebody: a link, or, where they cannot use one, nothing but that ("": no token)."""

    email: str
    token: str
    known: bool


def count_request(store: Store, email: str, visitor: Visitor) -> str:
    """Whether somebody may ask for a mail to this address now; returns it as it is stored. Nothing here depends on
    whether it is known. Raises InvalidRequest and RateLimited."""
    email = checked_email(email)
    with store.write() as connection:
        attempt(connection, "mail/address", visitor.address, OF_ADDRESS)
        attempt(connection, "mail/email", email, OF_MAIL)
    return email


def request_sign_up(store: Store, email: str, visitor: Visitor, *, allowed: bool, mailed: bool) -> Requested | None:
    """A link to sign up with, for a new address. None: nobody may with this one. Called when the visitor has been
    answered: how long it takes tells nothing."""
    if not allowed:
        return None
    with store.write() as connection:
        if persons.find_by_email(connection, email) is not None:
            return Requested(email, "", True)
        links.end_links(connection, "sign-up", email)
        token, link = links.add_link(connection, "sign-up", email, mailed=mailed)
        record(connection, _nobody(visitor), "link.create", link.id, None, {"kind": "sign-up", "email": email})
    return Requested(email, token, False)


def request_reset(store: Store, email: str, visitor: Visitor, *, mailed: bool) -> Requested | None:
    """A link to choose a new password with. None: nobody has this address."""
    with store.write() as connection:
        found = persons.find_by_email(connection, email)
        if found is None or found[0].disabled_at is not None:
            return None
        links.end_links(connection, "reset", email)
        token, link = links.add_link(connection, "reset", email, person_id=found[0].id, mailed=mailed)
        record(connection, _nobody(visitor), "link.create", link.id, None, {"kind": "reset", "email": email})
    return Requested(email, token, True)


def sign_up(
    store: Store, token: str, visitor: Visitor, hours: float, *, name: str, organisation: str, password: str
) -> str:
    """Makes the person of a link, with an organisation of their own, and signs them in: returns the token of the
    session. Raises Forbidden and InvalidRequest."""
    link = open_link(store, token, ("sign-up",), visitor)
    name = checked_name(name)
    _check_organisation(organisation)
    stored = passwords.hashed(passwords.checked(password, link.email, name))
    with store.write() as connection:
        person = _new_person(connection, link, name, stored, visitor)
        new_organisation(connection, Actor("person", person.id, visitor.address), person, organisation.strip())
        return begin_session(connection, person, visitor, hours, LINK)


def reset(store: Store, token: str, visitor: Visitor, *, password: str) -> None:
    """A new password; every session ends. A second factor is still asked for. Raises Forbidden and
    InvalidRequest."""
    link = open_link(store, token, ("reset",), visitor)
    stored = passwords.hashed(passwords.checked(password, link.email))
    with store.write() as connection:
        person = None if link.person_id is None else persons.person_of(connection, link.person_id)
        if person is None or person.disabled_at is not None or not links.use_link(connection, link):
            raise Forbidden(EXPIRED)
        confirmed = {"confirmed_at": link.created_at} if link.mailed and person.confirmed_at is None else {}
        persons.change_person(connection, person.id, password=stored, **confirmed)
        ended = ending.end_all(connection, person.id)
        actor = Actor("person", person.id, visitor.address)
        record(connection, actor, "password.reset", person.id, None, {"sessions_ended": ended})


def invite(store: Store, actor: Actor, account_id: str, email: str, role: Role, *, by_owner: bool, mailed: bool) -> str:
    """Invites somebody to an organisation; returns the token of the link. Only owners invite owners. Raises
    InvalidRequest, Forbidden."""
    email = checked_email(email)
    if role == "owner" and not by_owner:
        raise Forbidden("Only an owner can invite another owner.")
    with store.write() as connection:
        if account_info(connection, account_id).deleted_at is not None:
            raise InvalidRequest(DELETED)
        found = persons.find_by_email(connection, email)
        if found is not None and persons.membership_of(connection, found[0].id, account_id) is not None:
            raise InvalidRequest("This person is a member already.", param="email")
        links.end_links(connection, "invitation", email, account_id)
        token, link = links.add_link(
            connection, "invitation", email, account_id=account_id, role=role, made_by=actor.id[:32], mailed=mailed
        )
        after = {"email": email, "role": role}
        record(connection, actor, "invitation.create", link.id, None, after, account_id=account_id)
    return token


def withdraw_invitation(store: Store, actor: Actor, account_id: str, link_id: str) -> None:
    """Raises NotFound."""
    with store.write() as connection:
        link = links.link_of(connection, link_id)
        if link is None or link.account_id != account_id or link.kind != "invitation" or link.used_at is not None:
            raise NotFound("There is no such invitation.")
        links.end_link(connection, link_id)
        before = {"email": link.email, "role": link.role}
        record(connection, actor, "invitation.withdraw", link_id, before, None, account_id=account_id)


class Invitation(NamedTuple):
    """What a link invites to. `known`: there is a person with its address, who has to sign in."""

    link: Link
    organisation: str
    known: bool


def open_invitation(store: Store, token: str, visitor: Visitor) -> Invitation:
    """Raises Forbidden and RateLimited."""
    link = open_link(store, token, ("invitation",), visitor)
    with store.read() as connection:
        known = persons.find_by_email(connection, link.email) is not None
        return Invitation(link, account_info(connection, link.account_id or "").name, known)


def accept(store: Store, token: str, visitor: Visitor, person: Person) -> str:
    """Somebody who is signed in joins; returns the id of the account. Raises Forbidden."""
    link = open_link(store, token, ("invitation",), visitor)
    if link.email != person.email:
        raise Forbidden("This invitation is for another e-mail address. Sign in with that one.")
    with store.write() as connection:
        return _join(connection, link, person, visitor)


def accept_as_new(store: Store, token: str, visitor: Visitor, hours: float, *, name: str, password: str) -> str:
    """Makes the person of an invitation and signs them in: returns the token of the session. Raises Forbidden and
    InvalidRequest."""
    link = open_link(store, token, ("invitation",), visitor)
    name = checked_name(name)
    stored = passwords.hashed(passwords.checked(password, link.email, name))
    with store.write() as connection:
        person = _new_person(connection, link, name, stored, visitor, use=False)
        _join(connection, link, person, visitor)
        return begin_session(connection, person, visitor, hours, LINK)


def _join(connection: Connection, link: Link, person: Person, visitor: Visitor) -> str:
    account_id = link.account_id or ""
    if link.role is None or not links.use_link(connection, link):
        raise Forbidden(EXPIRED)
    if persons.membership_of(connection, person.id, account_id) is None:
        actor = Actor("person", person.id, visitor.address)
        join(connection, person, account_id, link.role, actor)
        after = {"person": person.id, "role": link.role}
        record(connection, actor, "membership.create", person.id, None, after, account_id=account_id)
    return account_id


def _new_person(
    connection: Connection, link: Link, name: str, password: str, visitor: Visitor, *, use: bool = True
) -> Person:
    if use and not links.use_link(connection, link):
        raise Forbidden(EXPIRED)
    if persons.find_by_email(connection, link.email) is not None:
        raise Forbidden(TAKEN)
    # Of a link that somebody else has seen one cannot say whose the address is.
    person = persons.add_person(connection, link.email, name, password, confirmed=link.mailed)
    actor, after = Actor("person", person.id, visitor.address), {"email": person.email, "name": name}
    record(connection, actor, "person.create", person.id, None, after)
    return person


def _check_organisation(name: str) -> None:
    if not name.strip():
        raise InvalidRequest("Enter the name of your organisation, or your own.", param="organisation")
    check_name(name.strip())


def _nobody(visitor: Visitor) -> Actor:
    return Actor("person", "", visitor.address)
