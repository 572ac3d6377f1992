"""An organisation changes hands or is deleted, and people delete themselves."""

from __future__ import annotations

import time
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, delete, func, select, update

from fairlead.accounts.accounts import account_info, change_account, first_account
from fairlead.accounts.changes import changed
from fairlead.admin import ending
from fairlead.admin.audit import Actor, record
from fairlead.admin.content import end_content
from fairlead.admin.member_keys import KeysFate
from fairlead.admin.members import leave
from fairlead.errors import Forbidden, InvalidRequest, NotFound
from fairlead.ledger import credit, funds
from fairlead.ledger.funds import credit_scope
from fairlead.money import Picodollars
from fairlead.people import persons
from fairlead.people.persons import Person
from fairlead.people.suspended_keys import forget_suspended
from fairlead.providers import sealed
from fairlead.store import Store
from fairlead.store.account_alerts import secret_name
from fairlead.store.tables import (
    account_alerts,
    alert_outbox,
    api_keys,
    authorization_codes,
    call_content,
    content_counts,
    management_keys,
    members,
    memberships,
    people,
    person_factors,
    person_identities,
    person_links,
    person_sessions,
    projects,
    responses,
)

DELETED: Final = "Deleted organisation"
# Rows of these tables go with their organisation. A test holds that every table with an `account_id` is here, or in
# `KEPT`, so that nothing new is forgotten.
ERASED: Final = (
    person_links, account_alerts, alert_outbox, authorization_codes, responses, call_content, content_counts,
)  # fmt: skip
# What the books and the audit log need, and what is ended in place: keys are revoked, projects and members archived.
KEPT: Final = frozenset(
    {
        "api_keys", "audit_log", "call_sessions", "calls", "charges", "content_erasures", "credit_codes", "key_changes",
        "management_keys",
        "members", "memberships", "person_sessions", "projects", "suspended_keys", "usage_records",
    }
)  # fmt: skip


class Contents(NamedTuple):
    """What goes when an organisation is deleted. `credit`: picodollars that are left; `open_charges`: those that calls
    in flight may be spending."""

    keys: int
    management_keys: int
    people: int
    invitations: int
    projects: int
    responses: int
    credit: int
    open_charges: int


def contents(store: Store, account_id: str) -> Contents:
    with store.read() as connection:
        return _contents(connection, account_id)


def _contents(connection: Connection, account_id: str) -> Contents:
    def count(table: Any, *wanted: Any) -> int:
        found = select(func.count()).select_from(table).where(table.c.account_id == account_id, *wanted)
        return int(connection.execute(found).scalar_one())

    held = funds.balance(connection, credit_scope(account_id))
    now = int(time.time())
    return Contents(
        count(api_keys, api_keys.c.revoked_at.is_(None)),
        count(management_keys, management_keys.c.revoked_at.is_(None)),
        count(memberships),
        count(person_links, person_links.c.used_at.is_(None), person_links.c.expires_at > now),
        count(projects, projects.c.archived_at.is_(None)),
        count(responses),
        0 if held is None else held.granted - held.spent - held.leased,
        0 if held is None else held.leased,
    )


def delete_organisation(store: Store, actor: Actor, account_id: str, name: str, *, forfeit: bool) -> None:
    """Deletes an organisation for good: its keys are refused within a second, nobody is its member any more, its name
    is free. Charges, credit and the audit log stay, as the books need them. `name`: as it is, typed again; `forfeit`:
    credit that is left may be lost. Raises InvalidRequest, Forbidden and ConfigurationError."""
    with store.write() as connection:
        before = account_info(connection, account_id)
        if before.deleted_at is not None:
            raise NotFound("There is no such organisation.")
        if account_id == first_account(connection):
            raise Forbidden("The operator's own account is part of the server and stays.")
        if name.strip() != before.name:
            raise InvalidRequest("This is not the name of the organisation.", param="name")
        funds.lock(connection, credit_scope(account_id))
        goes = _contents(connection, account_id)
        if goes.open_charges:
            raise Forbidden("Calls are in flight, or ended a moment ago. Disable the keys and try again in a minute.")
        if goes.credit > 0:
            if not forfeit:
                raise InvalidRequest("There is credit left. Say that it may be lost, or ask for a refund first.",
                                     param="forfeit")  # fmt: skip
            credit.withdraw(connection, account_id, goes.credit, "the organisation was deleted")
        _end(store, connection, actor, account_id)
        was = {"name": before.name, "credit_usd": Picodollars(max(0, goes.credit)).dollars()}
        became = {**goes._asdict(), "credit": 0, "open_charges": 0}
        record(connection, actor, "account.delete", account_id, was, became, account_id=account_id)


