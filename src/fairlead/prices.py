"""Price sheets: what each token class costs the operator and the caller. Immutable, named by their own content.

All arithmetic is whole picodollars; `lines` is the formula that receipts show, `charge` its sum.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from operator import mul

import msgspec
from msgspec import Struct

from fairlead.money import Picodollars
from fairlead.wire.usage import CLASSES, PROMPT_CLASSES, TokenClasses, Usage

# A class without a price of its own is paid like the one it is a part of.
FALLBACKS: Mapping[str, str] = {
    "cached_input": "input",
    "cache_write_5m": "input",
    "cache_write_1h": "cache_write_5m",
    "image": "input",
    "audio_input": "input",
    "reasoning": "output",
    "audio_output": "output",
}


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

    def charge(self, tokens: TokenClasses, prompt_tokens: int) -> int:
        """Picodollars for these tokens."""
        return sum(map(mul, tokens, self.rates_for(prompt_tokens) if self.tiers else self.rates))

    def lines(self, usage: Usage) -> list[tuple[str, int, int, int]]:
        """The formula: (class, tokens, picodollars per token, product) for every class that was used."""
        rates = self.rates_for(usage.prompt)
        return [
            (name, count, rate, count * rate)
            for name, count, rate in zip(CLASSES, usage.tokens, rates, strict=True)
            if count
        ]

    def scaled(self, factor: str) -> Schedule:
        """Every rate times a markup. Raises ValueError when one is not whole."""
        return Schedule(
            _scaled(self.rates, factor),
            tuple(Tier(tier.above_prompt_tokens, _scaled(tier.rates, factor)) for tier in self.tiers),
        )


FREE = Schedule(TokenClasses())


class PriceSheet:
    """What one deployment costs the operator (`cost`; None: not known) and the caller (`price`).

    `id` is made of the content: the same prices have the same sheet, any other price has another one.
    """

    __slots__ = ("_dearest", "cost", "deployment", "free", "id", "price")

    def __init__(self, deployment: str, price: Schedule, cost: Schedule | None = None) -> None:
        self.deployment = deployment
        self.price = price
        self.cost = cost
        self.free = not any(price.rates) and not any(any(tier.rates) for tier in price.tiers)
        self.id = "ps_" + hashlib.sha256(self.body()).hexdigest()[:24]
        self._dearest = [(0, _dearest(price.rates))]
        for tier in price.tiers:
            before = self._dearest[-1][1]
            here = _dearest(tier.rates)
            self._dearest.append((tier.above_prompt_tokens, tuple(map(max, before, here))))  # type: ignore[arg-type]

    def ceiling(self, prompt_tokens: int, output_tokens: int) -> int:
        """The most that a call with at most so many tokens can be charged, in picodollars."""
        prompt_rate, output_rate, request_rate = self._rates_up_to(prompt_tokens)
        return prompt_tokens * prompt_rate + output_tokens * output_rate + request_rate

    def output_that_fits(self, prompt_tokens: int, picodollars: int) -> int:
        """The most output tokens that an amount pays for beside such a prompt; negative when it pays for none."""
        prompt_rate, output_rate, request_rate = self._rates_up_to(prompt_tokens)
        rest = picodollars - prompt_tokens * prompt_rate - request_rate
        return -1 if rest < 0 else rest // output_rate if output_rate else 2**31 - 1

    def _rates_up_to(self, prompt_tokens: int) -> tuple[int, int, int]:
        found = self._dearest[0][1]
        for above, rates in self._dearest[1:]:
            if prompt_tokens > above:
                found = rates
        return found

    def body(self) -> bytes:
        """The sheet as canonical JSON; amounts in picodollars per token."""
        return msgspec.json.encode(
            {
                "deployment": self.deployment,
                "unit": "picodollars per token (request: per request)",
                "price": _shown(self.price),
                "cost": None if self.cost is None else _shown(self.cost),
            },
            order="deterministic",
        )

    @classmethod
    def from_body(cls, body: bytes | str) -> PriceSheet:
        """A stored sheet again. Raises msgspec.ValidationError or KeyError when it is none."""
        given = msgspec.json.decode(body, type=_Body)
        return cls(given.deployment, _read(given.price), None if given.cost is None else _read(given.cost))


class _BodyTier(Struct):
    above_prompt_tokens: int
    rates: dict[str, int]


class _BodySchedule(Struct):
    rates: dict[str, int]
    tiers: list[_BodyTier] = []


class _Body(Struct):
    deployment: str
    price: _BodySchedule
    cost: _BodySchedule | None = None


def rates_from(given: Mapping[str, str]) -> TokenClasses:
    """Rates from decimal strings: dollars per million tokens, `request` in dollars. Raises ValueError."""
    rates: dict[str, int] = {}
    for name in CLASSES:
        text = given.get(name)
        if text is not None:
            rates[name] = (Picodollars.parse(text) if name == "request" else Picodollars.parse_per_million(text)).value
        elif name in FALLBACKS:
            rates[name] = rates.get(FALLBACKS[name], 0)
    return TokenClasses(**rates)


def _dearest(rates: TokenClasses) -> tuple[int, int, int]:
    return max(rates[:PROMPT_CLASSES]), max(rates[PROMPT_CLASSES:-1]), rates.request


def _scaled(rates: TokenClasses, factor: str) -> TokenClasses:
    return TokenClasses(*(Picodollars(rate).scaled(factor).value for rate in rates))


def _shown(schedule: Schedule) -> dict[str, object]:
    return {
        "rates": schedule.rates._asdict(),
        "tiers": [
            {"above_prompt_tokens": tier.above_prompt_tokens, "rates": tier.rates._asdict()} for tier in schedule.tiers
        ],
    }


def _read(given: _BodySchedule) -> Schedule:
    return Schedule(
        TokenClasses(**given.rates),
        tuple(Tier(tier.above_prompt_tokens, TokenClasses(**tier.rates)) for tier in given.tiers),
    )
