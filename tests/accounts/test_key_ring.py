"""Many keys: what a process reads and keeps depends on what is used and what changes, not on how many there are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text, update

from fairlead.accounts import changes, key_ring, keys
from fairlead.accounts.accounts import add_account, change_account, first_account
from fairlead.accounts.caller import Caller
from fairlead.accounts.changes import changed
from fairlead.accounts.key_ring import KEYS_AT_ONCE, PRELOADED_KEYS, KeyRing
from fairlead.accounts.keys import add_key, create_key, key_digest, list_keys
from fairlead.accounts.known_digests import MOST_UNSORTED, KnownDigests
from fairlead.store import Store, open_store
from fairlead.store.tables import api_keys, key_changes

MANY = 20_000


@pytest.fixture
def store(tmp_path: Path, database_url: str | None) -> Iterator[Store]:
    opened = open_store(tmp_path, database_url)
    yield opened
    opened.close()


def key(number: int) -> bytes:
    return b"sk-customer-%d" % number


def revoke_key(store: Store, key_id: str) -> bool:
    with store.write() as connection:
        return keys.revoke_key(connection, key_id)


def change_key(store: Store, key_id: str, columns: dict[str, object]) -> bool:
    with store.write() as connection:
        return keys.change_key(connection, key_id, columns)


def add_many(store: Store, count: int = MANY) -> str:
    """Gives the account of the keys 0 to `count` - 1."""
    with store.write() as connection:
        account = first_account(connection)
        rows = [
            {
                "id": f"key_{number}",
                "account_id": account,
                "name": "n",
                "prefix": f"{number:08}",
                "digest": key_digest(key(number)),
                "created_at": 1,
            }
            for number in range(count)
        ]
        connection.execute(insert(api_keys), rows)
        changed(connection)
    return account


class Reads:
    """Counts what a ring reads of keys."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.keys = self.statements = self.listings = 0
        in_force, read_digests = KeyRing._in_force, KeyRing._read_digests

        def counted(ring: KeyRing, digests: Sequence[bytes]) -> dict[bytes, Caller]:
            self.keys += len(digests)
            self.statements += 1
            return in_force(ring, digests)

        def listed(ring: KeyRing) -> KnownDigests:
            self.listings += 1
            return read_digests(ring)

        monkeypatch.setattr(KeyRing, "_in_force", counted)
        monkeypatch.setattr(KeyRing, "_read_digests", listed)


def test_of_many_keys_only_those_in_use_are_read_and_a_change_reads_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_many(store)
    reads = Reads(monkeypatch)
    ring = KeyRing(store)
    ring.follow()
    assert (len(ring), reads.keys, reads.listings) == (0, 0, 1)
    for number in range(50):
        found = ring.read(key(number))
        assert found is not None
        assert found.key_id == f"key_{number}"
    assert (len(ring), reads.keys) == (50, 50)
    assert revoke_key(store, "key_7")
    assert change_key(store, "key_8", {"name": "other"})
    assert revoke_key(store, f"key_{MANY - 1}")  # which nobody uses
    create_key(store, "new")
    before = ring.callers
    ring.follow()
    assert ring.callers is not before
    assert ring.find(key(7)) is None
    assert ring.find(key(8)).name == "other"  # type: ignore[union-attr]
    assert (len(ring), reads.keys, reads.listings) == (49, 52, 1)
    before = ring.callers
    ring.follow()
    assert ring.callers is before, "nothing has changed"
    assert reads.keys == 52


def test_memory_is_bounded_and_a_key_that_made_room_still_follows_changes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_ring, "MOST_CACHED_KEYS", 100)
    monkeypatch.setattr(key_ring, "MOST_CALLERS", 10)
    add_many(store)
    ring = KeyRing(store)
    ring.follow()
    for number in range(250):
        assert ring.read(key(number)) is not None
        assert len(ring) <= 100
    assert ring.find(key(0)) is None, "it made room"
    assert ring.find(key(249)) is not None
    before = ring.callers
    revoke_key(store, "key_0")
    ring.follow()
    assert ring.callers is not before, "a connection that remembers the caller looks again"
    assert ring.read(key(0)) is None


