"""How often something may be tried: GCRA in the database, so that all processes count together."""

from __future__ import annotations

import hashlib
import time
from typing import Final, NamedTuple

from sqlalchemy import Connection, case, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from fairlead.errors import RateLimited
from fairlead.store.tables import form_attempts


class Rate(NamedTuple):
    """At most `most` at once, and then one more every `seconds`."""

    most: int
    seconds: float


# Tries of a password, a code or a link: of one address, and on one account from all addresses.
OF_ADDRESS: Final = Rate(20, 6.0)
OF_SUBJECT: Final = Rate(10, 60.0)
# How often an address that is limited is in the audit log.
ONCE_A_MINUTE: Final = Rate(1, 60.0)
# What is good for one use: remembered longer than it is good.
ONCE: Final = Rate(1, 3_600.0)
# Mails to one address.
OF_MAIL: Final = Rate(3, 1_200.0)


def attempt(connection: Connection, name: str, subject: str, rate: Rate) -> None:
    """Counts one. `name`: what is tried; `subject`: by whom or on whom, stored as a digest. Raises RateLimited."""
    scope = f"{name}/{hashlib.sha256(subject.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}"
    now, step = int(time.time() * 1000), int(rate.seconds * 1000)
    next_at = form_attempts.c.next_at
    mine = form_attempts.c.scope == scope
    later = case((next_at > now, next_at), else_=now) + step
    # One statement, so that a crowd of processes and threads cannot try more often together.
    counted = update(form_attempts).where(mine, next_at <= now + (rate.most - 1) * step).values(next_at=later)
    if connection.execute(counted).rowcount:
        return
    found = connection.execute(select(next_at).where(mine)).scalar()
    if found is not None:
        wait = (found - now - (rate.most - 1) * step) // 1000 + 1
        raise RateLimited("Too many attempts. Wait, then try again.", retry_after_seconds=max(1, wait))
    connection.execute(delete(form_attempts).where(next_at < now))
    try:
        with connection.begin_nested():
            connection.execute(insert(form_attempts).values(scope=scope, next_at=now + step))
    except IntegrityError:  # another process was faster
        connection.execute(counted)
