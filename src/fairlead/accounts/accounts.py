"""Accounts: who pays. The first one needs no credit; a prepaid one spends what it was granted."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, insert, select, update

from fairlead.accounts.changes import changed
from fairlead.accounts.limits import OwnLimits
from fairlead.errors import ConfigurationError
from fairlead.money import Picodollars
from fairlead.store.tables import accounts, api_keys
from fairlead.toml import unknown

LONGEST_NAME = 128
PERIODS = ("day", "week", "month", "total", "session")
SESSION: Final = "session"
# Models that a budget may name to go on with.
MOST_FALLBACKS: Final = 10


class Budget(NamedTuple):
    """The most that may be spent in a period: "day", "week" (from Monday), "month" (all UTC), "total", or "session":
    in each session that callers name. `continue_with`: models that a call goes on with when it is used up."""

    owner: str  # "key/ID" or "account/ID"
    period: str
    picodollars: int
    continue_with: tuple[str, ...] = ()

    def scope(self, today: date, session: str = "") -> str:
        """The name of what is spent from on this day, and in this session."""
        if self.period == SESSION:
            return f"{self.owner}/{SESSION}/{hashlib.sha256(session.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
        week = today.isocalendar()
        part = {
            "day": f"/{today.isoformat()}",
            "week": f"/{week.year}-W{week.week:02d}",
            "month": f"/{today:%Y-%m}",
            "total": "",
        }[self.period]
        return f"{self.owner}/{self.period}{part}"


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """An account as lists show it. Times in seconds since 1970."""

    id: str
    name: str
    prepaid: bool
    budgets: tuple[Budget, ...]
    created_at: int
    limits: OwnLimits | None = None
    models: list[str] | None = None
    each_user: str | None = None  # as it is stored
    disabled_at: int | None = None
    deleted_at: int | None = None


def check_name(name: str) -> None:
    """Raises ConfigurationError for a name that nobody could read."""
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise ConfigurationError(f"A name must have 1 to {LONGEST_NAME} printable characters.")


def add_account(connection: Connection, name: str, *, prepaid: bool) -> str:
    """Makes an account and gives its id."""
    check_name(name)
    account_id = "acc_" + secrets.token_hex(6)
    connection.execute(insert(accounts).values(id=account_id, name=name, created_at=int(time.time()), prepaid=prepaid))
    return account_id


def first_account(connection: Connection) -> str:
    """The operator's own account, made when there is none. It is the only one that is not prepaid."""
    found = connection.execute(
        select(accounts.c.id).where(~accounts.c.prepaid).order_by(accounts.c.created_at, accounts.c.id)
    ).scalar()
    return str(found) if found is not None else add_account(connection, "default", prepaid=False)


def account_info(connection: Connection, account_id: str) -> AccountInfo:
    """Raises ConfigurationError when there is no such account."""
    row = connection.execute(select(accounts).where(accounts.c.id == account_id)).first()
    if row is None:
        raise ConfigurationError(f"There is no account {account_id!r}. `fairlead accounts list` shows the ids.")
    return _info(row)


def list_accounts(connection: Connection) -> list[AccountInfo]:
    """All accounts, oldest first."""
    rows = connection.execute(select(accounts).order_by(accounts.c.created_at, accounts.c.id))
    return [_info(row) for row in rows]


def find_accounts(connection: Connection, text: str, limit: int) -> list[tuple[str, str]]:
    """Id and name of so many accounts whose name has this in it or whose id it is, oldest first."""
    known = select(accounts.c.id, accounts.c.name).order_by(accounts.c.created_at, accounts.c.id)
    rows = connection.execute(known).all()
    # Not by the database: SQLite knows the cases of ASCII letters only.
    part = text.lower()
    return list(islice(((row.id, row.name) for row in rows if part in row.name.lower() or row.id == text), limit))


