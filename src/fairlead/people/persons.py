"""Who may sign in, and in which organisations they have a role."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import Connection, delete, func, insert, select, update

from fairlead.errors import InvalidRequest
from fairlead.people.roles import Role
from fairlead.store.tables import accounts, memberships, people

LONGEST_EMAIL: Final = 254  # RFC 5321
LONGEST_NAME: Final = 128
_EMAIL: Final = re.compile(r"[^\s@<>,;\"()\[\]\\]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Person:
    """Times in seconds since 1970. `confirmed_at`: when the e-mail address was shown to be theirs."""

    id: str
    email: str
    name: str
    operator: bool
    created_at: int
    confirmed_at: int | None
    disabled_at: int | None
    has_password: bool


class Membership(NamedTuple):
    """`member_id`: the row of `members` whose caps hold for this person's keys."""

    person_id: str
    account_id: str
    account_name: str
    role: Role
    member_id: str
    created_at: int


def checked_email(text: str) -> str:
    """The address as it is stored, in lower case. Raises InvalidRequest."""
    email = text.strip().lower()
    if len(email) > LONGEST_EMAIL or not email.isprintable() or _EMAIL.fullmatch(email) is None:
        raise InvalidRequest("Enter an e-mail address, such as name@example.org.", param="email")
    return email


def checked_name(text: str) -> str:
    """Raises InvalidRequest."""
    name = text.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise InvalidRequest(f"Enter a name of 1 to {LONGEST_NAME} printable characters.", param="name")
    return name


def add_person(
    connection: Connection, email: str, name: str, password: str | None, *, operator: bool = False, confirmed: bool
) -> Person:
    """`password`: as `passwords.hashed` gives it. The caller has looked that nobody has this address."""
    now = int(time.time())
    row = {
        "id": "usr_" + secrets.token_hex(8),
        "email": email,
        "name": name,
        "password": password,
        "operator": operator,
        "created_at": now,
        "confirmed_at": now if confirmed else None,
        "disabled_at": None,
    }
    connection.execute(insert(people).values(row))
    return Person(str(row["id"]), email, name, operator, now, now if confirmed else None, None, password is not None)


def person_of(connection: Connection, person_id: str) -> Person | None:
    row = connection.execute(select(people).where(people.c.id == person_id)).first()
    return None if row is None else as_person(row)


def people_of(connection: Connection, account_id: str) -> dict[str, Person]:
    """The people of an organisation, by id."""
    mine = select(memberships.c.person_id).where(memberships.c.account_id == account_id)
    return {row.id: as_person(row) for row in connection.execute(select(people).where(people.c.id.in_(mine)))}


def find_by_email(connection: Connection, email: str) -> tuple[Person, str | None] | None:
    """The person and the hash of their password. `email` in lower case."""
    row = connection.execute(select(people).where(people.c.email == email)).first()
    return None if row is None else (as_person(row), row.password)


def list_people(connection: Connection, limit: int, after: str = "") -> list[Person]:
    """So many, in the order of their ids, behind `after`."""
    rows = connection.execute(select(people).where(people.c.id > after).order_by(people.c.id).limit(limit))
    return [as_person(row) for row in rows]


def page_of_people(
    connection: Connection, limit: int, after: str, account_id: str | None, email: str | None
) -> list[Person]:
    """So many, by their ids, behind `after`: members of an account, who has an address, or all."""
    statement = select(people).where(people.c.id > after).order_by(people.c.id).limit(limit)
    if account_id is not None:
        mine = select(memberships.c.person_id).where(memberships.c.account_id == account_id)
        statement = statement.where(people.c.id.in_(mine))
    if email is not None:
        statement = statement.where(people.c.email == email)
    return [as_person(row) for row in connection.execute(statement)]


def page_of_memberships(
    connection: Connection, limit: int, after: str, account_id: str | None, person_id: str | None
) -> list[Membership]:
    """So many, by the ids of their rows of `members`, behind `after`."""
    statement = (
        select(memberships, accounts.c.name)
        .join(accounts, accounts.c.id == memberships.c.account_id)
        .where(memberships.c.member_id > after)
        .order_by(memberships.c.member_id)
        .limit(limit)
    )
    for column, value in ((memberships.c.account_id, account_id), (memberships.c.person_id, person_id)):
        if value is not None:
            statement = statement.where(column == value)
    return [_membership(row) for row in connection.execute(statement)]


