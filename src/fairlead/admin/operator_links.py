"""Links that sign an operator in once. Apart from `people`: the start of a server needs these alone."""

from __future__ import annotations

from sqlalchemy import Connection

from fairlead.admin.audit import Actor, record
from fairlead.errors import InvalidRequest
from fairlead.people import links, persons
from fairlead.people.persons import checked_email
from fairlead.store import Store


def first_operator_link(store: Store) -> str | None:
    """The token of a link that makes the first operator; None when there is one already."""
    with store.write() as connection:
        if persons.has_operator(connection):
            return None
        return _operator_link(connection, Actor("server"), "")


def make_operator_link(store: Store, actor: Actor, email: str = "") -> str:
    """The token of a link that signs an operator in once. `email`: whose; "": somebody new. Raises InvalidRequest."""
    with store.write() as connection:
        if email:
            email = checked_email(email)
            found = persons.find_by_email(connection, email)
            if found is None or not found[0].operator:
                raise InvalidRequest(f"No operator has the e-mail address {email}.", param="email")
        return _operator_link(connection, actor, email)


def _operator_link(connection: Connection, actor: Actor, email: str) -> str:
    links.end_links(connection, "operator", email)
    token, link = links.add_link(connection, "operator", email)
    record(connection, actor, "link.create", link.id, None, {"kind": "operator", "email": email or None})
    return token
