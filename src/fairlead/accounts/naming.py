"""Who may call a model by its name: keys, and the projects, members and accounts that they belong to."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from sqlalchemy import ColumnElement, Connection, Table, func, or_, select, true

from fairlead.accounts.options import read_list
from fairlead.store.tables import accounts, api_keys, members, projects


def naming(connection: Connection, models: Iterable[str]) -> dict[str, Mapping[str, int]]:
    """Of each model that somebody's list of allowed models names, how many lists do: by "key" (in force), "project",
    "member" and "account". One pass over those that have a list, however many models are asked for."""
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
        lists = select(table.c.models, func.count()).where(table.c.models.is_not(None), which).group_by(table.c.models)
        for text, count in connection.execute(lists):
            for name in found.keys() & set(read_list(text) or ()):
                found[name][kind] = found[name].get(kind, 0) + int(count)
    return {name: counts for name, counts in found.items() if counts}
