"""The money as a state machine: any order of grants, holds, settlements, hang-ups, crashes, replays and corrections, by
several processes on one database - in memory, in a SQLite file, on a PostgreSQL server."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import create_engine, func, select
from sqlalchemy.pool import StaticPool

from fairlead.accounts.accounts import add_account
from fairlead.errors import InvalidRequest
from fairlead.ledger import wallets
from fairlead.ledger.books import post
from fairlead.ledger.credit import refund, withdraw
from fairlead.ledger.funds import balance, credit_scope, grant, overdrawn
from fairlead.ledger.ledger import Bill, Ledger
from fairlead.ledger.spool import read_segment
from fairlead.ledger.verify import verify, verify_spools
from fairlead.ledger.wallets import Scope, Shortage
from fairlead.prices import PriceSheet, Schedule
from fairlead.store import Store, open_store
from fairlead.store.database import HEAD
from fairlead.store.tables import metadata, postings, usage_records, versions
from fairlead.wire.usage import TokenClasses, Usage

SHEET = PriceSheet("p/m", Schedule(TokenClasses(request=1)), Schedule(TokenClasses(request=1)))
PER_TOKEN = PriceSheet("p/t", Schedule(TokenClasses(output=1)))


def memory_store(directory: Path) -> Store:
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(versions.insert().values(name="keys", number=1))
    return Store(directory, engine, f"memory, {HEAD}")


# Which process, the most it may cost, whether less would do, a budget.
CALL = st.tuples(st.integers(0, 9), st.integers(1, 12), st.booleans(), st.sampled_from([None, None, 30, 90]))


class Process:
    """One process of a fleet: its ledger and its clock."""

    def __init__(self, store: Store) -> None:
        self.now = 0.0
        self.ledger = Ledger(store, [SHEET, PER_TOKEN], clock=lambda: self.now)


class Money(RuleBasedStateMachine):
    """No rule has a precondition: what is there depends on when threads ran, and that must not change what is drawn.
    `granted`, `charged` and `refunded` are what a book-keeper with a pencil would have."""

    open_database: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="fairlead-machine-"))
        self.loop = asyncio.new_event_loop()
        self.store: Store = type(self).open_database(self.directory)
        with self.store.write() as connection:
            self.account = add_account(connection, "someone", prepaid=True)
        self.granted = 0
        self.charged: dict[str, int] = {}  # settled calls, by id
        self.refunded = 0
        self.ended: set[str] = set()
        self.lost: set[str] = set()  # calls that a crash took before they ended
        self.processes: list[Process] = []
        self.open: list[tuple[Process, Bill, int]] = []
        self.replays: list[tuple[str, list[bytes]]] = []
        self.start()
        self.start()
        self.credit_is_granted(50)

    def run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(coroutine, 20))

    def start(self) -> None:
        self.processes.append(Process(self.store))

    def process(self, number: int) -> Process:
        return self.processes[number % len(self.processes)]

    # --- what happens

    @rule(amount=st.integers(1, 40))
    def credit_is_granted(self, amount: int) -> None:
        with self.store.write() as connection:
            grant(connection, self.account, amount, "grant")
        self.granted += amount

    @rule(amount=st.integers(1, 60))
    def credit_is_taken_away(self, amount: int) -> None:
        try:
            with self.store.write() as connection:
                withdraw(connection, self.account, amount, "withdrawal")
        except InvalidRequest:
            return
        self.granted -= amount

    @rule(calls=st.lists(CALL, min_size=1, max_size=6))
    def calls_begin(self, calls: list[tuple[int, int, bool, int | None]]) -> None:
        for call in calls:
            self.begin(*call)

    @rule(call=CALL, tokens=st.integers(0, 20))
    def a_call_is_made(self, call: tuple[int, int, bool, int | None], tokens: int) -> None:
        if self.begin(*call):
            self.answer(-1, tokens)

    def begin(self, number: int, most: int, part: bool, budget: int | None) -> bool:
        process = self.process(number)
        scopes = [Scope(credit_scope(self.account))]
        if budget is not None:
            scopes.append(Scope(f"key/k/day/{budget}", budget))

        async def hold() -> Any:
            # Nobody gives back while it waits: its clock goes on quickly, so that the test need not wait.
            task = asyncio.ensure_future(process.ledger.hold(scopes, most, 1 if part else most))
            while not task.done():
                process.now += 0.5
                await asyncio.sleep(0.001)
            return await task

        try:
            held = self.run(hold())
        except Shortage:
            return False
        assert 0 < held.amount <= most
        bill = process.ledger.open(self.account, "key_1", "m", stream=False, paid=True, hold=held)
        self.open.append((process, bill, held.amount))
        return True

    @rule(answers=st.lists(st.tuples(st.integers(0, 99), st.integers(0, 20)), min_size=1, max_size=4))
    def calls_are_answered(self, answers: list[tuple[int, int]]) -> None:
        for which, tokens in answers:
            if self.open:
                self.answer(which, tokens)

    def answer(self, which: int, tokens: int) -> None:
        _, bill, held = self.open.pop(which % len(self.open))
        price = bill.settle(PER_TOKEN, Usage(TokenClasses(output=tokens), 0, tokens))
        assert min(tokens, held) <= price <= tokens
        self.charged[bill.id] = price
        self.ended.add(bill.id)

    @rule(which=st.integers(0, 99), outcome=st.sampled_from(["caller_gone", "upstream_cut"]))
    def a_call_comes_to_nothing(self, which: int, outcome: str) -> None:
        if not self.open:
            return
        _, bill, _ = self.open.pop(which % len(self.open))
        bill.release(outcome)
        self.ended.add(bill.id)

    @rule(number=st.integers(0, 9))
    def a_process_drains(self, number: int) -> None:
        process = self.process(number)
        for path in sorted((self.store.directory / "spool" / process.ledger._name).glob("*.spool")):
            self.replays.append((process.ledger._name, list(read_segment(path))))
        self.run(process.ledger.flush())

    @rule(number=st.integers(0, 9), seconds=st.sampled_from([0.3, 2.0, 100.0, 4000.0]))
    def time_passes(self, number: int, seconds: float) -> None:
        process = self.process(number)
        process.now += seconds
        self.run(process.ledger.tick())

    @rule(which=st.integers(0, 99))
    def records_come_again(self, which: int) -> None:
        if not self.replays:
            return
        name, records = self.replays[which % len(self.replays)]
        stored = self.stored()
        again = [record for record in records if any(known.encode() in record for known in stored)]
        if again:
            with self.store.write() as connection:
                assert post(connection, again, name) == 0

    @rule(number=st.integers(0, 9))
    def a_process_is_killed(self, number: int) -> None:
        process = self.process(number)
        self.processes.remove(process)
        self.lost |= {bill.id for of, bill, _ in self.open if of is process}
        self.open = [call for call in self.open if call[0] is not process]
        os.close(process.ledger._spool._file)
        os.close(process.ledger._spool._lock)
        self.start()
        self.processes[-1].ledger.adopt()

    @rule(number=st.integers(0, 9))
    def a_process_stops(self, number: int) -> None:
        process = self.process(number)
        self.end_calls(process)
        self.processes.remove(process)
        self.run(process.ledger.close())
        self.start()

    def end_calls(self, process: Process) -> None:
        for of, bill, _ in self.open:
            if of is process:
                bill.release("caller_gone")
                self.ended.add(bill.id)
        self.open = [call for call in self.open if call[0] is not process]

    @rule(which=st.integers(0, 99), amount=st.one_of(st.none(), st.integers(1, 30)))
    def a_call_is_refunded(self, which: int, amount: int | None) -> None:
        if not self.charged:
            return
        name = sorted(self.charged)[which % len(self.charged)]
        if name not in self.stored():
            return
        try:
            with self.store.write() as connection:
                self.refunded += refund(connection, name, amount, "refund").picodollars
        except InvalidRequest:
            pass

    # --- what always holds

    def stored(self) -> dict[str, int]:
        with self.store.read() as connection:
            rows = connection.execute(select(usage_records.c.id, usage_records.c.price))
            return {row.id: row.price for row in rows}

    @invariant()
    def the_books_are_in_order(self) -> None:
        stored = self.stored()
        assert all(price >= 0 for price in stored.values())
        assert set(stored) <= self.ended
        assert all(stored[name] == price for name, price in self.charged.items() if name in stored)
        with self.store.read() as connection:
            assert (connection.execute(select(func.sum(postings.c.amount))).scalar() or 0) == 0
            assert overdrawn(connection) is None
            held = balance(connection, credit_scope(self.account))
        if held is not None:
            assert held.granted == self.granted
            assert held.spent == sum(stored.values()) - self.refunded
            assert held.spent + held.leased <= held.granted
        # Not a picodollar more was ever charged than there was.
        assert sum(self.charged.values()) - self.refunded <= self.granted

    def teardown(self) -> None:
        try:
            for process in self.processes:
                self.end_calls(process)
                self.run(process.ledger.close())
            # Everything is where it belongs: each ended call once, no lease left, every charge made again.
            stored = self.stored()
            assert set(stored) == self.ended
            assert not self.ended & self.lost
            with self.store.read() as connection:
                found = verify(connection)
                assert found.discrepancy is None
                assert found.charged == sum(self.charged.values())
                held = balance(connection, credit_scope(self.account))
                assert held is None or (held.leased, held.granted - held.spent) == (
                    0,
                    self.granted - sum(self.charged.values()) + self.refunded,
                )
                assert verify_spools(connection, self.store.directory / "spool") == (0, None)
        finally:
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            self.store.close()
            shutil.rmtree(self.directory, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "examples"), [("memory", 30), ("sqlite", 10), ("postgresql", 10)])
def test_any_order_of_events_keeps_the_money_right(
    kind: str, examples: int, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wallets, "RETRY_SECONDS", 0.001)
    if kind == "memory":
        opened = memory_store
    elif kind == "sqlite":
        opened = open_store
    else:
        server = request.getfixturevalue("postgres")

        def opened(directory: Path) -> Store:
            return open_store(directory, server.new_database())

    machine = type("MoneyMachine", (Money,), {"open_database": staticmethod(opened)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
