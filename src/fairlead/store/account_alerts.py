"""What accounts want to be told themselves, and whom. Every function works on one open transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select

from fairlead.store.tables import account_alerts, accounts, api_keys, members, memberships, people, projects

_OWNERS: Final = {"account": accounts, "key": api_keys, "project": projects, "member": members}
# Ids of one kind that are looked up by one statement.
IDS_AT_ONCE: Final = 500
# What each batch of records runs, made once: making a statement takes longer than running it.
_ANY: Final = select(account_alerts.c.account_id).limit(1)


@dataclass(frozen=True, slots=True)
class AccountAlerts:
    """`thresholds`: parts of a budget in millionths, ascending; `low_credit`: picodollars; `people`: ids of those who
    get mail; `webhook`: a URL; `secret`: what it is signed with, None where it is sealed under `secret_name`."""

    account_id: str
    thresholds: tuple[int, ...] = ()
    low_credit: int | None = None
    people: tuple[str, ...] = ()
    webhook: str | None = None
    secret: str | None = None

    @property
    def channels(self) -> tuple[str, ...]:
        given = {"webhook": self.webhook is not None, "email": bool(self.people)}
        return tuple(name for name, one in given.items() if one)


def secret_name(account_id: str) -> str:
    """Of a webhook's sealed secret: a name that nobody can give to a credential."""
    return f"alerts/{account_id}"


def alerts_of(connection: Connection, account_id: str) -> AccountAlerts:
    """Nothing is told and nobody where nothing was chosen."""
    found = connection.execute(select(account_alerts).where(account_alerts.c.account_id == account_id)).first()
    return AccountAlerts(account_id) if found is None else _read(found)


def keep(connection: Connection, alerts: AccountAlerts) -> None:
    connection.execute(delete(account_alerts).where(account_alerts.c.account_id == alerts.account_id))
    connection.execute(
        insert(account_alerts).values(
            account_id=alerts.account_id,
            thresholds=json.dumps(alerts.thresholds),
            low_credit=alerts.low_credit,
            people=json.dumps(alerts.people),
            webhook=alerts.webhook,
            secret=alerts.secret,
        )
    )


def is_any(connection: Connection) -> bool:
    return connection.execute(_ANY).first() is not None


def wanted_of(connection: Connection, scopes: Iterable[str]) -> Mapping[str, tuple[AccountAlerts, str]]:
    """Of scopes of `funds`: what the account that each belongs to wants to be told, and the name of the key, project,
    member or account; only those of accounts that have somebody to tell."""
    owners: dict[tuple[str, str], list[str]] = {}
    for scope in scopes:
        kind, identity = scope.split("/", 2)[:2]
        owners.setdefault((kind, identity), []).append(scope)
    found: dict[str, tuple[AccountAlerts, str]] = {}
    for kind in _OWNERS:
        ids = [identity for one, identity in owners if one == kind]
        for start in range(0, len(ids), IDS_AT_ONCE):
            for identity, name, alerts in _wanted(connection, kind, ids[start : start + IDS_AT_ONCE]):
                if alerts.channels:
                    found |= dict.fromkeys(owners[kind, identity], (alerts, name))
    return found


def _wanted(connection: Connection, kind: str, ids: list[str]) -> list[tuple[str, str, AccountAlerts]]:
    table = _OWNERS[kind]
    whose = table.c.id if kind == "account" else table.c.account_id
    columns = account_alerts, table.c.id.label("owner"), table.c.name.label("name")
    statement = select(*columns).join(table, whose == account_alerts.c.account_id)
    return [(row.owner, row.name, _read(row)) for row in connection.execute(statement.where(table.c.id.in_(ids)))]


def addresses_of(connection: Connection, alerts: AccountAlerts) -> list[str]:
    """Where mail goes: only to those who are members now, may sign in, and have shown that the address is theirs."""
    statement = (
        select(people.c.email)
        .join(memberships, memberships.c.person_id == people.c.id)
        .where(memberships.c.account_id == alerts.account_id, people.c.id.in_(alerts.people))
        .where(people.c.disabled_at.is_(None), people.c.confirmed_at.is_not(None))
    )
    return list(connection.execute(statement.order_by(people.c.email)).scalars())


def _read(row: Any) -> AccountAlerts:
    return AccountAlerts(
        row.account_id,
        tuple(json.loads(row.thresholds)),
        row.low_credit,
        tuple(json.loads(row.people)),
        row.webhook,
        row.secret,
    )
