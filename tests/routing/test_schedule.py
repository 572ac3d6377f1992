"""Who nobody calls is looked at: by its provider's list of models, or by a call that is the operator's cost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fairlead.errors import UpstreamDenied, UpstreamFailed, UpstreamRefused, UpstreamUnreachable
from fairlead.routing.health import BUCKET_SECONDS, FAST_FLOOR, Health
from fairlead.routing.schedule import AGAIN_SECONDS, Schedule
from fairlead.routing.upstream import Upstream

from .support import upstream

NOW = 1000.0


def one(name: str, probe: str = "list", **more: Any) -> Upstream:
    return replace(upstream(name), probe=probe, list_path=b"/models", **more)


def schedule(health: Health, *upstreams: Upstream) -> Schedule:
    return Schedule(upstreams, health, 60, NOW, lambda: 0.0)


def test_only_who_was_quiet_for_the_whole_time_is_asked() -> None:
    health = Health()
    busy, idle = one("a/x", "call"), one("b/x", "call")
    found = schedule(health, busy, idle)
    assert not found.due(NOW + 59)
    health.served(health.of(busy.deployment), NOW + 50)
    assert [each.upstream for each in found.due(NOW + 60)] == [idle]
    assert not found.due(NOW + 61), "asked a moment ago"
    assert [each.upstream for each in found.due(NOW + 50 + BUCKET_SECONDS + 60)] == [busy]


def test_one_list_stands_for_all_deployments_of_a_provider_and_off_for_none() -> None:
    health = Health()
    found = schedule(health, one("a/x"), one("a/y"), one("b/x", "off"), replace(one("c/x"), list_path=b""))
    (only,) = found.due(NOW + 60)
    assert [each.deployment.id for each in (only.upstream, *only.others)] == ["a/x", "a/y"]
    assert not only.call
    health.served(health.of(one("a/y").deployment), NOW + 100)
    assert not found.due(NOW + 121), "a call to one of them says as much"


def test_an_idle_deployment_that_fails_is_out_of_order_within_seconds() -> None:
    health = Health(probed=True)
    found = schedule(health, one("a/x"), one("a/y"))
    now = NOW + 60
    for _ in range(FAST_FLOOR):
        (due,) = found.due(now)
        found.told(due, UpstreamFailed("500"), now)
        now += AGAIN_SECONDS
    assert {each.state for each in health.by_deployment.values()} == {"open"}
    assert health.providers["a"].state == "open"
    assert not found.due(now), "from here on it is probed as one that is out of order"


def test_a_credential_that_is_refused_rests_and_a_refusal_says_nothing() -> None:
    health = Health()
    found = schedule(health, one("a/x"))
    (due,) = found.due(NOW + 60)
    found.told(due, UpstreamRefused("no such thing", status=404), NOW + 60)
    assert not health.by_deployment["a/x"].bad_now
    found.told(due, UpstreamDenied("401"), NOW + 60)
    assert health.providers["a"].blocked_until > NOW + 60
    assert not found.due(NOW + 62), "no storm"


def test_a_lone_failed_look_is_forgotten_when_the_next_one_is_answered() -> None:
    health = Health()
    found = schedule(health, one("a/x", "call"))
    (due,) = found.due(NOW + 60)
    found.told(due, UpstreamUnreachable("no"), NOW + 60)
    (due,) = found.due(NOW + 61)
    found.told(due, None, NOW + 61)
    assert health.by_deployment["a/x"].state == "closed"
    assert not found.due(NOW + 62)
