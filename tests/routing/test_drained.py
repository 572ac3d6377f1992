"""A deployment that an operator has taken out of use: nothing that calls or other processes report puts it back."""

from __future__ import annotations

from fairlead.errors import CandidatesResting, UpstreamFailed
from fairlead.routing.health import FAST_FLOOR, Health
from fairlead.routing.plan import Rules, plan, refusal

from .support import demand, offer, upstream

RULES = Rules("balanced", 0)


def test_others_are_called_instead_and_alone_it_is_refused_with_503() -> None:
    one, other, health = upstream("a/x"), upstream("b/x"), Health()
    known = {"a/x": one.deployment, "b/x": other.deployment}
    health.set_drained(["a/x"], known, 0.0)
    found = plan(demand(), [offer(one, other)], health, 0.0, RULES)
    assert found.candidates == (other,)
    assert [(rejected.upstream, rejected.reason) for rejected in found.rejected] == [(one, "drained")]
    alone = plan(demand(), [offer(one)], health, 0.0, RULES)
    assert alone.candidates == ()
    error = refusal(alone, demand(), health, 0.0)
    assert isinstance(error, CandidatesResting)
    assert error.retry_after_seconds
    health.set_drained([], known, 0.0)
    assert plan(demand(), [offer(one)], health, 0.0, RULES).candidates == (one,)
    assert not health.troubled


def test_calls_under_way_probes_and_other_processes_do_not_put_it_back() -> None:
    one, health = upstream("a/x"), Health()
    known = {"a/x": one.deployment}
    target = health.of(one.deployment)
    for _ in range(FAST_FLOOR):
        health.failed(target, UpstreamFailed("500"), 0.0)
    assert target.state == "open"
    health.begin(one.deployment, 100.0, first=True)  # half open
    health.set_drained(["a/x"], known, 100.0)
    health.begin(one.deployment, 100.0, first=True)  # it was planned before
    health.served(target, 100.0)
    assert target.state == "drained"
    health.learn([("a/x", "a")], [], known, 100.0)
    assert target.state == "drained"
    assert health.due_probes(1_000.0) == []
    assert health.kept(100.0) == [], "an operator's choice is stored elsewhere"