def _end(store: Store, connection: Connection, actor: Actor, account_id: str) -> None:
    now = int(time.time())
    for table, column in ((api_keys, "revoked_at"), (management_keys, "revoked_at"), (projects, "archived_at"),
                          (members, "archived_at")):  # fmt: skip
        mine = (table.c.account_id == account_id) & table.c[column].is_(None)
        connection.execute(update(table).where(mine).values({column: now}))
    for one in persons.members_of(connection, account_id):
        leave(store, connection, actor, account_id, one, "revoke")
    for gone in ERASED:
        connection.execute(delete(gone).where(gone.c.account_id == account_id))
    end_content(connection, account_id)
    sealed.remove(connection, secret_name(account_id))
    forget_suspended(connection, account_id=account_id)
    chosen = person_sessions.c.account_id == account_id
    connection.execute(update(person_sessions).where(chosen).values(account_id=None))
    columns = {"name": DELETED, "disabled_at": now, "deleted_at": now, "budgets": None, "limits": None}
    change_account(connection, account_id, columns)
    # By their digests as well: a key that was refused is remembered by its own.
    digests = select(api_keys.c.digest).where(api_keys.c.account_id == account_id)
    changed(connection, list(connection.execute(digests).scalars()))


def transfer(store: Store, actor: Actor, account_id: str, owner_id: str, person_id: str) -> None:
    """Makes another member the owner, and an owner an admin, in one step. Raises NotFound and Forbidden."""
    with store.write() as connection:
        before = persons.membership_of(connection, owner_id, account_id)
        after = persons.membership_of(connection, person_id, account_id)
        if before is None or before.role != "owner":
            raise Forbidden("Only an owner can give an organisation to somebody else.")
        person = persons.person_of(connection, person_id)
        if after is None or person is None or person_id == owner_id:
            raise NotFound("There is no such member.")
        if person.disabled_at is not None:
            raise Forbidden("This person is disabled.")
        persons.change_role(connection, person_id, account_id, "owner")
        persons.change_role(connection, owner_id, account_id, "admin")
        for one in (person_id, owner_id):
            ending.renew_all(connection, one)
        was, became = {"owner": owner_id, "role": after.role}, {"owner": person_id, "role": "owner"}
        record(connection, actor, "account.transfer", account_id, was, became, account_id=account_id)


def delete_person(store: Store, actor: Actor, person: Person, email: str, fate: KeysFate) -> None:
    """Deletes somebody for good, who leaves all organisations; what they did stays in the audit log. `email`: theirs,
    typed again; `fate`: of the keys that they made, "revoke" or "keep". Raises InvalidRequest and Forbidden."""
    if email.strip().lower() != person.email:
        raise InvalidRequest("This is not your e-mail address.", param="email")
    if fate == "disable":
        raise InvalidRequest("Keys of somebody who is deleted are revoked or kept.", param="keys")
    with store.write() as connection:
        if person.operator and persons.count_operators(connection) == 1:
            raise Forbidden("The last operator stays. Make somebody else an operator first.")
        mine = persons.memberships_of(connection, person.id)
        for one in mine:
            if one.role == "owner" and persons.owners(connection, one.account_id) == 1:
                raise Forbidden(f"You are the only owner of {one.account_name}. Transfer or delete it first.")
        for one in mine:
            leave(store, connection, actor, one.account_id, one, fate)
        ended = ending.end_all(connection, person.id)
        forget_suspended(connection, person_id=person.id)
        for table in (person_factors, person_identities):
            connection.execute(delete(table).where(table.c.person_id == person.id))
        of_them = (person_links.c.person_id == person.id) | (person_links.c.email == person.email)
        connection.execute(delete(person_links).where(of_them))
        connection.execute(delete(people).where(people.c.id == person.id))
        became = {"sessions_ended": ended, "organisations": len(mine), "keys": fate}
        record(connection, actor, "person.delete", person.id, None, became)