def search(connection: Connection, limit: int, after: str, text: str) -> list[Person]:
    """So many, by e-mail address, behind `after`; `text`: what the address or the name begins with."""
    statement = select(people).where(people.c.email > after).order_by(people.c.email).limit(limit)
    if text:
        begins = people.c.email.startswith(text.lower(), autoescape=True)
        statement = statement.where(begins | people.c.name.istartswith(text, autoescape=True))
    return [as_person(row) for row in connection.execute(statement)]


def has_operator(connection: Connection) -> bool:
    """Whether anybody operates this server who can still sign in."""
    wanted = people.c.operator & people.c.disabled_at.is_(None)
    return connection.execute(select(people.c.id).where(wanted).limit(1)).first() is not None


def change_person(connection: Connection, person_id: str, **columns: Any) -> None:
    connection.execute(update(people).where(people.c.id == person_id).values(**columns))


def as_person(row: Any) -> Person:
    return Person(
        row.id, row.email, row.name, bool(row.operator), row.created_at, row.confirmed_at, row.disabled_at,
        row.password is not None,
    )  # fmt: skip


def memberships_of(connection: Connection, person_id: str) -> tuple[Membership, ...]:
    """The organisations of a person, oldest membership first."""
    return _memberships(connection, memberships.c.person_id == person_id)


def memberships_by_person(connection: Connection, person_ids: Sequence[str]) -> dict[str, tuple[Membership, ...]]:
    """The same of several."""
    found: dict[str, tuple[Membership, ...]] = {}
    for one in _memberships(connection, memberships.c.person_id.in_(person_ids)):
        found[one.person_id] = (*found.get(one.person_id, ()), one)
    return found


def members_of(connection: Connection, account_id: str) -> tuple[Membership, ...]:
    """The people of an organisation."""
    return _memberships(connection, memberships.c.account_id == account_id)


def membership_of(connection: Connection, person_id: str, account_id: str) -> Membership | None:
    found = _memberships(connection, (memberships.c.person_id == person_id) & (memberships.c.account_id == account_id))
    return found[0] if found else None


def add_membership(connection: Connection, person_id: str, account_id: str, role: Role, member_id: str) -> None:
    connection.execute(
        insert(memberships).values(
            person_id=person_id, account_id=account_id, role=role, member_id=member_id, created_at=int(time.time())
        )
    )


def change_role(connection: Connection, person_id: str, account_id: str, role: Role) -> None:
    connection.execute(
        update(memberships)
        .where(memberships.c.person_id == person_id, memberships.c.account_id == account_id)
        .values(role=role)
    )


def remove_membership(connection: Connection, person_id: str, account_id: str) -> None:
    connection.execute(
        delete(memberships).where(memberships.c.person_id == person_id, memberships.c.account_id == account_id)
    )


def owners(connection: Connection, account_id: str) -> int:
    """How many own an organisation: the last one stays."""
    wanted = (memberships.c.account_id == account_id) & (memberships.c.role == "owner")
    return int(connection.execute(select(func.count()).select_from(memberships).where(wanted)).scalar_one())


def _memberships(connection: Connection, wanted: Any) -> tuple[Membership, ...]:
    rows = connection.execute(
        select(memberships, accounts.c.name)
        .join(accounts, accounts.c.id == memberships.c.account_id)
        .where(wanted)
        .order_by(memberships.c.created_at, memberships.c.account_id, memberships.c.person_id)
    )
    return tuple(_membership(row) for row in rows)


def _membership(row: Any) -> Membership:
    return Membership(row.person_id, row.account_id, row.name, cast("Role", row.role), row.member_id, row.created_at)


def is_account(connection: Connection, account_id: str) -> bool:
    return connection.execute(select(accounts.c.id).where(accounts.c.id == account_id)).first() is not None


def count_operators(connection: Connection) -> int:
    """How many operate the server who can sign in."""
    wanted = people.c.operator & people.c.disabled_at.is_(None)
    return int(connection.execute(select(func.count()).select_from(people).where(wanted)).scalar_one())
