"""Stored responses: kept for some days, each for its account alone."""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, insert, select, tuple_, update

from fairlead.store.tables import responses
from fairlead.wire.stored import StoredResponse

DAY_MS = 86_400_000


def keep_response(connection: Connection, account_id: str, response: StoredResponse) -> None:
    """Stores one as of now; the same id again is the same response."""
    here = (responses.c.account_id == account_id) & (responses.c.id == response.id)
    connection.execute(delete(responses).where(here))
    row = {
        "account_id": account_id,
        "id": response.id,
        "at": int(time.time() * 1000),
        "previous": response.previous,
        "items": response.items.decode(),
        "body": response.body.decode(),
        "heard_at": response.heard_at,
    }
    connection.execute(insert(responses), [row])


def finish_response(connection: Connection, account_id: str, response_id: str, body: bytes) -> bool:
    """Ends the work on one in the background with this response. False when it had ended, or was deleted."""
    here = (responses.c.account_id == account_id) & (responses.c.id == response_id) & (responses.c.heard_at > 0)
    return bool(connection.execute(update(responses).where(here).values(body=body.decode(), heard_at=0)).rowcount)


def responses_worked_on(
    connection: Connection, places: Sequence[tuple[str, str]], now_ms: int | None
) -> set[tuple[str, str]]:
    """Which of them, by account and id, are still to be worked on. `now_ms`: says that they are, then."""
    here = tuple_(responses.c.account_id, responses.c.id).in_(places) & (responses.c.heard_at > 0)
    if now_ms is not None:
        connection.execute(update(responses).where(here).values(heard_at=now_ms))
    rows = connection.execute(select(responses.c.account_id, responses.c.id).where(here))
    return {(row.account_id, row.id) for row in rows}


def stored_response(connection: Connection, account_id: str, response_id: str) -> StoredResponse | None:
    here = (responses.c.account_id == account_id) & (responses.c.id == response_id)
    row = connection.execute(select(responses).where(here)).one_or_none()
    if row is None:
        return None
    return StoredResponse(row.id, row.previous, row.items.encode(), row.body.encode(), row.at, row.heard_at)


def any_response(connection: Connection) -> bool:
    """Whether any is kept, of any account."""
    return connection.execute(select(responses.c.id).limit(1)).first() is not None


def delete_response(connection: Connection, account_id: str, response_id: str) -> bool:
    """Whether it was there."""
    here = (responses.c.account_id == account_id) & (responses.c.id == response_id)
    return bool(connection.execute(delete(responses).where(here)).rowcount)


def forget_responses(connection: Connection, keep_days: int, most: int) -> None:
    """Deletes those that are older, and the oldest of accounts that have more than `most`."""
    connection.execute(delete(responses).where(responses.c.at < int(time.time() * 1000) - keep_days * DAY_MS))
    counted = select(responses.c.account_id).group_by(responses.c.account_id).having(func.count() > most)
    for account_id in list(connection.execute(counted).scalars()):
        of_account = responses.c.account_id == account_id
        newest = select(responses.c.at).where(of_account).order_by(responses.c.at.desc()).offset(most - 1).limit(1)
        oldest_kept = connection.execute(newest).scalar_one()
        connection.execute(delete(responses).where(of_account & (responses.c.at < oldest_kept)))
