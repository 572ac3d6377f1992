"""Exact amounts of money: whole picodollars (1e-12 USD). No floats, no rounding."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fairlead.money.text import PICODOLLARS_PER_DOLLAR, dollars

__all__ = [
    "MOST_CHARGE_PICODOLLARS",
    "MOST_PICODOLLARS",
    "PICODOLLARS_PER_DOLLAR",
    "TOKENS_PER_PRICE",
    "MoneyOverflow",
    "Picodollars",
    "dollars",
]

TOKENS_PER_PRICE = 10**6
# What a 64-bit column holds: about nine million dollars. More is an error, never a wrap.
MOST_PICODOLLARS = 2**63 - 1
# The most that one call comes to, in price and cost together: 10,000 dollars. Sums of many still fit.
MOST_CHARGE_PICODOLLARS = 10**16
_DECIMAL = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,12}))?")


class MoneyOverflow(ArithmeticError):
    """An amount that 64 bits do not hold."""


@dataclass(frozen=True, slots=True, order=True)
class Picodollars:
    """An amount. A price of 1 USD per million tokens is 1,000,000 picodollars per token."""

    value: int

    def __post_init__(self) -> None:
        if not -MOST_PICODOLLARS <= self.value <= MOST_PICODOLLARS:
            raise MoneyOverflow(f"{self.value} picodollars exceed the largest amount")

    @classmethod
    def parse(cls, dollars: str) -> Picodollars:
        """From a decimal string of dollars such as "0.10". Raises ValueError for anything else, floats too."""
        found = _DECIMAL.fullmatch(dollars) if isinstance(dollars, str) else None
        if found is None:
            raise ValueError(f'an amount must be a decimal string of dollars such as "0.10", not {dollars!r}')
        whole, fraction = found[1], (found[2] or "")
        value = int(whole) * PICODOLLARS_PER_DOLLAR + int(fraction.ljust(12, "0"))
        if value > MOST_PICODOLLARS:
            raise ValueError(f"an amount must be at most {MOST_PICODOLLARS // PICODOLLARS_PER_DOLLAR} dollars")
        return cls(value)

    @classmethod
    def parse_per_million(cls, dollars: str) -> Picodollars:
        """The price of one token from a price per million tokens. Raises ValueError when it is not whole."""
        amount = cls.parse(dollars)
        price, rest = divmod(amount.value, TOKENS_PER_PRICE)
        if rest:
            raise ValueError(f"a price per million tokens may have at most 6 decimals, not {dollars!r}")
        return cls(price)

    def __add__(self, other: Picodollars) -> Picodollars:
        return Picodollars(self.value + other.value)

    def __sub__(self, other: Picodollars) -> Picodollars:
        return Picodollars(self.value - other.value)

    def times(self, count: int) -> Picodollars:
        """This price for `count` tokens."""
        return Picodollars(self.value * count)

    def scaled(self, factor: str) -> Picodollars:
        """This price with a markup such as "1.25". Raises ValueError when the product is not whole."""
        found = _DECIMAL.fullmatch(factor) if isinstance(factor, str) else None
        if found is None:
            raise ValueError(f'a markup must be a decimal string such as "1.25", not {factor!r}')
        digits = found[2] or ""
        product, rest = divmod(self.value * int(found[1] + digits), 10 ** len(digits))
        if rest:
            raise ValueError(
                f"a cost of {self.per_million()} per million tokens times {factor} is not a whole number of "
                "picodollars per token; set the price itself"
            )
        return Picodollars(product)

    def dollars(self, least_decimals: int = 2) -> str:
        """All its digits as dollars: "0.10", "0.0000001"."""
        return dollars(self.value, least_decimals)

    def per_token(self) -> str:
        """A price of one token in dollars, without padding: "0.0000001"."""
        return self.dollars(0)

    def per_million(self) -> str:
        """A price of one token as dollars per million tokens: "0.10"."""
        return self.times(TOKENS_PER_PRICE).dollars()
