"""Histograms: merged by adding, and quantiles that are as exact as the page says."""

from __future__ import annotations

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from fairlead import errors
from fairlead.telemetry.layout import (
    CALLER_FAULTS,
    CALLER_GONE,
    FAULTS,
    GREATEST_ERROR,
    LATENCY,
    MOST_OUTCOMES,
    OK,
    OUTCOMES,
    SCALES,
    SLOTS,
    SPEED,
    Scale,
    filled,
    merged,
    quantiles,
    samples,
)

TIMES = st.floats(1.0, 3_600_000.0)


def histogram(scale: Scale, values: list[float]) -> dict[int, int]:
    return merged({scale.slot(value): 1} for value in values)


@given(st.lists(TIMES, min_size=1, max_size=200), st.sampled_from([0.05, 0.5, 0.95, 0.99, 1.0]))
def test_a_quantile_is_within_the_stated_error_of_the_exact_one(values: list[float], share: float) -> None:
    exact = sorted(values)[math.ceil(share * len(values)) - 1]
    (found,) = quantiles(filled(histogram(LATENCY, values), LATENCY), LATENCY, [share])
    assert abs(found - exact) <= (GREATEST_ERROR + 1e-9) * exact


def test_the_error_is_below_five_percent() -> None:
    assert GREATEST_ERROR < 0.05


def test_many_samples_are_told_much_closer_than_the_bound() -> None:
    source = random.Random(11)
    values = [source.lognormvariate(5, 0.6) for _ in range(20_000)]
    found = quantiles(filled(histogram(LATENCY, values), LATENCY), LATENCY, [0.5, 0.95])
    for share, value in zip([0.5, 0.95], found, strict=True):
        exact = sorted(values)[int(share * len(values)) - 1]
        assert abs(value - exact) / exact < 0.01


@given(st.lists(st.lists(TIMES, max_size=30), max_size=6))
def test_merging_histograms_is_the_histogram_of_everything(parts: list[list[float]]) -> None:
    together = histogram(LATENCY, [value for part in parts for value in part])
    assert merged(histogram(LATENCY, part) for part in parts) == together
    assert samples(together, LATENCY) == sum(map(len, parts))


def test_values_beyond_the_scale_are_counted_at_its_ends() -> None:
    for scale in SCALES:
        ends = [scale.slot(value) for value in (1e-9, 1e12)]
        assert ends == [scale.first_slot, scale.first_slot + 351]
    assert max(scale.first_slot for scale in SCALES) + 352 == SLOTS


def test_a_speed_of_one_token_in_two_seconds_is_on_the_scale() -> None:
    (half,) = quantiles(filled({SPEED.slot(0.5): 1}, SPEED), SPEED, [1.0])
    assert abs(half - 0.5) <= GREATEST_ERROR * 0.5


def test_every_error_a_call_can_end_with_has_its_slot_and_one_class() -> None:
    codes = {
        kind.code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.FairleadError)
    }
    # Of commands, of the management API, and of a key that was not looked up: no call has begun.
    no_calls = {"configuration_error", "version_conflict", "idempotency_conflict", "keys_unavailable"}
    assert codes - set(OUTCOMES) == no_calls
    assert len(OUTCOMES) <= MOST_OUTCOMES
    classes = [OK, CALLER_FAULTS, FAULTS, {CALLER_GONE}]
    assert sorted(slot for one in classes for slot in one) == list(range(len(OUTCOMES)))
