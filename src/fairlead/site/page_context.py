"""What every page can use. One per app, found through the request."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from starlette.requests import Request

from fairlead.catalogue.facts import ModelFacts
from fairlead.catalogue.similar import Similar, similar
from fairlead.catalogue.snapshot import Deployment, Model, Snapshot
from fairlead.site.incidents import Incident, incidents_of
from fairlead.site.language import ENGLISH, Language, chosen
from fairlead.site.listing import Entry
from fairlead.site.page_cache import PageCache
from fairlead.site.records import Fresh
from fairlead.site.sources import Sources
from fairlead.site.states import State, state_of
from fairlead.site.visit import Visit
from fairlead.telemetry.figures import Rate

MOST_SIMILAR = 1_000
LOOK_SECONDS = 1.0
SHARES_SECONDS = 10.0
INCIDENTS_SECONDS = 5.0
KEPT_MS = 90 * 86_400_000


@dataclass(slots=True)
class PageContext:
    sources: Sources
    cache: PageCache
    languages: tuple[Language, ...] = (ENGLISH,)
    fresh: Fresh = field(default_factory=Fresh)
    listed: tuple[int, tuple[Entry, ...]] | None = None  # with the number of the list: another one has another
    listed_key: Hashable = None
    listed_at: float = 0.0
    listed_from: Snapshot | None = None
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    _states: tuple[Snapshot, float, int, dict[str, State]] | None = None
    _seen: tuple[Snapshot, int, datetime] | None = None
    _similar: dict[str, list[Similar]] = field(default_factory=dict)
    _similar_of: int = -1
    _looked: tuple[Snapshot, float, frozenset[str], frozenset[str]] | None = None

    @staticmethod
    def of(request: Request) -> PageContext:
        return cast("PageContext", request.app.state.context)

    def visit(self, request: Request) -> Visit:
        return self.cache.visit(request, chosen(request, self.languages))

    def version(self) -> int:
        """Another number for every snapshot: what pages of the catalogue depend on."""
        return self._version()[1]

    def looked_at(self, model: Model) -> datetime:
        """The time that a page says the state of a model is of: the minute, or the hour where nobody serves it. That
        only changes with the snapshot, and most models of the catalogue are such."""
        now = self.sources.now().replace(second=0, microsecond=0)
        return now if model.deployments else max(now.replace(minute=0), self._version()[2])

    def _version(self) -> tuple[Snapshot, int, datetime]:
        snapshot = self.sources.snapshot()
        if self._seen is None or self._seen[0] is not snapshot:
            self._seen = snapshot, next(self.numbers), self.sources.now().replace(second=0, microsecond=0)
        return self._seen

    async def states(self) -> tuple[int, dict[str, State]]:
        """Of every model that is deployed, with the number of the reading; looked at at most once in a second."""
        judge = await self.judge()
        snapshot, now, before = self.sources.snapshot(), self.fresh.clock(), self._states
        if before is None or before[0] is not snapshot or now - before[1] >= LOOK_SECONDS:
            found = {model.id: judge(model) for model in snapshot.models.values() if model.deployments}
            same = before is not None and before[3] == found
            self._states = snapshot, now, before[2] if before is not None and same else next(self.numbers), found
            return self._states[2:]
        return before[2:]

    async def judge(self) -> Callable[[Model], State]:
        """Says the state of a model. When nothing can be read of recent calls, breakers alone count."""
        sources = self.sources
        unknown: Mapping[str, Rate] = {}
        _, shares = await self.fresh.get_or("shares", SHARES_SECONDS, sources.records.shares, unknown)
        _, incidents = await self.incidents()
        told = {one.subject: one.reason for one in incidents if one.end is None}

        def broken(deployment: Deployment) -> str | None:
            return sources.broken(deployment) or told.get(deployment.id) or told.get(deployment.provider)

        return lambda model: state_of(model, sources.obstacle(model.id), broken, shares.get(model.id))

    async def incidents(self) -> tuple[int, tuple[Incident, ...]]:
        """Of 90 days, with the number of the reading: -1 when nothing can be read."""
        out, known = self._subjects()
        now = int(self.sources.now().timestamp() * 1000)

        async def read() -> tuple[Incident, ...]:
            return incidents_of(await self.sources.records.events(now - KEPT_MS), now, out, known)

        nothing: tuple[Incident, ...] = ()
        return await self.fresh.get_or(("incidents", out), INCIDENTS_SECONDS, read, nothing)

    def _subjects(self) -> tuple[frozenset[str], frozenset[str]]:
        """The deployments and providers that are out of use, and those that there are; looked at once in a second."""
        now = self.fresh.clock()
        snapshot = self.sources.snapshot()
        if self._looked is None or self._looked[0] is not snapshot or now - self._looked[1] >= LOOK_SECONDS:
            all_ = [one for model in snapshot.models.values() for one in model.deployments]
            out = frozenset(one.id for one in all_ if self.sources.broken(one) is not None)
            self._looked = snapshot, now, out, frozenset(name for one in all_ for name in (one.id, one.provider))
        return self._looked[2], self._looked[3]

    def similar(self, model: ModelFacts) -> list[Similar]:
        """The models that are like this one. Looking at all of them takes longer than the rest of its page."""
        version = self.version()
        if self._similar_of != version:
            self._similar_of = version
            self._similar.clear()
        found = self._similar.get(model.id)
        if found is None:
            others = [one.facts for one in self.sources.snapshot().models.values() if one.facts.id]
            found = similar(model, others)
            if len(self._similar) >= MOST_SIMILAR:
                self._similar.clear()
            self._similar[model.id] = found
        return found
