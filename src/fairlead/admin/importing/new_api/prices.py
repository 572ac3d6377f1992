"""Ratios of new-api as prices: a ratio of 1 is 2 US dollars per million tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from fairlead.admin.importing.document import PRICE_DECIMALS, Table, known_model, list_price

DOLLARS_PER_RATIO = 2
QUOTA_PER_DOLLAR = 500_000
MOST_PRICE = Decimal(10**9)
LONGEST_JSON = 4_000_000
RATIOS = ("ModelRatio", "CompletionRatio", "CacheRatio", "CreateCacheRatio", "ModelPrice", "GroupRatio")


def numbers(text: str | None) -> dict[str, Decimal] | None:
    """A JSON table of numbers by name; None when it is none. Numbers that are none, or below 0, are left out."""
    if text is None or len(text) > LONGEST_JSON:
        return None
    try:
        found = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    except (ValueError, RecursionError, InvalidOperation):
        return None
    if not isinstance(found, dict):
        return None
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, Decimal) and value.is_finite() and 0 <= value <= MOST_PRICE
    }


class Prices:
    """Prices by model. `rounded`, `unpriced`: models whose price was rounded to a picodollar per token, or that have
    none; `assumed`: those whose output costs what the catalogue lists beside its input."""

    def __init__(self, options: Mapping[str, str], group_ratio: Decimal) -> None:
        self._ratios = {name: numbers(options.get(name)) or {} for name in RATIOS}
        self._group = group_ratio
        self.rounded: list[str] = []
        self.assumed: list[str] = []

    def of(self, model: str) -> Table | None:
        """What callers pay for a model; None when new-api has no price of it, and would refuse the call."""
        if (fixed := self._ratios["ModelPrice"].get(model)) is not None:
            return {"input": "0", "output": "0", "request": self._text(model, fixed * self._group)}
        ratio = self._ratios["ModelRatio"].get(model)
        if ratio is None:
            return self._listed(model)
        base = ratio * DOLLARS_PER_RATIO * self._group
        price = {"input": self._text(model, base), "output": self._text(model, base * self._completion(model))}
        for class_, name in (("cached_input", "CacheRatio"), ("cache_write_5m", "CreateCacheRatio")):
            if (factor := self._ratios[name].get(model)) is not None:
                price[class_] = self._text(model, base * factor)
        return price

    def _completion(self, model: str) -> Decimal:
        if (given := self._ratios["CompletionRatio"].get(model)) is not None:
            return given
        facts = known_model(model)
        listed = list_price(facts) if facts is not None else None
        if listed is None or not Decimal(listed["input"]):
            return Decimal(1)
        self.assumed.append(model)
        return Decimal(listed["output"]) / Decimal(listed["input"])

    def _listed(self, model: str) -> Table | None:
        """new-api has prices of its own for models that its options do not name; the catalogue's stand for them."""
        facts = known_model(model)
        listed = list_price(facts) if facts is not None else None
        if listed is None:
            return None
        self.assumed.append(model)
        price = {name: text for name, text in listed.items() if name != "tiers"}
        return {name: self._text(model, Decimal(text) * self._group) for name, text in price.items()}

    def _text(self, model: str, amount: Decimal) -> str:
        exact = amount.quantize(Decimal(1).scaleb(-PRICE_DECIMALS), ROUND_HALF_UP)
        if exact != amount:
            self.rounded.append(model)
        return f"{exact.normalize():f}"
