"""Everything that was charged is in an export, to the picodollar, in every format."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import tracemalloc
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from fairlead.ledger.books import keep_sheets, post
from fairlead.ledger.export import COLUMNS, rows, write, write_file
from fairlead.ledger.record import Attempt, UsageRecord, encode
from fairlead.ledger.verify import verify
from fairlead.prices import PriceSheet, Schedule
from fairlead.store import Store, open_store
from fairlead.wire.usage import TokenClasses

SHEET = PriceSheet("p/m", Schedule(TokenClasses(input=100_001, output=300_007)), Schedule(TokenClasses(input=7)))
DAY = 86_400_000


def record(number: int, model: str = "m") -> bytes:
    tokens = TokenClasses(input=number, output=3, request=1)
    return encode(
        UsageRecord(
            f"gen_{number:06d}", DAY * (number % 5), DAY * (number % 5) + 9, f"acc_{number % 2}", "key_1", model, "served",
            False, "reported", "p/m", SHEET.id, tokens, number, 3, True, number * 100_001 + 900_021, number * 7,
            (Attempt("p/m", SHEET.id, "served", 9),),
        )
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path, database_url: str | None) -> Iterator[Store]:
    opened = open_store(tmp_path / "data", database_url)
    with opened.write() as connection:
        keep_sheets(connection, [SHEET])
        post(connection, [record(number) for number in range(200)], "p")
        post(connection, [record(900, '=HYPERLINK("x")'), record(901, 'a,"b"\r\nc')], "p")
    yield opened
    opened.close()


def exported(store: Store, kind: str, tmp_path: Path, **wanted: Any) -> list[dict[str, Any]]:
    with store.read() as connection:
        if kind == "parquet":
            write_file(rows(connection, **wanted), kind, tmp_path / "x.parquet")
            found = pyarrow.parquet.read_table(tmp_path / "x.parquet").to_pylist()
            assert all(isinstance(row["charged_usd"], Decimal) for row in found)
            return found
        out = io.BytesIO()
        count = write(rows(connection, **wanted), kind, out)
    if kind == "jsonl":
        found = [json.loads(line) for line in out.getvalue().splitlines()]
    else:
        assert out.getvalue().count(b"\r\n") >= count
        found = list(csv.DictReader(io.StringIO(out.getvalue().decode(), newline="")))
    assert len(found) == count
    return found


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_an_export_adds_up_to_what_verify_says(store: Store, tmp_path: Path, kind: str) -> None:
    found = exported(store, kind, tmp_path)
    with store.read() as connection:
        checked = verify(connection)
    assert checked.discrepancy is None
    assert len(found) == checked.records == 202
    assert sum(int(row["charged_picodollars"]) for row in found) == checked.charged
    assert sum(Decimal(row["charged_usd"]) for row in found) == Decimal(checked.charged).scaleb(-12)
    assert [str(row["started_at"]) for row in found] == sorted(str(row["started_at"]) for row in found)
    assert list(found[0]) == list(COLUMNS)
    models = {row["model"] for row in found}
    assert 'a,"b"\r\nc' in models
    assert ('\'=HYPERLINK("x")' if kind == "csv" else '=HYPERLINK("x")') in models


def test_days_and_accounts_are_chosen(store: Store, tmp_path: Path) -> None:
    found = exported(store, "jsonl", tmp_path, since=DAY, until=3 * DAY, account_id="acc_1")
    assert {row["account"] for row in found} == {"acc_1"}
    assert {row["started_at"][:10] for row in found} == {"1970-01-02", "1970-01-03"}


def test_an_export_that_fails_leaves_no_half_file(store: Store, tmp_path: Path) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        with store.read() as connection, contextlib.closing(rows(connection)) as found:
            yield next(found)
        raise RuntimeError

    (tmp_path / "x.csv").write_text("the old one")
    with pytest.raises(RuntimeError):
        write_file(broken(), "csv", tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text() == "the old one"
    assert [path.name for path in tmp_path.glob("*x.csv*")] == ["x.csv"]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_records(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with store.write() as connection:
        keep_sheets(connection, [SHEET])
        for start in range(0, 20_000, 5_000):
            post(connection, [record(1000 + number) for number in range(start, start + 5_000)], "p")
    with store.read() as connection:
        tracemalloc.start()
        for _ in rows(connection):
            pass
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    store.close()
    assert peak < 4_000_000  # 20,000 records are over 10 MB


def test_an_export_of_a_session(store: Store, tmp_path: Path) -> None:
    """Its records are found by the table beside them, whatever database that is in; twice the same is once."""
    named = [record(number)[:-1] + b',"session":"s-%d","user":"u"}' % (number % 2) for number in range(300, 306)]
    for _ in range(2):
        with store.write() as connection:
            post(connection, named, "p")
    found = exported(store, "jsonl", tmp_path, session="s-1")
    assert [row["id"] for row in found] == ["gen_000305", "gen_000301", "gen_000303"]
    assert {(row["session"], row["user"]) for row in found} == {("s-1", "u")}
    assert exported(store, "jsonl", tmp_path, session="nobody") == []
