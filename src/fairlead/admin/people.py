"""People of the console: sign up, sign in, links that are good once. Each change is in the audit log."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import Final, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from fairlead.accounts.accounts import account_info, add_account, first_account
from fairlead.accounts.groups import add_group
from fairlead.accounts.groups import archive_group as change_archived
from fairlead.admin import ending
from fairlead.admin.audit import Actor, record
from fairlead.admin.member_keys import restore_keys
from fairlead.errors import Forbidden, InvalidRequest, NotFound, RateLimited
from fairlead.people import factors, links, passwords, persons, sessions
from fairlead.people.attempts import OF_ADDRESS, OF_SUBJECT, ONCE, ONCE_A_MINUTE, attempt
from fairlead.people.links import Link, LinkKind
from fairlead.people.persons import Person, checked_email, checked_name
from fairlead.people.roles import Role
from fairlead.people.sessions import Session, SignedIn
from fairlead.store import Store

PASSWORD: Final = "password"  # noqa: S105 - the name of a way to sign in
LINK: Final = "link"
DELETED: Final = "This organisation was deleted."
EXPIRED: Final = "This link is not valid any more. Ask for another one."
# How long a sign-in waits for the second factor.
SECOND_FACTOR_SECONDS: Final = 600
REFUSED: Final = "The e-mail address or the password is wrong."


class Visitor(NamedTuple):
    """Where a request is from: the address, and what the browser says that it is."""

    address: str
    agent: str = ""


def open_link(store: Store, token: str, kinds: tuple[LinkKind, ...], visitor: Visitor) -> Link:
    """What a link is for; it stays good. Raises Forbidden and RateLimited."""
    with store.write() as connection:
        attempt(connection, "link", visitor.address, OF_ADDRESS)
    with store.read() as connection:
        link = links.find_link(connection, token.strip())
    if link is None or link.kind not in kinds:
        raise Forbidden(EXPIRED)
    return link


def become_operator(
    store: Store, token: str, visitor: Visitor, hours: float, *, email: str = "", name: str = "", password: str = ""
) -> str:
    """Signs the operator of a link in and returns the token of the session. For the first operator, or a further one,
    `email`, `name` and `password` are those of the new person. Raises Forbidden and InvalidRequest."""
    link = open_link(store, token, ("operator",), visitor)
    stored = ""
    if not link.email:
        email, name = checked_email(email), checked_name(name)
        stored = passwords.hashed(passwords.checked(password, email, name))
    with store.write() as connection:
        if not links.use_link(connection, link):
            raise Forbidden(EXPIRED)
        if link.email:
            found = persons.find_by_email(connection, link.email)
            if found is None or not found[0].operator or found[0].disabled_at is not None:
                raise Forbidden(EXPIRED)
            person = found[0]
        else:
            if persons.find_by_email(connection, email) is not None:
                raise InvalidRequest("Somebody has this e-mail address already. Use another one.", param="email")
            person = persons.add_person(connection, email, name, stored, operator=True, confirmed=True)
            account_id = first_account(connection)
            join(connection, person, account_id, "owner")
            after = {"email": email, "name": name, "operator": True}
            record(connection, Actor("person", person.id, visitor.address), "person.create", person.id, None, after)
        # It comes from the machine itself: so does somebody in who has lost their second factor.
        return begin_session(connection, person, visitor, hours, LINK, proved=True)


def has_operator(store: Store) -> bool:
    """Whether anybody operates this server yet."""
    with store.read() as connection:
        return persons.has_operator(connection)


def join(connection: Connection, person: Person, account_id: str, role: Role, actor: Actor | None = None) -> None:
    """Makes somebody a member, with a row of `members` for the caps of their keys. Keys that were disabled when they
    left are enabled, with the row that they had. `actor`: who does it, the person where there is nobody else. Raises
    InvalidRequest where the organisation was deleted."""
    if account_info(connection, account_id).deleted_at is not None:
        raise InvalidRequest(DELETED)
    by = actor or Actor("person", person.id)
    restored = [] if person.disabled_at else restore_keys(connection, by, account_id, person.id)
    member_id = next((one.member_id for one in restored if one.member_id is not None), None)
    if member_id is None:
        member_id = add_group(connection, "member", person.name, account_id)
    elif change_archived(connection, "member", member_id, archived=False):
        was, became = {"archived": True}, {"archived": False}
        record(connection, by, "member.restore", member_id, was, became, account_id=account_id)
    persons.add_membership(connection, person.id, account_id, role, member_id)


def new_organisation(connection: Connection, actor: Actor, person: Person, name: str) -> str:
    """A prepaid account that this person owns; returns its id."""
    account_id = add_account(connection, name, prepaid=True)
    join(connection, person, account_id, "owner")
    after = {"name": name, "prepaid": True, "owner": person.id}
    record(connection, actor, "account.create", account_id, None, after, account_id=account_id)
    return account_id


def count_try(store: Store, visitor: Visitor, subject: str, person_id: str) -> None:
    """Counts a try to sign in or to prove something: by this address, and on `subject` ("": nobody that is known).
    Raises RateLimited, which is in the audit log once a minute for each address."""
    try:
        with store.write() as connection:
            attempt(connection, "try/address", visitor.address, OF_ADDRESS)
            if subject:
                attempt(connection, "try/subject", subject, OF_SUBJECT)
    except RateLimited:
        with contextlib.suppress(RateLimited), store.write() as connection:
            attempt(connection, "try/audit", visitor.address, ONCE_A_MINUTE)
            record(
                connection, Actor("person", "", visitor.address), "sign-in.limit", person_id or "unknown", None, None
            )
        raise


def count_once(store: Store, name: str, what: str, visitor: Visitor) -> None:
    """That something is used for the first time. Raises RateLimited."""
    count_try(store, visitor, "", "")
    with store.write() as connection:
        attempt(connection, name, what, ONCE)


def sign_in(store: Store, email: str, password: str, visitor: Visitor, hours: float) -> str:
    """Returns the token of a new session. Unknown addresses take as long as known ones, and are refused in the same
    words. Raises Forbidden and RateLimited."""
    known = email.strip().lower()[:254]
    count_try(store, visitor, f"email/{known}", "")
    with store.read() as connection:
        found = persons.find_by_email(connection, known)
    stored = None if found is None else found[1]
    right = passwords.verify(stored, password)
    person = None if found is None else found[0]
    if not right or person is None or person.disabled_at is not None:
        with store.write() as connection:
            subject = "unknown" if person is None else person.id
            record(connection, Actor("person", "", visitor.address), "sign-in.refuse", subject, None, {"by": PASSWORD})
        raise Forbidden(REFUSED)
    fresh = passwords.hashed(password) if stored is not None and passwords.needs_new_hash(stored) else None
    with store.write() as connection:
        if fresh is not None:
            persons.change_person(connection, person.id, password=fresh)
        return begin_session(connection, person, visitor, hours, PASSWORD)


def prove_again(store: Store, signed_in: SignedIn, password: str, visitor: Visitor, hours: float) -> str:
    """That somebody who is signed in is still who they were: returns another token for the session. Raises Forbidden
    and RateLimited."""
    person = signed_in.person
    actor = Actor("person", person.id, visitor.address)
    count_try(store, visitor, f"email/{person.email}", person.id)
    with store.read() as connection:
        found = persons.find_by_email(connection, person.email)
    right = passwords.verify(None if found is None else found[1], password)
    with store.write() as connection:
        if right and factors.has_second_factor(connection, person.id):
            raise Forbidden("Use your second factor.")
        if right:
            return finish_session(connection, signed_in, visitor, hours, PASSWORD)
        record(connection, actor, "sign-in.refuse", person.id, None, {"by": PASSWORD})
    raise Forbidden("The password is wrong.")


def begin_session(
    connection: Connection, person: Person, visitor: Visitor, hours: float, method: str, *, proved: bool = False
) -> str:
    """Begins a session, always with a new token: one that was there before signs nobody in. `proved`: no second factor
    is asked for; else the session waits for it where the person has one."""
    waits = not proved and factors.has_second_factor(connection, person.id)
    token = sessions.begin(
        connection,
        person.id,
        SECOND_FACTOR_SECONDS if waits else hours * 3600,
        method=method,
        address=visitor.address,
        agent=visitor.agent,
        pending=sessions.SECOND_FACTOR if waits else "",
    )
    if not waits:
        record(connection, Actor("person", person.id, visitor.address), "sign-in", person.id, None, {"by": method})
    return token


def finish_session(connection: Connection, signed_in: SignedIn, visitor: Visitor, hours: float, method: str) -> str:
    """Completes a sign-in that waited for a second factor, or writes down that somebody has proved again who they are.
    Returns another token for the session."""
    session, actor = signed_in.session, Actor("person", signed_in.person.id, visitor.address)
    now = int(time.time())
    if session.pending != sessions.SECOND_FACTOR:
        record(connection, actor, "sign-in.prove", actor.id, None, {"by": method})
        return sessions.renew(connection, session.id, proved_at=now)
    by = f"{session.method}, {method}"
    record(connection, actor, "sign-in", actor.id, None, {"by": by})
    expires = now + int(hours * 3600)
    return sessions.renew(connection, session.id, proved_at=now, pending="", expires_at=expires, method=by[:32])


def visit(store: Store, token: str, address: str) -> SignedIn | None:
    """Who holds this token, for one request."""
    with store.read() as connection:
        found = sessions.find(connection, token)
    if found is not None and sessions.is_stale(found.session):
        with store.write() as connection:
            sessions.see(connection, found.session, address)
    return found


def renew(store: Store, signed_in: SignedIn) -> tuple[SignedIn, str]:
    """The same session with another token."""
    with store.write() as connection:
        token = sessions.renew(connection, signed_in.session.id, pending="")
    return replace(signed_in, session=replace(signed_in.session, pending="")), token


def sign_out(store: Store, actor: Actor, session_id: str) -> None:
    with store.write() as connection:
        if ending.end(connection, session_id, actor.id):
            record(connection, actor, "sign-out", actor.id, None, None)


def choose_account(store: Store, signed_in: SignedIn, account_id: str) -> None:
    """Which organisation the pages of a session show. Raises NotFound for one that the person is not in."""
    if all(one.account_id != account_id for one in signed_in.memberships):
        raise NotFound("There is no such organisation.")
    with store.write() as connection:
        sessions.change(connection, signed_in.session.id, account_id=account_id)


def keep_notice(store: Store, session_id: str, notice: str | None) -> None:
    """What the next page of a session shows once."""
    with store.write() as connection:
        sessions.change(connection, session_id, notice=notice)


def change_password(store: Store, signed_in: SignedIn, current: str, new: str, visitor: Visitor) -> str:
    """Another password; all other sessions end, and this one gets another token, which is returned. `current`: needed
    where there is one. Raises Forbidden, InvalidRequest and RateLimited."""
    person = signed_in.person
    count_try(store, visitor, f"email/{person.email}", person.id)
    with store.read() as connection:
        found = persons.find_by_email(connection, person.email)
    stored = None if found is None else found[1]
    if stored is not None and not passwords.verify(stored, current):
        raise InvalidRequest("The current password is wrong.", param="current")
    fresh = passwords.hashed(passwords.checked(new, person.email, person.name))
    with store.write() as connection:
        persons.change_person(connection, person.id, password=fresh)
        ended = ending.end_all(connection, person.id, but=signed_in.session.id)
        actor = Actor("person", person.id, visitor.address)
        record(connection, actor, "password.change", person.id, None, {"sessions_ended": ended})
        return sessions.renew(connection, signed_in.session.id, proved_at=int(time.time()))


def list_sessions(store: Store, person_id: str) -> list[Session]:
    with store.read() as connection:
        return sessions.list_sessions(connection, person_id)


def end_session(store: Store, actor: Actor, person_id: str, session_id: str) -> None:
    """Raises NotFound for a session of somebody else."""
    with store.write() as connection:
        if not ending.end(connection, session_id, person_id):
            raise NotFound("There is no such session.")
        record(connection, actor, "session.revoke", person_id, {"id": session_id}, None)


def end_other_sessions(store: Store, actor: Actor, person_id: str, but: str | None) -> int:
    """Returns how many there were."""
    with store.write() as connection:
        ended = ending.end_all(connection, person_id, but=but)
        record(connection, actor, "session.revoke", person_id, {"sessions": ended}, None)
    return ended


def record_refusal(store: Store, actor: Actor, action: str, path: str) -> None:
    """That somebody tried what they may not, once a minute for each address and kind: a log that strangers fill is
    read by nobody."""
    with contextlib.suppress(RateLimited, SQLAlchemyError), store.write() as connection:
        attempt(connection, f"audit/{action}", actor.address, ONCE_A_MINUTE)
        record(connection, actor, action, path, None, None)
