"""What is done in the background and waits there, as the database shows it."""

from __future__ import annotations

import time
from typing import NamedTuple

from sqlalchemy import func, select

from fairlead.admin.upgrade import LastBackup, last_backup
from fairlead.ledger.rollups import counted_until
from fairlead.store import Store
from fairlead.store.tables import alert_outbox


class Outbox(NamedTuple):
    """Alerts, one for each channel. `next_at`: milliseconds since 1970, when the next attempt is due; None: none is."""

    waiting: int
    dead: int
    next_at: int | None


class Waiting(NamedTuple):
    """`counted_until`: when the newest call began that is in the roll-ups, milliseconds since 1970; None: none is."""

    outbox: Outbox
    backup: LastBackup | None
    counted_until: int | None


def waiting(store: Store) -> Waiting:
    with store.read() as connection:
        table = alert_outbox.c
        rows = connection.execute(
            select(table.state, func.count(), func.min(table.next_at))
            .where(table.state.in_(("waiting", "dead")))
            .group_by(table.state)
        )
        states = {state: (count, next_at) for state, count, next_at in rows}
        backup = last_backup(connection, time.time())
    waits, due = states.get("waiting", (0, None))
    return Waiting(Outbox(waits, states.get("dead", (0, None))[0], due), backup, counted_until(store))
