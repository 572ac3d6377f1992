"""The usual record is written by a text of its own: it must say what the general way says."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from fairlead.ledger.record import Attempt, PostingFields, UsageRecord, decode, encode
from fairlead.ledger.settled import MOST_BEGINNINGS, RecordPrefixCache, Settled, settled_of
from fairlead.prices import PriceSheet
from fairlead.prices.sheet import FREE
from fairlead.wire.usage import TokenClasses, Usage

NAMES = some.text(max_size=12)
COUNTS = some.integers(0, 2**40) | some.just(0)
AMOUNTS = some.integers(0, 2**62)


def attempt_of(record: UsageRecord, deployment: str) -> UsageRecord:
    only = Attempt(deployment, record.sheet, record.outcome, record.done - record.at)
    return msgspec.structs.replace(record, attempts=(only,))


@given(
    names=some.tuples(NAMES, NAMES, NAMES, NAMES),
    times=some.tuples(some.integers(1, 2**45), some.integers(1, 2**45)),
    outcome=some.sampled_from(["served", "empty", "caller_gone"]),
    stream=some.booleans(),
    classes=some.tuples(*[COUNTS] * 10) | some.tuples(COUNTS, COUNTS, *[some.just(0)] * 4, COUNTS, *[some.just(0)] * 2, some.just(1)),
    counts=some.tuples(COUNTS, COUNTS),
    price=AMOUNTS,
    cost=some.none() | AMOUNTS,
    hold=AMOUNTS | some.just(0),
    scopes=some.lists(NAMES, max_size=3).map(tuple),
)  # fmt: skip
def test_the_usual_record_says_what_the_general_one_says(
    names: tuple[str, str, str, str],
    times: tuple[int, int],
    outcome: str,
    stream: bool,
    classes: tuple[int, ...],
    counts: tuple[int, int],
    price: int,
    cost: int | None,
    hold: int,
    scopes: tuple[str, ...],
) -> None:
    account, key, model, deployment = names
    sheet = PriceSheet(deployment, FREE)
    usage = Usage(TokenClasses(*classes), *counts)
    held = scopes if hold else ()
    general = attempt_of(
        UsageRecord(
            "gen_1", times[0], times[1], account, key, model, outcome, stream, "reported", deployment, sheet.id,
            usage.tokens, usage.prompt, usage.completion, True, price, cost, (), hold, held,
        ),
        deployment,
    )  # fmt: skip
    settled = Settled("gen_1", times[0], account, key, deployment, price, cost or 0, held)
    text = RecordPrefixCache().usual(settled, times[1], model, outcome, stream, sheet, usage, cost, hold)
    assert decode(text) == decode(encode(general)) == general
    more = RecordPrefixCache().usual(
        settled, times[1], model, outcome, stream, sheet, usage, cost, hold, b',"first_token":7,"received":"ab"'
    )
    assert decode(more) == replace(general, first_token=7, received="ab")
    assert (
        members(settled)
        == members(settled_of(general))
        == members(settled_of(msgspec.json.decode(text, type=PostingFields)))
    )


def members(one: Settled) -> list[object]:
    return [
        one.id, one.at, one.account, one.key, one.deployment, one.price, one.cost, one.scopes, one.attempts,
    ]  # fmt: skip


def test_what_is_kept_for_many_calls_is_bounded() -> None:
    beginnings, sheet = RecordPrefixCache(), PriceSheet("p/m", FREE)
    usage = Usage(TokenClasses(1, output=1, request=1), 1, 1)
    for number in range(MOST_BEGINNINGS + 10):
        settled = Settled("gen_1", 1, f"account {number}", "k", "p/m", 1, 1, (f"scope {number}",))
        text = beginnings.usual(settled, 2, "m", "served", False, sheet, usage, 1, 1)
        assert decode(text).account == f"account {number}"
        assert decode(text).scopes == (f"scope {number}",)
    assert len(beginnings._texts) <= MOST_BEGINNINGS
    assert len(beginnings._scopes) <= MOST_BEGINNINGS
