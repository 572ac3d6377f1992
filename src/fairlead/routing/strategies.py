"""The order of candidates by a strategy. Pure: health is read, chance comes as a function.

A rank is a number to sort by, lower first, and is what `POST /v1/plan` shows as the score.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from fairlead.routing.health import DeploymentHealth
from fairlead.routing.upstream import Upstream

Ranked = list[tuple[float, Upstream]]
Chance = Callable[[], float]
HealthByDeployment = Mapping[str, DeploymentHealth]

# What a first token may be thought to take before one has been measured: good enough to be tried.
UNKNOWN_FIRST_TOKEN: Final = 0.05


def load(target: DeploymentHealth | None) -> float:
    """How long a first token would take here now: peak EWMA times the calls under way, worse the less reliable."""
    if target is None:
        return UNKNOWN_FIRST_TOKEN
    return (
        (target.first_token or UNKNOWN_FIRST_TOKEN) * (target.in_flight + 1) / (target.reliability * target.reliability)
    )


def balanced(upstreams: Sequence[Upstream], by_deployment: HealthByDeployment, chance: Chance) -> Ranked:
    """The better of two that were drawn, the cheaper ones oftener (by the inverse square of the price); then the rest
    by price and load."""
    cheapest = min(upstream.unit_price for upstream in upstreams) or 1
    ranked: Ranked = []
    shares: list[float] = []
    total = 0.0
    for upstream in upstreams:
        dear = max(1.0, upstream.unit_price / cheapest)
        weight = upstream.deployment.weight
        total += weight / (dear * dear)
        shares.append(total)
        ranked.append((load(by_deployment.get(upstream.deployment.id)) * dear / weight, upstream))
    one, two = _drawn(shares, chance() * total), _drawn(shares, chance() * total)
    if one != two:
        loads = [load(by_deployment.get(upstreams[at].deployment.id)) for at in (one, two)]
        one = one if loads[0] <= loads[1] else two
    first = ranked[one]
    if len(ranked) > 2:
        del ranked[one]
        ranked.sort(key=_rank)
        ranked.insert(0, first)
    elif one:
        ranked.reverse()
    return ranked


def _drawn(shares: Sequence[float], at: float) -> int:
    for index, share in enumerate(shares):
        if at < share:
            return index
    return len(shares) - 1


def _rank(entry: tuple[float, Upstream]) -> float:
    return entry[0]


def by_price(upstreams: Sequence[Upstream], by_deployment: HealthByDeployment, _chance: Chance) -> Ranked:
    found: Ranked = [(float(upstream.unit_price), upstream) for upstream in upstreams]
    found.sort(key=lambda entry: (entry[0], load(by_deployment.get(entry[1].deployment.id))))
    return found


def by_latency(upstreams: Sequence[Upstream], by_deployment: HealthByDeployment, _chance: Chance) -> Ranked:
    found: Ranked = []
    for upstream in upstreams:
        target = by_deployment.get(upstream.deployment.id)
        found.append((0.0 if target is None else target.first_token, upstream))
    found.sort(key=_rank)
    return found


def by_throughput(upstreams: Sequence[Upstream], by_deployment: HealthByDeployment, _chance: Chance) -> Ranked:
    """Fastest first; who has never been measured goes before all, so that it is."""
    found: Ranked = []
    for upstream in upstreams:
        target = by_deployment.get(upstream.deployment.id)
        speed = 0.0 if target is None else target.speed
        found.append((-speed if speed else -math.inf, upstream))
    found.sort(key=_rank)
    return found


def by_priority(upstreams: Sequence[Upstream], _by_deployment: HealthByDeployment, _chance: Chance) -> Ranked:
    """The configured order."""
    return [(float(at), upstream) for at, upstream in enumerate(upstreams)]


def weighted(upstreams: Sequence[Upstream], _by_deployment: HealthByDeployment, chance: Chance) -> Ranked:
    """Drawn one after the other by weight. Source: Efraimidis and Spirakis, weighted random sampling."""
    found: Ranked = [(-math.log(1.0 - chance()) / upstream.deployment.weight, upstream) for upstream in upstreams]
    found.sort(key=_rank)
    return found


STRATEGIES: Mapping[str, Callable[[Sequence[Upstream], HealthByDeployment, Chance], Ranked]] = {
    "balanced": balanced,
    "price": by_price,
    "throughput": by_throughput,
    "latency": by_latency,
    "priority": by_priority,
    "weighted": weighted,
}


def rank(strategy: str, upstreams: Sequence[Upstream], by_deployment: HealthByDeployment, chance: Chance) -> Ranked:
    """Candidates in order: lower `priority` first, and inside of one priority by the strategy."""
    order = STRATEGIES[strategy]
    first = upstreams[0].deployment.priority
    for upstream in upstreams:
        if upstream.deployment.priority != first:
            break
    else:
        return order(upstreams, by_deployment, chance)
    groups: dict[int, list[Upstream]] = {}
    for upstream in upstreams:
        groups.setdefault(upstream.deployment.priority, []).append(upstream)
    found: Ranked = []
    for priority in sorted(groups):
        found += order(groups[priority], by_deployment, chance)
    return found
