"""Versions are applied and rolled back by a database while calls arrive at a steady rate at several workers.

`python -m tests.compose.apply_load --rate 1000 --changes 100 --workers 4 [--postgresql]`, from the root of the
repository. A real `fairlead serve` with its workers; this process is the operator, all callers and both providers.
Every document has a price of its own, so that a charge tells by which version it was made; every fourth change is a
rollback.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import uvloop
from sqlalchemy import func, select
from tests.e2e.conftest import Served, serving

from fairlead.admin.audit import Actor
from fairlead.admin.configuration import Submission, apply, described, rollback, status
from fairlead.ledger.books import records_by_entry
from fairlead.ledger.verify import verify
from fairlead.store import Store, open_store
from fairlead.store.tables import usage_records

from .load import (
    CONNECTIONS,
    LATE_EVERY,
    Call,
    Caller,
    Callers,
    Provider,
    price_of,
    providers_of,
    text_of,
    upstream_model_of,
)

ROLLBACK_EVERY: Final = 4
SETTLE_SECONDS: Final = 60
BY: Final = Submission(Actor("command line", "load"))


class Change(NamedTuple):
    """A version: its number in the database, which document it has, and when (time.monotonic) it was begun, committed,
    and reported by every worker."""

    number: int
    document: int
    began: float
    committed: float
    followed: float


@dataclass
class Outcome:
    seconds: float = 0.0
    calls: list[Call] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    sheets: dict[int, dict[str, str]] = field(default_factory=dict)  # of each document, by deployment
    charges: dict[str, tuple[int, str]] = field(default_factory=dict)
    discrepancy: str | None = None
    log: str = ""

    def wrong(self) -> list[str]:
        """Everything that must not be, in sentences."""
        found = [f"call {call.number} failed: {call.failure}" for call in self.calls if call.failure]
        answered = [call for call in self.calls if not call.failure]
        found += filter(None, (self._mismatch(call) for call in answered))
        if len(self.charges) != len(answered):
            found.append(f"{len(self.charges)} usage records of {len(answered)} answers")
        if self.discrepancy:
            found.append(self.discrepancy)
        if [one.number for one in self.changes] != list(range(len(self.changes))):
            found.append("the versions are not numbered one after another")
        found += [line for line in self.log.splitlines() if "Traceback" in line or "refused" in line]
        return found

    def _mismatch(self, call: Call) -> str | None:
        """A call is charged by a version that was in force somewhere when it began, and sent to a deployment of it."""
        document = price_of(call.picodollars)
        in_force = any(
            change.began <= call.arrived and (after is None or after.followed >= call.sent)
            for change, after in itertools.zip_longest(self.changes, self.changes[1:])
            if change.document == document
        )
        if not in_force:
            return f"call {call.number} is charged by document {document}, which was not in force when it began"
        if call.provider not in providers_of(document) or call.upstream_model != upstream_model_of(document):
            return f"call {call.number} of document {document} was sent to p{call.provider}/x{call.upstream_model}"
        if self.charges.get(call.record) != (call.picodollars, self.sheets[document].get(call.deployment)):
            return f"call {call.number}: its record is not as its answer, or has another version's price sheet"
        return None


async def _changes(store: Store, urls: tuple[str, str], count: int, begin: float, seconds: float) -> list[Change]:
    """Applies and rolls back at equal distances, in a thread; each waits until all workers have reported the one before,
    so that it is known when that was in force."""
    loop = asyncio.get_running_loop()
    found = [Change(0, 0, 0.0, 0.0, 0.0)]
    for number in range(1, count + 1):
        await asyncio.sleep(max(0.0, begin + seconds * number / (count + 1) - time.monotonic()))
        found.append(await loop.run_in_executor(None, _change, store, urls, found))
    return found


def _change(store: Store, urls: tuple[str, str], before: list[Change]) -> Change:
    number = len(before)
    began = time.monotonic()
    if number % ROLLBACK_EVERY or number < ROLLBACK_EVERY:
        document = max(one.document for one in before) + 1
        version = apply(store, text_of(document, urls), f"document {document}", BY)
    else:
        document = before[number - 2].document
        version = rollback(store, number - 2, BY)
    committed = time.monotonic()
    give_up = committed + SETTLE_SECONDS
    while not all(one.version == version.number for one in status(store).processes):
        if time.monotonic() > give_up:
            raise TimeoutError(f"not every worker runs version {version.number}: {status(store).processes}")
        time.sleep(0.02)
    return Change(version.number, document, began, committed, time.monotonic())


async def _load(
    served: Served, store: Store, urls: tuple[str, str], calls: list[Call], changes: int, seconds: float, rate: float
) -> Outcome:
    callers = Callers(served.key, calls)
    loop = asyncio.get_running_loop()
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: Caller(callers), "127.0.0.1", served.port)
    begin = time.monotonic() + 0.5
    changing = asyncio.create_task(_changes(store, urls, changes, begin, seconds))
    await callers.offer(begin, rate)
    await callers.done
    return Outcome(max(call.sent for call in calls) - begin, calls, await changing)


async def _outcome(
    directory: Path, database: str | None, *, rate: float, changes: int, seconds: float, workers: int
) -> Outcome:
    loop = asyncio.get_running_loop()
    calls = [Call(number, 0.0) for number in range(int(rate * seconds))]
    servers = [
        await loop.create_server(lambda at=at: Provider(at, calls, set()), "127.0.0.1", 0)  # type: ignore[misc]
        for at in range(2)
    ]
    one, two = (f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1" for server in servers)
    urls = (one, two)
    entered = serving(directory, text_of(0, urls), workers=workers, database=database)
    served = await loop.run_in_executor(None, entered.__enter__)
    store = open_store(directory / "data" if database is None else directory / "operator", database)
    try:
        give_up = time.monotonic() + SETTLE_SECONDS
        while len(status(store).processes) < workers and time.monotonic() < give_up:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        outcome = await _load(served, store, urls, calls, changes, seconds, rate)
        answered = sum(1 for call in outcome.calls if not call.failure)
        give_up = time.monotonic() + SETTLE_SECONDS
        # A worker that ends while the other one writes may leave its last records in the spool, for the next start.
        while _stored(store) < answered and time.monotonic() < give_up:  # noqa: ASYNC110 - of a database
            await asyncio.sleep(0.1)
    finally:
        await loop.run_in_executor(None, entered.__exit__, None, None, None)
        for server in servers:
            server.close()
    with store.read() as connection:
        records = [record for _, batch in records_by_entry(connection, 0) for _, record in batch]
        outcome.discrepancy = verify(connection).discrepancy
    store.close()
    outcome.charges = {record.id: (record.price, record.sheet) for record in records}
    outcome.log = served.output
    for document in {change.document for change in outcome.changes}:
        models = described(text_of(document, urls), "f.toml")[0].snapshot.models
        outcome.sheets[document] = {one.id: one.sheet.id for one in models["m"].deployments}
    return outcome


def _stored(store: Store) -> int:
    with store.read() as connection:
        return int(connection.execute(select(func.count()).select_from(usage_records)).scalar_one())


def run(database: str | None, *, rate: float, changes: int, seconds: float, workers: int) -> Outcome:
    """Offers `rate` calls per second for so long, to so many workers, while the configuration changes so often."""
    with tempfile.TemporaryDirectory() as directory:
        return uvloop.run(
            _outcome(Path(directory), database, rate=rate, changes=changes, seconds=seconds, workers=workers)
        )


def _postgresql(work: Callable[[str], Outcome]) -> Outcome:
    """With a server of PostgreSQL as tests use it."""
    from tests.conftest import PostgresServer, _programs

    programs = _programs()
    if programs is None:
        raise SystemExit("PostgreSQL is not installed")
    with tempfile.TemporaryDirectory(prefix="fairlead-pg-", dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        (Path(directory) / "server").mkdir()
        server = PostgresServer(programs, Path(directory) / "server")
        try:
            return work(server.new_database())
        finally:
            server.stop()


def main() -> int:
    """Status 1 when a call failed or was charged by another version."""
    parser = argparse.ArgumentParser(prog="python -m tests.compose.apply_load", description=__doc__)
    parser.add_argument("--rate", type=float, default=1000, help="calls per second (default 1000)")
    parser.add_argument("--changes", type=int, default=100, help="applies and rollbacks (default 100)")
    parser.add_argument("--seconds", type=float, default=100, help="how long (default 100)")
    parser.add_argument("--workers", type=int, default=4, help="of the gateway (default 4)")
    parser.add_argument("--postgresql", action="store_true", help="with PostgreSQL in place of SQLite")
    given = parser.parse_args()

    def work(database: str | None) -> Outcome:
        return run(
            database, rate=given.rate, changes=given.changes, seconds=given.seconds, workers=given.workers
        )  # fmt: skip

    outcome = _postgresql(work) if given.postgresql else work(None)
    wrong = outcome.wrong()
    took = sorted((change.followed - change.committed) * 1000 for change in outcome.changes[1:])
    waited = sorted((call.ended - call.due) * 1000 for call in outcome.calls if call.number % LATE_EVERY)
    used = {price_of(call.picodollars) for call in outcome.calls}
    print(f"database                 {'PostgreSQL' if given.postgresql else 'SQLite'}, {given.workers} workers")
    print(f"calls                    {len(outcome.calls)}, {sum(bool(call.failure) for call in outcome.calls)} failed")
    print(f"rate reached             {len(outcome.calls) / outcome.seconds:.0f} calls/s of {given.rate:.0f}")
    print(f"changes                  {len(took)}, calls were charged by {len(used)} documents")
    print(f"in force in all workers  median {took[len(took) // 2]:.0f} ms after the commit, longest {took[-1]:.0f} ms")
    print(f"from due to answered     median {waited[len(waited) // 2]:.1f} ms, 99 %: {waited[len(waited) * 99 // 100]:.1f} ms, "
          f"longest {waited[-1]:.1f} ms")  # fmt: skip
    print(f"wrong                    {len(wrong)}")
    for sentence in itertools.islice(wrong, 10):
        print(f"  {sentence[:300]}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
