"""Who is looked at because nobody has called there for a while: so that a caller is not the first to find out."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import NamedTuple

from fairlead.errors import FairleadError
from fairlead.routing.health import BUCKET_SECONDS, CLOSED, DeploymentHealth, Health
from fairlead.routing.upstream import Upstream

# After a failure it is looked at again so soon: five of them open the breaker.
AGAIN_SECONDS = 1.0
# Processes that start together do not ask together.
SPREAD = 0.1


class Idle(NamedTuple):
    """One probe that is due. `call`: it is asked for one word, else for the list of models, which stands for all
    `others` of the same provider too."""

    upstream: Upstream
    call: bool = False
    others: tuple[Upstream, ...] = ()

    @property
    def name(self) -> str:
        deployment = self.upstream.deployment
        return deployment.id if self.call else f"{deployment.provider}/"


class Schedule:
    """`due` gives the probes whose time has come, `told` takes what came of one. Local engines, which are watched
    anyway, and deployments whose `probe` is off are left out."""

    def __init__(
        self,
        upstreams: Iterable[Upstream],
        health: Health,
        seconds: float,
        now: float,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._health = health
        self._seconds = seconds
        self._entries = _entries(upstreams)
        self._next = {idle.name: now + seconds * (1 + SPREAD * chance()) for idle in self._entries}
        self._failing: set[str] = set()

    def due(self, now: float) -> list[Idle]:
        found = []
        for idle in self._entries:
            if self._next[idle.name] > now:
                continue
            targets = self._targets(idle)
            quiet_since = max(map(_active_at, targets))
            if any(one.in_flight for one in targets):
                self._next[idle.name] = now + self._seconds
            elif quiet_since + self._seconds > now and idle.name not in self._failing:
                self._next[idle.name] = quiet_since + self._seconds
            else:
                self._next[idle.name] = now + self._seconds
                if any(one.state is CLOSED for one in targets):  # who is open is probed as such
                    found.append(idle)
        return found

    def told(self, idle: Idle, error: FairleadError | None, now: float) -> None:
        self._failing.discard(idle.name)
        if error is not None and self._health.idle_failed(self._targets(idle), error, now):
            self._failing.add(idle.name)
            self._next[idle.name] = now + AGAIN_SECONDS

    def _targets(self, idle: Idle) -> list[DeploymentHealth]:
        return [self._health.of(one.deployment) for one in (idle.upstream, *idle.others)]


def _entries(upstreams: Iterable[Upstream]) -> tuple[Idle, ...]:
    calls: list[Idle] = []
    looks: dict[str, list[Upstream]] = {}
    for upstream in upstreams:
        if upstream.gate is not None:
            continue
        if upstream.probe == "call":
            calls.append(Idle(upstream, call=True))
        elif upstream.probe == "list" and upstream.list_path:
            looks.setdefault(upstream.deployment.provider, []).append(upstream)
    return (*calls, *(Idle(found[0], others=tuple(found[1:])) for found in looks.values()))


def _active_at(target: DeploymentHealth) -> float:
    """When something came of a call there last, to the end of its bucket."""
    return (target.slot + 1) * BUCKET_SECONDS
