"""What a process may spend: leased, held and given back while calls go on."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from fairlead.accounts.accounts import add_account
from fairlead.ledger.funds import credit_scope, grant
from fairlead.ledger.wallets import Scope, Shortage, Wallets
from fairlead.store import Store, open_store

CREDIT = 1_000


class SlowStore:
    """A store whose transactions wait while `held`, which `began` says."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.threads = store.threads
        self.read = store.read
        self.held = False
        self.began = threading.Event()
        self.go_on = threading.Event()

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        if self.held:
            self.held = False
            self.began.set()
            assert self.go_on.wait(60)
        with self._store.write() as connection:
            yield connection


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


def test_credit_on_its_way_back_is_there_for_a_call_that_comes_meanwhile(store: Store) -> None:
    with store.write() as connection:
        account = add_account(connection, "one", prepaid=True)
        grant(connection, account, CREDIT, "")
    scopes = [Scope(credit_scope(account))]
    now = [0.0]
    slow = SlowStore(store)

    async def main() -> int:
        wallets = Wallets(slow, "process", lambda: now[0])  # type: ignore[arg-type]
        (await wallets.hold(scopes, CREDIT, CREDIT)).settle(0)
        now[0] += 10  # nobody uses it
        slow.held = True
        tick = asyncio.create_task(wallets.tick())
        await asyncio.to_thread(slow.began.wait, 60)
        hold = asyncio.create_task(wallets.hold(scopes, CREDIT, CREDIT))
        done, _ = await asyncio.wait([hold], timeout=0.2)
        assert not done, "it waits for what is on its way"
        slow.go_on.set()
        await tick
        return (await hold).amount

    assert asyncio.run(main()) == CREDIT


def test_credit_that_came_through_this_process_is_there_for_the_next_call(store: Store) -> None:
    with store.write() as connection:
        account = add_account(connection, "one", prepaid=True)
        grant(connection, account, 1, "")
    scopes = [Scope(credit_scope(account))]

    async def main() -> None:
        wallets = Wallets(store, "process", lambda: 0.0)  # no time passes
        (await wallets.hold(scopes, 1, 1)).settle(1)
        for _ in range(2):
            with pytest.raises(Shortage):
                await wallets.hold(scopes, CREDIT, CREDIT)
        with store.write() as connection:
            grant(connection, account, CREDIT, "")
        with pytest.raises(Shortage):  # of what others add it hears a moment later
            await wallets.hold(scopes, CREDIT, CREDIT)
        wallets.credited(scopes[0].name)
        assert (await wallets.hold(scopes, CREDIT, CREDIT)).amount == CREDIT

    asyncio.run(main())


def test_a_call_that_gives_up_while_credit_is_leased_leaves_it_to_the_others(store: Store) -> None:
    with store.write() as connection:
        account = add_account(connection, "one", prepaid=True)
        grant(connection, account, CREDIT, "")
    scopes = [Scope(credit_scope(account))]
    slow = SlowStore(store)

    async def main() -> int:
        wallets = Wallets(slow, "process")  # type: ignore[arg-type]
        slow.held = True
        first, second = (asyncio.create_task(wallets.hold(scopes, CREDIT, CREDIT)) for _ in range(2))
        await asyncio.to_thread(slow.began.wait, 60)
        first.cancel()
        slow.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await first
        return (await second).amount

    assert asyncio.run(main()) == CREDIT