def test_the_limits_of_an_account_are_in_force_for_all_its_keys_and_read_those_in_memory_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = add_many(store)
    with store.write() as connection:
        other = add_account(connection, "other", prepaid=True)
        stranger = add_key(connection, "s", other).encode()
    reads = Reads(monkeypatch)
    ring = KeyRing(store)
    ring.follow()
    for number in range(250):
        ring.read(key(number))
    ring.read(stranger)
    before = reads.keys
    monkeypatch.setattr(key_ring, "RENEW_SECONDS", 60.0)  # there is time to read them all
    with store.write() as connection:
        change_account(connection, account, {"budgets": '{"day": 5}'})
    ring.follow()
    assert all(ring.find(key(number)).budgets[0].picodollars == 5 for number in range(250))  # type: ignore[union-attr]
    assert ring.find(stranger).budgets == ()  # type: ignore[union-attr]
    assert reads.keys - before == 250


def test_a_change_of_very_many_keys_is_in_force_at_once_for_those_that_there_is_no_time_to_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = add_many(store)
    ring = KeyRing(store)
    ring.follow()
    for number in range(250):
        ring.read(key(number))
    monkeypatch.setattr(key_ring, "RENEW_SECONDS", -1.0)
    reads = Reads(monkeypatch)
    with store.write() as connection:
        change_account(connection, account, {"budgets": '{"day": 7}'})
    ring.follow()
    assert reads.keys == 0
    assert ring.find(key(3)) is None
    assert not ring.refuses(key(3)), "it is not said to be unknown"
    assert ring.read(key(3)).budgets[0].picodollars == 7  # type: ignore[union-attr]


