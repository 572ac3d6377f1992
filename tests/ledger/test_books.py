"""Every record is in the books once, however often it comes, and `verify` finds what was changed afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import text

from fairlead.accounts.accounts import add_account
from fairlead.errors import ConfigurationError, LedgerUnavailable
from fairlead.ledger import ledger as ledger_module
from fairlead.ledger import spool as spool_module
from fairlead.ledger.books import keep_sheets, post
from fairlead.ledger.ledger import Ledger, check
from fairlead.ledger.receipts import generation, receipt
from fairlead.ledger.record import UsageRecord, decode, encode
from fairlead.ledger.spool import Spool, read_segment
from fairlead.ledger.unreadable import Unreadable
from fairlead.ledger.verify import verify, verify_spools
from fairlead.ledger.wallets import Shortage
from fairlead.prices import FREE, PriceSheet, Schedule, amounts, rates_from
from fairlead.store import Store, open_store
from fairlead.wire.usage import usage_from_openai

SHEET = PriceSheet(
    "p/m",
    Schedule(rates_from({"input": "0.10", "output": "0.30", "request": "0.001"})),
    Schedule(rates_from({"input": "0.08", "output": "0.20"})),
)
USAGE = usage_from_openai(b'{"prompt_tokens":1000,"completion_tokens":100}')
assert USAGE is not None
PRICE = 1000 * 100_000 + 100 * 300_000 + 10**9


def record(number: int, account: str = "acc_1") -> bytes:
    assert USAGE is not None
    price, cost = amounts(SHEET, USAGE)
    return encode(
        UsageRecord(
            f"gen_{number}", 1, 2, account, "key_1", "m", "served", False, "reported", "p/m", SHEET.id,
            USAGE.tokens, USAGE.prompt, USAGE.completion, True, price, cost,
        )
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path, database_url: str | None) -> Iterator[Store]:
    opened = open_store(tmp_path, database_url)
    with opened.write() as connection:
        keep_sheets(connection, [SHEET])
    yield opened
    opened.close()


@pytest.mark.slow
@given(st.lists(st.lists(st.integers(0, 30), max_size=12), max_size=6))
@settings(max_examples=25, deadline=None)
def test_replays_in_any_order_bill_each_call_once(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]]
) -> None:
    store = open_store(tmp_path_factory.mktemp("books"))
    try:
        with store.write() as connection:
            keep_sheets(connection, [SHEET, SHEET])
        for batch in batches:
            with store.write() as connection:
                post(connection, [record(number) for number in batch], "p")
        calls = len({number for batch in batches for number in batch})
        with store.read() as connection:
            found = verify(connection)
            assert (found.records, found.charged, found.discrepancy) == (calls, calls * PRICE, None)
            total = connection.exec_driver_sql("SELECT sum(amount) FROM postings WHERE book = 'account/acc_1'").scalar()
            assert (total or 0) == -calls * PRICE
            assert (connection.exec_driver_sql("SELECT sum(amount) FROM postings").scalar() or 0) == 0
    finally:
        store.close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE usage_records SET price = price - 1 WHERE id = 'gen_1'", "gen_1"),
        ("UPDATE postings SET amount = amount - 1 WHERE book = 'revenue'", "postings of entry 1"),
        ("DELETE FROM usage_records WHERE id = 'gen_1'", "postings of entry 1"),
        ("UPDATE usage_records SET id = 'gen_other' WHERE id = 'gen_1'", "gen_other: the record is of gen_1"),
        ("UPDATE usage_records SET account_id = 'acc_2' WHERE id = 'gen_1'", "its columns say something else"),
        ("UPDATE usage_records SET body = replace(body, '\"completion\":100', '\"completion\":99')", "do not add up"),
        ("DELETE FROM charges", "it has no sum"),
        ("INSERT INTO funds VALUES ('key/k/day/2027-01-01', 5, 5, 0, 0)", "Of key/k/day/2027-01-01 5 picodollars"),
        ("UPDATE price_sheets SET body = replace(body, '300000', '300001')", "price sheet"),
    ],
)
def test_verify_names_what_was_changed_behind_its_back(store: Store, change: str, words: str) -> None:
    with store.write() as connection:
        post(connection, [record(number) for number in range(3)], "p")
    with store.write() as connection:
        assert verify(connection).discrepancy is None
        assert connection.exec_driver_sql(change).rowcount >= 1
    with store.read() as connection:
        discrepancy = verify(connection).discrepancy
    assert discrepancy is not None
    assert words in discrepancy


ANYTHING = ("'text'", "NULL", "x'00ff'", "1.5", "9e999", "9223372036854775807", "-9223372036854775808")


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database with something in every table that `verify` reads."""
    directory = tmp_path_factory.mktemp("books")
    store = open_store(directory)
    with store.write() as connection:
        keep_sheets(connection, [SHEET])
        add_account(connection, "a", prepaid=True)
        post(connection, [record(number) for number in range(3)], "p")
        for statement in (
            "INSERT INTO funds VALUES ('account/acc_1', 5, 5, 0, 0)",
            "INSERT INTO leases VALUES ('p', 'account/acc_1', 0, 0)",
            "INSERT INTO refunds SELECT id, 'gen_1', 1 FROM entries",
        ):
            connection.exec_driver_sql(statement)
    store.close()
    return (directory / "fairlead.db").read_bytes()


