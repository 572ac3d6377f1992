"""Limits that several processes hold together. Each holds leases of them, so that a call is decided in memory."""

from __future__ import annotations

from typing import Final, Protocol

from fairlead.accounts.guests import share
from fairlead.accounts.limits import Limits
from fairlead.accounts.meters import SECOND_NS, Meter, Rate, changed

MS_NS: Final = 1_000_000
# A lease that is not renewed counts as used after this time, by the server's clock.
LEASE_NS: Final = 5 * SECOND_NS
# By this process's own clock, which began earlier: when it was asked for.
OWN_LEASE_NS: Final = 4 * SECOND_NS
# What the server said is left is believed for a refusal for so long.
FRESH_NS: Final = SECOND_NS
# A lease that nothing was taken of is returned.
IDLE_NS: Final = SECOND_NS
# Who was asked to return what it does not need keeps no more than it needs for so long.
CONTENDED_NS: Final = SECOND_NS
# Of a limit: the largest lease beyond what calls need, and the one of a process that makes its first calls.
LARGEST_SHARE: Final = 8
FIRST_SHARE: Final = 32
FIRST_CALLS: Final = 4
# For how long a lease lasts at the present pace.
AHEAD_SECONDS: Final = 0.5


class Sharing(Protocol):
    """Of all meters. `epoch`: rises whenever `parts` changes; `parts`: 0 while the server answers, else among how many
    processes limits are divided."""

    epoch: int
    parts: int

    def used(self, meter: SharedMeter) -> None:
        """A call is decided."""

    def next_sequence(self) -> int:
        """The number of a report: higher than all before."""


