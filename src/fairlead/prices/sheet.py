"""Price sheets: what each token class costs the operator and the caller. Immutable, named by their own content.

All arithmetic is whole picodollars; `lines` is the formula that receipts show, `charge` its sum.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec

from fairlead.money import Picodollars
from fairlead.prices.charging import charge
from fairlead.prices.schedule import Schedule, SheetBody, SheetSchedule, Tier
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


FREE: Final = Schedule(TokenClasses())


class PriceSheet:
    """What one deployment costs the operator (`cost`; None: not known) and the caller (`price`).

    `id` is made of the content: the same prices have the same sheet, any other price has another one.
    """

    __slots__ = ("_dearest", "cost", "deployment", "flat", "free", "id", "price")

    def __init__(self, deployment: str, price: Schedule, cost: Schedule | None = None) -> None:
        self.deployment = deployment
        self.price = price
        self.cost = price if cost == price else cost  # the same one, to be charged once
        self.flat = None if price.tiers else price.rates  # the rates of every call, whatever its prompt
        self.free = not any(price.rates) and not any(any(tier.rates) for tier in price.tiers)
        self.id = "ps_" + hashlib.sha256(self.body()).hexdigest()[:24]
        self._dearest = [(0, _dearest(price.rates))]
        for tier in price.tiers:
            before = self._dearest[-1][1]
            here = _dearest(tier.rates)
            self._dearest.append((tier.above_prompt_tokens, tuple(map(max, before, here))))  # type: ignore[arg-type]

    def ceiling(self, prompt_tokens: int, output_tokens: int, requests: int = 1) -> int:
        """The most that a call with at most so many tokens can be charged, in picodollars. `requests`: how many the
        price counts of it."""
        prompt_rate, output_rate, request_rate = self._rates_up_to(prompt_tokens)
        return prompt_tokens * prompt_rate + output_tokens * output_rate + requests * request_rate

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
        given = msgspec.json.decode(body, type=SheetBody)
        return cls(given.deployment, _read(given.price), None if given.cost is None else _read(given.cost))


def amounts(sheet: PriceSheet, usage: Usage) -> tuple[int, int | None]:
    """(price, cost) of a usage by a sheet, in picodollars: the one rule, for the gateway, for receipts and for
    `fairlead verify`. The cost is None when the sheet does not know it."""
    rates, cost = sheet.flat, sheet.cost
    price = sheet.price.charge(usage.classes, usage.prompt) if rates is None else charge(usage.classes, rates)
    if cost is sheet.price:
        return price, price
    return price, None if cost is None else cost.charge(usage.classes, usage.prompt)


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


def _shown(schedule: Schedule) -> dict[str, object]:
    return {
        "rates": schedule.rates._asdict(),
        "tiers": [
            {"above_prompt_tokens": tier.above_prompt_tokens, "rates": tier.rates._asdict()} for tier in schedule.tiers
        ],
    }


def _read(given: SheetSchedule) -> Schedule:
    return Schedule(
        TokenClasses(**given.rates),
        tuple(Tier(tier.above_prompt_tokens, TokenClasses(**tier.rates)) for tier in given.tiers),
    )
