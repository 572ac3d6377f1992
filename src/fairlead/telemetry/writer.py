"""From the recorder into the database every few seconds, in a thread. Hours and days are added up, old ones go."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import random
import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from fairlead.background import rest
from fairlead.store import Store
from fairlead.telemetry.cells import (
    DAY,
    HOUR,
    MINUTE,
    Cell,
    SeriesName,
    add_up,
    forget,
    marked,
    pack,
    write,
)
from fairlead.telemetry.layout import Counts, merged
from fairlead.telemetry.recorder import MinuteCell, Recorder
from fairlead.telemetry.shared import SharedTotals

log = logging.getLogger("fairlead.telemetry")

# Minutes that wait for a database that is gone: beyond, the oldest are given up. About 300 bytes each.
MOST_WAITING = 50_000
CELLS_PER_TRANSACTION = 1_000
# Writers get so long to store the last minutes of an hour before it is added up; what comes later is added up again.
LATE_SECONDS = 2 * MINUTE


class Keeping(NamedTuple):
    """How long cells are kept, in days, and how often they are stored."""

    minutes_days: int
    days: int
    flush_seconds: float


class TelemetryWriter:
    """Of one process, whose name among all writers is `writer`."""

    def __init__(
        self,
        store: Store,
        recorder: Recorder,
        keeping: Keeping,
        clock: Callable[[], float] = time.time,
        writer: str | None = None,
    ) -> None:
        self._store = store
        self._recorder = recorder
        self._keeping = keeping
        self._clock = clock
        self._writer = writer or os.urandom(8).hex()
        self._waiting: dict[tuple[SeriesName, int], bytes] = {}
        self._stored: dict[tuple[SeriesName, int], bytes] = {}
        self._ids: dict[SeriesName, int] = {}
        self._totals: dict[SeriesName, Counts] = {}
        self._shared = SharedTotals(store.directory, self._writer)
        self._flushing = asyncio.Lock()
        self._trouble: str | None = None
        self.lost = 0

    @property
    def trouble(self) -> str | None:
        """Why the database takes no cells at the moment; None when it does."""
        return self._trouble

    @property
    def waiting(self) -> int:
        """Cells of minutes that are over and not stored yet."""
        return len(self._waiting)

    async def run(self) -> None:
        """Flushes until it is cancelled, and once a minute adds up and forgets."""
        loop = asyncio.get_running_loop()
        turns = max(1, int(MINUTE / self._keeping.flush_seconds))
        first = random.randrange(turns)  # noqa: S311 - workers that start together need not all add up at once
        for turn in itertools.count(first):
            await rest(self._keeping.flush_seconds)
            await self.flush()
            if turn % turns == 0:
                await loop.run_in_executor(self._store.threads, self.tidy)

    async def flush(self) -> None:
        """Stores what has been counted until now. Trouble is noted, not raised: what is not stored waits."""
        async with self._flushing:
            over, still_open = self._recorder.cells()
            await asyncio.get_running_loop().run_in_executor(self._store.threads, self._flush, over, still_open)

    async def close(self) -> None:
        await self.flush()
        self._shared.remove()

    def totals(self) -> dict[SeriesName, Counts]:
        """Everything that this process has counted since it began."""
        found = dict(self._totals)
        for cell in self._recorder.open_cells:
            found[cell.name] = merged((found.get(cell.name, {}), cell.nonzero()))
        return found

    def all_totals(self) -> dict[str, dict[SeriesName, Counts]]:
        """The same of every process on this data directory, by their names. Reads files."""
        return {self._writer: self.totals(), **self._shared.others()}

    def _flush(self, over: list[MinuteCell], still_open: list[MinuteCell]) -> None:
        for cell in over:
            counts = cell.nonzero()
            self._waiting[cell.name, cell.start] = pack(counts)
            self._totals[cell.name] = merged((self._totals.get(cell.name, {}), counts))
        self._shared.write(self.totals())
        self._give_up_the_oldest()
        batch = dict(self._waiting)
        # Still being counted in: what is stored now is replaced by more in a few seconds.
        batch.update({(cell.name, cell.start): pack(cell.nonzero()) for cell in still_open})
        batch = {key: body for key, body in batch.items() if self._stored.get(key) != body}
        try:
            everything = list(batch.items())
            for at in range(0, len(everything), CELLS_PER_TRANSACTION):
                part = everything[at : at + CELLS_PER_TRANSACTION]
                with self._store.write() as connection:
                    ids = dict(self._ids)  # of a transaction that fails nothing is believed
                    write(connection, self._writer, [Cell(name, start, body) for (name, start), body in part], ids)
                self._ids = ids
                self._stored.update(part)
        except (SQLAlchemyError, OSError, msgspec.DecodeError) as error:
            self._say(error)
            return
        self._waiting.clear()
        now_open = {(cell.name, cell.start) for cell in still_open}
        self._stored = {key: body for key, body in self._stored.items() if key in now_open}
        if self._trouble is not None:
            log.warning("Telemetry: the database accepts it again.")
            self._trouble = None

    def _give_up_the_oldest(self) -> None:
        # So late that its hour may have been added up and its minutes forgotten: it would replace the whole hour.
        too_late = self._clock() - self._keeping.minutes_days * DAY + 2 * HOUR
        late = [key for key in self._waiting if key[1] < too_late]
        late += sorted(self._waiting.keys() - set(late), key=lambda key: key[1])[
            : max(0, len(self._waiting) - len(late) - MOST_WAITING)
        ]
        for key in late:
            del self._waiting[key]
        self.lost += len(late)

    def tidy(self) -> None:
        """Adds up hours and days that are over, then forgets what is old. In a thread; several processes may do it."""
        now = self._clock()
        try:
            for span, seconds in (("hour", HOUR), ("day", DAY)):
                with self._store.read() as connection:
                    starts = sorted(marked(connection)[span])
                for start in starts:
                    if start + seconds + LATE_SECONDS <= now:
                        with self._store.write() as connection:
                            add_up(connection, span, start)
            with self._store.write() as connection:
                minutes_before = int(now) // HOUR * HOUR - self._keeping.minutes_days * DAY
                forget(connection, minutes_before, int(now) // DAY * DAY - self._keeping.days * DAY)
        except (SQLAlchemyError, OSError, msgspec.DecodeError) as error:
            self._say(error)

    def _say(self, error: Exception) -> None:
        cause = str(getattr(error, "orig", None) or error)
        if self._trouble is None:
            log.warning("Telemetry cannot be stored; kept in memory, retrying: %s", cause)
        self._trouble = cause