def test_strangers_reach_the_database_neither_with_keys_nor_with_statements(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_many(store)
    reads = Reads(monkeypatch)
    ring = KeyRing(store)
    ring.follow()

    async def main() -> None:
        asked = [ring.look_up(b"sk-stranger-%d" % number).pending for number in range(5_000)]
        assert sum(one is not None for one in asked) == KEYS_AT_ONCE
        # In the middle of them, customers whose keys are not in memory.
        lookups = [ring.look_up(key(number % 300)) for number in range(600)]
        assert all(lookup.is_known for lookup in lookups)
        for lookup in lookups:
            assert lookup.pending is not None
            assert await lookup.pending
        assert all(ring.find(key(number)) is not None for number in range(300))
        assert asked[0] is not None
        await asked[0]

    asyncio.run(main())
    # Requests that come while the first key is read have it read once more; and one stranger.
    assert reads.keys <= 301 + KEYS_AT_ONCE, "each key once, however many requests wait for it"
    assert reads.statements <= 300 / KEYS_AT_ONCE + 3


def test_a_revoked_key_is_asked_for_once_until_something_changes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    add_many(store)
    revoke_key(store, "key_1")
    ring = KeyRing(store)
    ring.follow()
    reads = Reads(monkeypatch)

    async def main() -> None:
        for _ in range(100):
            pending = ring.look_up(key(1)).pending
            if pending is not None:
                assert await pending
            assert ring.find(key(1)) is None
        assert reads.keys == 1
        with store.write() as connection:
            connection.execute(update(api_keys).where(api_keys.c.id == "key_1").values(revoked_at=None))
            changed(connection, [key_digest(key(1))])
        ring.follow()
        pending = ring.look_up(key(1)).pending
        assert pending is not None
        await pending
        assert ring.find(key(1)) is not None

    asyncio.run(main())


@pytest.mark.parametrize("how", ["pruned", "without the log", "many at once"])
def test_changes_that_are_not_in_the_log_have_everything_read_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(changes, "KEPT_CHANGES", 20)
    add_many(store)
    ring = KeyRing(store)
    ring.follow()
    for number in range(10):
        ring.read(key(number))
    reads = Reads(monkeypatch)
    if how == "pruned":
        for number in range(5, 30):
            revoke_key(store, f"key_{number}")
    else:
        monkeypatch.setattr(changes, "MOST_LOGGED", 10)
        numbers = range(5, 30)
        with store.write() as connection:
            connection.execute(
                update(api_keys).where(api_keys.c.id.in_([f"key_{number}" for number in numbers])).values(revoked_at=1)
            )
            if how == "without the log":  # as earlier versions of Fairlead do
                connection.execute(text("UPDATE versions SET number = number + 1 WHERE name = 'keys'"))
            else:
                changed(connection, [key_digest(key(number)) for number in numbers])
    new = create_key(store, "new").encode()
    ring.follow()
    assert [ring.find(key(number)) is not None for number in range(10)] == [True] * 5 + [False] * 5
    assert ring.read(new) is not None
    assert (reads.keys, reads.listings) == (11, 1)
    with store.read() as connection:
        assert connection.execute(select(func.count()).select_from(key_changes)).scalar_one() <= 20


def test_few_keys_are_read_at_the_start_and_stay_in_force_without_the_database(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    made = [create_key(store, "k").encode() for _ in range(5)]
    revoke_key(store, list_keys(store)[0].id)
    ring = KeyRing(store)
    ring.follow()
    assert len(made) < PRELOADED_KEYS
    store.close()
    assert sum(ring.find(one) is not None for one in made) == 4


def test_a_key_is_found_while_the_digests_are_still_being_read(store: Store) -> None:
    add_many(store)
    ring = KeyRing(store)

    async def main() -> None:
        lookup = ring.look_up(key(5))
        assert lookup.is_known
        assert lookup.pending is not None
        assert await lookup.pending
        assert ring.find(key(5)) is not None
        stranger = ring.look_up(b"sk-stranger").pending
        assert stranger is not None
        await stranger
        assert ring.look_up(b"sk-stranger").pending is None

    asyncio.run(main())


def test_changes_while_keys_are_read_are_never_lost(store: Store) -> None:
    """Keys are changed by one thread, looked up by the loop, and followed by another thread, all at once."""
    add_many(store, 200)
    ring = KeyRing(store)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        watching = asyncio.create_task(ring.watch())

        def change() -> None:
            for turn in range(3):
                for number in range(0, 200, 10):
                    change_key(store, f"key_{number}", {"name": f"turn {turn}"})
                    revoke_key(store, f"key_{number + 1}")

        changing = loop.run_in_executor(None, change)
        while not changing.done():
            for number in range(200):
                if ring.find(key(number)) is None:
                    pending = ring.look_up(key(number)).pending
                    if pending is not None:
                        await pending
                if number % 20 == 0:
                    await asyncio.sleep(0)
        await changing
        ring.follow()
        watching.cancel()
        for number in range(200):
            found = ring.read(key(number))
            if number % 10 == 1:
                assert found is None
            else:
                assert found is not None
                assert found.name == ("turn 2" if number % 10 == 0 else "n")

    asyncio.run(main())


def test_known_digests_hold_what_was_added_in_any_order() -> None:
    known = KnownDigests()
    digests = sorted(key_digest(key(number)) for number in range(3_000))
    known.extend(digests[:1_500])
    known.extend(digests[1_500:])
    more = [key_digest(key(number)) for number in range(3_000, 3_000 + 2 * MOST_UNSORTED + 10)]
    for at in range(0, len(more), 100):
        known.add(more[at : at + 100])
    known.add(more)
    assert len(known) == len(digests) + len(more)
    assert all(digest in known for digest in [*digests, *more])
    assert not any(key_digest(b"stranger %d" % number) in known for number in range(10_000))


def test_a_process_follows_within_a_second_of_many_keys(store: Store, database_url: str | None) -> None:
    add_many(store)
    other = open_store(store.directory, database_url)
    ring = KeyRing(store)

    async def main() -> None:
        watching = asyncio.create_task(ring.watch())
        pending = ring.look_up(key(3)).pending
        assert pending is not None
        await pending
        assert ring.find(key(3)) is not None
        began = time.monotonic()
        revoke_key(other, "key_3")
        while ring.find(key(3)) is not None:
            assert time.monotonic() - began < 60
            await asyncio.sleep(0.01)
        watching.cancel()

    asyncio.run(main())
    other.close()
