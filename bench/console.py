"""A database with a million calls and 10,000 keys, and what each page of the console takes with it.

    PYTHONPATH=. .venv/bin/python bench/console.py make DIR [--calls 1000000] [--keys 10000]
    PYTHONPATH=. .venv/bin/python bench/console.py measure DIR [--rounds 30] [--docs docs/internals/performance.md]

`make` writes records as the ledger does, but without waiting for the disk, and counts them. They
are those of one account; the newest are of now, the oldest 40 days old. Around it are a thousand
accounts with people, a long audit log and many events. `measure` asks for every page of the
console's own table: one without a sample in `SAMPLES` (or a reason in `NOT_ASKED`) ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sqlite3
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from sqlalchemy import insert, select
from starlette.applications import Starlette

from fairlead.accounts.accounts import add_account
from fairlead.accounts.groups import add_group
from fairlead.admin.audit import Actor
from fairlead.admin.configuration import Submission, apply, history
from fairlead.admin.people import join
from fairlead.catalogue.load import build
from fairlead.console.app import COOKIE, PAGES, console
from fairlead.console.page import ConsolePage
from fairlead.console.services import ConsoleServices
from fairlead.ledger import rollups
from fairlead.ledger.books import keep_sheets
from fairlead.ledger.funds import grant
from fairlead.ledger.record import UsageRecord, encode
from fairlead.people import persons, sessions
from fairlead.prices import PriceSheet, Schedule, amounts, rates_from
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.prefill import supports_prefill
from fairlead.settings import Unread, parse_settings
from fairlead.site.budget import PageBudget
from fairlead.store import Store, open_store
from fairlead.store.health import HealthEvent, keep_events
from fairlead.store.tables import accounts, audit_log, calls, charges, projects
from fairlead.wire.usage import TokenClasses, Usage

DAYS: Final = 40
ENTRY_RECORDS: Final = 100
COUNTED_AT_ONCE: Final = 20_000
MODELS: Final = ("mistral-small-3.2", "mistral-large-3", "qwen3-235b", "llama-4-scout", "gpt-oss-120b", "deepseek-v3.2",
                 "gemma-3-27b", "voyage-4")  # fmt: skip
ACCOUNTS: Final = 1_000
AUDITED: Final = 20_000
EVENTS: Final = 5_000
PROJECTS: Final = 50
OUTCOMES: Final = ("served",) * 96 + ("caller_gone", "upstream_timeout", "upstream_rate_limited", "empty")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("make", "measure"))
    parser.add_argument("directory", type=Path)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--only", default="", help="of the pages, those whose address contains this")
    parser.add_argument("--docs", type=Path, metavar="PAGE", help="write the table into PAGE")
    given = parser.parse_args()
    if given.what == "make":
        make(given.directory, given.calls, given.keys)
        return
    lines = asyncio.run(measure(given.directory, given.rounds, given.only))
    if given.docs:
        write_docs(given.docs, lines)


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
    surround(store, account)
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


# --- what stands around the calls


def document() -> str:
    """A configuration with the models of the calls."""
    lines = []
    for at in range(3):
        lines.append(
            f'[[providers]]\nid = "provider-{at}"\nbase_url = "https://8.8.8.{at + 1}/v1"\ndialect = "vllm"\n'
            f'api_key = {{ env = "PROVIDER_{at}_KEY" }}\n'
        )
    for at, model in enumerate(MODELS):
        lines.append(
            f'[[models]]\nid = "{model}"\n[[models.deployments]]\nprovider = "provider-{at % 3}"\n'
            f'upstream_model = "{model}"\nprice = {{ input = "0.{at + 1}", output = "{at + 1}.00" }}\n'
            f'cost = {{ input = "0.0{at + 1}", output = "0.{at + 1}" }}\n'
        )
    return "\n".join(lines)


def surround(store: Store, account: str) -> None:
    """Other accounts with people and credit, projects, an audit log, events, versions of a configuration."""
    now = int(time.time())
    with store.write() as connection:
        for at in range(ACCOUNTS):
            other = add_account(connection, f"Organisation {at}", prepaid=True)
            grant(connection, other, (at + 1) * 10**12, "credit of a new account")
            person = persons.add_person(connection, f"person-{at}@example.org", f"Person {at}", None, confirmed=True)
            join(connection, person, other, "owner")
        for role in ("admin", "member", "viewer"):
            for at in range(20):
                person = persons.add_person(
                    connection, f"{role}-{at}@example.com", f"{role} {at}", None, confirmed=True
                )
                join(connection, person, account, role)
        grant(connection, account, 10**18, "credit")
        connection.execute(
            insert(projects),
            [
                {"id": f"prj_{at:012x}", "account_id": account, "name": f"Project {at}", "created_at": now - at}
                for at in range(PROJECTS)
            ],
        )
        connection.execute(
            insert(audit_log),
            [
                {"at": (now - AUDITED + at) * 1000, "actor_kind": "person", "actor": f"usr_{at % 50}",
                 "address": "192.0.2.1", "action": "key.change", "subject": f"key_{at:012x}", "account_id": account,
                 "before": '{"name":"a"}', "after": '{"name":"b"}'}
                for at in range(AUDITED)
            ],
        )  # fmt: skip
        keep_events(connection, [
            HealthEvent(f"provider-{at % 3}/{MODELS[at % 8]}", f"provider-{at % 3}", "open" if at % 2 else "closed",
                        "upstream_timeout", (now - EVENTS + at) * 1000)
            for at in range(EVENTS)
        ])  # fmt: skip
    configure(store, document())
    configure(store, document().replace('output = "0.3"', 'output = "0.4"'))


def configure(store: Store, text: str) -> None:
    """The next version of the configuration."""
    expected = max((one.number for one in history(store)), default=0)
    apply(store, text, "bench.toml", Submission(Actor("command line", "bench"), "bench", "", expected))


# --- measuring

# What each page that is made for a visitor is asked for with; `{account}`, `{busiest}`, `{call}`, `{person}` and
# `{project}` are of the database. A page that has more than one cost has more than one sample.
SAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "/sign-in": ("/sign-in",),
    "/sign-in/again": ("/sign-in/again",),
    "/sign-up": ("/sign-up",),
    "/confirm": ("/confirm",),
    "/reset": ("/reset",),
    "/invitation": ("/invitation",),
    "/account": ("/account",),
    "/account/here.json": ("/account/here.json",),
    "/account/keys": ("/account/keys", "/account/keys?q=service+99"),
    "/account/keys/new": ("/account/keys/new",),
    "/account/keys/{key}": ("/account/keys/{busiest}",),
    "/account/activity": (
        "/account/activity?time=24h", "/account/activity", "/account/activity?time=30d",
        "/account/activity?time=90d", "/account/activity?time=12mo", "/account/activity?time=30d&key={busiest}",
        f"/account/activity?model={MODELS[1]}", "/account/activity?time=30d&user=user-7",
        "/account/activity?time=30d&project={project}", "/account/activity?compare=1",
    ),
    "/account/activity/newest": ("/account/activity/newest",),
    "/account/activity/calls.csv": ("/account/activity/calls.csv?time=24h&user=user-7",),
    "/account/calls/{call}": ("/account/calls/{call}",),
    "/account/credit": ("/account/credit",),
    "/account/credit/statement.csv": ("/account/credit/statement.csv",),
    "/account/credit/invoice.pdf": ("/account/credit/invoice.pdf",),
    "/account/alerts": ("/account/alerts",),
    "/account/members": ("/account/members",),
    "/account/members/{person}": ("/account/members/{person}",),
    "/account/projects": ("/account/projects",),
    "/account/projects/new": ("/account/projects/new",),
    "/account/projects/{project}": ("/account/projects/{project}",),
    "/account/content": ("/account/content",),
    "/account/find.json": ("/account/find.json?q=service+9",),
    "/account/security/delete": ("/account/security/delete",),
    "/account/settings": ("/account/settings",),
    "/account/settings/delete": ("/account/settings/delete",),
    "/account/security": ("/account/security",),
    "/account/security/passkeys": ("/account/security/passkeys",),
    "/admin": ("/admin", "/admin?time=90d", "/admin?time=30d&compare=1"),
    "/admin/start": ("/admin/start",),
    "/admin/start/provider": ("/admin/start/provider",),
    "/admin/engines": ("/admin/engines",),
    "/admin/jobs": ("/admin/jobs",),
    "/admin/start/gguf": ("/admin/start/gguf",),
    "/admin/start/litellm": ("/admin/start/litellm",),
    "/admin/deployments": ("/admin/deployments",),
    "/admin/models": ("/admin/models",),
    "/admin/accounts": ("/admin/accounts",),
    "/admin/accounts/{id}": ("/admin/accounts/{account}",),
    "/admin/credit": ("/admin/credit",),
    "/admin/people": ("/admin/people", "/admin/people?q=99"),
    "/admin/people/{id}": ("/admin/people/{person}",),
    "/admin/limits": ("/admin/limits",),
    "/admin/configuration": ("/admin/configuration",),
    "/admin/configuration/edit": ("/admin/configuration/edit",),
    "/admin/configuration/diff": ("/admin/configuration/diff?from=1&to=2",),
    "/admin/configuration/rollback": ("/admin/configuration/rollback?version=1",),
    "/admin/configuration/{number}": ("/admin/configuration/1",),
    "/admin/nodes": ("/admin/nodes",),
    "/admin/events": ("/admin/events",),
    "/admin/audit": ("/admin/audit",),
    "/admin/audit/export": ("/admin/audit/export?format=jsonl",),
}  # fmt: skip
# Pages that only lead on to another one.
NOT_ASKED: Final = frozenset({
    "/sign-in/second", "/sign-in/oidc", "/sign-in/oidc/callback", "/sign-in/github", "/sign-in/github/callback",
})  # fmt: skip
# Of these the sign-in decides where they lead, so a stranger asks for them.
STRANGERS: Final = ("/sign-in", "/sign-up", "/reset", "/confirm", "/invitation")
# Files, which are as long as what they hold.
FILES: Final = (".csv", ".pdf", "/audit/export?format=jsonl")
MOST_MS: Final = 50.0
MOST_KB: Final = 60.0
DOCS_BEGIN, DOCS_END = "<!-- console: begin -->", "<!-- console: end -->"


class Asked(NamedTuple):
    """Seconds to the first byte by the clock and of CPU, and bytes of the answer."""

    wall: float
    cpu: float
    size: int


class Row(NamedTuple):
    """What the samples of a page came to: milliseconds, and kilobytes as they are sent. `cpu`: the least, because other
    programs on the same cores make it more."""

    page: str
    p50: float
    p95: float
    cpu: float
    kb: float

    @property
    def kept(self) -> bool:
        return self.p50 <= MOST_MS and (self.kb <= MOST_KB or self.page.endswith(FILES))


def without_sample(table: Iterable[ConsolePage] = PAGES) -> list[str]:
    """Pages of the console's table that nobody has said how to ask for."""
    pages = {one.path for one in table if "GET" in one.methods}
    return sorted(pages - set(SAMPLES) - NOT_ASKED)


