"""Keys: unguessable, kept as digests, found fast, gone within a second."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from fairlead.accounts.accounts import add_account, first_account
from fairlead.accounts.key_ring import KeyRing
from fairlead.accounts.keys import create_key, first_start, import_key, key_digest, list_keys, revoke_key
from fairlead.errors import ConfigurationError
from fairlead.store import Store, open_store
from fairlead.store.tables import api_keys


def revoked(store: Store, key_id: str) -> bool:
    with store.write() as connection:
        return revoke_key(connection, key_id)


@pytest.fixture
def store(tmp_path: Path, database_url: str | None) -> Iterator[Store]:
    opened = open_store(tmp_path, database_url)
    yield opened
    opened.close()


def test_a_key_has_its_form_and_only_its_digest_is_kept(store: Store) -> None:
    key = create_key(store, "k")
    assert re.fullmatch(r"sk-fl-[A-Za-z0-9]{8}[A-Za-z0-9_-]{43}", key)
    assert len(base64.urlsafe_b64decode(key[14:] + "=")) == 32
    for file in store.directory.iterdir():
        assert key[14:].encode() not in file.read_bytes()
    with store.read() as connection:
        assert connection.execute(select(api_keys.c.digest)).scalar() == hashlib.sha256(key.encode()).digest()
    (info,) = list_keys(store)
    assert (info.name, info.shown) == ("k", key[:14])
    assert create_key(store, "k") != key


def test_the_first_start_makes_one_key_and_no_other_start_does(store: Store) -> None:
    key = first_start(store)
    assert key is not None
    assert first_start(store) is None
    assert KeyRing(store).read(key.encode()) is not None


def test_only_the_whole_key_is_found(store: Store) -> None:
    key = create_key(store, "k").encode()
    ring = KeyRing(store)
    caller = ring.read(key)
    assert caller is not None
    assert caller.key_id == list_keys(store)[0].id
    for wrong in (
        b"",
        key[:-1],
        key + b"x",
        key[:14],
        key[:14] + b"A" * 43,
        key.upper(),
        b"x" * 100_000,
        b"\xff" * 57,
        key[14:],
    ):
        assert ring.find(wrong) is None
        assert ring.read(wrong) is None


def test_a_key_of_another_system_goes_on_working_as_it_is(store: Store) -> None:
    ring = KeyRing(store)
    for key in ("sk-Ab3dEf6h", "sk-or-v1-" + "0f" * 32, "x", "sk-fl-short", "sk-" + "z" * 253):
        assert ring.read(key.encode()) is None
        with store.write() as connection:
            key_id = import_key(connection, "old", first_account(connection), key_digest(key.encode()), key[:7])
        ring.follow()
        caller = ring.read(key.encode())
        assert caller is not None
        assert caller.key_id == key_id
        assert ring.read(key.encode() + b"x") is None
    assert {info.shown for info in list_keys(store)} == {"sk-Ab3d", "sk-or-v", "x", "sk-fl-s", "sk-zzzz"}
    with pytest.raises(ConfigurationError, match="already"), store.write() as connection:
        import_key(connection, "again", first_account(connection), key_digest(b"sk-Ab3dEf6h"), "sk-Ab3d")


def test_a_revoked_key_is_gone_and_stays_listed(store: Store) -> None:
    key = create_key(store, "k").encode()
    ring = KeyRing(store)
    assert ring.read(key) is not None
    key_id = list_keys(store)[0].id
    assert revoked(store, key_id)
    ring.follow()
    assert ring.find(key) is None
    revoked_at = list_keys(store)[0].revoked_at
    assert revoked_at is not None
    assert revoked(store, key_id), "again is no error"
    assert list_keys(store)[0].revoked_at == revoked_at
    assert not revoked(store, "key_nothing")


def test_a_ring_that_watches_follows_changes(store: Store, database_url: str | None) -> None:
    other = open_store(store.directory, database_url)

    async def main() -> None:
        ring = KeyRing(store)
        task = asyncio.create_task(ring.watch())
        key = create_key(other, "late").encode()
        began = time.monotonic()
        while ring.find(key) is None:
            assert time.monotonic() - began < 60
            pending = ring.look_up(key).pending
            await (asyncio.sleep(0.01) if pending is None else pending)
        revoked(other, list_keys(other)[0].id)
        began = time.monotonic()
        while ring.find(key) is not None:
            assert time.monotonic() - began < 60
            await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(main())
    other.close()


def test_what_is_known_stays_in_force_while_the_database_cannot_be_read(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key = create_key(store, "k").encode()
    ring = KeyRing(store)
    assert ring.read(key) is not None
    asked: list[int] = []
    failed = asyncio.Event()
    version = store.version()

    def broken() -> int:
        asked.append(len(asked))
        if len(asked) <= 2:
            failed.set()
            raise sqlite3.OperationalError("disk I/O error")
        return version + len(asked)

    async def main() -> None:
        task = asyncio.create_task(ring.watch())
        await asyncio.wait_for(failed.wait(), 60)
        assert ring.find(key) is not None
        revoked(store, list_keys(store)[0].id)
        began = time.monotonic()
        while ring.find(key) is not None:
            assert time.monotonic() - began < 60, "the ring reads again after the failure"
            await asyncio.sleep(0.01)
        task.cancel()

    monkeypatch.setattr(Store, "version", lambda _self: broken())
    asyncio.run(main())
    assert caplog.text.count("Key changes cannot be read") == 1  # and not four times a second


@pytest.mark.parametrize("name", ["", "  ", "x" * 129, "a\nb", "a\x00"])
def test_a_name_that_cannot_be_shown_is_refused(store: Store, name: str) -> None:
    with pytest.raises(ConfigurationError):
        create_key(store, name)


def test_a_prepaid_account_of_the_same_second_is_never_taken_for_the_first_one(store: Store) -> None:
    create_key(store, "operator")
    with store.write() as connection:
        first = first_account(connection)
        for number in range(20):
            add_account(connection, f"customer {number}", prepaid=True)
        assert first_account(connection) == first
