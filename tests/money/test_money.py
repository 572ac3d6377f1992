"""Amounts are exact, in any direction."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.money import MOST_PICODOLLARS, MoneyOverflow, Picodollars
from fairlead.money.text import dollars, written


@given(st.integers(0, MOST_PICODOLLARS))
def test_an_amount_shown_and_parsed_is_the_same(value: int) -> None:
    amount = Picodollars(value)
    assert Picodollars.parse(amount.dollars()) == amount
    assert Decimal(amount.dollars()) == Decimal(value) / 10**12


@given(st.integers(0, 10**12))
def test_a_price_per_million_is_the_same_price_per_token(value: int) -> None:
    price = Picodollars(value)
    assert Picodollars.parse_per_million(price.per_million()) == price
    assert Decimal(price.per_token()) * 10**6 == Decimal(price.per_million())


def test_the_spellings_of_the_reference() -> None:
    price = Picodollars.parse_per_million("0.10")
    assert price == Picodollars(100_000)
    assert (price.per_token(), price.per_million()) == ("0.0000001", "0.10")
    assert price.times(1_000_000).dollars() == "0.10"
    assert Picodollars(0).per_token() == "0"
    assert (Picodollars(-1)).dollars() == "-0.000000000001"


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9))
def test_parts_add_up_to_the_whole(price: int, first: int, second: int) -> None:
    one = Picodollars(price)
    assert one.times(first) + one.times(second) == one.times(first + second)
    assert one.times(first + second) - one.times(second) == one.times(first)


@pytest.mark.parametrize("text", ["", "1.", ".5", "-1", "1e3", "0.1 ", "NaN", "1,5", "0.0000000000001", 0.1, 1, None])
def test_what_is_no_decimal_string_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="decimal string"):
        Picodollars.parse(text)  # type: ignore[arg-type]


def test_a_price_finer_than_a_picodollar_per_token_is_refused() -> None:
    assert Picodollars.parse_per_million("0.000001") == Picodollars(1)
    with pytest.raises(ValueError, match="6 decimals"):
        Picodollars.parse_per_million("0.0000001")


@given(st.integers(0, MOST_PICODOLLARS), st.integers(0, MOST_PICODOLLARS))
def test_what_64_bits_do_not_hold_is_an_error_and_never_wraps(first: int, second: int) -> None:
    if first + second <= MOST_PICODOLLARS:
        assert (Picodollars(first) + Picodollars(second)).value == first + second
    else:
        with pytest.raises(MoneyOverflow):
            Picodollars(first) + Picodollars(second)
    with pytest.raises(MoneyOverflow):
        Picodollars(MOST_PICODOLLARS).times(2)
    with pytest.raises(ValueError, match="at most 9223372 dollars"):
        Picodollars.parse("9223373")


def test_a_markup_is_exact_or_refused() -> None:
    assert Picodollars(100_000).scaled("1.25") == Picodollars(125_000)
    assert Picodollars(3).scaled("2") == Picodollars(6)
    with pytest.raises(ValueError, match="not a whole number"):
        Picodollars(1).scaled("1.1")
    with pytest.raises(ValueError, match="a markup must be"):
        Picodollars(1).scaled("-1")


@given(st.integers(0, 10**13) | st.integers(0, 18).map(lambda power: 10**power) | st.integers(-(10**18), 10**18))
def test_what_a_call_costs_is_written_as_any_amount(amount: int) -> None:
    text = written(amount)
    assert text.decode() == dollars(amount)
    assert Decimal(text.decode()) * 10**12 == amount
