"""The background task that keeps roll-ups of usage up to date."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from fairlead.background import rest
from fairlead.ledger.rollups import count_batch
from fairlead.store import Store

log = logging.getLogger("fairlead.ledger")

IDLE_SECONDS: Final = 1.0
# While there is more to count, it rests for a multiple of the time that a step took: a process that is busy with calls
# counts them later, in a fiftieth of its time, and one that is not catches up at once.
REST: Final = 1.0
BUSY_REST: Final = 49.0
BUSY_SHARE: Final = 0.5  # of the time of one core
LEAST_REST_SECONDS: Final = 0.02


class UsageCounter:
    """Counts records step by step, and rests between the steps. One process of a machine does it."""

    def __init__(self, store: Store, idle_seconds: float = IDLE_SECONDS) -> None:
        self._store = store
        self._idle = idle_seconds
        self._trouble = False

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        factor = BUSY_REST
        while True:
            began = loop.time()
            more = await loop.run_in_executor(self._store.threads, self._step)
            took = loop.time() - began
            used, slept = time.process_time(), loop.time()
            pause = max(LEAST_REST_SECONDS, factor * took) if more else self._idle
            await rest(pause, "the database cannot be used" if self._trouble else "")
            share = (time.process_time() - used) / max(LEAST_REST_SECONDS, loop.time() - slept)
            factor = BUSY_REST if share > BUSY_SHARE else REST

    def _step(self) -> bool:
        try:
            more = count_batch(self._store)
        except SQLAlchemyError as error:
            if not self._trouble:
                reason = " ".join(str(getattr(error, "orig", None) or error).split())
                log.warning("Roll-ups of usage cannot be updated: %s. Retrying; charges are not affected.", reason)
            self._trouble = True
            return False
        self._trouble = False
        return more
