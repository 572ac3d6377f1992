"""Who may call a model by its name: keys, and the projects, members and accounts that they belong to."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping

from sqlalchemy import ColumnElement, Connection, Table, func, or_, select, true

from fairlead.store.tables import accounts, api_keys, members, projects


def naming(connection: Connection, models: Iterable[str]) -> dict[str, Mapping[str, int]]:
    """Of each model that somebody's list of allowed models names, how many lists do: by "key" (in force), "project",
    "member" and "account"."""
    in_force = api_keys.c.revoked_at.is_(None) & or_(
        api_keys.c.expires_at.is_(None), api_keys.c.expires_at > int(time.time())
    )
    tables: tuple[tuple[str, Table, ColumnElement[bool]], ...] = (
        ("key", api_keys, in_force),
        ("project", projects, true()),
        ("member", members, true()),
        ("account", accounts, true()),
    )
    found: dict[str, Mapping[str, int]] = {}
    for name in models:
        counts = {}
        for kind, table, which in tables:
            named = table.c.models.contains(json.dumps(name), autoescape=True)
            count = connection.execute(select(func.count()).select_from(table).where(which, named)).scalar_one()
            if count:
                counts[kind] = int(count)
        if counts:
            found[name] = counts
    return found
