"""What is done about a failed attempt: tried elsewhere, tried there again after a pause, or told to the caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from fairlead.errors import FairleadError, RateLimited
from fairlead.routing.credentials import OF_THE_KEY
from fairlead.routing.plan import Plan
from fairlead.routing.protocols import Health
from fairlead.routing.upstream import Upstream

# A pause is drawn between half of this and all of it, and doubles with every round.
PAUSE_SECONDS = 0.4
# A caller who would wait longer than this for a rate limit is told so instead.
LONGEST_PAUSE_SECONDS = 5.0


class Step(NamedTuple):
    upstream: Upstream
    pause_seconds: float


class Tried(NamedTuple):
    """One failed attempt, for the record."""

    deployment: str
    outcome: str
    seconds: float


class Tries:
    """What is left to try for one call. Made when its first attempt fails."""

    __slots__ = ("_again", "_chance", "_health", "_keys", "_most", "_queue", "_round", "tried")

    def __init__(self, plan: Plan, health: Health, retries: int, chance: Callable[[], float]) -> None:
        self._queue = list(plan.candidates[1:])
        self._again: list[tuple[Upstream, FairleadError]] = []
        self._health = health
        self._most = retries
        self._round = 0
        self._keys = 0  # further ones that were tried
        self._chance = chance
        self.tried: list[Tried] = []

    def after(
        self, upstream: Upstream, error: FairleadError, began: float, now: float, *, started: bool, until: float
    ) -> Step | None:
        """The next step after this failure, None when the caller is to be told. `started`: the caller has had a part of
        the answer, so that only who can continue it comes into question. `until`: nothing may begin after that."""
        self.tried.append(Tried(upstream.deployment.id, type(error).code, now - began))
        policy = error.policy
        if self._has_another_key(upstream, error) and not started and now < until:
            return Step(upstream, 0.0)
        if policy.again and not started:
            self._again.append((upstream, error))
        if not policy.elsewhere and not started:  # a continuation that is refused is no fault of the caller's
            return None
        queue = self._queue
        while queue:
            candidate = queue.pop(0)
            if started and not candidate.supports_prefill:
                continue
            target = self._health.of(candidate.deployment)
            provider = target.provider
            if queue and not (
                self._health.may_try(target, now) and (provider is None or self._health.may_try(provider, now))
            ):
                continue  # found out of order since the plan was made; the last one is tried anyway
            # A refusal of our own has cost no deployment anything.
            if isinstance(error, RateLimited) or self._health.take_retry(target, now):
                return Step(candidate, 0.0)
        return self._once_more(now, until)

    def _has_another_key(self, upstream: Upstream, error: FairleadError) -> bool:
        """Whether the failure was that of one key, and another one may serve; as often for one call as there are."""
        credentials = upstream.credentials
        if (
            credentials is None
            or len(credentials.keys) == 1
            or error.policy.verdict not in OF_THE_KEY
            or self._keys >= len(credentials.keys)
            or not credentials.free(upstream.deployment.id)
        ):
            return False
        self._keys += 1
        return True

    def _once_more(self, now: float, until: float) -> Step | None:
        if not self._again or self._round >= self._most:
            return None
        pause = PAUSE_SECONDS * 2**self._round * (0.5 + self._chance() / 2)
        while self._again:
            upstream, error = self._again.pop(0)
            wait = pause
            if error.retry_after_seconds is not None:
                wait = max(pause, float(error.retry_after_seconds))
            elif error.policy.verdict == "limited":
                continue
            if wait > LONGEST_PAUSE_SECONDS or now + wait >= until:
                continue
            if self._health.take_retry(self._health.of(upstream.deployment), now):
                self._round += 1
                self._queue = [one for one, _ in self._again]
                self._again = []
                return Step(upstream, wait)
        return None