@pytest.mark.parametrize(
    "column",
    [
        "usage_records.price", "usage_records.body", "usage_records.at", "usage_records.key_id", "postings.amount",
        "postings.book", "charges.charged", "funds.granted", "funds.spent", "funds.leased", "refunds.amount",
        "price_sheets.body", "leases.remaining", "entries.at",
    ],
)  # fmt: skip
def test_verify_survives_whatever_is_stored(tmp_path: Path, books: bytes, column: str) -> None:
    table, name = column.split(".")
    changed = 0
    for value in ANYTHING:
        (tmp_path / "fairlead.db").write_bytes(books)
        with contextlib.closing(sqlite3.connect(tmp_path / "fairlead.db")) as database:
            with contextlib.suppress(sqlite3.IntegrityError):  # the schema refuses some of it
                first = f"rowid = (SELECT min(rowid) FROM {table})"
                changed += database.execute(f"UPDATE {table} SET {name} = {value} WHERE {first}").rowcount
            database.commit()
        store = open_store(tmp_path)
        try:
            with store.read() as connection:
                verify(connection)  # whatever it says, it says it
                verify_spools(connection, tmp_path / "spool")
        finally:
            store.close()
        for path in tmp_path.glob("fairlead.db*"):
            path.unlink()
    assert changed >= 4


def test_records_that_add_up_to_more_than_a_number_holds_take_nobody_elses_with_them(store: Store) -> None:
    """Two of them come to more than 64 bits, and one alone does."""

    def dear(number: int, price: int) -> bytes:
        return encode(replace(decode(record(number, "acc_2")), price=price, cost=0, shortfall=0))

    async def story() -> None:
        spool = Spool(store.directory / "spool", "dead", 1 << 30)
        for one in (record(1), dear(2, 2**62 + 1), dear(3, 2**62 + 1), record(4), dear(5, 2**64), record(6)):
            spool.append(one)
        spool.close(empty=False)  # as a kill does
        ledger = Ledger(store, [SHEET])
        ledger.adopt()
        assert ledger.trouble is None
        for number in (1, 4, 6):
            assert await ledger.find(f"gen_{number}", "acc_1") is not None
        await ledger.close()

    asyncio.run(story())
    aside = [decode(body).id for body in read_segment(store.directory / "unreadable" / "dead.spool")]
    assert aside == ["gen_3", "gen_5"], "of the account whose sum it would break, and alone"
    with store.read() as connection:
        charged = connection.exec_driver_sql("SELECT charged FROM charges WHERE account_id = 'acc_2'").scalar()
        assert charged == 2**62 + 1


def test_an_error_that_nobody_foresaw_loses_no_record_that_came_before_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was taken from memory is read from the spool again."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    async def story() -> None:
        ledger = Ledger(store, [SHEET])
        ledger.open("acc_1", "key_1", "m", stream=False, paid=True).settle(SHEET, USAGE)
        with monkeypatch.context() as patch:
            patch.setattr(Unreadable, "put", broken)
            patch.setattr(ledger_module, "post", broken)
            with pytest.raises(ZeroDivisionError):
                await ledger.flush()
        ledger.open("acc_1", "key_1", "m", stream=False, paid=True).settle(SHEET, USAGE)
        await ledger.flush()
        await ledger.close()

    asyncio.run(story())
    with store.read() as connection:
        assert verify(connection).records == 2


