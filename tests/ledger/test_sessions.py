"""Budgets of sessions are bounded in number and in time, whoever names how many sessions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from fairlead.ledger import funds as funds_module
from fairlead.ledger.funds import forget_sessions, give_back, take
from fairlead.store import Store, open_store
from fairlead.store.tables import funds


@pytest.fixture
def store(tmp_path: Path, database_url: str | None) -> Iterator[Store]:
    opened = open_store(tmp_path, database_url)
    yield opened
    opened.close()


def count(store: Store, start: str) -> int:
    with store.read() as connection:
        statement = select(func.count()).select_from(funds).where(funds.c.scope.like(f"{start}%"))
        return connection.execute(statement).scalar_one()


def test_the_oldest_sessions_of_a_key_are_forgotten_when_it_has_many(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(funds_module, "MOST_SESSIONS", 50)
    monkeypatch.setattr(funds_module, "NEW_SESSIONS_PER_LOOK", 1)
    with store.write() as connection:
        take(connection, "p", "key/other/session/x", 10, 0, 0, 60)
        take(connection, "p", "key/key_1/session/held", 10, 5, 5, 60)
        for number in range(500):
            take(connection, "p", f"key/key_1/session/{number}", 10, 0, 0, 60)
            connection.execute(
                update(funds).where(funds.c.scope == f"key/key_1/session/{number}").values(wanted_at=1000 + number)
            )
    assert count(store, "key/key_1/session/") <= 50
    assert count(store, "key/other/session/") == 1
    assert count(store, "key/key_1/session/held") == 1  # calls are under way there
    assert count(store, "key/key_1/session/499") == 1


def test_old_sessions_are_forgotten_and_other_budgets_are_not(store: Store) -> None:
    with store.write() as connection:
        for scope in ("key/key_1/session/old", "key/key_1/session/held", "key/key_1/day/2026-01-01"):
            take(connection, "p", scope, 10, 5, 5, 60)
        take(connection, "p", "key/key_1/session/new", 10, 0, 0, 60)
        give_back(connection, "p", "key/key_1/session/old", 5)
        old = funds.c.scope != "key/key_1/session/new"
        connection.execute(update(funds).where(old).values(wanted_at=5))
        forget_sessions(connection)
    with store.read() as connection:
        left = connection.execute(select(funds.c.scope).order_by(funds.c.scope)).scalars().all()
    assert left == ["key/key_1/day/2026-01-01", "key/key_1/session/held", "key/key_1/session/new"]
