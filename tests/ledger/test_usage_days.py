"""Usage by day: each record is counted once, by however many processes, and no call waits for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import pytest

from fairlead.errors import Overloaded
from fairlead.ledger import usage_days
from fairlead.ledger.books import keep_sheets, post
from fairlead.ledger.record import decode
from fairlead.ledger.usage_days import add_up, days_of, usage_of_keys
from fairlead.store import Store, open_store

from .test_books import SHEET, record


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
    monkeypatch.setattr(usage_days, "BATCH_RECORDS", 4)
    put(store, 0, 10)
    for _ in range(2):
        add_up(store)
        assert counted(store) == 10
    put(store, 10, 3)
    add_up(store)
    one = decode(record(0))
    day = datetime.fromtimestamp(one.at / 1000, UTC).date().isoformat()
    with store.read() as connection:
        rows = days_of(connection, day, day, one.account)
        assert days_of(connection, day, day, "acc_none") == []
        assert days_of(connection, day, day, None, "key_none") == []
    total = [decode(record(number)) for number in range(13)]
    assert sum(row["requests"] for row in rows) == 13
    assert sum(row["charged"] for row in rows) == sum(each.price for each in total)
    assert sum(row["prompt_tokens"] for row in rows) == sum(each.prompt for each in total)


def test_processes_that_add_up_while_others_store_count_each_record_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_days, "BATCH_RECORDS", 7)
    errors: list[BaseException] = []

    def writes(part: int) -> None:
        for number in range(20):
            put(store, part * 1_000 + number * 5, 5)

    def adds() -> None:
        try:
            for _ in range(30):
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
    add_up(store)
    assert counted(store) == 200


def test_what_is_too_much_for_one_request_is_continued_by_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_days, "BATCH_RECORDS", 2)
    monkeypatch.setattr(usage_days, "MOST_BATCHES", 2)
    put(store, 0, 6)
    with pytest.raises(Overloaded, match="still being added up"):
        add_up(store)
    assert counted(store) == 4
    add_up(store)
    assert counted(store) == 6


def test_a_key_s_usage_is_of_this_day_week_and_month(store: Store) -> None:
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
