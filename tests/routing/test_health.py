"""Breakers, rests and budgets: what calls report and what follows from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairlead.errors import (
    FairleadError,
    UpstreamBusy,
    UpstreamDenied,
    UpstreamFailed,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from fairlead.routing.health import (
    FAST_FLOOR,
    FIRST_OPEN_SECONDS,
    RETRY_BURST,
    SLOW_FLOOR,
    DeploymentHealth,
    Health,
)
from fairlead.store import open_store
from fairlead.store.health import events_since, keep_events, keep_health, kept_health

from .support import upstream

NOW = 1000.0
A, B = upstream("a/x").deployment, upstream("a/y").deployment
FAILED = UpstreamFailed("500")


def opened(health: Health, now: float = NOW) -> DeploymentHealth:
    target = health.of(A)
    for _ in range(FAST_FLOOR):
        health.failed(target, FAILED, now)
    assert target.state == "open"
    return target


def test_a_breaker_never_opens_on_fewer_calls_than_its_floor() -> None:
    health = Health()
    target = health.of(A)
    for _ in range(FAST_FLOOR - 1):
        health.failed(target, FAILED, NOW)
    assert target.state == "closed"
    health.failed(target, FAILED, NOW)
    assert target.state == "open"
    assert health.troubled


def test_a_breaker_opens_by_rate_and_not_by_number() -> None:
    health = Health()
    target = health.of(A)
    for _ in range(100):
        health.served(target, NOW)
    for _ in range(20):
        health.failed(target, FAILED, NOW)
    assert target.state == "closed", "a sixth of all"


def test_the_slow_window_sees_what_the_fast_one_does_not() -> None:
    health = Health()
    target = health.of(A)
    now = NOW
    for _ in range(SLOW_FLOOR // 2):
        now += 3
        for _ in range(2):
            health.served(target, now)
        health.failed(target, FAILED, now)
    assert target.state == "open", "a third over half a minute"


def test_old_failures_are_forgotten() -> None:
    health = Health()
    target = health.of(A)
    for _ in range(FAST_FLOOR - 1):
        health.failed(target, FAILED, NOW)
    health.failed(target, FAILED, NOW + 70)
    assert target.state == "closed"


@pytest.mark.parametrize(
    "error", [UpstreamRefused("400", status=400), UpstreamBusy("our queue")], ids=lambda error: error.code
)
def test_a_callers_mistake_and_our_own_queue_say_nothing_about_a_deployment(error: FairleadError) -> None:
    health = Health()
    target = health.of(A)
    for _ in range(50):
        health.failed(target, error, NOW)
    assert target.state == "closed"
    assert target.blocked_until == 0
    assert health.take_events() == []


def test_a_rate_limit_is_a_rest_and_no_failure() -> None:
    health = Health()
    target = health.of(A)
    for _ in range(50):
        health.failed(target, UpstreamRateLimited("429", retry_after_seconds=30), NOW)
    assert target.state == "closed"
    assert target.blocked_until == NOW + 30
    assert [event.event for event in health.take_events()] == ["resting"], "told once"
    health.failed(target, UpstreamRateLimited("429", retry_after_seconds=86_000), NOW)
    assert target.blocked_until == NOW + 3600, "believed up to an hour"
    health.served(target, NOW)
    assert target.blocked_until == NOW + 3600, "one that slipped through does not end it"


def test_a_refused_credential_lets_the_whole_provider_rest() -> None:
    health = Health()
    health.failed(health.of(A), UpstreamDenied("401"), NOW)
    provider = health.of(B).provider
    assert provider is not None
    assert provider.blocked_until == NOW + 60
    assert health.of(A).state == "closed"


def test_no_connection_is_held_against_the_provider_too() -> None:
    health = Health()
    for one in (A, B, A, B, A):
        health.failed(health.of(one), UpstreamUnreachable("refused"), NOW)
    assert health.providers["a"].state == "open"


def test_half_open_lets_one_call_through_and_its_success_closes() -> None:
    health = Health(probed=False)
    target = opened(health)
    assert not health.may_try(target, NOW + 1)
    later = NOW + FIRST_OPEN_SECONDS
    assert health.may_try(target, later)
    health.begin(A, later, first=True)
    assert not health.may_try(target, later), "one at a time"
    health.served(target, later)
    health.end(target)
    assert (target.state, health.troubled) == ("closed", False)
    assert [event.event for event in health.take_events()] == ["open", "half_open", "closed"]


def test_a_failed_trial_opens_again_for_longer() -> None:
    health = Health(probed=False)
    target = opened(health)
    later = NOW + FIRST_OPEN_SECONDS
    health.begin(A, later, first=True)
    health.failed(target, UpstreamTimeout("slow"), later)
    health.end(target)
    assert target.state == "open"
    assert target.until == later + 2 * FIRST_OPEN_SECONDS


def test_with_probes_no_call_is_a_trial_before_a_probe_was_answered() -> None:
    health = Health(probed=True)
    target = opened(health)
    later = NOW + FIRST_OPEN_SECONDS
    assert not health.may_try(target, later + 100)
    assert health.due_probes(NOW + 1) == []
    assert health.due_probes(later) == [target]
    health.probed(target, FAILED, later)
    assert health.due_probes(later + 1) == []
    health.probed(target, None, later + 20)
    assert target.state == "half_open"
    assert health.may_try(target, later + 20)


def test_retries_are_a_fifth_of_the_calls_and_a_few() -> None:
    health = Health()
    target = health.of(A)
    assert health.take_retry(target, NOW)
    while health.take_retry(target, NOW):
        pass
    assert not health.take_retry(target, NOW)
    for _ in range(50):
        health.end(health.begin(A, NOW, first=True))
    assert sum(health.take_retry(target, NOW) for _ in range(50)) in (9, 10)
    assert sum(health.take_retry(target, NOW + 3600) for _ in range(500)) == RETRY_BURST


def test_first_token_times_peak_at_once_and_fade() -> None:
    health = Health()
    target = health.of(A)
    health.first_token(target, 0.2, NOW)
    health.first_token(target, 2.0, NOW + 1)
    assert target.first_token == 2.0
    health.first_token(target, 0.2, NOW + 2)
    assert 1.5 < target.first_token < 2.0
    health.first_token(target, 0.2, NOW + 100)
    assert target.first_token < 0.5


def test_events_and_states_survive_a_restart(tmp_path: Path) -> None:
    health = Health()
    opened(health)
    health.failed(health.of(B), UpstreamDenied("401"), NOW)
    store = open_store(tmp_path)
    with store.write() as connection:
        told = health.take_events()
        assert keep_events(connection, told, at=1_700_000_000_000) == [1, 2]
        subjects = [(one.deployment, one.provider) for one in told]
        keep_health(connection, subjects, health.kept(NOW))
        keep_health(connection, subjects, health.kept(NOW))
    again = Health()
    with store.read() as connection:
        again.restore(kept_health(connection), {one.id: one for one in (A, B)}, 5.0)
        events = events_since(connection, 1_600_000_000_000)
        assert events_since(connection, deployments=["a/x"])[0].event == "open"
        assert events_since(connection, 1_800_000_000_000) == []
    store.close()
    assert [(one.deployment, one.event, one.reason) for one in events] == [
        ("", "resting", "upstream_denied"),
        ("a/x", "open", "upstream_failed"),
    ]
    assert again.of(A).state == "open"
    assert 0 < again.of(A).until - 5.0 <= FIRST_OPEN_SECONDS
    provider = again.of(B).provider
    assert provider is not None
    assert 50 < provider.blocked_until - 5.0 <= 60
    assert again.troubled


def test_what_another_process_has_found_out_is_taken_up_and_not_told_again(tmp_path: Path) -> None:
    one, two = Health(probed=True), Health(probed=True)
    known = {each.id: each for each in (A, B)}
    store = open_store(tmp_path)
    subjects = [("a/x", "a")]

    def tell() -> None:
        one.take_events()
        with store.write() as connection:
            keep_health(connection, subjects, one.kept(NOW))
            two.learn(subjects, kept_health(connection), known, NOW)

    opened(one)
    tell()
    assert two.of(A).state == "open"
    assert two.troubled
    assert not two.may_try(two.of(A), NOW)
    one.half_open(one.of(A), "a probe was answered")
    tell()
    assert two.of(A).state == "half_open"
    assert two.may_try(two.of(A), NOW)
    one.served(one.begin(A, NOW, first=True), NOW)
    tell()
    assert two.of(A).state == "closed"
    assert not two.troubled
    assert two.take_events() == []
    store.close()
