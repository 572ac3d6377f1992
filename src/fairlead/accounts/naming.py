"""How many keys name a model."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable

from sqlalchemy import Connection, func, or_, select

from fairlead.store.tables import api_keys


def keys_naming(connection: Connection, models: Iterable[str]) -> dict[str, int]:
    """Of each model that at least one key in force may call by name, how many do."""
    in_force = api_keys.c.revoked_at.is_(None) & or_(
        api_keys.c.expires_at.is_(None), api_keys.c.expires_at > int(time.time())
    )
    found = {}
    for name in models:
        named = api_keys.c.models.contains(json.dumps(name), autoescape=True)
        count = connection.execute(select(func.count()).select_from(api_keys).where(in_force, named)).scalar_one()
        if count:
            found[name] = int(count)
    return found