def test_ids_of_generations_are_ordered_by_time_and_cannot_be_guessed(store: Store) -> None:
    async def story() -> list[str]:
        ledger = Ledger(store, [SHEET])
        bills = [ledger.open("acc_1", "key_1", "m", stream=False, paid=True) for _ in range(1_200)]
        for bill in bills:
            bill.settle(SHEET, USAGE)
        await ledger.close()
        return [bill.id for bill in bills]

    ids = asyncio.run(story())
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"gen_[0-9a-f]{32}", one) for one in ids)
    assert [one[:12] for one in ids] == sorted(one[:12] for one in ids)
    assert abs(int(ids[0][4:12], 16) - time.time()) < 120
    secret = [int(one[16:], 16) for one in ids]
    steps = {later - before for before, later in itertools.pairwise(secret)}
    assert len(steps) == len(ids) - 1, "no step leads from one to the next"


def test_verify_sees_one_moment_of_books_that_are_written_meanwhile(store: Store) -> None:
    def charged(number: int) -> bytes:
        return encode(replace(decode(record(number)), scopes=("key/k/day/2027-01-01",)))

    with store.write() as connection:
        connection.exec_driver_sql("INSERT INTO funds VALUES ('key/k/day/2027-01-01', 5, 0, 0, 0)")
        post(connection, [charged(1)], "p")

    def more(_: int) -> None:
        with store.write() as writer:
            post(writer, [charged(2)], "p")

    with store.snapshot() as connection:
        found = verify(connection, 0, more)
    assert (found.records, found.discrepancy) == (1, None)
    with store.snapshot() as connection:
        assert verify(connection).records == 2


def test_verify_makes_the_charge_again_and_does_not_believe_the_record(store: Store) -> None:
    lie = decode(record(9))
    lie = UsageRecord(**{**{name: getattr(lie, name) for name in lie.__struct_fields__}, "price": lie.price + 1})
    with store.write() as connection:
        post(connection, [encode(lie)], "p")
    with store.read() as connection:
        discrepancy = verify(connection).discrepancy
    assert (
        discrepancy
        == f"gen_9: charged {PRICE + 1} (and 0 waived), by its sheet {PRICE} picodollars (cost 100000000 and 100000000)."
    )


def test_the_next_process_drains_what_a_dead_one_left(store: Store) -> None:
    async def first() -> str:
        ledger = Ledger(store, [SHEET])
        bill = ledger.open("acc_1", "key_1", "m", stream=True, paid=True)
        bill.failed(SHEET, "upstream_failed")
        assert bill.settle(SHEET, USAGE) == PRICE
        bill.release("caller_gone")  # nothing any more
        ledger._spool.close(empty=False)  # as a kill does
        return bill.id

    async def second(generation_id: str) -> None:
        ledger = Ledger(store, [SHEET])
        ledger.adopt()
        found = await ledger.find(generation_id, "acc_1")
        assert found is not None
        assert [attempt.outcome for attempt in found[0].attempts] == ["upstream_failed", "served"]
        shown = receipt(*found)
        assert shown["charged_usd"] == "0.00113"
        assert [line["class"] for line in shown["lines"]] == ["input", "output", "request"]
        assert shown["lines"][0]["formula"] == "1000 x 100000 = 100000000 picodollars"
        assert [one["cost_usd"] for one in shown["attempts"]] == ["0", "0.0001"]  # 1000 x 80000 + 100 x 200000
        assert shown["price_sheet"] == {"id": SHEET.id, "version": 1, "unit": "USD per token"}
        told = generation(found[0])
        assert told["total_cost"] == told["usage"] == 0.00113
        assert datetime.fromisoformat(told["created_at"]).timestamp() * 1000 == found[0].at
        assert await ledger.find(generation_id, "acc_2") is None
        await ledger.close()
        assert list((store.directory / "spool").iterdir()) == []

    asyncio.run(second(asyncio.run(first())))


def test_a_record_that_cannot_be_read_is_set_aside_and_stops_none_behind_it(store: Store) -> None:
    newer = b'{"v":2,"call":"gen_7"}'

    async def story() -> None:
        spool = Spool(store.directory / "spool", "dead", 1 << 30)
        for one in (record(1), newer, b"\xff no JSON", record(2), record(3)):
            spool.append(one)
        spool.close(empty=False)  # as a kill does
        ledger = Ledger(store, [SHEET])
        ledger.adopt()
        assert ledger.trouble is None
        assert ledger.set_aside == 2
        for number in (1, 2, 3):
            assert await ledger.find(f"gen_{number}", "acc_1") is not None
        await ledger.close()

    asyncio.run(story())
    assert list((store.directory / "spool").iterdir()) == []
    aside = store.directory / "unreadable" / "dead.spool"
    assert list(read_segment(aside)) == [newer, b"\xff no JSON"]
    with store.read() as connection:
        assert verify(connection).discrepancy is None
        _, wrong = verify_spools(connection, store.directory / "spool")
        assert wrong is not None
        assert wrong.startswith("2 records or pieces of the spool are not in the books")


