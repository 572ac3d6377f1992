"""What keys and accounts have used: for lists of keys, and by day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from fairlead.accounts.accounts import SESSION, Budget
from fairlead.accounts.keys import KeyInfo
from fairlead.clock import utc_now
from fairlead.ledger.rollups import ALL, KeyUsage, usage_of_keys
from fairlead.store import Store
from fairlead.store.tables import accounts, charges, funds

NOTHING = "none"  # a scope that no call is in


class KeyState(NamedTuple):
    """A key and what it has used, in picodollars. `budget`: that with the least left, and `remaining` of it."""

    key: KeyInfo
    charged: int
    usage: KeyUsage
    budget: Budget | None
    remaining: int


def key_states(store: Store, found: Sequence[KeyInfo]) -> list[KeyState]:
    """In the same order. Usage by day is as fresh as `ledger.rollups.add_up` has made it."""
    today = utc_now().date()
    ids = [key.id for key in found]
    with store.read() as connection:
        charged = dict(
            connection.execute(
                select(charges.c.key_id, func.sum(charges.c.charged))
                .where(charges.c.key_id.in_(ids), charges.c.account_id.in_([key.account_id for key in found]))
                .group_by(charges.c.key_id)
            ).all()
        )
        spent = _spent(connection, [one.scope(today) for key in found for one in _lasting(key.budgets)])
        usage = usage_of_keys(connection, ids, today)
    states = []
    for key in found:
        left = [(one.picodollars - spent.get(one.scope(today), 0), one) for one in _lasting(key.budgets)]
        remaining, budget = min(left, key=lambda pair: pair[0]) if left else (0, None)
        states.append(KeyState(key, int(charged.get(key.id, 0)), usage.get(key.id, KeyUsage()), budget, remaining))
    return states


def scope_of(account_id: str | None, key: KeyInfo | None = None, group: tuple[str, str] | None = None) -> str:
    """The roll-ups of a key, else of a group of keys (as `page_of_keys` takes it), else of an account, else of all. A
    key of another account or group has none."""
    if key is not None:
        of_group = group is None or getattr(key, group[0]) == group[1]
        return f"key/{key.id}" if account_id in (None, key.account_id) and of_group else NOTHING
    if group is not None:
        return f"{group[0].removesuffix('_id')}/{group[1]}"
    return ALL if account_id is None else f"account/{account_id}"


class Credits(NamedTuple):
    """Picodollars."""

    granted: int
    charged: int


def credits_of(store: Store, account_id: str | None = None) -> Credits:
    """What prepaid accounts were granted, and what all accounts were charged; or of one account."""
    granted = select(func.coalesce(func.sum(funds.c.granted), 0)).select_from(
        funds.join(accounts, funds.c.scope == "account/" + accounts.c.id)
    )
    charged = select(func.coalesce(func.sum(charges.c.charged), 0))
    if account_id is not None:
        granted = granted.where(accounts.c.id == account_id)
        charged = charged.where(charges.c.account_id == account_id)
    with store.read() as connection:
        return Credits(
            int(connection.execute(granted.where(accounts.c.prepaid)).scalar_one()),
            int(connection.execute(charged).scalar_one()),
        )


def _lasting(budgets: Iterable[Budget]) -> list[Budget]:
    """Those that are not of one session."""
    return [one for one in budgets if one.period != SESSION]


def _spent(connection: Connection, scopes: list[str]) -> dict[str, int]:
    rows = connection.execute(select(funds.c.scope, funds.c.spent).where(funds.c.scope.in_(scopes)))
    return {scope: int(spent) for scope, spent in rows}
