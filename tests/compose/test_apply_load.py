"""Applies and rollbacks under load, for a short while: counts alone. `python -m tests.compose.apply_load` is the long
version."""

from __future__ import annotations

import pytest

from .apply_load import Change, Outcome, run
from .load import Call, price_of

RATE, SECONDS, CHANGES, WORKERS = 60, 6, 12, 2


@pytest.mark.slow
def test_no_call_fails_and_each_is_charged_by_its_own_version(database_url: str | None) -> None:
    outcome = run(database_url, rate=RATE, changes=CHANGES, seconds=SECONDS, workers=WORKERS)
    assert outcome.wrong() == []
    assert len(outcome.charges) == len(outcome.calls) == RATE * SECONDS
    assert [one.number for one in outcome.changes] == list(range(CHANGES + 1))
    assert len({one.document for one in outcome.changes}) == CHANGES + 1 - CHANGES // 4
    # On a busy machine the last changes come after the last calls.
    assert len({price_of(call.picodollars) for call in outcome.calls}) > 3


def outcome() -> Outcome:
    """Document 1 was in force from 1.0 (begun) to 2.2 (the last worker replaced it)."""
    changes = [Change(0, 0, 0.0, 0.0, 0.0), Change(1, 1, 1.0, 1.1, 1.2), Change(2, 2, 2.0, 2.1, 2.2)]
    call = Call(0, 2.1, 2.1, 2.15, 0, 0, 2.5, "", 2_000_000, "r", "p0/x0")
    return Outcome(3.0, [call], changes, {1: {"p0/x0": "s1"}}, {"r": (2_000_000, "s1")})


def test_a_call_that_is_as_it_should_be_passes() -> None:
    assert outcome().wrong() == []


def test_what_is_wrong_is_found() -> None:
    for spoil, words in (
        ({"failure": "503"}, "failed: 503"),
        ({"sent": 2.3, "arrived": 2.4}, "not in force when it began"),
        ({"arrived": 0.9}, "not in force when it began"),
        ({"provider": 3}, "was sent to p3/x0"),
        ({"deployment": "p1/x1"}, "another version's price sheet"),
        ({"record": "q"}, "its record is not as its answer"),
    ):
        found = outcome()
        vars(found.calls[0]).update(spoil)
        assert any(words in sentence for sentence in found.wrong()), words
