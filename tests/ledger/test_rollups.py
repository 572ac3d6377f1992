"""Roll-ups of usage: each record is counted once, by however many processes, nobody waits for it, and what they come to
is what the receipts say."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, select, text

from fairlead.accounts.accounts import add_account
from fairlead.accounts.groups import add_group
from fairlead.accounts.keys import account_id_of, add_key, key_by_hash, key_digest
from fairlead.ledger import latencies
from fairlead.ledger import rollups as rollups_module
from fairlead.ledger.books import keep_sheets, post, stored_record
from fairlead.ledger.counting import UsageCounter
from fairlead.ledger.latencies import quantiles
from fairlead.ledger.receipts import receipt
from fairlead.ledger.record import UsageRecord, decode, encode
from fairlead.ledger.rollups import (
    ALL,
    DAY,
    DAY_SECONDS,
    FIGURES,
    HOUR,
    Sums,
    add_up,
    catch_up,
    count_batch,
    counted_until,
    days_of,
    days_of_model,
    latencies_by_step,
    named_scope,
    rollups,
    stepped,
    totals,
    usage_of_keys,
)
from fairlead.money import MOST_PICODOLLARS, Picodollars
from fairlead.prices import amounts
from fairlead.store import Store, open_store
from fairlead.store.tables import api_keys, calls, usage_rollups
from fairlead.wire.usage import TokenClasses, Usage

from .test_books import SHEET, record

END = 2**40
START = 1_700_000_000 // DAY_SECONDS * DAY_SECONDS


@pytest.fixture
def store(tmp_path: Path, database_url: str | None) -> Iterator[Store]:
    opened = open_store(tmp_path, database_url)
    with opened.write() as connection:
        keep_sheets(connection, [SHEET])
    yield opened
    opened.close()


def put(store: Store, first: int, count: int) -> None:
    with store.write() as connection:
        post(connection, [record(number) for number in range(first, first + count)], "p")


def counted(store: Store) -> int:
    with store.read() as connection:
        return sum(row["requests"] for row in days_of(connection, "1900-01-01", "2100-01-01"))


def test_each_record_is_counted_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups_module, "BATCH_RECORDS", 4)
    put(store, 0, 10)
    for _ in range(2):
        assert add_up(store)
        assert counted(store) == 10
    put(store, 10, 3)
    assert add_up(store)
    one = decode(record(0))
    day = datetime.fromtimestamp(one.at / 1000, UTC).date().isoformat()
    with store.read() as connection:
        rows = days_of(connection, day, day, f"account/{one.account}")
        assert days_of(connection, day, day, "account/acc_none") == []
        of_model = days_of_model(connection, one.model, one.at // 1000, 1)
        assert days_of_model(connection, one.model, one.at // 1000 + 86_400, 1) == []
        assert days_of_model(connection, "none", one.at // 1000, 30) == []
    total = [decode(record(number)) for number in range(13)]
    assert sum(row["requests"] for row in rows) == 13
    assert sum(row["charged"] for row in rows) == sum(each.price for each in total)
    assert sum(row["prompt_tokens"] for row in rows) == sum(each.prompt for each in total)
    assert {name for name, _, _ in of_model} == {day}
    same = [each for each in total if each.model == one.model]
    assert sum(sums.requests for _, _, sums in of_model) == len(same)
    assert sum(sums.completion_tokens for _, _, sums in of_model) == sum(each.completion for each in same)
    assert counted_until(store) == one.at


def test_processes_that_count_while_others_store_count_each_record_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollups_module, "BATCH_RECORDS", 7)
    errors: list[BaseException] = []

    def writes(part: int) -> None:
        for number in range(20):
            put(store, part * 1_000 + number * 5, 5)

    def adds() -> None:
        try:
            for _ in range(15):
                add_up(store)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=writes, args=(part,)) for part in (1, 2)]
    threads += [threading.Thread(target=adds) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert add_up(store, 60)
    assert counted(store) == 200


def test_numbers_of_a_transaction_that_is_still_open_are_not_settled(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not store.is_shared:
        pytest.skip("SQLite has one writer at a time")
    monkeypatch.setattr(rollups_module, "SETTLE_SECONDS", 0.05)
    begins = text("SELECT pg_current_xact_id()::text")
    draws = text("SELECT nextval(pg_get_serial_sequence('usage_records', 'number'))")
    with store.write() as second, store.read() as counting:
        with store.write() as first:
            first.execute(begins)
            second.execute(begins)
            low = second.execute(draws).scalar_one()
            high = first.execute(draws).scalar_one()
            assert low < high
        # The first has ended; the second, whose id is the next one, may still bring a lower number.
        assert rollups_module._last_settled(counting, low - 1) == low - 1
        second.rollback()
        assert rollups_module._last_settled(counting, low - 1) == high


def test_a_request_does_not_wait_for_all_that_was_never_counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups_module, "BATCH_RECORDS", 2)
    put(store, 0, 6)
    assert not add_up(store, 0)
    assert counted(store) == 2
    assert add_up(store)
    assert counted(store) == 6


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - of a database
            await asyncio.sleep(0.01)


async def until_counted(store: Store, count: int) -> None:
    task = asyncio.create_task(UsageCounter(store, 0.01).run())
    try:
        await eventually(lambda: counted(store) == count)
    finally:
        task.cancel()


def test_the_background_task_counts_what_comes(store: Store) -> None:
    put(store, 0, 3)
    asyncio.run(until_counted(store, 3))
    put(store, 3, 2)
    asyncio.run(until_counted(store, 5))


def test_the_background_task_survives_a_database_that_fails(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, 0, 3)
    with store.write() as connection:
        connection.execute(text("ALTER TABLE calls RENAME TO away"))

    async def run() -> None:
        task = asyncio.create_task(UsageCounter(store, 0.01).run())
        await eventually(lambda: "cannot be updated" in caplog.text)
        with store.write() as connection:
            connection.execute(text("ALTER TABLE away RENAME TO calls"))
        await eventually(lambda: counted(store) == 3)
        task.cancel()

    asyncio.run(run())
    assert caplog.text.count("cannot be updated") == 1


def test_a_record_that_is_being_stored_is_neither_missed_nor_waited_for_by_others(
    tmp_path: Path, postgres: object, new_database: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollups_module, "SETTLE_SECONDS", 0.05)
    store = open_store(tmp_path, new_database())  # type: ignore[operator]
    try:
        with store.write() as connection:
            keep_sheets(connection, [SHEET])
        with store.write() as slow:  # draws the lowest numbers, and commits last
            post(slow, [record(number, "acc_2") for number in range(2)], "slow")
            put(store, 10, 3)
            assert not count_batch(store), "what is below is not settled"
            assert counted(store) == 0
            put(store, 20, 1)  # nobody was locked out
        assert add_up(store, 60)
        assert counted(store) == 6
    finally:
        store.close()


def test_a_key_s_usage_is_of_this_day_week_and_month(store: Store) -> None:
    with store.write() as connection:
        account = add_account(connection, "an account", prepaid=False)
        connection.execute(
            insert(api_keys).values(
                id="key_1", account_id=account, name="a key", prefix="12345678", digest=b"1" * 32, created_at=1
            )
        )
    put(store, 0, 2)
    add_up(store)
    one = decode(record(0))
    day = datetime.fromtimestamp(one.at / 1000, UTC).date()
    charged = sum(decode(record(number)).price for number in range(2))
    with store.read() as connection:
        used = usage_of_keys(connection, [one.key], day)[one.key]
        assert (used.day, used.week, used.month, used.last_day) == (charged, charged, charged, day.isoformat())
        later = usage_of_keys(connection, [one.key], date(2101, 5, 5))[one.key]
        assert (later.day, later.week, later.month, later.last_day) == (0, 0, 0, day.isoformat())
        assert usage_of_keys(connection, ["key_none"], day) == {}
    assert msgspec.json.encode(used)


def test_a_record_that_cannot_be_read_counts_with_what_it_was_charged(store: Store) -> None:
    put(store, 0, 2)
    with store.write() as connection:
        connection.execute(text("UPDATE usage_records SET body = 'spoiled' WHERE id = 'gen_1'"))
    assert add_up(store)
    with store.read() as connection:
        (day,) = rollups(connection, "account/acc_1", DAY, 0, END, "m")
        (lost,) = rollups(connection, "account/acc_1", DAY, 0, END, "")
    assert lost.sums.charged == day.sums.charged == decode(record(1)).price


def test_quantiles_are_within_a_bucket_of_the_exact_ones() -> None:
    times = [7, 40, 41, 350, 1_000, 1_001, 5_000, 60_000]
    histogram = Counter(rollups_module.latencies.bucket_of(one) for one in times)
    for share, exact in ((0.5, 350), (0.95, 60_000)):
        (found,) = quantiles(histogram, [share])
        assert found == pytest.approx(exact, rel=0.045)


HISTOGRAM = st.dictionaries(st.integers(0, latencies.LAST_BUCKET), st.integers(1, 2**40), max_size=20)


@given(st.lists(HISTOGRAM, max_size=9), st.integers(1, 4))
def test_sums_of_histograms_are_exact_when_they_are_made_and_when_they_are_kept(
    histograms: list[dict[int, int]], most: int
) -> None:
    bodies = [latencies.written(one) for one in histograms]
    expected: Counter[int] = Counter()
    for one in histograms:
        expected.update(one)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latencies, "MOST_KEPT", most)
        patch.setattr(latencies, "_kept", {})
        for some in (bodies, bodies[::-1], bodies, bodies[1:]):
            found = latencies.merged_again(some)
            assert found == latencies.merged(some)
            if len(some) == len(bodies):
                assert found == expected
            found[0] = -1  # whoever gets it may change it
            assert len(latencies._kept) <= most


# --- what the charts come to is what the receipts come to

CALL = st.tuples(
    st.integers(0, 2),  # key
    st.sampled_from(["m", "vendor/large", "ü" * 60]),
    st.sampled_from(["served", "empty", "caller_gone", "upstream_failed"]),
    st.integers(0, 3 * 86_400),  # seconds
    st.integers(0, 400_000),  # latency
    st.integers(0, 200_000),
    st.integers(0, 50_000),
    st.sampled_from(["", "alice", "bob"]),
    st.sampled_from(["", "s-1", "ß/2"]),
)
numbers = itertools.count()


@given(st.lists(st.lists(CALL, max_size=15), max_size=4), st.integers(3, 12))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_roll_ups_come_to_is_what_receipts_come_to(
    store: Store, monkeypatch: pytest.MonkeyPatch, batches: list[list[tuple]], step: int
) -> None:
    monkeypatch.setattr(rollups_module, "BATCH_RECORDS", step)
    with store.write() as connection:
        account = add_account(connection, "an account", prepaid=False)
        project, member = (add_group(connection, kind, "a group", account, {}) for kind in ("project", "member"))
        columns = ({}, {"project_id": project}, {"project_id": project, "member_id": member})
        keys = []
        for one in columns:
            made = add_key(connection, "a key", account, one)
            assert account_id_of(connection, made) == account
            found = key_by_hash(connection, key_digest(made.encode()).hex())
            assert found is not None
            keys.append(found.id)
    expected: Counter[tuple[str, str, int, str]] = Counter()
    ids = []
    for batch in batches:
        bodies = []
        for key, model, outcome, second, latency, prompt, completion, user, session in batch:
            usage = Usage(TokenClasses(input=prompt, output=completion), prompt, completion)
            price = amounts(SHEET, usage)[0] if outcome == "served" else 0
            at = 1_700_000_000_000 + second * 1000
            one = UsageRecord(
                f"gen_p{next(numbers)}", at, at + latency, account, keys[key], model, outcome, False, "reported", "p/m",
                SHEET.id, usage.tokens, prompt, completion, True, price, None, user=user, session=session,
            )  # fmt: skip
            bodies.append(encode(one))
            ids.append(one.id)
            scopes = [f"account/{account}", f"key/{keys[key]}"]
            scopes += [f"project/{project}"] if key else []
            scopes += [f"member/{member}"] if key == 2 else []
            scopes += [named_scope("user", account, user)] if user else []
            scopes += [named_scope("session", account, session)] if session else []
            for scope in scopes:
                expected[scope, HOUR, at // 3_600_000 * 3_600, model] += price
                expected[scope, DAY, at // 86_400_000 * 86_400, model] += price
        if bodies:
            with store.write() as connection:
                post(connection, bodies, "p")
        count_batch(store)
    assert add_up(store, 60)
    with store.read() as connection:
        found = {
            (scope, span, one.start, one.model): one.sums.charged
            for scope, span in {place[:2] for place in expected}
            for one in rollups(connection, scope, span, 0, END)
        }
        assert found == dict(expected)
        receipts = [receipt(body, SHEET) for body in (stored_record(connection, id_, account) for id_ in ids) if body]
        charged = sum(Picodollars.parse(one["charged_usd"]).value for one in receipts)
        lines = connection.execute(select(calls).where(calls.c.account_id == account)).all()
        account_days = rollups(connection, f"account/{account}", DAY, 0, END)
        assert_steps_are_sums(connection, f"account/{account}", DAY, [START + at * DAY_SECONDS for at in range(9)])
        assert_steps_are_sums(connection, f"account/{account}", HOUR, [START, START + 7_200, START + DAY_SECONDS])
        assert_steps_are_sums(connection, ALL, HOUR, [START])
    assert len(receipts) == len(ids) == len(lines) == sum(one.sums.requests for one in account_days)
    assert charged == sum(line.charged for line in lines) == sum(one.sums.charged for one in account_days)
    assert sum(line.prompt_tokens for line in lines) == sum(one.sums.prompt_tokens for one in account_days)
    answered = [line for line in lines if line.outcome in ("served", "empty")]
    assert len(answered) == sum(sum(one.sums.latencies.values()) for one in account_days)
    assert sum(one["outcome"] == "upstream_failed" for one in receipts) == sum(one.sums.failed for one in account_days)


def assert_steps_are_sums(connection: Connection, scope: str, span: str, steps: list[int]) -> None:
    """What the database adds up is what the roll-ups come to, whatever the steps."""
    expected: dict[tuple[int, str], Sums] = {}
    histograms: dict[int, dict[int, int]] = {}
    for one in rollups(connection, scope, span, steps[0], END):
        step = max(start for start in steps if start <= one.start)
        expected.setdefault((step, one.model), Sums()).add(one.sums, counts=True)
        latencies.add(histograms.setdefault(step, {}), one.sums.latencies)
    assert {(one.start, one.model): one.sums for one in stepped(connection, scope, span, steps, END)} == expected
    found = latencies_by_step(connection, scope, span, steps, END)
    assert {at: one for at, one in found.items() if one} == {at: one for at, one in histograms.items() if one}
    assert latencies_by_step(connection, scope, span, steps, END) == found
    whole = Sums()
    for one in expected.values():
        whole.add(one)
    assert totals(connection, [scope, "key/nobody"], span, steps[0], END) == ({scope: whole} if expected else {})
    for name in {model for _, model in expected}:
        one_model = stepped(connection, scope, span, steps, END, name)
        assert {one.model for one in one_model} == {name}


def test_charges_that_exceed_64_bits_are_added_up_in_steps(store: Store) -> None:
    row = dict.fromkeys(FIGURES, 1) | {"scope": ALL, "span": DAY, "model": "m", "latencies": b""}
    with store.write() as connection:
        connection.execute(
            insert(usage_rollups),
            [row | {"start": START, "deployment": f"p/{at}", "charged": MOST_PICODOLLARS - at} for at in range(5)],
        )
    with store.read() as connection:
        (one,) = stepped(connection, ALL, DAY, [START], END)
    assert one.sums.charged == 5 * MOST_PICODOLLARS - 10


def test_all_calls_are_one_scope(store: Store) -> None:
    put(store, 0, 2)
    with store.write() as connection:
        post(connection, [record(2, "acc_other")], "p")
    add_up(store)
    with store.read() as connection:
        assert sum(one.sums.requests for one in rollups(connection, ALL, DAY, 0, END)) == 3


@pytest.mark.parametrize("column", ["project_id", "member_id", "session", "caller_user"])
def test_calls_with_a_value_are_found_by_an_index_without_those_that_have_none(tmp_path: Path, column: str) -> None:
    store = open_store(tmp_path)
    account = "account_id = ? AND " if column in {"session", "caller_user"} else ""
    values = ("acc", "x") if account else ("x",)
    with store.read() as connection:
        plan = connection.exec_driver_sql(
            f"EXPLAIN QUERY PLAN SELECT id FROM calls WHERE {account}{column} = ? ORDER BY at DESC LIMIT 50", values
        ).all()
        index = {"project_id": "calls_project", "member_id": "calls_member", "session": "calls_session"}.get(
            column, "calls_user"
        )
        stored = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = ?", (index,)).scalar_one()
    assert len(plan) == 1, plan  # no sorting
    assert f"USING INDEX {index}" in plan[0][3]
    assert "IS NOT NULL" in stored
    store.close()


def test_before_figures_are_shown_a_step_is_counted_and_more_is_said(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert catch_up(store) is None
    put(store, 0, 3)
    assert catch_up(store) is None
    assert counted(store) == 3
    monkeypatch.setattr(rollups_module, "BATCH_RECORDS", 2)
    put(store, 3, 3)
    assert catch_up(store) == counted_until(store)
    assert counted(store) == 3
    count_batch(store)
    assert catch_up(store) is None
    assert counted(store) == 6
