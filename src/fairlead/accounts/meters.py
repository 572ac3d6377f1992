"""How many requests and tokens a key, an account or a model may use per minute and per day, in memory.

The rule is GCRA, the generic cell rate algorithm (ITU-T I.371), with a burst of the whole limit: 60 per minute lets
60 requests through at once and then one each second. Of a limit L per period P, the amount admitted between any two
moments s <= t is at most L + L * (t - s) / P, and nothing that fits is refused. A rate is one number, so a day costs
no more than a minute. Everything is computed in integers: no rounding error adds up, however long a process lives.

Times are seconds of a monotonic clock, not negative.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fairlead.accounts.limits import Limited, Limits
from fairlead.errors import RateLimited

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
DAY_NS = 24 * 60 * MINUTE_NS
_PERIODS = {MINUTE_NS: "minute", DAY_NS: "day"}


class Rate:
    """One limit per period. All is full again at `tat`, GCRA's theoretical arrival time.

    `tat` counts in nanoseconds times `limit`, where one request or token is a whole number: `period_ns`.
    """

    __slots__ = ("limit", "period_ns", "tat")

    def __init__(self, limit: int, period_ns: int) -> None:
        self.limit = limit
        self.period_ns = period_ns
        self.tat = 0

    def excess(self, amount: int, now_ns: int) -> int:
        """Above 0: `amount` does not fit now, and not before this / `limit` nanoseconds have passed."""
        now = now_ns * self.limit
        return (self.tat - now if self.tat > now else 0) + (amount - self.limit) * self.period_ns

    def charge(self, amount: int, now_ns: int) -> int:
        """Gives when time alone will have given `amount` back, in nanoseconds (rounded up)."""
        now = now_ns * self.limit
        self.tat = (max(now, self.tat)) + amount * self.period_ns
        return -(-self.tat // self.limit)

    def give_back(self, amount: int, end_ns: int, now_ns: int) -> None:
        """Of a charge that ended at `end_ns`. What time has given back already is not given a second time."""
        left = min(self.tat, end_ns * self.limit) - now_ns * self.limit
        if left > 0:
            self.tat -= min(amount * self.period_ns, left)

    def change(self, limit: int) -> None:
        """The moment when all is full again stays, so the used share stays too: nobody is blocked for longer."""
        self.tat = -(-self.tat * limit // self.limit)
        self.limit = limit

    def remaining(self, now_ns: int) -> int:
        return max(-self.excess(0, now_ns) // self.period_ns, 0)

    def reset_ns(self, now_ns: int) -> int:
        return max(-(-self.tat // self.limit) - now_ns, 0)


class Meter:
    """The state of one scope under its limits.

    `scope` is a noun that goes after "The" in messages: "key", "account", "model small of this account". `slots`: how
    many requests may be in flight; None: as many as come.
    """

    __slots__ = ("in_flight", "limited", "limits", "requests", "scope", "slots", "tokens")

    def __init__(self, scope: str, limits: Limits) -> None:
        self.scope = scope
        self.in_flight = 0
        self.slots: int | None = None
        self.requests: tuple[Rate, ...] = ()
        self.tokens: tuple[Rate, ...] = ()
        self.replace(limits)

    def replace(self, limits: Limits) -> None:
        """Other limits from now on. A rate that is changed keeps the share that is used; a new one begins unused."""
        self.limits = limits
        self.requests = changed(self.requests, limits.requests_per_minute, limits.requests_per_day)
        self.tokens = changed(self.tokens, limits.tokens_per_minute, limits.tokens_per_day)
        self.slots = limits.concurrent_requests
        self.limited = bool(self.requests or self.tokens or limits.concurrent_requests)

    def full(self) -> bool:
        """Whether as many requests are in flight as may be."""
        return self.slots is not None and self.in_flight >= self.slots

    def refuses(self, tokens: int, now_ns: int, calls: int = 1) -> bool:
        for rate in self.requests:
            if rate.excess(calls, now_ns) > 0:
                return True
        for rate in self.tokens:
            if rate.excess(tokens, now_ns) > 0:
                return True
        return self.full()

    def is_full_again(self, now_ns: int) -> bool:
        """Whether nothing of what was used is left, so that it need not be remembered."""
        return not self.in_flight and not any(rate.reset_ns(now_ns) for rate in (*self.requests, *self.tokens))


class _Charge(NamedTuple):
    """`end_ns`: when time alone will have given it back."""

    meter: Meter
    rate: Rate
    amount: int
    end_ns: int
    of_tokens: bool


class Admission:
    """A request that was let through, until `settle` tells what it used. `used`: the tokens that are known so far.
    `whose`: where the model that serves it may be another one than was asked for; then `LimitBook.move` is called."""

    __slots__ = ("_calls", "_charges", "_meters", "_open", "_tokens", "used", "whose")

    def __init__(
        self, meters: Sequence[Meter], tokens: int, now_ns: int, whose: Limited | None = None, calls: int = 1
    ) -> None:
        self._meters: list[Meter] = []
        self._calls = calls
        self._tokens = tokens
        self._open = True
        self.used = 0
        self.whose = whose
        self._charges: list[_Charge] = []
        for meter in meters:
            self._charge(meter, now_ns)

    def _charge(self, meter: Meter, now_ns: int) -> None:
        meter.in_flight += 1
        self._meters.append(meter)
        for rate in meter.requests:
            self._charges.append(_Charge(meter, rate, self._calls, rate.charge(self._calls, now_ns), False))
        for rate in meter.tokens:
            self._charges.append(_Charge(meter, rate, self._tokens, rate.charge(self._tokens, now_ns), True))

    def move(self, meters: Sequence[Meter], now: float) -> None:
        """Another model is tried: from here on the request is charged to these meters, and what others were charged is
        given back. Raises RateLimited when one of them refuses it; then it is charged as before."""
        now_ns = int(now * SECOND_NS)
        limited = [meter for meter in meters if meter.limited]
        fresh = [meter for meter in limited if meter not in self._meters]
        for meter in fresh:
            if meter.refuses(self._tokens, now_ns, self._calls):
                raise _refusal(fresh, self._tokens, now_ns, self._calls)
        for meter in self._meters:
            if meter not in limited:
                meter.in_flight -= 1
        for charge in self._charges:
            if charge.meter not in limited:
                charge.rate.give_back(charge.amount, charge.end_ns, now_ns)
        self._charges = [charge for charge in self._charges if charge.meter in limited]
        self._meters = [meter for meter in self._meters if meter in limited]
        for meter in fresh:
            self._charge(meter, now_ns)

    def settle(self, tokens: int, now: float) -> None:
        """The request has ended and used `tokens`: the difference to the estimate is charged or given back.

        Must be called for every request, also one that failed (with 0). A second call does nothing.
        """
        if not self._open:
            return
        self._open = False
        for meter in self._meters:
            meter.in_flight -= 1
        more = tokens - self._tokens
        now_ns = int(now * SECOND_NS)
        for charge in self._charges:
            if not charge.of_tokens:
                continue
            if more > 0:
                charge.rate.charge(more, now_ns)
            elif more < 0:
                charge.rate.give_back(-more, charge.end_ns, now_ns)

    def headers(self, now: float) -> bytes:
        """Header lines as OpenAI names them, of the rates with the least left; b"" when no rate is limited."""
        return _headers(self._meters, int(now * SECOND_NS))


def admit(meters: Sequence[Meter], tokens: int, now: float, calls: int = 1) -> Admission | None:
    """Charges one request of about `tokens` tokens to all meters, or to none; None when none of them is limited.
    It counts as `calls` requests: so many calls of a provider it becomes.

    Raises RateLimited with the longest of the waits, in whole seconds from 1, and with the headers; without a wait
    when the request can never fit. A meter is given once at most.
    """
    limited = [meter for meter in meters if meter.limited]
    if not limited:
        return None
    now_ns = int(now * SECOND_NS)
    for meter in limited:
        if meter.refuses(tokens, now_ns, calls):
            raise _refusal(limited, tokens, now_ns, calls)
    return Admission(limited, tokens, now_ns, calls=calls)


def changed(
    rates: tuple[Rate, ...], per_minute: int | None, per_day: int | None, kind: type[Rate] = Rate
) -> tuple[Rate, ...]:
    """The rates for these limits. The same object stays in use, because requests in flight still settle with it."""
    living = {rate.period_ns: rate for rate in rates}
    changed = []
    for period_ns, limit in ((MINUTE_NS, per_minute), (DAY_NS, per_day)):
        if limit is not None:
            rate = living.get(period_ns) or kind(limit, period_ns)
            rate.change(limit)
            changed.append(rate)
    return tuple(changed)


def _refusal(meters: Sequence[Meter], tokens: int, now_ns: int, calls: int = 1) -> RateLimited:
    # What never fits beats every wait, and the longest wait beats the others: a caller who comes back must not find
    # the next limit in the way. Nobody knows when a request in flight ends, so that counts as no wait.
    _, error = max(_refusals(meters, tokens, now_ns, calls), key=lambda refusal: refusal[0])
    error.headers = _headers(meters, now_ns)
    return error


def _refusals(meters: Sequence[Meter], tokens: int, now_ns: int, calls: int) -> Iterator[tuple[float, RateLimited]]:
    for meter in meters:
        if meter.full():
            yield 0, _too_many_at_once(meter)
        for rate in meter.requests:
            if calls > rate.limit:
                yield float("inf"), _too_many_calls(meter, rate, calls)
            elif rate.excess(calls, now_ns) > 0:
                yield _too_soon(meter, rate, f"may make {rate.limit:,} request", calls, now_ns)
        for rate in meter.tokens:
            if tokens > rate.limit:
                yield float("inf"), _too_large(meter, rate, tokens)
            elif rate.excess(tokens, now_ns) > 0:
                yield _too_soon(meter, rate, f"may use {rate.limit:,} token", tokens, now_ns)


def _too_soon(meter: Meter, rate: Rate, may: str, amount: int, now_ns: int) -> tuple[int, RateLimited]:
    wait_ns = -(-rate.excess(amount, now_ns) // rate.limit)
    plural = "" if rate.limit == 1 else "s"
    sentence = f"The {meter.scope} {may}{plural} per {_PERIODS[rate.period_ns]}; try again in {_words(wait_ns)}."
    return wait_ns, RateLimited(sentence, retry_after_seconds=-(-wait_ns // SECOND_NS))


def _too_large(meter: Meter, rate: Rate, tokens: int) -> RateLimited:
    limit = f"{rate.limit:,} token{'' if rate.limit == 1 else 's'} per {_PERIODS[rate.period_ns]}"
    return RateLimited(
        f"The {meter.scope} may use {limit} and this request may need {tokens:,}, which always "
        "exceeds it; send a smaller request."
    )


def _too_many_calls(meter: Meter, rate: Rate, calls: int) -> RateLimited:
    limit = f"{rate.limit:,} request{'' if rate.limit == 1 else 's'} per {_PERIODS[rate.period_ns]}"
    return RateLimited(
        f"The {meter.scope} may make {limit}, and `n` of this request counts as {calls:,} where it is emulated, "
        "which always exceeds it; use a smaller `n`."
    )


def _too_many_at_once(meter: Meter) -> RateLimited:
    most = meter.limits.concurrent_requests
    may = f"may have {most:,} request{'' if most == 1 else 's'} in flight at once"
    return RateLimited(f"The {meter.scope} {may}; try again when one has ended.", retry_after_seconds=1)


def _words(wait_ns: int) -> str:
    """Rounded up, never down: who waits as long as this says gets in."""
    tenths = -(-wait_ns // (SECOND_NS // 10))
    if tenths < 100:
        return f"{tenths / 10:g} second{'' if tenths == 10 else 's'}"
    for unit_ns, unit in ((SECOND_NS, "seconds"), (MINUTE_NS, "minutes")):
        if wait_ns <= 120 * unit_ns:
            return f"{-(-wait_ns // unit_ns)} {unit}"
    return f"{-(-wait_ns // (60 * MINUTE_NS))} hours"


def _headers(meters: Sequence[Meter], now_ns: int) -> bytes:
    requests = [rate for meter in meters for rate in meter.requests]
    tokens = [rate for meter in meters for rate in meter.tokens]
    return _lines("requests", requests, now_ns) + _lines("tokens", tokens, now_ns)


def _lines(of: str, rates: list[Rate], now_ns: int) -> bytes:
    if not rates:
        return b""
    remaining, reset_ns, limit = min((rate.remaining(now_ns), -rate.reset_ns(now_ns), rate.limit) for rate in rates)
    return (
        f"x-ratelimit-limit-{of}: {limit}\r\n"
        f"x-ratelimit-remaining-{of}: {remaining}\r\n"
        f"x-ratelimit-reset-{of}: {_duration(-reset_ns)}\r\n"
    ).encode()


def _duration(ns: int) -> str:
    """As OpenAI writes it: "0s", "17ms", "1.2s", "6m0s", "23h59m59s". Rounded up."""
    ms = -(-ns // 1_000_000)
    if ms == 0:
        return "0s"
    if ms < 1000:
        return f"{ms}ms"
    if ms <= 59_999:
        return f"{ms / 1000:g}s"
    minutes, seconds = divmod(-(-ns // SECOND_NS), 60)
    return f"{minutes // 60}h{minutes % 60}m{seconds}s" if minutes >= 60 else f"{minutes}m{seconds}s"
