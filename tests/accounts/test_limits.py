"""Limits: exactly GCRA, all or nothing, corrected by the real number of tokens, told in sentences and headers."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.accounts import limit_book
from fairlead.accounts.limit_book import LOOKED_AT_METERS, LimitBook
from fairlead.accounts.limits import Limited, Limits, OwnLimits
from fairlead.accounts.meters import Admission, Meter, admit
from fairlead.errors import RateLimited

START = 1000.0
MINUTE = 60
DAY = 86400
SMALL = st.integers(1, 7)
# Quarters of a second are exact in binary and in nanoseconds, and often fall on the very edge of a limit.
STEPS = st.integers(0, 120).map(lambda quarters: quarters / 4)


def taken(meters: list[Meter], tokens: int, now: float) -> Admission:
    admission = admit(meters, tokens, now)
    assert admission is not None
    return admission


def fits(meters: list[Meter], tokens: int, now: float) -> bool:
    try:
        taken(meters, tokens, now)
    except RateLimited:
        return False
    return True


def refused(meters: list[Meter], tokens: int, now: float) -> RateLimited:
    with pytest.raises(RateLimited) as caught:
        admit(meters, tokens, now)
    return caught.value


def told(headers: bytes) -> dict[str, str]:
    lines = headers.decode().split("\r\n")
    assert lines.pop() == ""
    return {name.removeprefix("x-ratelimit-"): value for name, value in (line.split(": ") for line in lines)}


@dataclass
class Oracle:
    """The bound, written down slowly: in every window that ends now, at most limit + limit * seconds / period."""

    limit: int
    period: int
    charges: list[tuple[Fraction, int]] = field(default_factory=list)

    def allows(self, amount: int, now: float) -> bool:
        amounts = 0
        for at, charged in [(Fraction(now), amount), *reversed(self.charges)]:
            amounts += charged
            if amounts > self.limit + (Fraction(now) - at) * self.limit / self.period:
                return False
        return True

    def charge(self, amount: int, now: float) -> None:
        self.charges.append((Fraction(now), amount))


# ---- the rate


@given(SMALL, st.lists(STEPS, max_size=60))
def test_the_requests_let_through_are_exactly_those_of_the_bound(limit: int, steps: list[float]) -> None:
    meter, oracle, now = Meter("key", Limits(requests_per_minute=limit)), Oracle(limit, MINUTE), START
    for step in steps:
        now += step
        allowed = oracle.allows(1, now)
        assert fits([meter], 0, now) == allowed
        if allowed:
            oracle.charge(1, now)


@given(st.data(), SMALL, SMALL, st.integers(1, 40), st.integers(1, 90))
def test_two_meters_with_two_kinds_and_two_periods_are_all_or_nothing(
    data: st.DataObject, minute: int, day: int, tokens_minute: int, tokens_day: int
) -> None:
    key = Meter("key", Limits(requests_per_minute=minute, tokens_per_day=tokens_day))
    account = Meter("account", Limits(requests_per_day=day, tokens_per_minute=tokens_minute))
    requests = [Oracle(minute, MINUTE), Oracle(day, DAY)]
    tokens = [Oracle(tokens_minute, MINUTE), Oracle(tokens_day, DAY)]
    now = START
    for step, amount in data.draw(st.lists(st.tuples(STEPS, st.integers(0, 45)), max_size=40)):
        now += step
        allowed = all(o.allows(1, now) for o in requests) and all(o.allows(amount, now) for o in tokens)
        assert fits([key, account], amount, now) == allowed
        if allowed:
            for oracle in requests:
                oracle.charge(1, now)
            for oracle in tokens:
                oracle.charge(amount, now)


def test_sixty_per_minute_lets_sixty_through_at_once_and_then_one_each_second() -> None:
    meter = Meter("key", Limits(requests_per_minute=60))
    assert [fits([meter], 0, START) for _ in range(61)] == [True] * 60 + [False]
    assert not fits([meter], 0, START + 0.999)
    assert fits([meter], 0, START + 1)
    assert not fits([meter], 0, START + 1)


def test_what_is_not_used_is_not_saved_beyond_one_limit() -> None:
    meter = Meter("key", Limits(requests_per_minute=3))
    taken([meter], 0, START)
    assert [fits([meter], 0, START + 10 * DAY) for _ in range(4)] == [True] * 3 + [False]


def test_a_clock_that_stands_still_or_steps_back_gives_nothing() -> None:
    meter = Meter("key", Limits(requests_per_minute=1))
    taken([meter], 0, START)
    assert not fits([meter], 0, START)
    assert not fits([meter], 0, START - 100)


def test_a_refused_request_charges_no_meter() -> None:
    roomy = Meter("account", Limits(requests_per_minute=5, tokens_per_minute=100, concurrent_requests=5))
    tight = Meter("key", Limits(requests_per_minute=1))
    taken([roomy, tight], 10, START)
    for _ in range(20):
        assert not fits([roomy, tight], 10, START)
        assert not fits([tight, roomy], 10, START)
    left = told(taken([roomy], 10, START).headers(START))
    assert (left["remaining-requests"], left["remaining-tokens"]) == ("3", "80")
    assert roomy.in_flight == 2


@given(SMALL, st.integers(1, 50), st.lists(st.tuples(STEPS, st.integers(0, 50)), max_size=40))
def test_who_waits_as_long_as_told_gets_in(requests: int, tokens: int, calls: list[tuple[float, int]]) -> None:
    meters = [Meter("key", Limits(requests_per_minute=requests)), Meter("account", Limits(tokens_per_minute=tokens))]
    now = START
    for step, amount in calls:
        now += step
        try:
            taken(meters, amount, now)
        except RateLimited as error:
            wait = error.retry_after_seconds
            assert (wait is None) == (amount > tokens)
            if wait is not None:
                assert wait >= 1
                assert wait == 1 or not fits(meters, amount, now + wait - 1)
                assert fits(meters, amount, now + wait)
                now += wait


def test_without_a_limit_there_is_nothing_to_admit() -> None:
    assert admit([], 10, START) is None
    assert admit([Meter("key", Limits())], 10, START) is None


# ---- settling


@given(st.integers(1, 50), st.lists(st.tuples(STEPS, st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=40))
def test_settled_at_once_a_smaller_number_counts_as_if_it_had_been_the_estimate(
    limit: int, calls: list[tuple[float, int, int]]
) -> None:
    meter, oracle, now = Meter("key", Limits(tokens_per_minute=limit)), Oracle(limit, MINUTE), START
    for step, estimate, saved in calls:
        now += step
        allowed = oracle.allows(estimate, now)
        real = max(estimate - saved, 0)
        try:
            taken([meter], estimate, now).settle(real, now)
        except RateLimited:
            assert not allowed
        else:
            assert allowed
            oracle.charge(real, now)


@given(
    st.integers(1, 50),
    st.lists(st.tuples(STEPS, st.integers(0, 50), st.integers(0, 80), st.integers(0, 5)), min_size=1, max_size=60),
)
def test_from_the_first_request_on_no_more_is_used_than_one_limit_and_what_time_gave(
    limit: int, calls: list[tuple[float, int, int, int]]
) -> None:
    meter, now, used = Meter("key", Limits(tokens_per_minute=limit)), START, 0
    first: float | None = None
    open_calls: list[tuple[Admission, int]] = []
    for step, estimate, real, which in calls:
        now += step
        if which < len(open_calls):
            admission, estimated = open_calls.pop(which)
            before = left_tokens(meter, now)
            admission.settle(real, now)
            used += real - estimated
            assert left_tokens(meter, now) <= max(before, min(limit, before + max(estimated - real, 0)))
        if fits_and_keeps(meter, estimate, now, open_calls):
            first = now if first is None else first
            used += estimate
            assert used <= limit + Fraction(now - first) * limit / MINUTE


def left_tokens(meter: Meter, now: float) -> int:
    """What a new request could take, read from the headers of an admission that takes none."""
    probe = Admission([meter], 0, int(now * 1e9))
    left = int(told(probe.headers(now))["remaining-tokens"])
    probe.settle(0, now)
    return left


def fits_and_keeps(meter: Meter, tokens: int, now: float, into: list[tuple[Admission, int]]) -> bool:
    try:
        into.append((taken([meter], tokens, now), tokens))
    except RateLimited:
        return False
    return True


def test_a_larger_number_than_estimated_is_paid_back_by_waiting() -> None:
    meter = Meter("key", Limits(tokens_per_minute=60))
    taken([meter], 10, START).settle(180, START)
    assert refused([meter], 1, START).retry_after_seconds == 121
    assert not fits([meter], 1, START + 120.5)
    assert fits([meter], 1, START + 121)


def test_what_time_gave_back_already_is_not_given_back_again() -> None:
    meter = Meter("key", Limits(tokens_per_minute=60))
    slow = taken([meter], 60, START)
    taken([meter], 60, START + 60)
    slow.settle(0, START + 60)
    assert not fits([meter], 1, START + 60)


def test_nothing_given_back_lifts_a_meter_above_its_limit() -> None:
    meter = Meter("key", Limits(tokens_per_minute=60))
    slow = taken([meter], 60, START)
    slow.settle(0, START + 45)
    assert told(taken([meter], 0, START + 45).headers(START + 45))["remaining-tokens"] == "60"
    assert not fits([meter], 61, START + 45)


def test_settling_a_second_time_does_nothing() -> None:
    meter = Meter("key", Limits(tokens_per_minute=100, concurrent_requests=2))
    first = taken([meter], 50, START)
    first.settle(20, START)
    first.settle(0, START)
    first.settle(1000, START)
    assert meter.in_flight == 0
    assert told(taken([meter], 0, START).headers(START))["remaining-tokens"] == "80"


def test_requests_in_flight_are_counted_until_they_settle() -> None:
    meter = Meter("key", Limits(concurrent_requests=2))
    first, _ = taken([meter], 0, START), taken([meter], 0, START)
    error = refused([meter], 0, START + DAY)
    assert error.message == "The key may have 2 requests in flight at once; try again when one has ended."
    assert (error.retry_after_seconds, error.headers) == (1, b"")
    first.settle(0, START)
    assert fits([meter], 0, START)
    assert not fits([meter], 0, START)


# ---- other limits while it lives


def test_a_changed_limit_keeps_the_share_that_is_used() -> None:
    meter = Meter("key", Limits(requests_per_minute=10))
    for _ in range(5):
        taken([meter], 0, START)
    meter.replace(Limits(requests_per_minute=100))
    assert told(taken([meter], 0, START).headers(START))["remaining-requests"] == "49"
    meter.replace(Limits(requests_per_minute=4))
    assert [fits([meter], 0, START) for _ in range(2)] == [True, False]


def test_the_same_limits_again_change_nothing() -> None:
    limits = Limits(requests_per_minute=7, tokens_per_day=13)
    meter = Meter("key", limits)
    before = taken([meter], 5, START).headers(START + 1 / 3)
    meter.replace(Limits(requests_per_minute=7, tokens_per_day=13))
    assert Admission([meter], 0, 0).headers(START + 1 / 3) != before  # one request more
    meter = Meter("key", limits)
    admission = taken([meter], 5, START)
    meter.replace(limits)
    assert admission.headers(START + 1 / 3) == before


@given(SMALL, SMALL, st.lists(STEPS, max_size=20), STEPS)
def test_a_change_keeps_nobody_out_for_longer_than_before(old: int, new: int, steps: list[float], later: float) -> None:
    meter, now = Meter("key", Limits(requests_per_minute=old)), START
    for step in steps:
        now += step
        fits([meter], 0, now)
    meter.replace(Limits(requests_per_minute=new))
    assert [fits([meter], 0, now + MINUTE) for _ in range(new + 1)] == [True] * new + [False]


def test_a_request_in_flight_settles_with_the_changed_limit() -> None:
    meter = Meter("key", Limits(tokens_per_minute=100))
    admission = taken([meter], 50, START)
    meter.replace(Limits(tokens_per_minute=200, concurrent_requests=1))
    assert not fits([meter], 1, START)
    admission.settle(0, START)
    assert told(taken([meter], 0, START).headers(START))["remaining-tokens"] == "150"


def test_a_limit_that_is_taken_away_and_set_again_begins_unused() -> None:
    meter = Meter("key", Limits(tokens_per_minute=100))
    admission = taken([meter], 100, START)
    meter.replace(Limits())
    assert admit([meter], 10**9, START) is None
    meter.replace(Limits(tokens_per_minute=100))
    admission.settle(0, START)
    assert meter.in_flight == 0
    assert [fits([meter], 100, START) for _ in range(2)] == [True, False]


@pytest.mark.parametrize("field_name", Limits.__struct_fields__)
def test_a_limit_below_one_is_refused_with_its_name(field_name: str) -> None:
    with pytest.raises(ValueError, match=f"`{field_name}` is 0; a limit must be at least 1."):
        Limits(**{field_name: 0})
    with pytest.raises(msgspec.ValidationError, match=field_name):
        msgspec.json.decode(b'{"%s": -3}' % field_name.encode(), type=Limits)


# ---- sentences and headers


@pytest.mark.parametrize(
    ("limits", "tokens", "after", "sentence", "wait"),
    [
        (Limits(requests_per_minute=60), 0, 0.8, "The key may make 60 requests per minute; try again in 0.2 seconds.", 1),
        (Limits(requests_per_minute=50), 0, 0, "The key may make 50 requests per minute; try again in 1.2 seconds.", 2),
        (Limits(requests_per_minute=60), 0, 0, "The key may make 60 requests per minute; try again in 1 second.", 1),
        (Limits(requests_per_minute=1), 0, 0, "The key may make 1 request per minute; try again in 60 seconds.", 60),
        (Limits(requests_per_day=24), 0, 0, "The key may make 24 requests per day; try again in 60 minutes.", 3600),
        (Limits(requests_per_day=1), 0, 1, "The key may make 1 request per day; try again in 24 hours.", 86399),
        (Limits(tokens_per_minute=6000), 6000, 48.5, "The key may use 6,000 tokens per minute; try again in 12 seconds.", 12),
        (Limits(tokens_per_day=1), 1, 0, "The key may use 1 token per day; try again in 24 hours.", 86400),
    ],
)  # fmt: skip
def test_a_refusal_says_which_limit_of_which_scope_and_when_to_come_back(
    limits: Limits, tokens: int, after: float, sentence: str, wait: int
) -> None:
    meter = Meter("key", limits)
    for _ in range(limits.requests_per_minute or limits.requests_per_day or 1):
        taken([meter], tokens, START)
    error = refused([meter], tokens, START + after)
    assert (error.message, error.retry_after_seconds) == (sentence, wait)
    assert (error.status, error.code, error.type) == (429, "rate_limit_exceeded", "rate_limit_error")


def test_a_request_larger_than_the_whole_limit_is_told_that_waiting_is_of_no_use() -> None:
    meters = [
        Meter("key", Limits(requests_per_minute=1)),
        Meter("model small of this account", Limits(tokens_per_minute=1000)),
    ]
    taken(meters, 0, START)
    error = refused(meters, 1500, START)
    assert error.retry_after_seconds is None
    assert error.message == (
        "The model small of this account may use 1,000 tokens per minute and this request may need 1,500, "
        "which always exceeds it; send a smaller request."
    )


def test_of_several_limits_the_one_with_the_longest_wait_is_told() -> None:
    key = Meter("key", Limits(requests_per_minute=1, concurrent_requests=1))
    account = Meter("account", Limits(requests_per_day=1))
    taken([key, account], 0, START)
    for meters in ([key, account], [account, key]):
        assert refused(meters, 0, START).message.startswith("The account may make 1 request per day;")
    assert refused([key], 0, START).message.startswith("The key may make 1 request per minute;")


def test_the_headers_are_those_of_the_rate_with_the_least_left() -> None:
    key = Meter("key", Limits(requests_per_minute=50, tokens_per_minute=1000, tokens_per_day=5000))
    account = Meter("account", Limits(requests_per_minute=600, tokens_per_minute=900))
    admission = taken([key, account], 300, START)
    assert admission.headers(START) == (
        b"x-ratelimit-limit-requests: 50\r\n"
        b"x-ratelimit-remaining-requests: 49\r\n"
        b"x-ratelimit-reset-requests: 1.2s\r\n"
        b"x-ratelimit-limit-tokens: 900\r\n"
        b"x-ratelimit-remaining-tokens: 600\r\n"
        b"x-ratelimit-reset-tokens: 20s\r\n"
    )
    admission.settle(90, START + 2)
    assert told(admission.headers(START + 2))["remaining-tokens"] == "840"


def test_only_what_is_limited_is_in_the_headers() -> None:
    assert set(told(taken([Meter("key", Limits(tokens_per_day=5))], 1, START).headers(START))) == {
        "limit-tokens",
        "remaining-tokens",
        "reset-tokens",
    }
    assert taken([Meter("key", Limits(concurrent_requests=5))], 1, START).headers(START) == b""


def test_a_refusal_carries_the_headers() -> None:
    meter = Meter("key", Limits(requests_per_minute=2))
    for _ in range(2):
        taken([meter], 0, START)
    assert told(refused([meter], 0, START).headers) == {
        "limit-requests": "2",
        "remaining-requests": "0",
        "reset-requests": "1m0s",
    }


@pytest.mark.parametrize(
    ("after", "reset"),
    [
        (0, "24h0m0s"),
        (1, "23h59m59s"),
        (DAY - 360, "6m0s"),
        (DAY - 60, "1m0s"),
        (DAY - 59.5, "59.5s"),
        (DAY - 1.2, "1.2s"),
        (DAY - 1, "1s"),
        (DAY - 0.0165, "17ms"),
        (DAY, "0s"),
        (2 * DAY, "0s"),
    ],
)
def test_the_time_to_reset_is_written_as_openai_writes_it(after: float, reset: str) -> None:
    admission = taken([Meter("key", Limits(requests_per_day=1))], 0, START)
    assert told(admission.headers(START + after))["reset-requests"] == reset


def test_an_admission_that_moves_is_charged_where_it_goes_and_given_back_where_it_was() -> None:
    key = OwnLimits(
        Limits(requests_per_day=10),
        {"a": Limits(requests_per_day=1, concurrent_requests=1), "b": Limits(requests_per_day=1, tokens_per_day=100)},
    )
    book, whose = LimitBook(), Limited("k", "acct", key, None)

    def begin(model: str) -> Admission:
        admission = book.admit(whose, model, 40, START, free=False, movable=True)
        assert admission is not None
        book.move(admission, model, START, free=False)
        return admission

    moving = begin("a")
    book.move(moving, "b", START, free=False)
    # "a" has its request back; the key was charged once, and "b" is used up.
    again = begin("a")
    with pytest.raises(RateLimited, match="model b of this key"):
        book.move(again, "b", START, free=False)
    with pytest.raises(RateLimited, match="model a of this key"):
        begin("a")
    assert b"x-ratelimit-remaining-requests: 0" in again.headers(START)
    again.settle(0, START)
    moving.settle(90, START)
    assert b"x-ratelimit-remaining-requests: 7" in begin("c").headers(START)


def test_a_model_without_limits_moves_to_one_that_has_some() -> None:
    book, whose = LimitBook(free=Limits(requests_per_day=1)), Limited("k", "acct", None, None)
    for most in (1, 0):
        one = book.admit(whose, "paid", 5, START, free=False, movable=True)
        assert one is not None
        book.move(one, "paid", START, free=False)
        if most:
            book.move(one, "free", START, free=True)
        else:
            with pytest.raises(RateLimited, match="cost nothing"):
                book.move(one, "free", START, free=True)


def test_however_many_keys_come_the_book_is_bounded_and_no_call_looks_at_many_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limit_book, "MOST_METERS", 2_000)
    looked_at = 0
    is_full_again = Meter.is_full_again

    def counted(meter: Meter, now_ns: int) -> bool:
        nonlocal looked_at
        looked_at += 1
        return is_full_again(meter, now_ns)

    monkeypatch.setattr(Meter, "is_full_again", counted)
    book = LimitBook()
    own = OwnLimits(Limits(requests_per_day=1, concurrent_requests=9))
    most = 0
    for number in range(6_000):  # none of them is full again for a day
        before = looked_at
        assert book.admit(Limited(f"k{number}", "acct", own, None), "m", 1, START, free=False) is not None
        most = max(most, looked_at - before)
        assert len(book._meters) <= 2_000
    assert 0 < most <= LOOKED_AT_METERS
    assert looked_at <= 6_000 * 10, "it pays for itself over many calls"
    with pytest.raises(RateLimited):
        book.admit(Limited("k5999", "acct", own, None), "m", 1, START, free=False)