def session(store: Store) -> tuple[dict[str, str], str]:
    """What stands in samples, and the cookie of an operator who owns the account of the calls."""
    with store.write() as connection:
        account = connection.execute(select(accounts.c.id).where(accounts.c.name == "Example")).scalar_one()
        found = persons.find_by_email(connection, "o@example.org")
        if found is None:
            person = persons.add_person(connection, "o@example.org", "O", None, confirmed=True, operator=True)
            join(connection, person, account, "owner")
        else:
            person = found[0]
        token = sessions.begin(connection, person.id, 86_400, method="password", address="192.0.2.1", agent="bench")
        call = connection.execute(select(calls.c.id).order_by(calls.c.at.desc()).limit(1)).scalar_one()
        busiest = connection.execute(select(charges.c.key_id).order_by(charges.c.charged.desc()).limit(1)).scalar_one()
        project = connection.execute(
            select(projects.c.id).where(projects.c.account_id == account).limit(1)
        ).scalar_one()
    words = {"account": account, "busiest": busiest, "call": call, "person": person.id, "project": project}
    return words, token


async def measure(directory: Path, rounds: int, only: str = "") -> list[str]:
    """Each page in this process: wall and CPU time to the first byte, bytes of the answer."""
    if missing := without_sample():
        raise SystemExit(f"bench/console.py: no sample for {', '.join(missing)}")
    store = open_store(directory)
    settings = parse_settings(document(), "bench.toml", {})
    snapshot = build(settings, DIALECTS, supports_prefill, Unread())
    app = console(ConsoleServices(store, lambda: settings, lambda: snapshot))
    app.state.console.budget = PageBudget(share=1e9, burst=1e9)
    words, token = session(store)
    lines = [
        "| page | first byte p50, ms | p95, ms | CPU, least, ms | KB |",
        "|---|---:|---:|---:|---:|",
    ]
    print("\n".join(lines))
    rows = []
    for sample in [one for samples in SAMPLES.values() for one in samples if only in one]:
        target = sample.format(**words)
        cookie = "" if sample in STRANGERS else token
        await _asked(app, target, cookie)  # templates are compiled, pages of the database are read
        taken = [await _asked(app, target, cookie) for _ in range(rounds)]
        walls = sorted(one.wall for one in taken)
        row = Row(
            sample, median(walls) * 1e3, walls[max(0, int(rounds * 0.95) - 1)] * 1e3,
            min(one.cpu for one in taken) * 1e3, taken[-1].size / 1000,
        )  # fmt: skip
        rows.append(row)
        lines.append(f"| `{row.page}` | {row.p50:.1f} | {row.p95:.1f} | {row.cpu:.1f} | {row.kb:.1f} |")
        print(lines[-1], "" if row.kept else "<- missed")
    missed = [one.page for one in rows if not one.kept]
    lines += ["", f"{len(rows) - len(missed)} of {len(rows)} within {MOST_MS:.0f} ms and {MOST_KB:.0f} KB."]
    print("\n".join(lines[-1:]))
    app.state.console.close()
    store.close()
    return lines


