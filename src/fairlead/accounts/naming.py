"""Who may call a model by its name: keys, and the projects, members and accounts that they belong to."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping

from sqlalchemy import ColumnElement, Connection, Table, func, or_, select, true

from fairlead.accounts.accounts import budgets_from_json
from fairlead.accounts.options import read_list
from fairlead.store.tables import accounts, api_keys, members, projects


def naming(connection: Connection, models: Iterable[str]) -> dict[str, Mapping[str, int]]:
    """Of each model that somebody's list of allowed models names, how many lists do: by "key" (in force), "project",
    "member" and "account". One pass over those that have a list, however many models are asked for."""
    return _counts(connection, models, "models", lambda text: read_list(text) or ())


def continuing(connection: Connection, models: Iterable[str]) -> dict[str, Mapping[str, int]]:
    """The same of budgets that go on with a model when they are used up (`continue_with`)."""
    return _counts(
        connection,
        models,
        "budgets",
        lambda text: [name for budget in budgets_from_json("", text) for name in budget.continue_with],
    )


def _counts(
    connection: Connection, models: Iterable[str], column: str, names: Callable[[str], Collection[str]]
) -> dict[str, Mapping[str, int]]:
    in_force = api_keys.c.revoked_at.is_(None) & or_(
        api_keys.c.expires_at.is_(None), api_keys.c.expires_at > int(time.time())
    )
    tables: tuple[tuple[str, Table, ColumnElement[bool]], ...] = (
        ("key", api_keys, in_force),
        ("project", projects, true()),
        ("member", members, true()),
        ("account", accounts, true()),
    )
    wanted = list(dict.fromkeys(models))
    found: dict[str, dict[str, int]] = {name: {} for name in wanted}
    for kind, table, which in tables if wanted else ():
        own = table.c[column]
        for text, count in connection.execute(select(own, func.count()).where(own.is_not(None), which).group_by(own)):
            for name in found.keys() & set(names(text)):
                found[name][kind] = found[name].get(kind, 0) + int(count)
    return {name: counts for name, counts in found.items() if counts}
