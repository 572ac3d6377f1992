"""Under load, with A failing and healing at random: the short version of bench/failover.py."""

from __future__ import annotations

from failover import storm


def test_callers_see_nothing_of_a_provider_that_fails_and_heals_at_random() -> None:
    found = storm(8, callers=6, seed=5, spell_seconds=(1.0, 2.5))
    assert found.errors == []
    assert found.requests > 100
    assert found.returns
    assert max(found.returns) < 30
    assert found.attempts_per_request <= 1.2
