"""Sealed credentials: what the database holds is of no use without the key, and the key fits only what it has sealed."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from fairlead.admin.audit import Actor
from fairlead.admin.credentials import list_credentials, remove_credential, reseal, set_credential
from fairlead.errors import ConfigurationError, InvalidRequest
from fairlead.providers.sealed import Reader, SealKey, seal_key
from fairlead.store import Store, open_store
from fairlead.store.tables import audit_log, sealed_secrets

ME = Actor("command line", "me")
SECRET = "hunter2correcthorsebatterystaple"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "data")
    yield opened
    opened.close()


def test_what_is_stored_is_read_back_and_nothing_of_it_is_in_the_database(store: Store) -> None:
    assert not set_credential(store, ME, "main", SECRET)
    before = Reader(store).number()
    assert Reader(store)("main") == SECRET
    assert set_credential(store, ME, "main", SECRET + "2")
    assert Reader(store)("main") == SECRET + "2"
    assert Reader(store).number() > before
    with store.read() as connection:
        rows = connection.execute(select(sealed_secrets)).all()
        audited = connection.execute(select(audit_log)).all()
    assert [row.action for row in audited] == ["credential.set", "credential.set"]
    assert SECRET not in f"{rows}{audited}"
    assert SECRET.encode() not in b"".join(row.body for row in rows)


def test_a_row_moved_changed_or_sealed_by_another_key_is_refused(store: Store) -> None:
    set_credential(store, ME, "one", SECRET)
    set_credential(store, ME, "two", SECRET)
    with store.write() as connection:  # somebody with access to the database gives one provider another's key
        other = connection.execute(select(sealed_secrets).where(sealed_secrets.c.name == "two")).one()
        connection.execute(
            update(sealed_secrets).where(sealed_secrets.c.name == "one").values(nonce=other.nonce, body=other.body)
        )
        connection.execute(
            update(sealed_secrets).where(sealed_secrets.c.name == "two").values(body=bytes(len(other.body)))
        )
    for name in ("one", "two"):
        with pytest.raises(ConfigurationError, match="is damaged"):
            Reader(store)(name)
    with pytest.raises(ConfigurationError, match="no sealed credential 'three'"):
        Reader(store)("three")
    (store.directory / "seal.key").write_bytes(base64.b64encode(os.urandom(32)))
    with pytest.raises(ConfigurationError, match="sealed with another key"):
        Reader(store)("one")
    (store.directory / "seal.key").unlink()
    with pytest.raises(ConfigurationError, match=r"FAIRLEAD_SEAL_KEY .*seal\.key"):
        Reader(store)("one")


@pytest.mark.parametrize("text", ["", "short", "x" * 44, base64.b64encode(bytes(31)).decode(), "\0", "é"])
def test_a_key_that_is_none_is_told(store: Store, text: str) -> None:
    (store.directory / "seal.key").write_text(text)
    with pytest.raises(ConfigurationError, match="32 random bytes in base64"):
        set_credential(store, ME, "main", SECRET)


def test_the_key_of_the_environment_comes_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRLEAD_SEAL_KEY", base64.b64encode(os.urandom(32)).decode())
    set_credential(store, ME, "main", SECRET)
    assert not (store.directory / "seal.key").exists()
    assert Reader(store)("main") == SECRET


def test_all_are_sealed_with_another_key_or_none(store: Store) -> None:
    set_credential(store, ME, "one", SECRET)
    old, new = seal_key(store), SealKey(os.urandom(32))
    with store.write() as connection:
        connection.execute(
            sealed_secrets.insert().values(
                name="stray", key_id="other", nonce=b"0" * 12, body=b"", created_at=1, changed_at=1
            )
        )
    with pytest.raises(ConfigurationError, match="'stray' was sealed with another key"):
        reseal(store, ME, old, new)
    assert Reader(store)("one") == SECRET
    remove_credential(store, ME, "stray")
    assert reseal(store, ME, old, new) == 1
    assert reseal(store, ME, old, new) == 0
    assert [one.key_id for one in list_credentials(store)] == [new.id]


@pytest.mark.parametrize("name", ["", "a b", "../x", "x" * 65, "-x", "é", "a\n"])
def test_a_name_is_a_plain_word(store: Store, name: str) -> None:
    with pytest.raises(InvalidRequest, match="A name has"):
        set_credential(store, ME, name, SECRET)


@pytest.mark.parametrize("secret", ["", "two words", "two\nlines", "x" * 16_385, "ключ"])
def test_a_credential_is_one_printable_line(store: Store, secret: str) -> None:
    with pytest.raises(InvalidRequest, match="one line"):
        set_credential(store, ME, "main", secret)


def test_machines_that_share_a_database_are_told_to_share_the_key(
    tmp_path: Path, database_url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path / "node", database_url)
    try:
        if database_url is not None:
            with pytest.raises(ConfigurationError, match="set FAIRLEAD_SEAL_KEY to it on each"):
                set_credential(store, ME, "main", SECRET)
            assert not (store.directory / "seal.key").exists()
            monkeypatch.setenv("FAIRLEAD_SEAL_KEY", base64.b64encode(os.urandom(32)).decode())
        set_credential(store, ME, "main", SECRET)
        other = open_store(tmp_path / ("other" if database_url else "node"), database_url)
        assert Reader(other)("main") == SECRET
        other.close()
    finally:
        store.close()
