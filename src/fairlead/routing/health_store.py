"""What routing has learned is stored beside the calls, told to the other processes of the database, and taken up again
by the next start."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Mapping

from sqlalchemy.exc import SQLAlchemyError

from fairlead.background import rest
from fairlead.catalogue.snapshot import Deployment
from fairlead.routing.decision import Decided, body
from fairlead.routing.health import Health
from fairlead.store import Store
from fairlead.store.alerts import AlertRules, announce_health
from fairlead.store.health import (
    Decision,
    HealthEvent,
    KeptHealth,
    Subject,
    decision,
    forget_old,
    keep_decisions,
    keep_events,
    keep_health,
    kept_health,
    last_event,
    subjects_after,
)

log = logging.getLogger("fairlead.routing")

KEEP_SECONDS = 0.5
FORGET_TURNS = 7200
LEARN_TURNS = 2
LATE_EVENTS = 20


class HealthStore:
    """`run` stores until it is cancelled. Events that the database does not take are stored later, because alerts are
    made of them; decisions are lost then.

    `known()`: deployments by id; `shared`: there are other processes, to be learned from;
    `alerts`: who is told of deployments that go down."""

    def __init__(
        self,
        store: Store,
        health: Health,
        decisions: Callable[[], list[Decided]],
        clock: Callable[[], float],
        known: Callable[[], Mapping[str, Deployment]],
        *,
        shared: bool = False,
        alerts: AlertRules | None = None,
    ) -> None:
        self._alerts = alerts or AlertRules()
        self._store = store
        self._health = health
        self._decisions = decisions
        self._clock = clock
        self._known = known
        self._shared = shared
        self._first = self._seen = 0
        self._troubled = False
        self._flushing = asyncio.Lock()
        self._met: set[int] = set()  # events from here on that are known: our own, and those that were read

    def restore(self) -> None:
        """Takes up what the processes before this one knew."""
        try:
            with self._store.read() as connection:
                kept = kept_health(connection)
                self._first = self._seen = last_event(connection)
        except SQLAlchemyError as error:
            log.warning("Stored deployment health cannot be read; starting without it: %s", error)
            return
        self._health.restore(kept, self._known(), self._clock())

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for turn in itertools.count():
            await rest(KEEP_SECONDS)
            await self._flush()
            if self._shared and turn % LEARN_TURNS == 0:
                await self._learn()
            if turn % FORGET_TURNS == 0:
                await loop.run_in_executor(self._store.threads, self._forget)

    async def _flush(self) -> None:
        # One after the other: a receipt that is asked for is not read while the decision is still on its way.
        async with self._flushing:
            events, decisions = self._health.take_events(), self._decisions()
            if events or decisions:
                kept = self._health.kept(self._clock()) if events else []
                own = await asyncio.get_running_loop().run_in_executor(
                    self._store.threads, self._keep, events, kept, decisions
                )
                if own is None:
                    self._health.return_events(events)
                elif self._shared:
                    self._met.update(own)

    async def _learn(self) -> None:
        """What the other processes of this database have found out since."""
        found = await asyncio.get_running_loop().run_in_executor(self._store.threads, self._news)
        if found is None:
            return
        subjects, kept = found
        new = {number: subject for number, subject in subjects.items() if number not in self._met}
        if new:
            self._health.learn(set(new.values()), kept, self._known(), self._clock())
        self._seen = max(self._seen, *subjects)
        self._met = {number for number in (*self._met, *new) if number > self._seen - LATE_EVENTS}

    def _news(self) -> tuple[dict[int, Subject], list[KeptHealth]] | None:
        """The events of late, and, when some are news, how everybody is now. None: nothing has happened."""
        # Numbers are given before they are committed: one may be seen after a higher one.
        begin = max(self._first, self._seen - LATE_EVENTS)
        try:
            with self._store.read() as connection:
                found = subjects_after(connection, begin)
                kept = kept_health(connection) if found.keys() - self._met else []
                return (found, kept) if found else None
        except SQLAlchemyError:
            return None  # the writer reports the trouble of the database

    async def routed(self, generation_id: str) -> str | None:
        """How a call was routed, as JSON; None when there was nothing to decide."""
        await self._flush()
        return await asyncio.get_running_loop().run_in_executor(self._store.threads, self._decision, generation_id)

    def _decision(self, generation_id: str) -> str | None:
        try:
            with self._store.read() as connection:
                return decision(connection, generation_id)
        except SQLAlchemyError:
            return None

    def close(self) -> None:
        """Stores what is left."""
        self._keep(self._health.take_events(), self._health.kept(self._clock()), self._decisions())

    def _keep(self, events: list[HealthEvent], kept: list[KeptHealth], decided: list[Decided]) -> list[int] | None:
        """The numbers of the events; None: the database did not take them."""
        for event in () if self._troubled else events:
            log.warning("%s is %s: %s", event.deployment or event.provider, event.event.replace("_", " "), event.reason)
        try:
            with self._store.write() as connection:
                numbers = keep_events(connection, events)
                announce_health(connection, self._alerts, events)
                keep_health(connection, {(one.deployment, one.provider) for one in events}, kept)
                keep_decisions(connection, (Decision(one.id, body(one)) for one in decided))
        except SQLAlchemyError as error:
            if not self._troubled:  # said once, not twice a second
                log.warning(
                    "Deployment health and routing decisions cannot be stored; retrying: %s",
                    getattr(error, "orig", None) or error,
                )
            self._troubled = True
            return None
        self._troubled = False
        return numbers

    def _forget(self) -> None:
        try:
            with self._store.write() as connection:
                forget_old(connection)
        except SQLAlchemyError as error:
            log.warning(
                "Old health events cannot be deleted; retrying later: %s", getattr(error, "orig", None) or error
            )
