"""What one version of the configuration makes callable.

A process replaces it while calls run. A call keeps the one that it began with, so that it ends with the prices, limits
and connections that it was planned by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fairlead.catalogue.snapshot import Deployment, Snapshot
from fairlead.http.client import Pool
from fairlead.routing.options import Options
from fairlead.routing.shadow import Shadow
from fairlead.routing.upstream import Servable, Upstream


class Serving:
    """Nothing in it changes once it is made, but `calls`: how many calls that began with it have not ended yet.

    `offers`: what a call for just one model is offered, made once for all calls; `upstreams`: by deployment id;
    `aliases`: other names of models; `shadow`: None where no call is mirrored.
    """

    __slots__ = ("aliases", "calls", "offers", "options", "servables", "shadow", "snapshot", "upstreams")

    def __init__(
        self, snapshot: Snapshot, servables: Iterable[Servable], options: Options, shadow: Shadow | None = None
    ) -> None:
        self.snapshot = snapshot
        self.servables: Mapping[str, Servable] = {one.model.id: one for one in servables}
        self.options = options
        self.offers = {name: (one,) for name, one in self.servables.items() if one.upstreams}
        self.upstreams: Mapping[str, Upstream] = {
            upstream.deployment.id: upstream for one in self.servables.values() for upstream in one.upstreams
        }
        self.aliases = snapshot.aliases
        self.shadow = shadow
        self.calls = 0

    @property
    def pools(self) -> frozenset[Pool]:
        mirrored = () if self.shadow is None else self.shadow.upstreams
        return frozenset(upstream.pool for upstream in (*self.upstreams.values(), *mirrored))


class Servings:
    """The one that is in force, and those that calls still end with. `retired` gives the pools that no call needs any
    more, once each."""

    __slots__ = ("_ending", "now")

    def __init__(self, first: Serving) -> None:
        self.now = first
        self._ending: list[Serving] = []

    def upstreams(self) -> Mapping[str, Upstream]:
        """Everything that can be called now, by deployment id."""
        return self.now.upstreams

    def deployments(self) -> Mapping[str, Deployment]:
        return {name: upstream.deployment for name, upstream in self.now.upstreams.items()}

    def replace(self, serving: Serving) -> None:
        self._ending.append(self.now)
        self.now = serving

    @property
    def calls(self) -> int:
        """Calls that have not ended yet, those included whose caller has disconnected."""
        return self.now.calls + sum(one.calls for one in self._ending)

    def retired(self) -> list[Pool]:
        """The pools of versions that nobody uses any more, less those that are used by another version."""
        ended = [one for one in self._ending if not one.calls]
        if not ended:
            return []
        self._ending = [one for one in self._ending if one.calls]
        used = {pool for one in (self.now, *self._ending) for pool in one.pools}
        return list({pool for one in ended for pool in one.pools} - used)
