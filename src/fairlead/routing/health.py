"""What is known about deployments from the calls that went through them: who is open, who rests, who is fast.

A breaker opens by rate: over a fast window (5 to 10 s) or a slow one (a minute), and never on fewer calls than its
floor. A rate limit is a rest and no failure; a refused credential is a rest of the whole provider; a caller's own error
says nothing. Times are seconds of the event loop's clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from fairlead.errors import FairleadError, UpstreamRateLimited
from fairlead.store.health import HealthEvent, KeptHealth

CLOSED, HALF, OPEN = "closed", "half_open", "open"

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
# A refused credential does not mend itself in seconds.
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
    """All standings by id. `on_event` hears of every change of state; `troubled` is False while nobody is open."""

    __slots__ = ("_clock", "_events", "_probed", "_providers", "_sticky", "standings", "troubled")

    def __init__(self, clock: Callable[[], float] = lambda: 0.0, *, probed: bool = False) -> None:
        self._clock = clock
        self._probed = probed
        self._events: deque[HealthEvent] = deque(maxlen=MOST_EVENTS)
        self._providers: dict[str, DeploymentHealth] = {}
        self._sticky: dict[int, tuple[str, float]] = {}
        self.standings: dict[str, DeploymentHealth] = {}
        self.troubled = False

    def standing(self, deployment: Named) -> DeploymentHealth:
        found = self.standings.get(deployment.id)
        if found is None:
            name = deployment.provider
            provider = self._providers.get(name)
            if provider is None:
                provider = self._providers[name] = DeploymentHealth(name, name, None)
            found = self.standings[deployment.id] = DeploymentHealth(deployment.id, name, provider)
        return found

    @property
    def providers(self) -> Mapping[str, DeploymentHealth]:
        return self._providers

    def forget_others(self, known: Mapping[str, Named]) -> None:
        """Forgets deployments that are not configured any more, and nobody calls."""
        self.standings = {name: one for name, one in self.standings.items() if name in known or one.in_flight}
        used = {one.provider_id for one in self.standings.values()} | {one.provider for one in known.values()}
        self._providers = {name: one for name, one in self._providers.items() if name in used}
        self._settle_trouble()

    # --- what calls report

    def served(self, standing: DeploymentHealth, now: float) -> None:
        """A complete answer came, or a caller's own mistake was told: it works."""
        if int(now / BUCKET_SECONDS) != standing.slot:
            standing.roll(now)
            if standing.reliability < 1.0:
                good, bad = standing.slow()
                standing.reliability = (good + 1) / (good + bad + 1)
        standing.good_now += 1
        if standing.row or standing.state is not CLOSED:
            standing.row = 0
            if standing.last_error != UpstreamRateLimited.code:
                standing.blocked_until = 0.0
            if standing.trial and standing.state is not CLOSED:  # what was under way before says nothing new
                self._close(standing, now)
        provider = standing.provider
        if provider is not None and (provider.row or provider.state is not CLOSED or provider.blocked_until):
            provider.row = 0
            provider.blocked_until = 0.0
            if provider.trial and provider.state is not CLOSED:
                self._close(provider, now)

    def failed(self, standing: DeploymentHealth, error: FairleadError, now: float) -> None:
        """An attempt failed. What that says about the deployment stands in the error's policy."""
        verdict = error.policy.verdict
        if verdict not in BLAMED:
            return
        standing.last_error = error.code
        if verdict == "limited":
            rest = RATE_REST_SECONDS if error.retry_after_seconds is None else float(error.retry_after_seconds)
            self._rest(standing, now, min(rest, LONGEST_REST_SECONDS), error.code)
            return
        if verdict == "denied":
            # The credential is the provider's: nobody there is served with it.
            whole = standing.provider or standing
            self._rest(whole, now, DENIED_REST_SECONDS, error.code)
            return
        self._count(standing, now, error.code)
        if verdict == "unreachable" and standing.provider is not None:
            self._count(standing.provider, now, error.code)

    def _count(self, standing: DeploymentHealth, now: float, code: str) -> None:
        standing.roll(now)
        standing.bad_now += 1
        standing.row += 1
        good, bad = standing.slow()
        standing.reliability = (good + 1) / (good + bad + 1)
        rest = min(FIRST_REST_SECONDS * 2 ** (standing.row - 1), LONGEST_FAILURE_REST_SECONDS)
        standing.blocked_until = max(standing.blocked_until, now + rest)
        if standing.state is HALF:
            standing.open_seconds = min(standing.open_seconds * 2, LONGEST_OPEN_SECONDS)
            self._open(standing, now, code)
        elif standing.state is CLOSED:
            lately_good, lately_bad = standing.fast()
            lately = lately_good + lately_bad
            if (lately >= FAST_FLOOR and lately_bad >= FAST_RATE * lately) or (
                good + bad >= SLOW_FLOOR and bad >= SLOW_RATE * (good + bad)
            ):
                self._open(standing, now, code)

    def _rest(self, standing: DeploymentHealth, now: float, seconds: float, code: str) -> None:
        if standing.blocked_until < now or standing.blocked_until + LONGER_SECONDS < now + seconds:
            self._note(standing, "resting", code)
        standing.blocked_until = max(standing.blocked_until, now + seconds)

    def _open(self, standing: DeploymentHealth, now: float, code: str) -> None:
        standing.state = OPEN
        standing.until = now + standing.open_seconds
        standing.trial = False
        self.troubled = True
        self._note(standing, OPEN, code)

    def _close(self, standing: DeploymentHealth, now: float) -> None:
        self._mend(standing, now)
        self._note(standing, CLOSED, "served")

    def _mend(self, standing: DeploymentHealth, now: float) -> None:
        standing.state = CLOSED
        standing.trial = False
        standing.open_seconds = FIRST_OPEN_SECONDS
        standing.blocked_until = 0.0
        standing.forget()
        standing.roll(now)
        self._settle_trouble()

    def _settle_trouble(self) -> None:
        self.troubled = any(
            one.state is not CLOSED for group in (self.standings, self._providers) for one in group.values()
        )

    def half_open(self, standing: DeploymentHealth, reason: str) -> None:
        """One call at a time may try it again."""
        if standing.state is OPEN:
            standing.state = HALF
            standing.trial = False
            standing.blocked_until = 0.0
            self._note(standing, HALF, reason)

    def may_try(self, standing: DeploymentHealth, now: float) -> bool:
        """Whether a call may go there: one at a time to a breaker that is half open, or whose time has come; that is
        found out by probes where there are some."""
        if standing.state is CLOSED:
            return True
        if standing.state is HALF:
            return not standing.trial
        return not self._probed and now >= standing.until

    def begin(self, deployment: Named, now: float, *, first: bool) -> DeploymentHealth:
        """A call goes there. `first`: it was tried nowhere before, which earns the deployment a share of a retry."""
        standing = self.standings.get(deployment.id)
        if standing is None:
            standing = self.standing(deployment)
        standing.in_flight += 1
        if first and standing.retries_left < RETRY_BURST:
            standing.retries_left += RETRY_SHARE
        if standing.state is not CLOSED:
            if standing.state is OPEN and now >= standing.until:
                self.half_open(standing, "its time has come")
            standing.trial = True
        provider = standing.provider
        if provider is not None and provider.state is not CLOSED:
            if provider.state is OPEN and now >= provider.until:
                self.half_open(provider, "its time has come")
            provider.trial = True
        return standing

    @staticmethod
    def end(standing: DeploymentHealth) -> None:
        """The call is over, however it went."""
        standing.in_flight -= 1
        standing.trial = False
        if standing.provider is not None:
            standing.provider.trial = False

    @staticmethod
    def take_retry(standing: DeploymentHealth, now: float) -> bool:
        """Whether a call that failed before may go there: a fifth of what it serves first-hand, and a few."""
        passed = now - standing.retries_at
        standing.retries_at = now
        standing.retries_left = min(RETRY_BURST, standing.retries_left + passed * RETRIES_PER_SECOND)
        if standing.retries_left < 1:
            return False
        standing.retries_left -= 1
        return True

    def due_probes(self, now: float) -> list[DeploymentHealth]:
        """Deployments that are open, themselves or with their provider, and may be asked again."""
        return [
            one for one in self.standings.values()
            if any(each is not None and each.state is OPEN and now >= each.until for each in (one, one.provider))
        ]  # fmt: skip

    def probed(self, standing: DeploymentHealth, error: FairleadError | None, now: float) -> None:
        """What a probe found out."""
        whole = (standing, standing.provider) if standing.provider is not None else (standing,)
        for one in whole:
            if one.state is not OPEN:
                continue
            if error is None or error.policy.verdict == "works":
                self.half_open(one, "a probe was answered")
            else:
                one.open_seconds = min(one.open_seconds * 2, LONGEST_OPEN_SECONDS)
                one.until = now + one.open_seconds

    def idle_failed(self, standings: list[DeploymentHealth], error: FairleadError, now: float) -> bool:
        """A probe of deployments of one provider, which nobody was calling, failed: counted like a call of each of
        them, and once of the provider. Whether it says that they do not work."""
        verdict = error.policy.verdict
        if verdict not in BLAMED:
            return False
        if verdict in ("limited", "denied"):
            self.failed(standings[0], error, now)
            return False
        for standing in standings:
            standing.last_error = error.code
            self._count(standing, now, error.code)
        provider = standings[0].provider
        if provider is not None and (len(standings) > 1 or verdict == "unreachable"):
            self._count(provider, now, error.code)
        return True

    def first_token(self, standing: DeploymentHealth, seconds: float, now: float) -> None:
        """Peak EWMA: a slow answer counts at once and in full, faster ones make up for it with time."""
        old = standing.first_token
        if seconds >= old:
            standing.first_token = seconds
        else:
            share = EWMA_SECONDS / (EWMA_SECONDS + max(0.05, now - standing.first_token_at))
            standing.first_token = old * share + seconds * (1 - share)
        standing.first_token_at = now
        standing.measured += 1
        late = standing.late
        if not late:
            standing.late = seconds
        else:  # moves up 19 times as far as down, so that it comes to rest where one of twenty is above it
            standing.late = late + late * LATE_STEP * (0.95 if seconds > late else -0.05)

    def speed(self, standing: DeploymentHealth, tokens: int, seconds: float) -> None:
        if tokens > 1 and seconds > 0.001:
            new = tokens / seconds
            standing.speed = new if not standing.speed else standing.speed + (new - standing.speed) * SPEED_SHARE

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

    def _note(self, standing: DeploymentHealth, event: str, reason: str) -> None:
        deployment = "" if standing.provider is None else standing.id
        self._events.append(HealthEvent(deployment, standing.provider_id, event, reason))

    def take_events(self) -> list[HealthEvent]:
        """What has happened since this was asked last."""
        events = list(self._events)
        self._events.clear()
        return events

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
            for group in (self.standings, self._providers)
            for one in group.values()
            if one.state is not CLOSED or one.blocked_until > now
        ]

    def restore(self, kept: list[KeptHealth], known: Mapping[str, Named], now: float) -> None:
        """Takes up what was kept, of deployments that are still there."""
        for one in kept:
            standing = self._known(one.deployment, one.provider, known)
            if standing is not None:
                self._take_up(standing, one, OPEN if one.state != CLOSED else CLOSED, now)

    def learn(
        self, subjects: Iterable[tuple[str, str]], kept: list[KeptHealth], known: Mapping[str, Named], now: float
    ) -> None:
        """Takes up what other processes have found out about these (deployment, provider): `kept` says how they are
        now; who is not in it is well."""
        states = {(one.deployment, one.provider): one for one in kept}
        for subject in subjects:
            standing = self._known(*subject, known)
            if standing is None:
                continue
            one = states.get(subject)
            if one is not None:
                self._take_up(standing, one, one.state, now)
            elif standing.state is not CLOSED:
                self._mend(standing, now)

    def _known(self, deployment: str, provider: str, known: Mapping[str, Named]) -> DeploymentHealth | None:
        if deployment:
            return self.standing(known[deployment]) if deployment in known else None
        found = self._providers.get(provider)
        if found is None:
            named = next((each for each in known.values() if each.provider == provider), None)
            return None if named is None else self.standing(named).provider
        return found

    def _take_up(self, standing: DeploymentHealth, one: KeptHealth, state: str, now: float) -> None:
        standing.last_error = one.reason
        if state == CLOSED:
            if standing.state is CLOSED:
                standing.blocked_until = max(standing.blocked_until, now + one.seconds)
            return
        standing.state = HALF if state == HALF else OPEN
        standing.trial = False
        standing.until = now + one.seconds
        standing.open_seconds = one.open_seconds
        standing.blocked_until = 0.0
        self.troubled = True
