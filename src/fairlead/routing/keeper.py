"""What routing has learned is stored beside the calls, and taken up again by the next start."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Mapping

from sqlalchemy.exc import SQLAlchemyError

from fairlead.catalogue.snapshot import Deployment
from fairlead.routing.decision import Decided, body
from fairlead.routing.health import Health
from fairlead.store import Store
from fairlead.store.health import (
    Decision,
    HealthEvent,
    KeptHealth,
    decision,
    forget_old,
    keep_decisions,
    keep_events,
    keep_health,
    kept_health,
)

log = logging.getLogger("fairlead.routing")

KEEP_SECONDS = 0.5
FORGET_TURNS = 7200


class Keeper:
    """`run` stores until it is cancelled. What the database does not take is lost: it is no money."""

    def __init__(
        self, store: Store, health: Health, decisions: Callable[[], list[Decided]], clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._health = health
        self._decisions = decisions
        self._clock = clock

    def restore(self, known: Mapping[str, Deployment]) -> None:
        """Takes up what the process before this one knew."""
        try:
            with self._store.read() as connection:
                kept = kept_health(connection)
        except SQLAlchemyError as error:
            log.warning("The health of deployments cannot be read: %s", error)
            return
        self._health.restore(kept, known, self._clock())

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for turn in itertools.count():
            await asyncio.sleep(KEEP_SECONDS)
            await self._flush()
            if turn % FORGET_TURNS == 0:
                await loop.run_in_executor(None, self._forget)

    async def _flush(self) -> None:
        events, decisions = self._health.take_events(), self._decisions()
        if events or decisions:
            kept = self._health.kept(self._clock()) if events else None
            await asyncio.get_running_loop().run_in_executor(None, self._keep, events, kept, decisions)

    async def routed(self, generation_id: str) -> str | None:
        """How a call was routed, as JSON; None when there was nothing to decide."""
        await self._flush()
        return await asyncio.get_running_loop().run_in_executor(None, self._decision, generation_id)

    def _decision(self, generation_id: str) -> str | None:
        try:
            with self._store.read() as connection:
                return decision(connection, generation_id)
        except SQLAlchemyError:
            return None

    def close(self) -> None:
        """Stores what is left."""
        self._keep(self._health.take_events(), self._health.kept(self._clock()), self._decisions())

    def _keep(self, events: list[HealthEvent], kept: list[KeptHealth] | None, decided: list[Decided]) -> None:
        for event in events:
            log.warning("%s is %s: %s", event.deployment or event.provider, event.event.replace("_", " "), event.reason)
        try:
            with self._store.write() as connection:
                keep_events(connection, events)
                if kept is not None:
                    keep_health(connection, kept)
                keep_decisions(connection, (Decision(one.id, body(one)) for one in decided))
        except SQLAlchemyError as error:
            log.warning("What routing has learned cannot be stored: %s", getattr(error, "orig", None) or error)

    def _forget(self) -> None:
        try:
            with self._store.write() as connection:
                forget_old(connection)
        except SQLAlchemyError as error:
            log.warning("Old events cannot be removed: %s", getattr(error, "orig", None) or error)
