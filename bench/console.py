"""A database with a million calls and 10,000 keys, and what the developer's pages take with it.

    PYTHONPATH=. .venv/bin/python bench/console.py make DIR [--calls 1000000] [--keys 10000]
    PYTHONPATH=. .venv/bin/python bench/console.py measure DIR [--rounds 30]

`make` writes records as the ledger does, but without waiting for the disk, and counts them. They
are those of one account; the newest are of now, the oldest 40 days old.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sqlite3
import time
from pathlib import Path
from statistics import median
from typing import Any, Final

from sqlalchemy import select
from starlette.applications import Starlette

from fairlead.accounts.accounts import add_account
from fairlead.accounts.groups import add_group
from fairlead.admin.people import join
from fairlead.console.app import COOKIE, console
from fairlead.console.services import ConsoleServices
from fairlead.ledger import rollups
from fairlead.ledger.books import keep_sheets
from fairlead.ledger.record import UsageRecord, encode
from fairlead.people import persons, sessions
from fairlead.prices import PriceSheet, Schedule, amounts, rates_from
from fairlead.settings import parse_settings
from fairlead.store import Store, open_store
from fairlead.store.tables import accounts, calls, charges
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
        asyncio.run(measure(given.directory, given.rounds))


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
        connection.exec_driver_sql(
            "INSERT INTO charges SELECT account_id, key_id, sum(price) FROM usage_records GROUP BY account_id, key_id"
        )
    began = time.perf_counter()
    while rollups.count_batch(store):
        pass
    seconds = time.perf_counter() - began
    print(f"counted in {seconds:.0f} s: {seconds / count * 1e6:.0f} µs for each")


# --- measuring


async def measure(directory: Path, rounds: int) -> None:
    """Each page in this process, as its owner sees it: wall and CPU time to the first byte, bytes of the answer."""
    store = open_store(directory)
    app = console(ConsoleServices(store, lambda: parse_settings("", "bench.toml", {})))
    with store.write() as connection:
        account = connection.execute(select(accounts.c.id).where(accounts.c.name == "Example")).scalar_one()
        people = persons.list_people(connection, 1)
        person = people[0] if people else persons.add_person(connection, "o@example.org", "O", None, confirmed=True)
        if not people:
            join(connection, person, account, "owner")
        token = sessions.begin(connection, person.id, 86_400, method="password", address="192.0.2.1", agent="bench")
        sample = connection.execute(select(calls).order_by(calls.c.at.desc()).limit(1)).one()
        busiest = connection.execute(select(charges.c.key_id).order_by(charges.c.charged.desc()).limit(1)).scalar_one()
    pages = {
        "Keys": "/account/keys",
        "Keys, by name": "/account/keys?q=service+99",
        "Activity, 24 hours": "/account/activity?time=24h",
        "Activity, 7 days": "/account/activity",
        "Activity, 30 days": "/account/activity?time=30d",
        "Activity, 90 days": "/account/activity?time=90d",
        "Activity of the busiest key, 30 days": f"/account/activity?time=30d&key={busiest}",
        "Activity of a model, 7 days": f"/account/activity?model={MODELS[1]}",
        "Activity of an end user, 30 days": "/account/activity?time=30d&user=user-7",
        "Call": f"/account/calls/{sample.id}",
        "Credit": "/account/credit",
    }
    print(f"{'page':40}{'p50, ms':>10}{'p95, ms':>10}{'CPU, ms':>10}{'KB':>8}")
    for name, target in pages.items():
        await _asked(app, target, token)  # templates are compiled, pages of the database are read
        taken = [await _asked(app, target, token) for _ in range(rounds)]
        walls = sorted(one[0] for one in taken)
        print(
            f"{name:40}{median(walls) * 1e3:10.1f}{walls[int(len(walls) * 0.95) - 1] * 1e3:10.1f}"
            f"{median(one[1] for one in taken) * 1e3:10.1f}{taken[-1][2] / 1000:8.1f}"
        )
    app.state.console.threads.shutdown()
    store.close()


async def _asked(app: Starlette, target: str, token: str) -> tuple[float, float, int]:
    path, _, query = target.partition("?")
    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "method": "GET", "scheme": "http",
        "http_version": "1.1", "path": path, "raw_path": path.encode(), "query_string": query.encode(),
        "root_path": "", "server": ("llm.example", 80), "client": ("192.0.2.1", 1), "state": {},
        "headers": [(b"host", b"llm.example"), (b"accept", b"text/html"), (b"accept-encoding", b"gzip"),
                    (b"cookie", f"{COOKIE}={token}".encode())],
    }  # fmt: skip
    found: list[tuple[float, float]] = []
    size = 0
    wall, cpu = time.perf_counter(), time.process_time()

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal size
        if message["type"] == "http.response.start":
            found.append((time.perf_counter() - wall, time.process_time() - cpu))
            assert message["status"] == 200, (target, message)
        else:
            size += len(message.get("body", b""))

    await app(scope, receive, send)
    return (*found[0], size)


if __name__ == "__main__":
    main()