def test_what_was_set_aside_is_stored_by_a_version_that_can_read_it(store: Store) -> None:
    Unreadable(store.directory).put("dead", record(4))
    Unreadable(store.directory).put("other", b"never")

    async def story() -> None:
        ledger = Ledger(store, [SHEET])
        assert ledger.set_aside == 2
        ledger.try_set_aside_again()
        assert ledger.set_aside == 1
        assert await ledger.find("gen_4", "acc_1") is not None
        await ledger.close()

    asyncio.run(story())
    assert [path.name for path in (store.directory / "unreadable").glob("*.spool")] == ["other.spool"]


def test_a_damaged_segment_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 1000)
    spool = Spool(store.directory / "spool", "dead", 1 << 30)
    for number in range(9):
        spool.append(record(number))
    spool.close(empty=False)
    first = store.directory / "spool" / "dead" / "00000000.spool"
    first.write_bytes(first.read_bytes().replace(b"gen_1", b"gen_X"))
    ledger = Ledger(store, [SHEET])
    ledger.adopt()
    assert not (store.directory / "spool" / "dead").exists()
    assert b"gen_X" in (store.directory / "unreadable" / "dead-00000000.damaged").read_bytes()
    asyncio.run(ledger.close())
    with store.read() as connection:
        assert verify_spools(connection, store.directory / "spool")[1] is not None


