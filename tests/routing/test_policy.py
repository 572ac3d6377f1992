"""What is done about a failure stands in one place, at the error's class, and everybody goes by it."""

from __future__ import annotations

import pytest

from fairlead import errors
from fairlead.errors import FailurePolicy, FairleadError, NotCarried
from fairlead.routing.health import Health
from fairlead.routing.plan import Plan
from fairlead.routing.retries import Tries

from .support import request, upstream

# As docs/internals/routing.md has it; whoever is not named is told to the caller at once and says nothing about the
# deployment.
POLICIES = {
    "CallerError": FailurePolicy(verdict="works"),
    "UpstreamRefused": FailurePolicy(verdict="works"),
    "ContextTooLong": FailurePolicy(verdict="works"),
    "NotCarried": FailurePolicy(elsewhere=True),
    "RateLimited": FailurePolicy(elsewhere=True),
    "DeadlineExceeded": FailurePolicy(verdict="slow"),
    "EngineStarting": FailurePolicy(elsewhere=True),
    "UpstreamUnreachable": FailurePolicy(elsewhere=True, again=True, verdict="unreachable"),
    "UpstreamTimeout": FailurePolicy(elsewhere=True, verdict="failed"),
    "UpstreamBusy": FailurePolicy(elsewhere=True),
    "UpstreamRateLimited": FailurePolicy(elsewhere=True, again=True, verdict="limited"),
    "UpstreamDenied": FailurePolicy(elsewhere=True, verdict="denied"),
    "UpstreamFailed": FailurePolicy(elsewhere=True, again=True, verdict="failed"),
    "UpstreamInvalid": FailurePolicy(elsewhere=True, verdict="failed"),
    "AnswerInvalid": FailurePolicy(elsewhere=True),
    "UpstreamCut": FailurePolicy(elsewhere=True, again=True, verdict="failed"),
    "EngineCrashed": FailurePolicy(elsewhere=True, verdict="failed"),
    "CallerGone": FailurePolicy(),
    "InternalError": FailurePolicy(),
}


def an(name: str) -> FairleadError:
    if name == "NotCarried":
        return NotCarried(["top_k"])
    if name == "UpstreamRefused":
        return errors.UpstreamRefused("No.", status=400)
    made: FairleadError = getattr(errors, name)("It failed.")
    return made


@pytest.mark.parametrize("name", POLICIES)
def test_routing_and_health_go_by_the_policy_of_the_error(name: str) -> None:
    error, policy = an(name), POLICIES[name]
    assert error.policy == policy
    one, other, health = upstream("p/a"), upstream("q/b"), Health()
    target = health.of(one.deployment)

    tries = Tries(Plan((one, other)), health, 1, lambda: 0.5)
    step = tries.after(one, error, 0.0, 1.0, started=False, until=100.0)
    assert (step is not None) == policy.elsewhere
    tries = Tries(Plan((one,)), health, 1, lambda: 0.5)
    error.retry_after_seconds = 1
    step = tries.after(one, error, 0.0, 1.0, started=False, until=100.0)
    assert (step is not None) == policy.again

    health.failed(target, error, 10.0)
    assert target.provider is not None
    rests = target.blocked_until > 10 or target.provider.blocked_until > 10
    assert rests == (policy.verdict in ("failed", "unreachable", "limited", "denied"))
    assert (target.provider.blocked_until > 10) == (policy.verdict in ("unreachable", "denied"))
    assert bool(target.bad_now) == (policy.verdict in ("failed", "unreachable"))
    assert health.idle_failed([target], error, 10.0) == (policy.verdict in ("failed", "unreachable"))


def test_a_request_that_was_let_go_of_shares_nothing_with_another() -> None:
    one, other = request(temperature=0.5), request(temperature=0.7)
    one.release()
    one.given["temperature"] = other.messages
    other.release()
    assert other.given == {}