def page_of_accounts(connection: Connection, limit: int, after: str | None, only: str | None) -> list[AccountInfo]:
    """So many accounts in the order of their ids; `after`: those behind this one; `only`: this one alone."""
    statement = select(accounts).order_by(accounts.c.id).limit(limit)
    if after is not None:
        statement = statement.where(accounts.c.id > after)
    if only is not None:
        statement = statement.where(accounts.c.id == only)
    return [_info(row) for row in connection.execute(statement)]


def limited_accounts(connection: Connection, limit: int) -> list[AccountInfo]:
    """So many accounts that have limits of their own, in the order of their ids."""
    rows = connection.execute(
        select(accounts).where(accounts.c.limits.is_not(None)).order_by(accounts.c.id).limit(limit)
    )
    return [_info(row) for row in rows]


def _info(row: Any) -> AccountInfo:
    budgets = budgets_from_json(f"account/{row.id}", row.budgets)
    limits = None if row.limits is None else msgspec.json.decode(row.limits, type=OwnLimits)
    models = None if row.models is None else msgspec.json.decode(row.models, type=list[str])
    return AccountInfo(
        row.id, row.name, row.prepaid, budgets, row.created_at, limits, models, row.each_user, row.disabled_at,
        row.deleted_at,
    )  # fmt: skip


def disable_account(connection: Connection, account_id: str, *, disabled: bool) -> bool:
    """Refuses the keys of an account from now on, or takes that back. False when it was so already. Raises
    ConfigurationError."""
    before = account_info(connection, account_id)
    if (before.disabled_at is not None) == disabled:
        return False
    if before.deleted_at is not None:
        raise ConfigurationError(f"The organisation of {account_id} was deleted.")
    at = int(time.time()) if disabled else None
    connection.execute(update(accounts).where(accounts.c.id == account_id).values(disabled_at=at))
    # By their digests: a key that was refused is remembered by its own.
    of_it = select(api_keys.c.digest).where(api_keys.c.account_id == account_id)
    if digests := list(connection.execute(of_it).scalars()):
        changed(connection, digests)
    return True


def change_account(connection: Connection, account_id: str, columns: Mapping[str, Any]) -> None:
    """Changes budgets and limits of an account, as `options.as_columns` gives them. Raises ConfigurationError."""
    account_info(connection, account_id)
    connection.execute(update(accounts).where(accounts.c.id == account_id).values(**columns))
    changed(connection, account_id=account_id)


def budgets_as_json(
    budgets: Mapping[str, Picodollars] | None, continue_with: Mapping[str, Sequence[str]] | None = None
) -> str | None:
    """Budgets by period, and the models that each goes on with. Raises ConfigurationError for a period that there is
    not, and for models without a budget."""
    given, models = budgets or {}, continue_with or {}
    for option, periods in (("--budget", given), ("--continue-with", models)):
        for period in periods:
            if period not in PERIODS:
                raise ConfigurationError(
                    f"{option}: {unknown('period', period, PERIODS)} There are {', '.join(PERIODS)}."
                )
    for period, names in models.items():
        if period not in given:
            raise ConfigurationError(f"--continue-with: give the budget of {period!r} too, with --budget.")
        if not 0 < len(names) <= MOST_FALLBACKS:
            raise ConfigurationError(f"--continue-with: name 1 to {MOST_FALLBACKS} models.")
    if not given:
        return None
    return json.dumps(
        {
            period: {"amount": amount.value, "continue_with": list(models[period])}
            if period in models
            else amount.value
            for period, amount in given.items()
        }
    )


def budgets_from_json(owner: str, text: str | None) -> tuple[Budget, ...]:
    return tuple(
        Budget(owner, period, terms["amount"], tuple(terms["continue_with"]))
        if isinstance(terms, dict)
        else Budget(owner, period, terms)
        for period, terms in json.loads(text or "{}").items()
    )


def continued(budgets: Iterable[Budget]) -> dict[str, dict[str, list[str]]]:
    """The models that budgets go on with, by period, as a member `continue_with` of an entry; none where none does."""
    models = {one.period: list(one.continue_with) for one in budgets if one.continue_with}
    return {"continue_with": models} if models else {}
