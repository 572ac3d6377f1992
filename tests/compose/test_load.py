"""The load driver, for a short while: counts alone. `python -m tests.compose.load` is the long version."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from . import load
from .load import Call, Ending, Outcome, Version, run

RATE, SECONDS, REPLACEMENTS = 200, 4, 25


def test_calls_at_a_steady_rate_while_the_configuration_is_replaced() -> None:
    outcome = run(RATE, REPLACEMENTS, SECONDS)
    assert outcome.wrong() == []
    assert outcome.ending is not None
    assert len(outcome.ending.charges) == len(outcome.calls) == RATE * SECONDS
    assert len(outcome.ending.versions) == REPLACEMENTS + 1
    assert outcome.late_enough() > 0, "some calls end with a version that has been replaced"
    # On a busy machine the last replacements come after the last calls.
    assert len({load.price_of(call.picodollars) for call in outcome.calls}) > 3
    assert outcome.ending.pools_seen > 2, "providers came and went"


def good() -> tuple[Outcome, Ending]:
    """One call, begun with version 1 of three and ended after it was replaced."""
    ending = Ending(
        [Version(0, 0.0, 0.1, {"p0/x0": "s0"}), Version(1, 1.0, 1.1, {"p0/x0": "s1"}), Version(2, 2.0, 2.1, {"p1/x1": "s2"})],
        2, 0, 0, {"r": (2_000_000, "s1")}, None, compiled=False,
    )  # fmt: skip
    call = Call(0, 1.2, 1.2, 1.3, 0, 0, 2.5, "", 2_000_000, "r", "p0/x0")
    return Outcome(3.0, [call], 0, ending), ending


def test_a_call_that_is_as_it_should_be_passes() -> None:
    outcome, _ = good()
    assert outcome.wrong() == []
    assert outcome.late_enough() == 1


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda call: vars(call).update(failure="503"), "failed: 503"),
        (lambda call: vars(call).update(picodollars=3_000_000), "not in force when it began"),
        (lambda call: vars(call).update(picodollars=1_000_000), "not in force when it began"),
        (lambda call: vars(call).update(picodollars=2_500_000), "no version costs"),
        (lambda call: vars(call).update(provider=3), "was sent to p3/x0"),
        (lambda call: vars(call).update(deployment="p1/x0"), "another version's price sheet"),
        (lambda call: vars(call).update(record="q"), "its record is not as its answer"),
    ],
)
def test_what_is_wrong_with_a_call_is_found(spoil: Callable[[Call], None], words: str) -> None:
    outcome, _ = good()
    spoil(outcome.calls[0])
    assert any(words in sentence for sentence in outcome.wrong())


def test_what_is_left_behind_is_found() -> None:
    outcome, ending = good()
    outcome.connections_left = 1
    outcome.ending = ending._replace(pools_leaked=1, calls_open=1, discrepancy="The books are wrong.", charges={})
    assert len(outcome.wrong()) == 6