def test_a_spool_that_cannot_be_taken_up_is_told_and_does_not_stop_the_draining(store: Store) -> None:
    spools = store.directory / "spool"
    for name, number in (("closed", 1), ("dead", 2)):
        spool = Spool(spools, name, 1 << 30)
        spool.append(record(number))
        spool.close(empty=False)
    lock = spools / "closed" / "lock"
    lock.unlink()
    lock.mkdir()  # nobody can open it for writing, not even root

    async def story() -> None:
        ledger = Ledger(store, [SHEET])
        draining = asyncio.create_task(ledger.run())
        ledger.open("acc_1", "key_1", "m", stream=False, paid=True).settle(SHEET, USAGE)
        give_up = time.monotonic() + 60
        while (ledger.waiting_bytes or not ledger.closed_spools) and time.monotonic() < give_up:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        assert not ledger.waiting_bytes
        assert ledger.closed_spools == {str(spools / "closed"): "Is a directory"}
        assert await ledger.find("gen_2", "acc_1") is not None
        assert await ledger.find("gen_1", "acc_1") is None
        lock.rmdir()
        ledger.adopt()
        assert ledger.closed_spools == {}
        assert await ledger.find("gen_1", "acc_1") is not None
        assert not draining.done()
        draining.cancel()
        await ledger.close()

    asyncio.run(story())


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_ledger_that_can_keep_nothing_says_in_one_sentence_why(store: Store) -> None:
    (store.directory / "spool").touch()
    for start in (lambda: Ledger(store, [SHEET]), lambda: check(store)):
        with pytest.raises(ConfigurationError) as caught:
            start()
        spool = store.directory / "spool"
        assert caught.value.message == f"The data directory {store.directory} cannot be used: {spool}: Not a directory."


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_paid_calls_stop_when_neither_the_database_nor_the_disk_keeps_usage(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def fails(_file: int) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    async def story() -> None:
        ledger = Ledger(store, [SHEET])
        with store.write() as connection:
            connection.exec_driver_sql("ALTER TABLE usage_records RENAME TO gone")
        monkeypatch.setattr(os, "fsync", fails)
        ledger.open("acc_1", "key_1", "m", stream=False, paid=True).settle(SHEET, USAGE)
        await ledger.flush()
        with pytest.raises(LedgerUnavailable):
            ledger.open("acc_1", "key_1", "m", stream=False, paid=True)
        with store.write() as connection:
            connection.exec_driver_sql("ALTER TABLE gone RENAME TO usage_records")
        monkeypatch.setattr(os, "fsync", real)
        monkeypatch.setattr(ledger, "_probe_at", 0.0)  # five seconds later
        await ledger.flush()
        ledger.open("acc_1", "key_1", "m", stream=False, paid=True).settle(SHEET, USAGE)
        await ledger.close()

    asyncio.run(story())
    with store.read() as connection:
        found = verify(connection)
    assert (found.records, found.discrepancy) == (2, None)


def test_without_the_database_calls_are_served_within_the_bound_and_nothing_is_lost(store: Store) -> None:
    async def outage() -> int:
        ledger = Ledger(store, [SHEET], most_bytes=4000)
        with store.write() as connection:
            connection.exec_driver_sql("ALTER TABLE usage_records RENAME TO gone")
        served = 0
        with pytest.raises(LedgerUnavailable):
            for _ in range(1000):
                ledger.open("acc_1", "key_1", "m", stream=False, paid=True).settle(SHEET, USAGE)
                served += 1
                await ledger.flush()
                assert ledger.trouble is not None
        ledger.open("acc_1", "key_1", "m", stream=False, paid=False).release("caller_gone")
        with store.write() as connection:
            connection.exec_driver_sql("ALTER TABLE gone RENAME TO usage_records")
        await ledger.flush()
        assert ledger.trouble is None
        assert not ledger.full
        await ledger.close()
        return served

    served = asyncio.run(outage())
    assert served > 5
    with store.read() as connection:
        found = verify(connection)
    assert (found.records, found.charged, found.discrepancy) == (served + 1, served * PRICE, None)


def test_credit_that_cannot_be_leased_is_told_once_and_until_it_can(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    async def outage() -> None:
        ledger = Ledger(store, [SHEET])
        scopes = ledger.wallets.credit_of("acc_1")
        with store.write() as connection:
            connection.exec_driver_sql("ALTER TABLE funds RENAME TO gone")
        for _ in range(3):
            with pytest.raises(LedgerUnavailable):
                await ledger.hold(scopes, 5, 5)
        assert "funds" in (ledger.wallets.trouble or "")
        with store.write() as connection:
            connection.exec_driver_sql("ALTER TABLE gone RENAME TO funds")
        await ledger.wallets.tick()
        assert ledger.wallets.trouble is None
        with pytest.raises(Shortage):
            await ledger.hold(scopes, 5, 5)
        await ledger.close()

    asyncio.run(outage())
    told = [record.getMessage() for record in caplog.records if "redit" in record.getMessage()]
    assert len(told) == 2
    assert told[1] == "Credit can be leased from the database again."


def test_missing_usage_is_a_state_of_its_own_and_never_a_silent_zero(store: Store) -> None:
    async def one() -> str:
        ledger = Ledger(store, [SHEET, PriceSheet("p/free", FREE)])
        bill = ledger.open("acc_1", "key_1", "m", stream=False, paid=True)
        assert bill.settle(SHEET, None) == 0
        await ledger.close()
        return bill.id

    name = asyncio.run(one())
    with store.read() as connection:
        found = verify(connection)
        body = connection.execute(text("SELECT body FROM usage_records WHERE id = :name"), {"name": name}).scalar()
    assert (found.records, found.missing, found.charged) == (1, 1, 0)
    assert decode(body).usage == "usage_missing"


def test_with_power_no_answer_ends_before_its_record_is_on_the_disk(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    real = os.fsync

    def fsync(file: int) -> None:
        calls.append("begun")
        time.sleep(0.05)
        real(file)
        calls.append("ended")

    async def one(ledger: Ledger) -> None:
        bill = ledger.open("acc_1", "key_1", "m", stream=False, paid=True)
        bill.settle(SHEET, USAGE)
        before = calls.count("begun")
        assert bill.synced is not None
        await bill.synced()
        assert calls.count("ended") > before  # an fsync that began after the record was written

    async def many() -> None:
        ledger = Ledger(store, [SHEET], power=True)
        monkeypatch.setattr(os, "fsync", fsync)
        await asyncio.gather(*[one(ledger) for _ in range(200)])
        assert calls.count("begun") <= 8  # file and directory, a few times, for two hundred answers
        await ledger.close()

    asyncio.run(many())
    with store.read() as connection:
        assert verify(connection).records == 200


def test_work_in_the_default_threads_does_not_delay_the_ledger_or_the_keys(store: Store) -> None:
    """Tokenizers and pages run there, and a caller decides how long."""

    async def run() -> None:
        release = threading.Event()
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        busy = loop.run_in_executor(None, release.wait)
        try:
            async with asyncio.timeout(30):
                ledger = Ledger(store, [SHEET])
                bill = ledger.open("acc_1", "key_1", "m", stream=False, paid=True)
                bill.settle(SHEET, USAGE)
                await ledger.flush()
                assert await ledger.find(bill.id, "acc_1") is not None
                await ledger.close()
            assert not busy.done()
        finally:
            release.set()
            await busy

    asyncio.run(run())
