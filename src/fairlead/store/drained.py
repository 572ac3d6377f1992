"""Deployments that an operator has taken out of use, for every process of the database."""

from __future__ import annotations

import time
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select

from fairlead.store.tables import drained_deployments


class Drained(NamedTuple):
    """`at`: milliseconds since 1970; `by`: who did it."""

    deployment: str
    at: int
    by: str


def list_drained(connection: Connection) -> list[Drained]:
    table = drained_deployments.c
    rows = connection.execute(select(table.deployment, table.at, table.drained_by).order_by(table.deployment))
    return [Drained(*row) for row in rows]


def add_drained(connection: Connection, deployment: str, by: str) -> bool:
    """False when it was drained already."""
    here = drained_deployments.c.deployment == deployment
    if connection.execute(select(drained_deployments.c.at).where(here)).first() is not None:
        return False
    values = {"deployment": deployment, "at": int(time.time() * 1000), "drained_by": by[:160]}
    connection.execute(insert(drained_deployments), [values])
    return True


def remove_drained(connection: Connection, deployment: str) -> bool:
    """False when it was not drained."""
    return bool(
        connection.execute(delete(drained_deployments).where(drained_deployments.c.deployment == deployment)).rowcount
    )
