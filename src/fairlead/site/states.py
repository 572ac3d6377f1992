"""What works now, in one word per model: every page says the same. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from fairlead.catalogue.snapshot import Deployment, Model
from fairlead.telemetry.figures import Rate

Kind = Literal["up", "degraded", "down", "none"]
# Of the last half hour's calls that tell something; fewer served ones make a model degraded, or down.
DEGRADED_BELOW, DOWN_BELOW = 0.95, 0.5


@dataclass(frozen=True, slots=True)
class State:
    """`obstacle`: why no call can be served. `broken`: the deployments that a breaker keeps out of use. `share`: of
    the calls of half an hour those that were served, None when there were too few."""

    kind: Kind
    obstacle: str | None = None
    broken: tuple[str, ...] = ()
    share: float | None = None


NOT_DEPLOYED = State("none")


def state_of(
    model: Model, obstacle: str | None, broken: Callable[[Deployment], str | None], share: Rate | None
) -> State:
    """Down: it cannot be called, every deployment is out of use, or most calls fail. Degraded: one of its deployments
    is out of use, or more calls fail than should."""
    if not model.deployments:
        return NOT_DEPLOYED
    out = tuple(one.id for one in model.deployments if broken(one) is not None)
    served = None if share is None else share.value
    low = 1.0 if served is None else served
    kind: Kind = "up"
    if obstacle is not None or len(out) == len(model.deployments) or low < DOWN_BELOW:
        kind = "down"
    elif out or low < DEGRADED_BELOW:
        kind = "degraded"
    return State(kind, obstacle, out, served)


def worst(kinds: Iterable[Kind]) -> Kind:
    """Of everything together: down only when all is down."""
    found = set(kinds) - {"none"}
    if not found:
        return "none"
    return "up" if found == {"up"} else "down" if found == {"down"} else "degraded"
