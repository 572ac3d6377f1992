"""A charge is exact, its lines add up to it, and a hold is never smaller than what it has to cover."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from fairlead.prices import FREE, PriceSheet, Schedule, Tier, amounts, rates_from
from fairlead.wire.usage import TokenClasses, Usage

RATES = rates_from({"input": "0.10", "output": "0.30", "cached_input": "0.025", "request": "0.000000000001"})
_rates = st.builds(TokenClasses, *[st.integers(0, 10**9)] * 10)
_tokens = st.builds(TokenClasses, *[st.integers(0, 10**6)] * 9, st.just(1))


def usage_of(tokens: TokenClasses) -> Usage:
    return Usage(tokens, sum(tokens[:6]), sum(tokens[6:9]))


def test_a_class_without_a_price_is_paid_like_the_whole_it_belongs_to() -> None:
    assert (RATES.input, RATES.cached_input, RATES.output, RATES.request) == (100_000, 25_000, 300_000, 1)
    assert RATES.cache_write_5m == RATES.cache_write_1h == RATES.image == RATES.audio_input == RATES.input
    assert RATES.reasoning == RATES.audio_output == RATES.output
    assert rates_from({"input": "1", "output": "1", "cache_write_5m": "2"}).cache_write_1h == 2_000_000


def test_six_decimals_are_exact_over_a_million_calls() -> None:
    schedule = Schedule(rates_from({"input": "0.000001", "output": "0.123457"}))
    charges = [schedule.charge(TokenClasses(input=7, output=output, request=1), 7) for output in range(5)]
    total = 0
    for at in range(1_000_000):
        total += charges[at % 5]
    per_million = Decimal("0.000001") * 7_000_000 + Decimal("0.123457") * 2_000_000
    assert Decimal(total) / 10**12 == per_million / 10**6


def test_a_longer_prompt_is_paid_by_its_tier_from_the_first_token() -> None:
    dear = rates_from({"input": "0.20", "output": "0.60"})
    schedule = Schedule(RATES, (Tier(200_000, dear),))
    assert schedule.charge(TokenClasses(input=200_000), 200_000) == 200_000 * 100_000
    assert schedule.charge(TokenClasses(input=200_001), 200_001) == 200_001 * 200_000


@given(_rates, _tokens, st.integers(0, 5_000_000), _rates)
def test_the_lines_of_a_receipt_add_up_to_the_charge(
    rates: TokenClasses, tokens: TokenClasses, above: int, other: TokenClasses
) -> None:
    schedule = Schedule(rates, (Tier(above, other),))
    usage = usage_of(tokens)
    lines = schedule.lines(usage)
    assert all(count * rate == product for _, count, rate, product in lines)
    assert sum(line[3] for line in lines) == schedule.charge(tokens, usage.prompt)


@given(st.tuples(_rates, _rates), _tokens, st.integers(0, 5_000_000), _rates, st.booleans(), st.booleans())
def test_a_sheet_charges_what_its_schedules_say(
    rates: tuple[TokenClasses, TokenClasses],
    tokens: TokenClasses,
    above: int,
    other: TokenClasses,
    tiered: bool,
    alike: bool,
) -> None:
    tiers = (Tier(above, other),) if tiered else ()
    price, cost = Schedule(rates[0], tiers), Schedule(rates[0 if alike else 1], tiers)
    usage = usage_of(tokens)
    charged, spent = price.charge(tokens, usage.prompt), cost.charge(tokens, usage.prompt)
    assert amounts(PriceSheet("p/m", price, cost), usage) == (charged, spent)
    assert amounts(PriceSheet("p/m", price), usage) == (charged, None)


@given(_rates, _tokens, st.integers(0, 5_000_000), _rates)
def test_the_ceiling_covers_every_call_within_it(
    rates: TokenClasses, tokens: TokenClasses, above: int, other: TokenClasses
) -> None:
    sheet = PriceSheet("p/m", Schedule(rates, (Tier(above, other),)))
    usage = usage_of(tokens)
    ceiling = sheet.ceiling(usage.prompt, usage.completion)
    assert sheet.price.charge(tokens, usage.prompt) <= ceiling
    assert sheet.output_that_fits(usage.prompt, ceiling) >= usage.completion
    fits = sheet.output_that_fits(usage.prompt, ceiling // 2)
    assert fits < 0 or sheet.ceiling(usage.prompt, fits) <= ceiling // 2 or not any((*rates[6:9], *other[6:9]))


@given(_rates, _rates)
def test_a_sheet_is_named_by_what_it_says(rates: TokenClasses, other: TokenClasses) -> None:
    sheet = PriceSheet("p/m", Schedule(rates, (Tier(10, other),)), Schedule(other))
    again = PriceSheet.from_body(sheet.body())
    assert again.id == sheet.id
    assert (again.price, again.cost) == (sheet.price, sheet.cost)
    assert (PriceSheet("p/m", Schedule(rates)).id == PriceSheet("p/m", Schedule(other)).id) == (rates == other)
    assert PriceSheet("p/n", Schedule(rates)).id != PriceSheet("p/m", Schedule(rates)).id
    assert PriceSheet("p/m", FREE).free


def test_the_tier_of_several_requests_with_one_prompt_is_that_of_one_request() -> None:
    """An emulated `n`: the provider bills each call by its own prompt."""
    rates, dear = rates_from({"input": "1", "request": "0.001"}), rates_from({"input": "2", "request": "0.001"})
    sheet = PriceSheet("p/m", Schedule(rates, (Tier(200_000, dear),)))
    one = Usage(TokenClasses(150_000, output=0, request=1), 150_000, 0)
    three = Usage(TokenClasses(450_000, output=0, request=3), 450_000, 0)
    assert amounts(sheet, three)[0] == 3 * amounts(sheet, one)[0]
    assert sum(line[3] for line in sheet.price.lines(three)) == amounts(sheet, three)[0]
    alone = Usage(TokenClasses(450_000, output=0, request=1), 450_000, 0)
    assert amounts(sheet, alone)[0] > amounts(sheet, three)[0]
