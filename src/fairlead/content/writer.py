"""Stores what was collected: redacted, sealed, in few transactions. Runs in a thread of its own."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterable
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from fairlead.accounts.content import MOST_DAYS
from fairlead.content.collector import Collected, Stored, Writer
from fairlead.content.sealing import sealed_content
from fairlead.content.wire import LeftOut, answered, conversation_of
from fairlead.errors import ConfigurationError
from fairlead.providers.sealed import SealKey, seal_key
from fairlead.settings import ContentSettings
from fairlead.store import Store, reason
from fairlead.store.content import DAY_MS, ContentCounts, ContentRow, add_counts, add_rows, counts_of, erased_until
from fairlead.threads import SHORT_TURNS

log = logging.getLogger("fairlead.content")

AT_ONCE: Final = 64
# How long is waited before the database is tried again, the first time and at most.
FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 15.0
# A trouble is logged so often.
LOG_SECONDS: Final = 60.0


class ContentWriter(Writer):
    """The writer of one process. `settings`: those in force."""

    at_once = AT_ONCE

    def __init__(
        self, store: Store, settings: Callable[[], ContentSettings], sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._store = store
        self._settings = settings
        self._sleep = sleep
        self._log_at = 0.0

    def store(
        self, batch: list[Collected], missed: dict[tuple[str, str], int], may_retry: Callable[[], bool]
    ) -> Stored:
        counts: dict[tuple[str, int], ContentCounts] = {}
        today = int(time.time() * 1000) // DAY_MS
        for (account_id, why), number in missed.items():
            _count(counts, account_id, today, ContentCounts(**{why: number}))
        before = _sums(counts.values())
        rows = self._rows(batch, counts)
        made = _sums(counts.values())
        kept = self._written(rows, counts, may_retry)
        lost = len(rows) - kept
        return Stored(kept, made.dropped - before.dropped + lost, made.left_out - before.left_out)

    def _rows(self, batch: list[Collected], counts: dict[tuple[str, int], ContentCounts]) -> list[ContentRow]:
        """Sealed. What cannot be is counted as dropped."""
        if not batch:
            return []
        try:
            key = seal_key(self._store)
        except ConfigurationError as error:
            self._warn("Content of calls is not kept: %s", error)
            for call in batch:
                _count(counts, call.account_id, call.at // DAY_MS, ContentCounts(dropped=1))
            return []
        rows = []
        for call in batch:
            try:
                with SHORT_TURNS:
                    row = _row(call, key)
            except LeftOut:
                _count(counts, call.account_id, call.at // DAY_MS, ContentCounts(left_out=1))
            except Exception as error:  # whatever it is: nothing of the content may get into the log
                self._warn("Content of a call is not kept, please report it: %s", type(error).__name__)
                _count(counts, call.account_id, call.at // DAY_MS, ContentCounts(dropped=1))
            else:
                if row is not None:
                    rows.append(row)
                elif not call.pieces:
                    _count(counts, call.account_id, call.at // DAY_MS, ContentCounts(dropped=1))
        return rows

    def _written(
        self, rows: list[ContentRow], counts: dict[tuple[str, int], ContentCounts], may_retry: Callable[[], bool]
    ) -> int:
        """How many are stored."""
        if not rows and not counts:
            return 0
        wait = FIRST_WAIT
        while True:
            try:
                with self._store.write() as connection:
                    return self._write(connection, rows, dict(counts))
            except (IntegrityError, DataError) as error:  # it will be refused the next time, too
                self._warn("Content of calls is not kept, the database refuses it: %s", type(error).__name__)
                return 0
            except (SQLAlchemyError, sqlite3.Error) as error:
                self._warn("Content of calls cannot be stored at the moment: %s", reason(error))
                if not may_retry():
                    return 0
            self._sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    def _write(
        self, connection: Connection, rows: list[ContentRow], counts: dict[tuple[str, int], ContentCounts]
    ) -> int:
        accounts = sorted({row.account_id for row in rows})
        erased = erased_until(connection, accounts) if accounts else {}
        room = self._room(connection, accounts)
        kept = []
        for row in rows:
            until = max(erased.get((row.account_id, ""), 0), erased.get((row.account_id, row.caller_user), 0))
            if row.at <= until:
                continue
            day, size = row.at // DAY_MS, len(row.body)
            if size > room[row.account_id]:
                _count(counts, row.account_id, day, ContentCounts(dropped=1))
                continue
            room[row.account_id] -= size
            kept.append(row)
            _count(counts, row.account_id, day, ContentCounts(kept=1, bytes=size))
        add_rows(connection, kept)
        add_counts(connection, counts)
        return len(kept)

    def _room(self, connection: Connection, accounts: list[str]) -> dict[str, int]:
        """Bytes that each account may still have."""
        most, since = self._settings().max_megabytes * 1_000_000, int(time.time() * 1000) // DAY_MS - MOST_DAYS
        return {one: most - counts_of(connection, one, since).bytes for one in accounts}

    def _warn(self, message: str, error: object) -> None:
        now = time.monotonic()
        if now >= self._log_at:
            self._log_at = now + LOG_SECONDS
            log.warning(message, error)


def _row(call: Collected, key: SealKey) -> ContentRow | None:
    """None for a call without a record."""
    found = answered(call.pieces)
    if found is None:
        return None
    made = conversation_of(call, found)
    nonce, body = sealed_content(key, call.account_id, found.call_id, made)
    return ContentRow(found.call_id, call.account_id, call.key_id, call.user, call.at, key.id, nonce, body)


def _count(counts: dict[tuple[str, int], ContentCounts], account_id: str, day: int, more: ContentCounts) -> None:
    counts[account_id, day] = counts.get((account_id, day), ContentCounts()).plus(more)


def _sums(counts: Iterable[ContentCounts]) -> ContentCounts:
    found = ContentCounts()
    for one in counts:
        found = found.plus(one)
    return found
