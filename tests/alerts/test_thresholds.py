"""Thresholds of budgets and credit are told in the transaction that crosses them: once, by whichever process it is."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError
from tests.alerts.support import CENT, SHEET, record, told

from fairlead.accounts.accounts import add_account
from fairlead.ledger.books import keep_sheets, post
from fairlead.ledger.funds import credit_scope, grant, take
from fairlead.ledger.ledger import Ledger
from fairlead.ledger.thresholds import announce_exhausted
from fairlead.ledger.wallets import Scope, Shortage
from fairlead.store import Store, open_store
from fairlead.store.alerts import AlertRules, announce_health, announce_refused
from fairlead.store.health import HealthEvent

DAY = "key/key_1/day/2026-11-30"
RULES = AlertRules(("webhook",), (500_000, 800_000, 1_000_000))
numbers = itertools.count()


@pytest.fixture
def store(tmp_path: Path, database_url: str | None) -> Iterator[Store]:
    opened = open_store(tmp_path, database_url)
    with opened.write() as connection:
        keep_sheets(connection, [SHEET])
    yield opened
    opened.close()


def budget(store: Store, cents: int, scope: str = DAY) -> None:
    with store.write() as connection:
        take(connection, "p", scope, cents * CENT, 0, 0, 60)


def spend(store: Store, cents: int, *scopes: str, rules: AlertRules = RULES) -> None:
    with store.write() as connection:
        post(connection, [record(next(numbers), *(scopes or (DAY,)), cents=cents)], "p", alerts=rules)


def test_each_threshold_of_a_budget_is_told_once_with_what_is_spent(store: Store) -> None:
    budget(store, 10)
    for _ in range(4):
        spend(store, 1)
    assert told(store) == []
    spend(store, 1)
    common = {"key": "key_1", "period": "day", "date": "2026-11-30", "budget_usd": "0.1"}
    half = ("budget.threshold", {**common, "threshold": 0.5, "spent_usd": "0.05"})
    assert told(store) == [half]
    spend(store, 1)
    assert told(store) == [half]
    spend(store, 4)
    assert told(store)[1:] == [
        ("budget.threshold", {**common, "threshold": 0.8, "spent_usd": "0.1"}),
        ("budget.exhausted", {**common, "threshold": 1.0, "spent_usd": "0.1"}),
    ]
    spend(store, 1)
    assert len(told(store)) == 3
    budget(store, 10, "key/key_1/day/2026-12-01")  # the next period begins anew
    spend(store, 5, "key/key_1/day/2026-12-01")
    assert [data["date"] for _, data in told(store)[3:]] == ["2026-12-01"]


def test_a_budget_that_is_raised_is_told_of_its_new_thresholds_and_one_that_is_lowered_of_those_passed(
    store: Store,
) -> None:
    budget(store, 10)
    spend(store, 9)
    assert [data["threshold"] for _, data in told(store)] == [0.5, 0.8]
    budget(store, 20)
    spend(store, 1)  # half of it, which was passed... by 10 of 20 only now
    assert [data["threshold"] for _, data in told(store)[2:]] == [0.5]
    budget(store, 12)
    spend(store, 1)
    assert [data["threshold"] for _, data in told(store)[3:]] == [0.8]


def test_nothing_is_written_where_nobody_is_to_be_told(store: Store) -> None:
    budget(store, 10)
    spend(store, 10, rules=AlertRules((), RULES.thresholds))
    assert told(store) == []
    with store.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM alert_levels").scalar() == 0


def test_credit_counts_from_the_last_grant(store: Store) -> None:
    with store.write() as connection:
        account = add_account(connection, "customer", prepaid=True)
        grant(connection, account, 10 * CENT, "first")
    scope = credit_scope(account)
    for _ in range(10):
        spend(store, 1, scope)
    assert told(store) == [
        ("credit.low", {"account": account, "threshold": 0.5, "credit_usd": "0.05", "of_usd": "0.1"}),
        ("credit.low", {"account": account, "threshold": 0.8, "credit_usd": "0.02", "of_usd": "0.1"}),
        ("credit.exhausted", {"account": account, "threshold": 1.0, "credit_usd": "0", "of_usd": "0.1"}),
    ]
    with store.write() as connection:
        grant(connection, account, 4 * CENT, "second")
    spend(store, 1, scope)
    assert len(told(store)) == 3  # a quarter of the second grant, not 11 of 14
    spend(store, 1, scope)
    assert told(store)[3:] == [
        ("credit.low", {"account": account, "threshold": 0.5, "credit_usd": "0.02", "of_usd": "0.04"})
    ]


def test_a_refused_call_exhausts_a_budget_of_which_little_is_left(store: Store) -> None:
    budget(store, 100)
    spend(store, 85)
    with store.write() as connection:
        announce_exhausted(connection, RULES, [DAY])
    assert [kind for kind, _ in told(store)] == ["budget.threshold"] * 2
    spend(store, 6)
    for _ in range(2):
        with store.write() as connection:
            announce_exhausted(connection, RULES, [DAY, "key/unknown/day/2026-11-30"])
    assert [kind for kind, _ in told(store)][2:] == ["budget.exhausted"]
    spend(store, 9)
    assert len(told(store)) == 3


def test_a_process_tells_of_a_budget_for_which_it_refused_a_call(store: Store) -> None:
    budget(store, 100)
    spend(store, 95)

    async def run() -> None:
        ledger = Ledger(store, [], alerts=RULES)
        scopes = [Scope(DAY, 100 * CENT), Scope("key/key_1/session/x", 100 * CENT), Scope("user/u/day/x", CENT)]
        for scope in scopes:
            with pytest.raises(Shortage):
                await ledger.hold([scope], 200 * CENT, 200 * CENT)
        await ledger.tick()
        await ledger.close()

    asyncio.run(run())
    assert [kind for kind, _ in told(store)] == ["budget.threshold", "budget.threshold", "budget.exhausted"]


def test_budgets_of_sessions_and_end_users_are_not_told_of(store: Store) -> None:
    for scope in ("key/key_1/session/x", "user/key_1.0123/day/2026-11-30"):
        budget(store, 10, scope)
        spend(store, 10, scope)
    assert told(store) == []


def test_what_is_not_committed_is_not_told(store: Store) -> None:
    budget(store, 10)
    with pytest.raises(IntegrityError), store.write() as connection:
        post(connection, [record(next(numbers), DAY, cents=9)], "p", alerts=RULES)
        connection.exec_driver_sql("UPDATE funds SET granted = -1")
    assert told(store) == []
    spend(store, 9)
    assert len(told(store)) == 2


def test_records_that_come_twice_are_told_once(store: Store) -> None:
    budget(store, 10)
    same = record(next(numbers), DAY, cents=5)
    for _ in range(2):
        with store.write() as connection:
            post(connection, [same], "p", alerts=RULES)
    assert len(told(store)) == 1


def test_of_processes_that_cross_a_threshold_together_one_tells(store: Store) -> None:
    budget(store, 100)
    failures: list[BaseException] = []

    def process() -> None:
        try:
            for _ in range(10):
                spend(store, 2)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=process) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [data["threshold"] for _, data in told(store)] == [0.5, 0.8, 1.0]


def test_a_deployment_that_goes_down_and_up_is_told_once_each_time(store: Store) -> None:
    down = HealthEvent("p/m", "p", "open", "upstream_unavailable")
    events: list[Any] = [
        down,
        down,
        HealthEvent("p/m", "p", "half_open", ""),
        HealthEvent("p/m", "p", "closed", "works"),
    ]
    for event in [*events, events[-1], down, HealthEvent("", "p", "open", "no connection")]:
        with store.write() as connection:
            announce_health(connection, RULES, [event])
    assert [(kind, data["deployment"]) for kind, data in told(store)] == [
        ("deployment.down", "p/m"), ("deployment.up", "p/m"), ("deployment.down", "p/m"), ("deployment.down", None),
    ]  # fmt: skip


def test_a_configuration_that_many_processes_refuse_is_told_once(store: Store) -> None:
    for reason in ("line 3: no such model", "line 3: no such model", "line 4: no such provider"):
        with store.write() as connection:
            announce_refused(connection, RULES, "node-1", reason)
    assert [data["reason"] for _, data in told(store)] == ["line 3: no such model", "line 4: no such provider"]


def test_an_alert_has_no_more_than_it_should(store: Store) -> None:
    budget(store, 2)
    spend(store, 2)
    with store.read() as connection:
        bodies = [json.loads(body) for body in connection.exec_driver_sql("SELECT body FROM alert_outbox").scalars()]
    assert [sorted(one) for one in bodies] == [["created", "data", "id", "type"]] * 3
    known = {"key", "period", "date", "threshold", "budget_usd", "spent_usd"}
    assert all(set(one["data"]) == known for one in bodies)
