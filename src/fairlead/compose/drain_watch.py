"""A process follows which deployments an operator has taken out of use."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Mapping

from sqlalchemy.exc import SQLAlchemyError

from fairlead.background import rest
from fairlead.catalogue.snapshot import Deployment
from fairlead.routing.health import Health
from fairlead.store import Store
from fairlead.store.drained import list_drained

log = logging.getLogger("fairlead.routing")

WATCH_SECONDS = 0.5


class DrainWatch:
    """`run` follows until it is cancelled; `restore` is for the start, `apply` for a configuration that was replaced.
    `known()`: deployments by id."""

    def __init__(
        self, store: Store, health: Health, known: Callable[[], Mapping[str, Deployment]], clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._health = health
        self._known = known
        self._clock = clock
        self._drained: frozenset[str] = frozenset()
        self._database_version: int | None = None
        self._trouble = False

    def restore(self) -> None:
        self._read()
        self.apply()

    def apply(self) -> None:
        self._health.set_drained(self._drained, self._known(), self._clock())

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await rest(WATCH_SECONDS)
            before = self._drained
            await loop.run_in_executor(self._store.threads, self._read)
            if self._drained != before:
                for name in sorted(self._drained ^ before):
                    log.warning(
                        "Deployment %s was %s by an operator.",
                        name, "taken out of use" if name in self._drained else "put back into use",
                    )  # fmt: skip
                self.apply()

    def _read(self) -> None:
        """What cannot be read stays as it is. Of SQLite a counter is looked at first, as it costs less."""
        try:
            version = None if self._store.is_shared else self._store.version()
            if version is not None and version == self._database_version:
                return
            with self._store.read() as connection:
                self._drained = frozenset(one.deployment for one in list_drained(connection))
        except (sqlite3.Error, SQLAlchemyError) as error:
            if not self._trouble:  # said once, not twice a second
                log.warning("Drained deployments cannot be read; retrying: %s", getattr(error, "orig", None) or error)
            self._trouble = True
        else:
            self._database_version = version
            self._trouble = False
