"""Another e-mail address: asked for by who is signed in, confirmed by a link that goes to the new one."""

from __future__ import annotations

import time
from typing import NamedTuple

from fairlead.admin import ending
from fairlead.admin.audit import Actor, record
from fairlead.admin.people import EXPIRED, Visitor, open_link
from fairlead.errors import Forbidden
from fairlead.people import links, persons, sessions
from fairlead.people.links import Link
from fairlead.people.sessions import SignedIn
from fairlead.store import Store

NOT_YOURS = "Sign in as the person who asked for this change, then open the link again."


class Changed(NamedTuple):
    """`token`: of the session; `before`: the address that is told."""

    token: str
    before: str


def request_email(store: Store, person_id: str, email: str, visitor: Visitor, *, mailed: bool) -> str | None:
    """The token of a link for a new address; an earlier one is worth nothing. None: somebody has the address. Called
    when the visitor has been answered, who learns neither that nor how long it takes."""
    with store.write() as connection:
        person = persons.person_of(connection, person_id)
        if person is None or persons.find_by_email(connection, email) is not None:
            return None
        links.end_links_of(connection, "confirm", person_id)
        token, link = links.add_link(connection, "confirm", email, person_id=person_id, mailed=mailed)
        actor = Actor("person", person_id, visitor.address)
        record(connection, actor, "link.create", link.id, None, {"kind": "confirm", "email": email})
        return token


def open_email(store: Store, token: str, signed_in: SignedIn | None, visitor: Visitor) -> Link:
    """What a link would change, for the person who asked for it and nobody else: the link shows that they have the
    address, the session whose it is to be. Raises Forbidden and RateLimited."""
    link = open_link(store, token, ("confirm",), visitor)
    if signed_in is None or signed_in.session.pending or signed_in.person.id != link.person_id:
        raise Forbidden(NOT_YOURS)
    return link


def change_email(store: Store, token: str, signed_in: SignedIn, visitor: Visitor) -> Changed:
    """Puts the new address in force. All other sessions end, and so do links that went to the old address; this
    session gets another token. Raises Forbidden and RateLimited."""
    link = open_email(store, token, signed_in, visitor)
    person, now = signed_in.person, int(time.time())
    with store.write() as connection:
        taken = persons.find_by_email(connection, link.email) is not None
        if taken or not links.use_link(connection, link):
            raise Forbidden(EXPIRED)
        for kind in ("reset", "confirm"):
            links.end_links_of(connection, kind, person.id)
        # Of a link that an operator has seen one cannot say whose the address is.
        persons.change_person(connection, person.id, email=link.email, confirmed_at=now if link.mailed else None)
        ended = ending.end_all(connection, person.id, but=signed_in.session.id)
        actor = Actor("person", person.id, visitor.address)
        became = {"email": link.email, "sessions_ended": ended}
        record(connection, actor, "email.change", person.id, {"email": person.email}, became)
        return Changed(sessions.renew(connection, signed_in.session.id, proved_at=now), person.email)
