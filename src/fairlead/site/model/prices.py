"""What a visitor would pay: a sum per deployment, exact, from the numbers in the address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fairlead.catalogue.snapshot import Model
from fairlead.catalogue.views import PriceRange
from fairlead.money import MOST_PICODOLLARS, dollars
from fairlead.wire.usage import TokenClasses

MOST = 1_000_000_000
# What each class of tokens costs as much as, unless a deployment says otherwise; and what a model must be able to do
# for the class to be there at all.
INSTEAD = {
    "cached_input": "input",
    "cache_write_5m": "input",
    "cache_write_1h": "input",
    "image": "input",
    "audio_input": "input",
    "reasoning": "output",
    "audio_output": "output",
}
NEEDS = {"image": "vision", "audio_input": "audio_input", "audio_output": "audio_output", "reasoning": "reasoning"}


# In the order of the first screen.
TILES = ("request", "input", "image", "audio_input", "output", "audio_output")
MOST_TILES = 2


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


@dataclass(frozen=True, slots=True)
class Price:
    """A class of tokens. `same_as`: the class that it costs as much as at every deployment."""

    range: PriceRange
    same_as: str | None


def shown_prices(model: Model, ranges: Sequence[PriceRange]) -> list[Price]:
    """All classes that the model has: no price of audio where it hears none, unless somebody asks one."""
    rates = [deployment.sheet.price.rates for deployment in model.deployments]
    found = []
    for row in ranges:
        base = INSTEAD.get(row.name)
        same = base is not None and all(getattr(one, row.name) == getattr(one, base) for one in rates)
        need = NEEDS.get(row.name)
        if same and need is not None and model.facts.get(f"capability.{need}").value is not True:
            continue
        found.append(Price(row, base if same else None))
    return found


def charged(ranges: Sequence[PriceRange]) -> list[PriceRange]:
    """The classes that decide what a model costs that is not for chats: those with a price of their own, each request
    first; input where all is free."""
    by_name = {row.name: row for row in ranges}
    found = [row for row in ranges if row.most and row.name in TILES and not _as_much(row, by_name)]
    found.sort(key=lambda row: TILES.index(row.name))
    return found[:MOST_TILES] or [row for row in ranges if row.name == "input"]


def _as_much(row: PriceRange, by_name: Mapping[str, PriceRange]) -> bool:
    base = by_name.get(INSTEAD.get(row.name, ""))
    return base is not None and (base.least, base.most) == (row.least, row.most)


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