def write_docs(page: Path, lines: list[str]) -> None:
    """Replaces what stands between the two markers."""
    before, begin, rest = page.read_text().partition(DOCS_BEGIN)
    _, end, after = rest.partition(DOCS_END)
    if not begin or not end:
        raise SystemExit(f"{page}: no {DOCS_BEGIN} ... {DOCS_END}")
    where = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}:"
    page.write_text("\n".join([before + begin, where, "", *lines, end + after]))


async def _asked(app: Starlette, target: str, token: str) -> Asked:
    path, _, query = target.partition("?")
    headers = [(b"host", b"llm.example"), (b"accept", b"text/html"), (b"accept-encoding", b"gzip")]
    if token:
        headers.append((b"cookie", f"{COOKIE}={token}".encode()))
    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "method": "GET", "scheme": "http",
        "http_version": "1.1", "path": path, "raw_path": path.encode(), "query_string": query.encode(),
        "root_path": "", "server": ("llm.example", 80), "client": ("192.0.2.1", 1), "state": {}, "headers": headers,
    }  # fmt: skip
    found: list[tuple[float, float]] = []
    size = 0
    wall, cpu = time.perf_counter(), time.process_time()

    given = False

    async def receive() -> Any:
        nonlocal given
        if given:
            await asyncio.Event().wait()  # the visitor stays
        given = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal size
        if message["type"] == "http.response.start":
            found.append((time.perf_counter() - wall, time.process_time() - cpu))
            if message["status"] != 200:
                raise SystemExit(f"bench/console.py: {target} answered {message['status']}: {dict(message['headers'])}")
        else:
            size += len(message.get("body", b""))

    await app(scope, receive, send)
    return Asked(*found[0], size)


if __name__ == "__main__":
    main()
