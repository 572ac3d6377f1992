"""What is known about deployments from the calls that went through them: who is open, who rests, who is fast.

A breaker opens by rate: over a fast window (5 to 10 s) or a slow one (a minute), and never on fewer calls than its
floor. A rate limit is a rest and no failure; a refused credential is a rest of the whole provider; a caller's own error
says nothing. Times are seconds of the event loop's clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, Protocol

from fairlead.errors import FairleadError, UpstreamDenied, UpstreamRateLimited
from fairlead.store.health import HealthEvent, KeptHealth

CLOSED, HALF, OPEN = "closed", "half_open", "open"
# Taken out of use by an operator: no call and no probe changes that.
DRAINED: Final = "drained"

BUCKET_SECONDS: Final = 5.0
BUCKETS: Final = 12
FAST_FLOOR, FAST_RATE = 5, 0.5
SLOW_FLOOR, SLOW_RATE = 20, 0.25
# Nobody was served in the slow window, and so many failed: calling it is a waste of the caller's time.
DEAD_FAILURES: Final = 20
# One failed call: tried last for a moment, longer with every further one. With one caller a second of wrong preference
# costs more than one extra failed connection every few seconds.
FIRST_REST_SECONDS, LONGEST_FAILURE_REST_SECONDS = 2.0, 8.0
FIRST_OPEN_SECONDS, LONGEST_OPEN_SECONDS = 5.0, 20.0
# A refused credential is not corrected in seconds.
DENIED_REST_SECONDS: Final = 60.0
# A rate limit without Retry-After; Retry-After is believed up to an hour.
RATE_REST_SECONDS, LONGEST_REST_SECONDS = 5.0, 3600.0
# A rest that becomes longer by more than this is told again.
LONGER_SECONDS: Final = 5.0
# Time in which an old first-token time is worth a third; and how many tokens per second are blended in per call.
EWMA_SECONDS: Final = 10.0
SPEED_SHARE: Final = 0.2
LATE_STEP: Final = 0.2
# Retries that a deployment may get: a share of the calls that it gets first-hand, a few per second besides, and so many
# at once when nothing has gone wrong for long.
RETRY_SHARE, RETRIES_PER_SECOND, RETRY_BURST = 0.2, 2.0, 100.0
# Conversations remembered for the sake of prompt caches, and for how long their deployment is worth going back to.
STICKY_KEYS, STICKY_SECONDS = 20_000, 600.0
MOST_EVENTS: Final = 10_000
# Verdicts that are held against a deployment.
OF_A_KEY: Final = (UpstreamRateLimited.code, UpstreamDenied.code)
BLAMED: Final = ("failed", "unreachable", "limited", "denied")


class Named(Protocol):
    """A deployment, as far as health needs to know it."""

    @property
    def id(self) -> str: ...

    @property
    def provider(self) -> str: ...


class DeploymentHealth:
    """One deployment (or one provider) as its calls have shown it. `blocked_until` is the later of its rests."""

    __slots__ = (
        "bad", "bad_now", "blocked_until", "first_token", "first_token_at", "good", "good_now", "id", "in_flight",
        "last_error", "late", "measured", "open_seconds", "provider", "provider_id", "reliability", "retries_at",
        "retries_left", "row", "slot", "speed", "state", "trial", "until",
    )  # fmt: skip

    def __init__(self, id_: str, provider_id: str, provider: DeploymentHealth | None) -> None:
        self.id = id_
        self.provider_id = provider_id
        self.provider = provider
        self.state = CLOSED
        self.until = 0.0  # of the open breaker
        self.blocked_until = 0.0  # of a rest: rate limit, credential, or a failure just now
        self.open_seconds = FIRST_OPEN_SECONDS
        self.in_flight = 0
        self.trial = False
        self.row = 0  # failures without a success between them
        self.last_error = ""
        self.first_token = 0.0  # peak EWMA, seconds; 0: never measured
        self.first_token_at = 0.0
        self.late = 0.0  # about the 95th percentile of first-token times
        self.measured = 0
        self.speed = 0.0  # tokens per second; 0: never measured
        self.reliability = 1.0
        self.retries_left = RETRY_BURST
        self.retries_at = 0.0
        self.slot = 0
        self.good_now = self.bad_now = 0
        self.good: deque[int] = deque(maxlen=BUCKETS - 1)
        self.bad: deque[int] = deque(maxlen=BUCKETS - 1)

    def roll(self, now: float) -> None:
        slot = int(now / BUCKET_SECONDS)
        if slot == self.slot:
            return
        behind = min(slot - self.slot, BUCKETS)
        for _ in range(behind):
            self.good.append(self.good_now)
            self.bad.append(self.bad_now)
            self.good_now = self.bad_now = 0
        self.slot = slot

    def fast(self) -> tuple[int, int]:
        """(served, failed) in the fast window."""
        return (
            self.good_now + (self.good[-1] if self.good else 0),
            self.bad_now + (self.bad[-1] if self.bad else 0),
        )

    def slow(self) -> tuple[int, int]:
        return self.good_now + sum(self.good), self.bad_now + sum(self.bad)

    @property
    def dead(self) -> bool:
        """So clearly out of order that even a lone deployment is not asked."""
        if self.state != OPEN:
            return False
        good, bad = self.slow()
        return not good and bad >= DEAD_FAILURES

    def forget(self) -> None:
        self.good.clear()
        self.bad.clear()
        self.good_now = self.bad_now = 0


class Health:
    """The health of all deployments, `by_deployment` id. `troubled` is False while nobody is open."""

    __slots__ = ("_clock", "_events", "_probed", "_providers", "_sticky", "by_deployment", "troubled")

    def __init__(self, clock: Callable[[], float] = lambda: 0.0, *, probed: bool = False) -> None:
        self._clock = clock
        self._probed = probed
        self._events: deque[HealthEvent] = deque(maxlen=MOST_EVENTS)
        self._providers: dict[str, DeploymentHealth] = {}
        self._sticky: dict[int, tuple[str, float]] = {}
        self.by_deployment: dict[str, DeploymentHealth] = {}
        self.troubled = False

    def of(self, deployment: Named) -> DeploymentHealth:
        found = self.by_deployment.get(deployment.id)
        if found is None:
            name = deployment.provider
            provider = self._providers.get(name)
            if provider is None:
                provider = self._providers[name] = DeploymentHealth(name, name, None)
            found = self.by_deployment[deployment.id] = DeploymentHealth(deployment.id, name, provider)
        return found

    @property
    def providers(self) -> Mapping[str, DeploymentHealth]:
        return self._providers

    def forget_others(self, known: Mapping[str, Named]) -> None:
        """Forgets deployments that are not configured any more, and nobody calls."""
        self.by_deployment = {name: one for name, one in self.by_deployment.items() if name in known or one.in_flight}
        used = {one.provider_id for one in self.by_deployment.values()} | {one.provider for one in known.values()}
        self._providers = {name: one for name, one in self._providers.items() if name in used}
        self._settle_trouble()

    # --- what calls report

    def served(self, target: DeploymentHealth, now: float) -> None:
        """A complete answer came, or a caller's own mistake was told: it works."""
        if int(now / BUCKET_SECONDS) != target.slot:
            target.roll(now)
            if target.reliability < 1.0:
                good, bad = target.slow()
                target.reliability = (good + 1) / (good + bad + 1)
        target.good_now += 1
        if target.row or target.state is not CLOSED:
            target.row = 0
            if target.last_error != UpstreamRateLimited.code:
                target.blocked_until = 0.0
            if target.trial and target.state is not CLOSED:  # what was under way before says nothing new
                self._close(target, now)
        provider = target.provider
        if provider is not None and (provider.row or provider.state is not CLOSED or provider.blocked_until):
            provider.row = 0
            provider.blocked_until = 0.0
            if provider.trial and provider.state is not CLOSED:
                self._close(provider, now)

    def failed(self, target: DeploymentHealth, error: FairleadError, now: float, key_rest: float | None = None) -> None:
        """An attempt failed. What that says about the deployment stands in the error's policy. `key_rest`: it was one
        of several keys that failed, and another one can be used after so many seconds."""
        verdict = error.policy.verdict
        if verdict not in BLAMED:
            return
        target.last_error = error.code
        if key_rest is not None:
            if key_rest:
                self._rest(target, now, key_rest, error.code)
            return
        if verdict == "limited":
            rest = RATE_REST_SECONDS if error.retry_after_seconds is None else float(error.retry_after_seconds)
            self._rest(target, now, min(rest, LONGEST_REST_SECONDS), error.code)
            return
        if verdict == "denied":
            # The credential is the provider's: nobody there is served with it.
            whole = target.provider or target
            whole.last_error = error.code
            self._rest(whole, now, DENIED_REST_SECONDS, error.code)
            return
        self._count(target, now, error.code)
        if verdict == "unreachable" and target.provider is not None:
            self._count(target.provider, now, error.code)

    def forgive(self, deployment: Named) -> None:
        """Its provider has another key: what it rests for was the old one's."""
        target = self.of(deployment)
        for one in (target, target.provider):
            if one is not None and one.state is CLOSED and one.last_error in OF_A_KEY:
                one.blocked_until = 0.0

    def _count(self, target: DeploymentHealth, now: float, code: str) -> None:
        target.roll(now)
        target.bad_now += 1
        target.row += 1
        good, bad = target.slow()
        target.reliability = (good + 1) / (good + bad + 1)
        rest = min(FIRST_REST_SECONDS * 2 ** (target.row - 1), LONGEST_FAILURE_REST_SECONDS)
        target.blocked_until = max(target.blocked_until, now + rest)
        if target.state is HALF:
            target.open_seconds = min(target.open_seconds * 2, LONGEST_OPEN_SECONDS)
            self._open(target, now, code)
        elif target.state is CLOSED:
            lately_good, lately_bad = target.fast()
            lately = lately_good + lately_bad
            if (lately >= FAST_FLOOR and lately_bad >= FAST_RATE * lately) or (
                good + bad >= SLOW_FLOOR and bad >= SLOW_RATE * (good + bad)
            ):
                self._open(target, now, code)

    def _rest(self, target: DeploymentHealth, now: float, seconds: float, code: str) -> None:
        if target.blocked_until < now or target.blocked_until + LONGER_SECONDS < now + seconds:
            self._note(target, "resting", code)
        target.blocked_until = max(target.blocked_until, now + seconds)

    def _open(self, target: DeploymentHealth, now: float, code: str) -> None:
        target.state = OPEN
        target.until = now + target.open_seconds
        target.trial = False
        self.troubled = True
        self._note(target, OPEN, code)

    def _close(self, target: DeploymentHealth, now: float) -> None:
        if target.state is DRAINED:
            return
        self._mend(target, now)
        self._note(target, CLOSED, "served")

    def set_drained(self, drained: Collection[str], known: Mapping[str, Named], now: float) -> None:
        """Takes these deployments out of use, and all others back that were. Calls under way end as they began."""
        for name, target in self.by_deployment.items():
            if target.state is DRAINED and name not in drained:
                self._mend(target, now)
        for name in drained:
            if name in known and (target := self.of(known[name])).state is not DRAINED:
                target.state = DRAINED
                target.trial = False
                self.troubled = True

    def _mend(self, target: DeploymentHealth, now: float) -> None:
        target.state = CLOSED
        target.trial = False
        target.open_seconds = FIRST_OPEN_SECONDS
        target.blocked_until = 0.0
        target.forget()
        target.roll(now)
        self._settle_trouble()

    def _settle_trouble(self) -> None:
        self.troubled = any(
            one.state is not CLOSED for group in (self.by_deployment, self._providers) for one in group.values()
        )

    def half_open(self, target: DeploymentHealth, reason: str) -> None:
        """One call at a time may try it again."""
        if target.state is OPEN:
            target.state = HALF
            target.trial = False
            target.blocked_until = 0.0
            self._note(target, HALF, reason)

    def may_try(self, target: DeploymentHealth, now: float) -> bool:
        """Whether a call may go there: one at a time to a breaker that is half open, or whose time has come; that is
        found out by probes where there are some."""
        if target.state is CLOSED:
            return True
        if target.state is HALF:
            return not target.trial
        if target.state is DRAINED:
            return False
        return not self._probed and now >= target.until

    def begin(self, deployment: Named, now: float, *, first: bool) -> DeploymentHealth:
        """A call goes there. `first`: it was tried nowhere before, which earns the deployment a share of a retry."""
        target = self.by_deployment.get(deployment.id)
        if target is None:
            target = self.of(deployment)
        target.in_flight += 1
        if first and target.retries_left < RETRY_BURST:
            target.retries_left += RETRY_SHARE
        if target.state is not CLOSED:
            if target.state is OPEN and now >= target.until:
                self.half_open(target, "its pause is over")
            target.trial = True
        provider = target.provider
        if provider is not None and provider.state is not CLOSED:
            if provider.state is OPEN and now >= provider.until:
                self.half_open(provider, "its pause is over")
            provider.trial = True
        return target

    @staticmethod
    def end(target: DeploymentHealth) -> None:
        """The call is over, however it went."""
        target.in_flight -= 1
        target.trial = False
        if target.provider is not None:
            target.provider.trial = False

    @staticmethod
    def take_retry(target: DeploymentHealth, now: float) -> bool:
        """Whether a call that failed before may go there: a fifth of what it serves first-hand, and a few."""
        passed = now - target.retries_at
        target.retries_at = now
        target.retries_left = min(RETRY_BURST, target.retries_left + passed * RETRIES_PER_SECOND)
        if target.retries_left < 1:
            return False
        target.retries_left -= 1
        return True

    def due_probes(self, now: float) -> list[DeploymentHealth]:
        """Deployments that are open, themselves or with their provider, and may be asked again."""
        return [
            one for one in self.by_deployment.values()
            if any(each is not None and each.state is OPEN and now >= each.until for each in (one, one.provider))
        ]  # fmt: skip

    def probed(self, target: DeploymentHealth, error: FairleadError | None, now: float) -> None:
        """What a probe found out."""
        whole = (target, target.provider) if target.provider is not None else (target,)
        for one in whole:
            if one.state is not OPEN:
                continue
            if error is None or error.policy.verdict == "works":
                self.half_open(one, "a probe was answered")
            else:
                one.open_seconds = min(one.open_seconds * 2, LONGEST_OPEN_SECONDS)
                one.until = now + one.open_seconds

    def idle_failed(self, targets: list[DeploymentHealth], error: FairleadError, now: float) -> bool:
        """A probe of deployments of one provider, which nobody was calling, failed: counted like a call of each of
        them, and once of the provider. Whether it says that they do not work."""
        verdict = error.policy.verdict
        if verdict not in BLAMED:
            return False
        if verdict in ("limited", "denied"):
            self.failed(targets[0], error, now)
            return False
        for target in targets:
            target.last_error = error.code
            self._count(target, now, error.code)
        provider = targets[0].provider
        if provider is not None and (len(targets) > 1 or verdict == "unreachable"):
            self._count(provider, now, error.code)
        return True

    def first_token(self, target: DeploymentHealth, seconds: float, now: float) -> None:
        """Peak EWMA: a slow answer counts at once and in full, faster ones outweigh it with time."""
        old = target.first_token
        if seconds >= old:
            target.first_token = seconds
        else:
            share = EWMA_SECONDS / (EWMA_SECONDS + max(0.05, now - target.first_token_at))
            target.first_token = old * share + seconds * (1 - share)
        target.first_token_at = now
        target.measured += 1
        late = target.late
        if not late:
            target.late = seconds
        else:  # moves up 19 times as far as down, so that it comes to rest where one of twenty is above it
            target.late = late + late * LATE_STEP * (0.95 if seconds > late else -0.05)

    def speed(self, target: DeploymentHealth, tokens: int, seconds: float) -> None:
        if tokens > 1 and seconds > 0.001:
            new = tokens / seconds
            target.speed = new if not target.speed else target.speed + (new - target.speed) * SPEED_SHARE

    # --- conversations

    def remember(self, key: int, deployment_id: str, now: float) -> None:
        """This deployment has the conversation's beginning in its cache."""
        sticky = self._sticky
        sticky.pop(key, None)
        sticky[key] = (deployment_id, now)
        if len(sticky) > STICKY_KEYS:
            del sticky[next(iter(sticky))]

    def recall(self, key: int, now: float) -> str | None:
        found = self._sticky.get(key)
        return None if found is None or found[1] < now - STICKY_SECONDS else found[0]

    # --- what is kept

    def _note(self, target: DeploymentHealth, event: str, reason: str) -> None:
        deployment = "" if target.provider is None else target.id
        self._events.append(HealthEvent(deployment, target.provider_id, event, reason))

    def take_events(self) -> list[HealthEvent]:
        """What has happened since this was asked last."""
        events = list(self._events)
        self._events.clear()
        return events

    def return_events(self, events: list[HealthEvent]) -> None:
        """Takes back what could not be stored: `take_events` gives it again, before what has happened since."""
        self._events = deque([*events, *self._events], maxlen=MOST_EVENTS)

    def kept(self, now: float) -> list[KeptHealth]:
        """What a restart must not forget: who is open or rests, and for how long yet."""
        return [
            KeptHealth(
                "" if one.provider is None else one.id,
                one.provider_id,
                one.state,
                max(0.0, (one.blocked_until if one.state is CLOSED else one.until) - now),
                one.open_seconds,
                one.last_error,
            )
            for group in (self.by_deployment, self._providers)
            for one in group.values()
            if one.state is not DRAINED and (one.state is not CLOSED or one.blocked_until > now)
        ]

    def restore(self, kept: list[KeptHealth], known: Mapping[str, Named], now: float) -> None:
        """Takes up what was kept, of deployments that are still there."""
        for one in kept:
            target = self._known(one.deployment, one.provider, known)
            if target is not None:
                self._take_up(target, one, OPEN if one.state != CLOSED else CLOSED, now)

    def learn(
        self, subjects: Iterable[tuple[str, str]], kept: list[KeptHealth], known: Mapping[str, Named], now: float
    ) -> None:
        """Takes up what other processes have found out about these (deployment, provider): `kept` says how they are
        now; who is not in it is well."""
        states = {(one.deployment, one.provider): one for one in kept}
        for subject in subjects:
            target = self._known(*subject, known)
            if target is None:
                continue
            one = states.get(subject)
            if one is not None:
                self._take_up(target, one, one.state, now)
            elif target.state is not CLOSED and target.state is not DRAINED:
                self._mend(target, now)

    def _known(self, deployment: str, provider: str, known: Mapping[str, Named]) -> DeploymentHealth | None:
        if deployment:
            return self.of(known[deployment]) if deployment in known else None
        found = self._providers.get(provider)
        if found is None:
            named = next((each for each in known.values() if each.provider == provider), None)
            return None if named is None else self.of(named).provider
        return found

    def _take_up(self, target: DeploymentHealth, one: KeptHealth, state: str, now: float) -> None:
        if target.state is DRAINED:
            return
        target.last_error = one.reason
        if state == CLOSED:
            if target.state is CLOSED:
                target.blocked_until = max(target.blocked_until, now + one.seconds)
            return
        target.state = HALF if state == HALF else OPEN
        target.trial = False
        target.until = now + one.seconds
        target.open_seconds = one.open_seconds
        target.blocked_until = 0.0
        self.troubled = True
