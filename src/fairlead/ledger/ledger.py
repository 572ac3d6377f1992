"""The ledger of one process: a bill for every admitted call, the spool that keeps it, the way into the books."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from fairlead.background import turned
from fairlead.clock import utc_now
from fairlead.errors import ConfigurationError, LedgerUnavailable
from fairlead.ledger.bill import TAG_DIGITS, TAG_START, Bill, Bills
from fairlead.ledger.books import NOBODY, charged, keep_sheets, post, stored_record, stored_sheet
from fairlead.ledger.credit import redeem, refunded
from fairlead.ledger.funds import Balance, balance, credit_scope, forget_sessions, reclaim, release
from fairlead.ledger.orphans import Orphan, orphans
from fairlead.ledger.record import UsageRecord
from fairlead.ledger.rollups import KeyUsage, add_up, usage_of_keys
from fairlead.ledger.settled import Settled
from fairlead.ledger.spool import RECORD_HEAD_BYTES, Position, Reader, Spool
from fairlead.ledger.thresholds import announce_exhausted
from fairlead.ledger.unreadable import Unreadable
from fairlead.ledger.wallets import Hold, Scope, Wallets
from fairlead.prices import PriceSheet
from fairlead.store import Store
from fairlead.store.alerts import AlertRules

__all__ = ["Bill", "Found", "Ledger", "check"]

log = logging.getLogger("fairlead.ledger")

T = TypeVar("T")
SPOOL = "spool"
DRAIN_SECONDS = 0.25
BATCH_RECORDS = 5_000
# So much is not left waiting for its time: what waits is in memory.
MUCH_BYTES = 524_288
# A disk that did not keep what it was given is asked again after so long: each time may take a new segment.
UNSAFE_SECONDS = 5.0
# Every so many rounds somebody looks whether another process has died.
ADOPT_TURNS = 8
# And every so many of those, whether budgets of sessions are old.
FORGET_TURNS = 1_800
# How long somebody who asks for a record waits for another worker to store it.
FIND_SECONDS = 1.0
# Usage is added up at most this often for callers: one who asks again and again must not delay charges.
USAGE_SECONDS = 1.0
MOST_SPOOL_BYTES = 256 * 1024 * 1024
# What may keep records out of the database; they stay in the spool.
TROUBLE = (SQLAlchemyError, OSError)
# What the database says of a record itself. It, and whatever else is no trouble with the database or the disk, is the
# record's own fault: waiting does not help, and it must not stop those behind it.
REFUSED = (DataError, IntegrityError)


class Found(NamedTuple):
    """A call as the books have it; `refunded` in picodollars, `version` of the sheet."""

    record: UsageRecord
    sheet: PriceSheet | None
    refunded: int
    version: int


class Ledger:
    """`open` and `Bill` run on the event loop and touch no database; `run` drains in a thread.

    Raises ConfigurationError when usage cannot be kept in the data directory or its database.
    """

    def __init__(
        self,
        store: Store,
        sheets: Iterable[PriceSheet],
        most_bytes: int = MOST_SPOOL_BYTES,
        clock: Callable[[], float] = time.monotonic,
        *,
        power: bool = False,
        alerts: AlertRules = NOBODY,
    ) -> None:
        self._store = store
        self._alerts = alerts
        self._root = store.directory / SPOOL
        name = os.urandom(8).hex()
        self._unreadable = Unreadable(store.directory)
        try:
            with store.write() as connection:
                keep_sheets(connection, sheets)
            self._set_aside = self._unreadable.count()
            self._spool = Spool(self._root, name, most_bytes, power=power)
        except TROUBLE as error:
            raise _unusable(store, error) from None
        self._syncing: asyncio.Task[None] | None = None
        self._synced = self._wait_for_disk if power else None
        self._reader = self._spool.reader()
        self._reader.set_aside = self._unreadable.put_segment
        self._name = name
        self.wallets = Wallets(store, name, clock)
        self._bills = Bills(name, self._spool, self._synced)
        self.open = self._bills.open  # bound once, for every call
        self._trouble: str | None = None
        self._closed: dict[str, str] = {}
        self._probe_at = 0.0
        self._turns = 0
        self._usage_at = 0.0
        self._level = True  # the reader stands where the fresh records begin
        self._draining = asyncio.Lock()

    async def hold(self, scopes: Sequence[Scope], most: int, least: int) -> Hold:
        """Sets aside `most` picodollars of every scope, or what there is when that is at least `least`.

        Raises Shortage, or LedgerUnavailable when it cannot be found out.
        """
        return await self.wallets.hold(scopes, most, least)

    async def _wait_for_disk(self) -> None:
        """Returns when everything that was appended so far is on the disk: one fsync for all who wait."""
        target = self._spool.appended
        while self._spool.synced < target and not self._spool.full:
            if self._syncing is None:
                self._syncing = asyncio.get_running_loop().create_task(self._sync())
            await self._syncing

    async def _sync(self) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._store.threads, self._spool.sync)
        finally:
            self._syncing = None

    @property
    def waiting_bytes(self) -> int:
        """Bytes of records that the database does not have yet."""
        return self._spool.waiting

    @property
    def name(self) -> str:
        """The name of this process in leases and generation ids."""
        return self._name

    @property
    def full(self) -> bool:
        return self._spool.full

    @property
    def trouble(self) -> str | None:
        """Why the database takes no records at the moment; None when it does."""
        return self._trouble

    @property
    def implausible(self) -> int:
        """Answers of this process whose provider reported usage that cannot be."""
        return self._bills.implausible

    @property
    def set_aside(self) -> int:
        """Records that this process found to be of no use, or that were lying there when it started."""
        return self._set_aside

    @property
    def closed_spools(self) -> dict[str, str]:
        """The spools of earlier processes that cannot be taken up, and why. What they hold is not in the books."""
        return self._closed

    async def run(self) -> None:
        """Drains until it is cancelled; first what processes before this one have left behind."""
        loop = asyncio.get_running_loop()
        if self._set_aside:
            await loop.run_in_executor(self._store.threads, self.try_set_aside_again)
        for turn in itertools.count():
            if turn % ADOPT_TURNS == 0:
                await loop.run_in_executor(self._store.threads, self.adopt)
            until = loop.time() + DRAIN_SECONDS
            while (left := until - loop.time()) > 0:
                await asyncio.sleep(min(left, DRAIN_SECONDS / 4))
                if self._spool.waiting > MUCH_BYTES:
                    await self.flush()
            await self.flush()
            await self.tick()
            turned(DRAIN_SECONDS, self.trouble or "")

    async def tick(self) -> None:
        """Gives back credit that is idle or wanted elsewhere, and tells of budgets that are used up."""
        await self.wallets.tick()
        if refused := self.wallets.take_refused():
            with contextlib.suppress(LedgerUnavailable):
                await self._in_thread(
                    self._store.write, lambda connection: announce_exhausted(connection, self._alerts, refused)
                )

    async def flush(self) -> None:
        """Everything that is in the spool now goes into the database. Trouble is noted, not raised."""
        async with self._draining:
            self._spool.retry()
            if self._synced is not None and self._spool.synced < self._spool.appended and self._syncing is None:
                await self._sync()
            if self._spool.waiting:
                loop = asyncio.get_running_loop()
                fresh, settled, until = self._spool.take_fresh()
                self._spool.drained(
                    await loop.run_in_executor(self._store.threads, self._drain_own, fresh, settled, until)
                )
            if self._synced is None and (self._trouble is not None or self._spool.unsafe):
                await self._probe()

    async def _probe(self) -> None:
        """What has to wait must be safe where it is; without `power` nobody else looks."""
        loop = asyncio.get_running_loop()
        if self._spool.unsafe and loop.time() < self._probe_at:
            return
        self._probe_at = loop.time() + UNSAFE_SECONDS
        try:
            file = self._spool.to_probe()
        except OSError:
            return
        await loop.run_in_executor(self._store.threads, self._spool.probe, file)

    def _drain_own(self, fresh: list[bytes] | None, settled: list[Settled], until: Position) -> int:
        """What was written up to `until`. When all before it is in the database, what is `fresh` need not be read
        from the spool again. Gives the bytes that are in the database now."""
        if fresh is None or not self._level:
            done = self._drain(self._reader, self._name, until)
            self._level = self._trouble is None
            return done
        self._level = False  # whatever happens now, the records are read from the spool again
        try:
            for start in range(0, len(fresh), BATCH_RECORDS):
                end = start + BATCH_RECORDS
                self._post(fresh[start:end], self._name, settled[start:end])
            self._reader.move_to(until)
        except TROUBLE as error:
            self._cannot_store(error)
            return 0
        self._level = True
        return sum(map(len, fresh)) + RECORD_HEAD_BYTES * len(fresh)

    def _drain(self, reader: Reader, process_id: str, until: Position | None = None) -> int:
        """Bytes that are in the database now."""
        done = 0
        try:
            while True:
                batch, size = reader.next_batch(BATCH_RECORDS, until)
                if batch:
                    self._post(batch, process_id)
                reader.advance()
                done += size
                if len(batch) < BATCH_RECORDS:
                    break
        except TROUBLE as error:
            self._cannot_store(error)
            return done
        if self._trouble is not None:
            log.warning("Usage records: the database accepts them again.")
            self._trouble = None
        return done

    def _post(self, batch: Sequence[bytes], process_id: str, settled: Sequence[Settled] | None = None) -> None:
        """What cannot be a record is set aside; to find it, a batch that has one is halved until it is alone."""
        try:
            with self._store.write() as connection:
                post(connection, batch, process_id, settled, self._alerts)
        except Exception as error:
            if not _is_its_own_fault(error):
                raise
            if len(batch) == 1:
                self._unreadable.put(process_id, batch[0])
                self._set_aside += 1
                log.error(
                    "A usage record cannot be stored (%s). It is kept in %s and retried at the next start.",
                    _said(error),
                    self._unreadable.directory,
                )
                return
            middle = len(batch) // 2
            self._post(batch[:middle], process_id)
            self._post(batch[middle:], process_id)

    def try_set_aside_again(self) -> None:
        """Another version may read what the last one could not."""

        def accepts(process_id: str, records: list[bytes]) -> bool:
            try:
                with self._store.write() as connection:
                    post(connection, records, process_id, alerts=self._alerts)
            except Exception as error:
                if not _is_its_own_fault(error):
                    raise
                return False
            return True

        try:
            self._unreadable.try_again(accepts)
        except TROUBLE as error:
            log.warning("Usage records that were set aside cannot be retried now: %s", _said(error))
        self._set_aside = self._unreadable.count()

    def _cannot_store(self, error: Exception) -> None:
        if self._trouble is None:
            log.error("Usage records cannot be stored: %s. They stay in the spool; retrying.", _said(error))
        self._trouble = _said(error)

    def adopt(self) -> None:
        """Drains the spools of processes that have died, and gives back what they had leased."""
        closed: dict[str, str] = {}

        def tell(path: Path, error: OSError) -> None:
            closed[str(path)] = reason = error.strerror or str(error)
            if self._closed.get(str(path)) != reason:
                log.error(
                    "Spool %s of an earlier process cannot be opened: %s. Its usage is not in the books; "
                    "check its permissions.",
                    path,
                    reason,
                )

        for orphan in orphans(self._root, tell):
            self._adopt(orphan)
        self._closed = closed
        try:
            with self._store.write() as connection:
                reclaim(connection)
                if self._turns % FORGET_TURNS == 0:
                    forget_sessions(connection)
                self._turns += 1
        except SQLAlchemyError as error:
            log.warning("Expired credit leases cannot be reclaimed; retrying: %s", _said(error))

    def _adopt(self, orphan: Orphan) -> None:
        orphan.reader.set_aside = self._unreadable.put_segment
        self._drain(orphan.reader, orphan.name)
        if self._trouble is None:
            try:
                with self._store.write() as connection:
                    release(connection, orphan.name)
            except SQLAlchemyError as error:
                self._trouble = _said(error)
        if self._trouble is None:
            orphan.remove()
        else:
            orphan.leave()

    async def find(self, generation_id: str, account: str) -> Found | None:
        """A call of this account; None when there is none."""
        await self.flush()
        loop = asyncio.get_running_loop()
        give_up = loop.time() + FIND_SECONDS
        while True:
            found = await self._in_thread(self._store.read, lambda read: self._read(read, generation_id, account))
            if found is not None or loop.time() > give_up or not self._is_elsewhere(generation_id):
                return found
            await asyncio.sleep(DRAIN_SECONDS / 2)

    def _is_elsewhere(self, generation_id: str) -> bool:
        """Whether another process of this machine made it, which may not have stored it yet."""
        tag = generation_id[TAG_START : TAG_START + TAG_DIGITS]
        if len(tag) != TAG_DIGITS or not tag.isalnum():
            return False
        return any(spool.name != self._name and spool.is_dir() for spool in self._root.glob(f"{tag}*"))

    @staticmethod
    def _read(connection: Connection, generation_id: str, account: str) -> Found | None:
        record = stored_record(connection, generation_id, account)
        if record is None:
            return None
        sheet, version = stored_sheet(connection, record.sheet)
        return Found(record, sheet, refunded(connection, record.id), version)

    async def account_balance(
        self, account: str, key: str | None, scopes: Sequence[str]
    ) -> tuple[int, dict[str, Balance]]:
        """What an account, or one key of it, was charged so far, and what these scopes hold. Picodollars."""
        await self.flush()

        def read(connection: Connection) -> tuple[int, dict[str, Balance]]:
            found = {scope: balance(connection, scope) for scope in scopes}
            return charged(connection, account, key), {name: held for name, held in found.items() if held is not None}

        return await self._in_thread(self._store.read, read)

    async def key_usage(self, key_id: str) -> KeyUsage:
        """What a key has used today, this week and this month; up to USAGE_SECONDS old. Raises LedgerUnavailable."""

        def read(connection: Connection) -> KeyUsage:
            if time.monotonic() > self._usage_at:
                add_up(self._store)
                self._usage_at = time.monotonic() + USAGE_SECONDS
            return usage_of_keys(connection, [key_id], utc_now().date()).get(key_id, KeyUsage())

        return await self._in_thread(self._store.read, read)

    async def redeem(
        self, code: str, account: str, also: Callable[[Connection, int], None] = lambda _connection, _amount: None
    ) -> int:
        """Grants an account what a code is worth, in picodollars. `also`: done in the same transaction. Raises
        NotFound."""

        def run(connection: Connection) -> int:
            amount = redeem(connection, code, account)
            also(connection, amount)
            return amount

        amount = await self._in_thread(self._store.write, run)
        self.wallets.credited(credit_scope(account))
        return amount

    async def add_sheets(self, sheets: Sequence[PriceSheet]) -> None:
        """Stores price sheets that calls will be charged by. Raises LedgerUnavailable."""
        await self._in_thread(self._store.write, lambda connection: keep_sheets(connection, sheets))

    async def _in_thread(
        self, opened: Callable[[], AbstractContextManager[Connection]], work: Callable[[Connection], T]
    ) -> T:
        def run() -> T:
            with opened() as connection:
                return work(connection)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._store.threads, run)
        except SQLAlchemyError:
            raise LedgerUnavailable("The database cannot be used at the moment. Try again soon.") from None

    async def close(self) -> None:
        """Drains what is left. What the database does not take stays in the spool for the next start."""
        await self.flush()
        if self._trouble is None:
            try:
                await asyncio.get_running_loop().run_in_executor(self._store.threads, self.wallets.close)
            except SQLAlchemyError as error:
                self._trouble = _said(error)
        self._spool.close(empty=self._trouble is None)


def check(store: Store) -> None:
    """Raises ConfigurationError when no usage can be kept in the data directory."""
    try:
        Spool(store.directory / SPOOL, os.urandom(8).hex(), MOST_SPOOL_BYTES).close(empty=True)
    except OSError as error:
        raise _unusable(store, error) from None


def _unusable(store: Store, error: Exception) -> ConfigurationError:
    if isinstance(error, OSError):
        where = Path(error.filename or store.directory / SPOOL)
        if where.name.startswith("."):  # a spool that is being made
            where = where.parent
        return ConfigurationError(f"The data directory {store.directory} cannot be used: {where}: {error.strerror}.")
    return ConfigurationError(f"The database {store.shown} cannot be used: {_said(error)}.")


def _is_its_own_fault(error: Exception) -> bool:
    """Whether a batch was refused for what is in it, and not because nothing can be stored at the moment."""
    return isinstance(error, REFUSED) or not isinstance(error, TROUBLE)


def _said(error: Exception) -> str:
    """What the database said, without the statement and its values."""
    return " ".join(str(getattr(error, "orig", None) or error).split())
