"""Rates, and the shape of a stored price sheet."""

from __future__ import annotations

from msgspec import Struct

from fairlead.money import Picodollars
from fairlead.prices.charging import charge
from fairlead.wire.usage import CLASSES, TokenClasses, Usage


class Tier(Struct, frozen=True):
    """Other rates for the whole call when its prompt is longer than this many tokens."""

    above_prompt_tokens: int
    rates: TokenClasses


class Schedule(Struct, frozen=True):
    """Rates in picodollars per token (`request`: per request), and tiers in ascending order."""

    rates: TokenClasses
    tiers: tuple[Tier, ...] = ()

    def rates_for(self, prompt_tokens: int) -> TokenClasses:
        rates = self.rates
        for tier in self.tiers:
            if prompt_tokens <= tier.above_prompt_tokens:
                break
            rates = tier.rates
        return rates

    def charge(self, tokens: tuple[int, ...], prompt_tokens: int) -> int:
        """Picodollars for these tokens."""
        return charge(tokens, self.rates_for(one_prompt(tokens, prompt_tokens)))

    def lines(self, usage: Usage) -> list[tuple[str, int, int, int]]:
        """The formula: (class, tokens, picodollars per token, product) for every class that was used."""
        rates = self.rates_for(one_prompt(usage.classes, usage.prompt))
        return [
            (name, count, rate, count * rate)
            for name, count, rate in zip(CLASSES, usage.classes, rates, strict=True)
            if count
        ]

    def scaled(self, factor: str) -> Schedule:
        """Every rate times a markup. Raises ValueError when one is not whole."""
        return Schedule(
            _scaled(self.rates, factor),
            tuple(Tier(tier.above_prompt_tokens, _scaled(tier.rates, factor)) for tier in self.tiers),
        )


def one_prompt(tokens: tuple[int, ...], prompt_tokens: int) -> int:
    """The prompt that decides about tiers: that of one request, where a usage is that of several with one prompt."""
    requests = tokens[-1]
    return prompt_tokens if requests < 2 else -(-prompt_tokens // requests)


def _scaled(rates: TokenClasses, factor: str) -> TokenClasses:
    return TokenClasses(*(Picodollars(rate).scaled(factor).value for rate in rates))


class SheetTier(Struct):
    above_prompt_tokens: int
    rates: dict[str, int]


class SheetSchedule(Struct):
    rates: dict[str, int]
    tiers: list[SheetTier] = []


class SheetBody(Struct):
    deployment: str
    price: SheetSchedule
    cost: SheetSchedule | None = None
