"""What a visitor would pay: a sum per deployment, exact, from the numbers in the address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fairlead.catalogue.snapshot import Model
from fairlead.money import MOST_PICODOLLARS, dollars
from fairlead.wire.usage import TokenClasses

MOST = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """So many calls, each with so many tokens; `cached` is the part of `prompt` that a cache has."""

    prompt: int = 1_000
    answer: int = 500
    cached: int = 0
    calls: int = 1_000


@dataclass(frozen=True, slots=True)
class Sum:
    deployment: str
    one: str
    all: str


def plan_of(query: Mapping[str, str]) -> Plan:
    """What is not understood is as at first; a cached part is no longer than the prompt."""
    first = Plan()
    given = {
        name: _whole(query.get(name, ""), getattr(first, name)) for name in ("prompt", "answer", "cached", "calls")
    }
    given["cached"] = min(given["cached"], given["prompt"])
    return Plan(**given)


def sums(model: Model, plan: Plan) -> list[Sum]:
    tokens = TokenClasses(input=plan.prompt - plan.cached, cached_input=plan.cached, output=plan.answer, request=1)
    found = []
    for deployment in model.deployments:
        one = deployment.sheet.price.charge(tokens, plan.prompt)
        total = one * plan.calls
        text = dollars(total, 2) if total <= MOST_PICODOLLARS else f"{total // 10**12:,}"
        found.append(Sum(deployment.id, dollars(one, 2), text))
    return found


def _whole(text: str, otherwise: int) -> int:
    return min(int(text), MOST) if text.isdecimal() and text.isascii() and len(text) <= 12 else otherwise
