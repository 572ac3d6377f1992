"""Deletes content that has been kept long enough, again and again, a few rows at a time."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from fairlead.accounts.content import read_policy
from fairlead.background import rest
from fairlead.settings import ContentSettings
from fairlead.store import Store
from fairlead.store.content import (
    DAY_MS,
    DELETED_AT_ONCE,
    accounts_with_policy,
    delete_older,
    erased_until,
    has_older,
    prune_counts,
)

RUN_SECONDS: Final = 60.0
# Between two transactions: others write as well.
PAUSE_SECONDS: Final = 0.05
ACCOUNTS_AT_ONCE: Final = 500
# A call that ended before an erasure is stored within that time, or not at all.
ERASURES_KEPT_MS: Final = 7 * DAY_MS
PRUNE_MS: Final = 3_600_000


class ContentRetention:
    """`settings`: those in force."""

    def __init__(self, store: Store, settings: Callable[[], ContentSettings]) -> None:
        self._store = store
        self._settings = settings
        self._prune_at = 0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            more, trouble = False, ""
            try:
                more = await loop.run_in_executor(None, self.step)
            except (SQLAlchemyError, sqlite3.Error):  # the next time
                trouble = "the database cannot be used"
            await rest(PAUSE_SECONDS if more else RUN_SECONDS, trouble)

    def step(self) -> bool:
        """One transaction for each account that has something to delete; whether there is more. For a thread."""
        settings, now, more, after = self._settings(), int(time.time() * 1000), False, ""
        while True:
            with self._store.read() as connection:
                found = accounts_with_policy(connection, after, ACCOUNTS_AT_ONCE)
                erased = erased_until(connection, [account_id for account_id, _ in found])
            for account_id, policy in found:
                days = min(read_policy(policy).days, settings.max_days)
                before = now - days * DAY_MS if settings.allow else now + 1
                before = max(before, erased.get((account_id, ""), 0) + 1)
                more |= self._delete(account_id, before, None)
            for (account_id, user), until in erased.items():
                if user:
                    more |= self._delete(account_id, until + 1, user)
            if len(found) < ACCOUNTS_AT_ONCE:
                break
            after = found[-1][0]
        if now >= self._prune_at:
            self._prune_at = now + PRUNE_MS
            with self._store.write() as connection:
                prune_counts(connection, now // DAY_MS, now - ERASURES_KEPT_MS)
        return more

    def _delete(self, account_id: str, before_ms: int, user: str | None) -> bool:
        """Whether there is more. Nothing is written where there is nothing to delete."""
        with self._store.read() as connection:
            if not has_older(connection, account_id, before_ms, user):
                return False
        with self._store.write() as connection:
            return delete_older(connection, account_id, before_ms, user) == DELETED_AT_ONCE
