"""A database with a million calls and 10,000 keys, and what the developer's pages take with it.

    .venv/bin/python bench/console.py make DIR [--calls 1000000] [--keys 10000]
    .venv/bin/python bench/console.py measure DIR [--rounds 30]

`make` writes records as the ledger does, but without waiting for the disk, and counts them. Half of the calls are those
of one account with all keys but a hundred; the newest are of now, the oldest 40 days old.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import time
from pathlib import Path
from typing import Final

from fairlead.accounts.accounts import add_account
from fairlead.accounts.groups import add_group
from fairlead.ledger import rollups
from fairlead.ledger.books import keep_sheets
from fairlead.ledger.record import UsageRecord, encode
from fairlead.prices import PriceSheet, Schedule, amounts, rates_from
from fairlead.store import Store, open_store
from fairlead.wire.usage import TokenClasses, Usage

DAYS: Final = 40
ENTRY_RECORDS: Final = 100
COUNTED_AT_ONCE: Final = 20_000
MODELS: Final = ("mistral-small-3.2", "mistral-large-3", "qwen3-235b", "llama-4-scout", "gpt-oss-120b", "deepseek-v3.2",
                 "gemma-3-27b", "voyage-4")  # fmt: skip
OUTCOMES: Final = ("served",) * 96 + ("caller_gone", "upstream_timeout", "upstream_rate_limited", "empty")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("make", "measure"))
    parser.add_argument("directory", type=Path)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=30)
    given = parser.parse_args()
    if given.what == "make":
        make(given.directory, given.calls, given.keys)
    else:
        from bench.console_pages import measure

        measure(given.directory, given.rounds)


def make(directory: Path, count: int, key_count: int) -> None:
    store = open_store(directory)
    began = time.perf_counter()
    sheets = [
        PriceSheet(
            f"provider-{at % 3}/{model}", Schedule(rates_from({"input": f"0.{at + 1}", "output": f"{at + 1}.00"}))
        )
        for at, model in enumerate(MODELS)
    ]
    with store.write() as connection:
        keep_sheets(connection, sheets)
        account = add_account(connection, "Example", prepaid=True)
        project, member = (add_group(connection, kind, f"a {kind}", account) for kind in ("project", "member"))
    with sqlite3.connect(directory / "fairlead.db") as file:
        file.execute("PRAGMA synchronous = OFF")
        keys = _keys(file, account, project, member, key_count)
        _records(file, account, keys, sheets, count)
    file.close()
    print(f"{count:,} records in {time.perf_counter() - began:.0f} s")
    _count(store, count)
    store.close()
    print(f"{(directory / 'fairlead.db').stat().st_size / 1e6:,.0f} MB")


def _keys(file: sqlite3.Connection, account: str, project: str, member: str, count: int) -> list[str]:
    keys = [f"key_{number:012x}" for number in range(count)]
    file.executemany(
        "INSERT INTO api_keys (id, account_id, name, prefix, digest, created_at, project_id, member_id) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (key, account, f"service {at}", key[4:], at.to_bytes(32, "big"), int(time.time()) - at,
             project if at % 5 == 0 else None, member if at % 50 == 0 else None)
            for at, key in enumerate(keys)
        ],
    )  # fmt: skip
    return keys


def _records(file: sqlite3.Connection, account: str, keys: list[str], sheets: list[PriceSheet], count: int) -> None:
    chance = random.Random(1)
    now = int(time.time() * 1000)
    step = DAYS * 86_400_000 / count
    for first in range(0, count, ENTRY_RECORDS):
        at = now - int((count - first) * step)
        entry = file.execute("INSERT INTO entries (kind, at, note) VALUES ('settle', ?, 'usage')", (at,)).lastrowid
        rows, total = [], 0
        for number in range(first, min(count, first + ENTRY_RECORDS)):
            # A few keys make most of the calls, as everywhere.
            key = keys[int(len(keys) * chance.random() ** 3)]
            sheet = sheets[int(len(sheets) * chance.random() ** 2)]
            record = _record(chance, number, now - int((count - number) * step), account, key, sheet)
            total += record.price
            rows.append((record.id, record.at, account, key, record.price, entry, encode(record).decode()))
        file.executemany(
            "INSERT INTO usage_records (id, at, account_id, key_id, price, entry_id, body) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        file.executemany(
            "INSERT INTO postings (entry_id, book, amount) VALUES (?, ?, ?)",
            [(entry, f"account/{account}", -total), (entry, "revenue", total)],
        )


def _record(chance: random.Random, number: int, at: int, account: str, key: str, sheet: PriceSheet) -> UsageRecord:
    outcome = OUTCOMES[chance.randrange(len(OUTCOMES))]
    prompt, completion = int(chance.lognormvariate(7, 1.2)), int(chance.lognormvariate(5, 1))
    cached = prompt // 2 if chance.random() < 0.3 else 0
    usage = Usage(TokenClasses(input=prompt - cached, cached_input=cached, output=completion), prompt, completion)
    price = amounts(sheet, usage)[0] if outcome == "served" else 0
    return UsageRecord(
        f"gen_{number:032x}", at, at + int(chance.lognormvariate(7, 0.8)), account, key,
        sheet.deployment.partition("/")[2], outcome, chance.random() < 0.6, "reported" if price else "none",
        sheet.deployment, sheet.id, usage.tokens, prompt, completion, True, price, None,
        session=f"session-{number // 50}" if chance.random() < 0.1 else "",
        user=f"user-{chance.randrange(500)}" if chance.random() < 0.1 else "",
    )  # fmt: skip


def _count(store: Store, count: int) -> None:
    rollups.BATCH_RECORDS = COUNTED_AT_ONCE  # type: ignore[misc]
    with store.write() as connection:
        connection.exec_driver_sql("SELECT 1")
    began = time.perf_counter()
    while rollups.count_batch(store):
        pass
    seconds = time.perf_counter() - began
    print(f"counted in {seconds:.0f} s: {seconds / count * 1e6:.0f} µs for each")


if __name__ == "__main__":
    main()