class SharedRate(Rate):
    """`lease`: what this process may use without asking. As a `Rate` it is what the server last said of the whole, and
    what this process used since: `remaining` and waits are of that."""

    __slots__ = ("divided", "drawn", "lease", "pace", "taken", "used")

    def __init__(self, limit: int, period_ns: int) -> None:
        super().__init__(limit, period_ns)
        self.divided = False
        self.lease = 0
        self.used = 0  # and not reported yet
        self.drawn = 0  # since the last report was sent
        self.taken = 0  # since the pace was computed
        self.pace = 0.0  # per second

    def excess(self, amount: int, now_ns: int) -> int:
        if self.divided:
            return super().excess(amount, now_ns)
        return 0 if amount <= self.lease else max(super().excess(amount, now_ns), 1)

    def is_over(self, amount: int, now_ns: int) -> bool:
        """By what the server said."""
        return super().excess(amount, now_ns) > 0

    def charge(self, amount: int, now_ns: int) -> int:
        self.lease -= amount
        self.used += amount
        self.drawn += amount
        self.taken += amount
        return super().charge(amount, now_ns)

    def give_back(self, amount: int, end_ns: int, now_ns: int) -> None:
        before = self.tat
        super().give_back(amount, end_ns, now_ns)
        self.used -= (before - self.tat) // self.period_ns

    def remaining(self, now_ns: int) -> int:
        return max(-super().excess(0, now_ns) // self.period_ns, 0)

    def spare(self) -> int:
        """How much beyond what calls need now is kept."""
        ahead = min(int(self.pace * AHEAD_SECONDS), self.limit // LARGEST_SHARE)
        return max(ahead, min(self.limit // FIRST_SHARE, FIRST_CALLS * self.taken))


class Need:
    """What calls that wait for leases of a meter need together."""

    __slots__ = ("calls", "count", "tokens")

    def __init__(self) -> None:
        self.count = self.calls = self.tokens = 0

    def add(self, tokens: int, calls: int) -> None:
        self.count += 1
        self.calls += calls
        self.tokens += tokens


class SharedMeter(Meter):
    """`name`: of its scope, for all processes."""

    __slots__ = (
        "answered_ns",
        "contended_ns",
        "epoch",
        "fresh",
        "name",
        "need",
        "sharing",
        "touched_ns",
        "under_way",
        "until_ns",
    )  # fmt: skip

    def __init__(self, name: str, scope: str, limits: Limits, sharing: Sharing) -> None:
        self.name = name
        self.sharing = sharing
        self.epoch = -1
        self.fresh = True  # the next report has the server drop the leases it knows of us
        self.answered_ns = -FRESH_NS
        self.until_ns = 0
        self.touched_ns = 0
        self.contended_ns = 0
        self.need = Need()
        self.under_way = False
        super().__init__(scope, limits)

    def rates(self) -> tuple[SharedRate, ...]:
        return (*self.requests, *self.tokens)  # type: ignore[arg-type]

    def replace(self, limits: Limits) -> None:
        self.limits = limits
        given = share(limits, self.sharing.parts) if self.sharing.parts else limits
        self.requests = changed(self.requests, given.requests_per_minute, given.requests_per_day, SharedRate)
        self.tokens = changed(self.tokens, given.tokens_per_minute, given.tokens_per_day, SharedRate)
        for rate in self.rates():
            rate.divided = self.sharing.parts > 0
        if self.sharing.parts:
            self.slots = given.concurrent_requests
        elif given.concurrent_requests is None:
            self.slots = None
        elif self.slots is None:
            self.slots = self.in_flight
        self.limited = bool(self.requests or self.tokens or limits.concurrent_requests)

    def refuses(self, tokens: int, now_ns: int, calls: int = 1) -> bool:
        self.follow(now_ns)
        self.touched_ns = now_ns
        self.sharing.used(self)
        return super().refuses(tokens, now_ns, calls)

    def follow(self, now_ns: int) -> None:
        """The server has come or gone, or was not heard of for longer than leases last."""
        if self.epoch == self.sharing.epoch:
            if now_ns >= self.until_ns and not self.sharing.parts:
                self._forget_leases()
            return
        were_divided = self.epoch >= 0 and any(rate.divided for rate in self.rates())
        for rate in self.rates():
            # What was used without the server it shall know; of leases it takes for granted that they were used.
            backlog = max(rate.tat - now_ns * rate.limit, 0) // rate.period_ns
            rate.used = min(rate.used, backlog) if were_divided else 0
        self.epoch = self.sharing.epoch
        self.answered_ns = now_ns - FRESH_NS
        self._forget_leases()
        self.replace(self.limits)

    def _forget_leases(self) -> None:
        self.fresh = True
        self.until_ns = 0
        for rate in self.rates():
            rate.lease = 0
        if self.slots is not None:
            self.slots = self.in_flight

    def lacks(self, tokens: int, calls: int, now_ns: int) -> bool:
        """Whether the server has to be asked before a call can be decided."""
        self.follow(now_ns)
        if self.slots is not None and self.in_flight >= self.slots:
            return True
        return any(calls > rate.lease for rate in self._rates(self.requests)) or any(
            tokens > rate.lease for rate in self._rates(self.tokens)
        )

    def is_hopeless(self, tokens: int, calls: int, now_ns: int) -> bool:
        """Whether a call is over a limit by what the server said a moment ago, or always is."""
        most = self.limits.concurrent_requests
        if most is not None and self.in_flight >= most:
            return True
        for rates, amount in ((self._rates(self.requests), calls), (self._rates(self.tokens), tokens)):
            for rate in rates:
                if amount > rate.limit:
                    return True
                recent = now_ns - self.answered_ns < FRESH_NS
                if recent and amount > rate.lease and rate.is_over(amount, now_ns):
                    return True
        return False

    @staticmethod
    def _rates(rates: tuple[Rate, ...]) -> tuple[SharedRate, ...]:
        return rates  # type: ignore[return-value]

    def is_low(self, now_ns: int) -> bool:
        """Whether leases should be refilled before they are used up."""
        if now_ns < self.contended_ns:
            return False
        return any(rate.lease < (rate.spare() + 1) // 2 for rate in self.rates())

    def has_spare(self) -> bool:
        """Whether there is anything to return."""
        spare_slots = self.slots is not None and self.slots > self.in_flight
        return spare_slots or any(rate.lease > 0 for rate in self.rates())

    def is_at_rest(self) -> bool:
        """Whether the server need not hear of it any more."""
        used = self.in_flight or self.under_way or self.need.count or any(rate.used for rate in self.rates())
        return not used and not self.has_spare()

    def has_news(self, now_ns: int) -> bool:
        """Whether the server should hear of it now: of what was used, what is returned, or that it is still held."""
        if any(rate.used for rate in self.rates()) or self.is_low(now_ns):
            return True
        if now_ns - self.touched_ns > IDLE_NS and self.has_spare():
            return True
        held = self.in_flight or self.has_spare()
        return bool(held) and now_ns - self.answered_ns > FRESH_NS

    def set_pace(self, seconds: float) -> None:
        for rate in self.rates():
            rate.pace = (rate.pace + rate.taken / seconds) / 2
            rate.taken = 0

    def report(self, now_ns: int) -> tuple[Report, list[str | int]]:
        """What the server is told, and which leases it is asked for. What is returned is not used from here on."""
        keeps = now_ns < self.contended_ns or now_ns - self.touched_ns > IDLE_NS
        need, self.need = self.need, Need()
        limit = self.limits.concurrent_requests
        words: list[str | int] = [0, 0, 0, 0]
        if limit is not None and self.slots is not None:
            spare = 0 if keeps else min(limit // LARGEST_SHARE, FIRST_CALLS)
            wanted = min(self.in_flight + need.count + spare, max(limit, self.in_flight))
            self.slots = max(self.in_flight, min(self.slots, wanted))
            words = [limit, self.in_flight, wanted, self.in_flight + need.count if need.count else 0]
        sent = []
        for rates, needed in ((self._rates(self.requests), need.calls), (self._rates(self.tokens), need.tokens)):
            for rate in rates:
                wanted = needed if keeps else max(needed + rate.spare(), min(rate.lease, rate.limit))
                wanted = min(wanted, rate.limit)
                rate.lease = min(rate.lease, wanted)
                words += [rate.period_ns // MS_NS, rate.limit, rate.used, wanted, needed]
                sent.append((rate, rate.limit, rate.used))
                rate.used = rate.drawn = 0
        self.under_way = True
        report = Report(self, now_ns, tuple(sent), self.epoch)
        fresh, self.fresh = self.fresh, False
        return report, [1 if fresh else 0, self.sharing.next_sequence(), *words]


class Report:
    """What was sent of a meter, until it is answered."""

    __slots__ = ("_epoch", "_meter", "_sent", "_sent_ns")

    def __init__(
        self, meter: SharedMeter, sent_ns: int, sent: tuple[tuple[SharedRate, int, int], ...], epoch: int
    ) -> None:
        self._meter = meter
        self._sent_ns = sent_ns
        self._sent = sent
        self._epoch = epoch

    def refused(self) -> None:
        """The server did not carry it out."""
        self._meter.under_way = False
        if self._meter.epoch == self._epoch:
            self._meter.fresh = True
            for rate, _, used in self._sent:
                rate.used += used

    def answered(self, slots: int, leases: list[tuple[int, int]]) -> None:
        """`leases`: of each rate, and its backlog in units times milliseconds."""
        meter = self._meter
        meter.under_way = False
        if meter.epoch != self._epoch:
            return
        meter.answered_ns = self._sent_ns
        meter.until_ns = self._sent_ns + OWN_LEASE_NS
        if meter.slots is not None:
            meter.slots = max(slots, 0)
        for (rate, limit, _), (lease, backlog) in zip(self._sent, leases, strict=True):
            rate.lease = lease - rate.drawn
            if rate.limit == limit:
                rate.tat = self._sent_ns * limit + backlog * MS_NS + rate.drawn * rate.period_ns
