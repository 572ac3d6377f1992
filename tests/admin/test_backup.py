"""A backup brings everything back exactly once, into either database, and one that is not whole is refused."""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import select, text
from tests.e2e.conftest import fairlead

from fairlead.accounts.accounts import add_account
from fairlead.admin import backup as backup_module
from fairlead.admin.audit import Actor, AuditFilter, list_audit
from fairlead.admin.backup import backup_name, create_backup, prune, verify_backup
from fairlead.admin.backup_file import BackupReader, BackupWriter, Need
from fairlead.admin.credentials import set_credential
from fairlead.admin.keys import create_key
from fairlead.admin.restore import restore
from fairlead.errors import ConfigurationError
from fairlead.ledger.books import keep_sheets, post
from fairlead.ledger.ledger import SPOOL, Ledger
from fairlead.ledger.record import UsageRecord, encode
from fairlead.ledger.spool import Spool
from fairlead.ledger.verify import verify
from fairlead.prices import PriceSheet, Schedule, amounts, rates_from
from fairlead.store import Store, open_store
from fairlead.store.database import HEAD, RESTORING
from fairlead.store.dump import LEFT_OUT, shapes_of
from fairlead.store.tables import metadata, usage_records
from fairlead.wire.usage import usage_from_openai

BY = Actor("command line", "tester")
SHEET = PriceSheet("p/m", Schedule(rates_from({"input": "0.10", "output": "0.30"})), None)
USAGE = usage_from_openai(b'{"prompt_tokens":1000,"completion_tokens":100}')
CONFIGURATION = '[[providers]]\nid = "p"\npreset = "openai"\napi_key = { env = "P_KEY" }\n'


def call(number: int, account: str) -> bytes:
    assert USAGE is not None
    price, cost = amounts(SHEET, USAGE)
    return encode(
        UsageRecord(
            f"gen_{number:06d}", 1, 2, account, "key_1", "m", "served", False, "reported", "p/m", SHEET.id,
            USAGE.tokens, USAGE.prompt, USAGE.completion, True, price, cost,
        )
    )  # fmt: skip


class Gateway:
    """A data directory with calls in its books and in its spool."""

    def __init__(self, directory: Path, url: str | None = None) -> None:
        self.store = open_store(directory, url)
        with self.store.write() as connection:
            self.account = add_account(connection, "books", prepaid=False)
            connection.execute(text("UPDATE accounts SET name = :name"), {"name": "Bücher\\ \t\n\r\\N ☃"})
            keep_sheets(connection, [SHEET])

    def book(self, *numbers: int) -> None:
        with self.store.write() as connection:
            post(connection, [call(number, self.account) for number in numbers], "p1")

    def spool(self, *numbers: int) -> None:
        spool = Spool(self.store.directory / SPOOL, os.urandom(8).hex(), 10**9)
        for number in numbers:
            spool.append(call(number, self.account))
        spool.close(empty=False)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    made = Gateway(tmp_path / "data")
    made.book(1, 2, 3)
    yield made
    made.store.close()


def records(store: Store) -> list[str]:
    with store.read() as connection:
        return list(connection.execute(select(usage_records.c.id).order_by(usage_records.c.number)).scalars())


def content(store: Store) -> dict[str, list[Any]]:
    """Every row of every table but what a backup and a restore add themselves."""
    with store.read() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(select(table))), key=repr)
            for table in metadata.sorted_tables
            if table.name != "audit_log" and table.name not in LEFT_OUT
        }


@contextlib.contextmanager
def restored(path: Path, directory: Path, url: str | None = None) -> Iterator[Store]:
    checked = restore(path, directory, url, BY)
    assert checked.discrepancy is None
    store = open_store(directory, url)
    try:
        yield store
    finally:
        store.close()


def adopt(store: Store) -> None:
    """As the next start does."""
    ledger = Ledger(store, [SHEET])
    ledger.adopt()
    assert ledger.trouble is None


@pytest.fixture(params=["sqlite", "postgresql"])
def other_url(request: pytest.FixtureRequest) -> str | None:
    """An empty database."""
    return None if request.param == "sqlite" else request.getfixturevalue("postgres").new_database(empty=True)


def test_everything_comes_back_once_into_either_database(
    tmp_path: Path, database_url: str | None, other_url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIRLEAD_SEAL_KEY", "A" * 43 + "=")
    gateway = Gateway(tmp_path / "data", database_url)
    create_key(gateway.store, BY, "key of Zoë")
    set_credential(gateway.store, BY, "upstream", "sk-secret")
    gateway.book(1, 2, 3)
    gateway.spool(3, 4)  # 3 is in both
    file = tmp_path / "fairlead.toml"
    file.write_text(CONFIGURATION)
    done = create_backup(gateway.store, BY, tmp_path / "a.backup.zip", file=file)
    assert (done.manifest.spooled, done.checked.waiting, done.checked.books.records) == (2, 1, 3)  # type: ignore[union-attr]
    assert stat.S_IMODE(done.path.stat().st_mode) == 0o600
    assert Need("environment variable", "P_KEY") in done.manifest.needs
    assert "seal key" in {need.kind for need in done.manifest.needs}
    assert [one["action"] for one in list_audit(gateway.store, AuditFilter(action="backup."), 9)] == ["backup.create"]
    before = content(gateway.store)
    gateway.store.close()
    with restored(done.path, tmp_path / "other", other_url) as store:
        assert content(store) == before
        adopt(store)
        assert records(store) == [f"gen_{number:06d}" for number in (1, 2, 3, 4)]
        with store.read() as connection:
            assert verify(connection).discrepancy is None
        # Numbers go on behind those that were restored.
        create_key(store, BY, "another")
        assert (tmp_path / "other" / "configuration.toml").read_text() == CONFIGURATION


def test_the_seal_key_is_not_in_the_backup(gateway: Gateway, tmp_path: Path) -> None:
    set_credential(gateway.store, BY, "upstream", "sk-plain-secret")
    key = (gateway.store.directory / "seal.key").read_bytes().strip()
    done = create_backup(gateway.store, BY, tmp_path / "a.backup.zip")
    with BackupReader(done.path) as reader, zipfile.ZipFile(done.path) as found:
        for name in found.namelist():
            if name.endswith(".zst"):
                with reader.member(name.removesuffix(".zst")) as member:
                    body = member.read()
                assert key not in body
                assert b"sk-plain-secret" not in body


def test_sessions_and_links_are_not_good_again_after_a_restore(gateway: Gateway) -> None:
    with gateway.store.read() as connection:
        dumped = {shape.name for shape in shapes_of(connection)}
    known = {table.name for table in metadata.sorted_tables}
    assert LEFT_OUT - known == {"alembic_version"}, "each is still called so"
    assert known - dumped == LEFT_OUT & known


def test_a_backup_is_taken_while_calls_are_stored(gateway: Gateway, tmp_path: Path, monkeypatch: Any) -> None:
    """A writer is not kept waiting, and what it stores in the middle of the backup is not half in it."""
    real = backup_module.dump

    def dump_slowly(connection: Any, table: Any, rows: Any) -> Iterator[bytes]:
        for number, line in enumerate(real(connection, table, rows)):
            if table.name == "usage_records" and number == 1:
                gateway.book(10, 11)  # waits ten seconds and fails where the reader locks writers out
            yield line

    monkeypatch.setattr(backup_module, "dump", dump_slowly)
    done = create_backup(gateway.store, BY, tmp_path / "a.backup.zip")
    assert done.checked.discrepancy is None
    with restored(done.path, tmp_path / "other") as store:
        assert records(store) == ["gen_000001", "gen_000002", "gen_000003"]


def test_a_record_that_is_stored_between_spool_and_snapshot_is_not_lost(
    gateway: Gateway, tmp_path: Path, monkeypatch: Any
) -> None:
    real = backup_module._copy_files

    def copy_then_drain(*given: Any) -> Any:
        found = real(*given)
        gateway.spool(7)
        adopt(gateway.store)
        return found

    gateway.spool(6)
    monkeypatch.setattr(backup_module, "_copy_files", copy_then_drain)
    done = create_backup(gateway.store, BY, tmp_path / "a.backup.zip")
    with restored(done.path, tmp_path / "other") as store:
        adopt(store)
        assert sorted(records(store)) == [f"gen_{number:06d}" for number in (1, 2, 3, 6, 7)]


def test_each_flipped_bit_and_each_missing_byte_is_found(gateway: Gateway, tmp_path: Path) -> None:
    path = create_backup(gateway.store, BY, tmp_path / "a.backup.zip").path
    whole = path.read_bytes()
    random_ = random.Random(7)
    places = {0, len(whole) - 1, *(random_.randrange(len(whole)) for _ in range(60))}
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << random_.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(ConfigurationError, match=r"damaged|its end is missing"):
            verify_backup(path)
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ConfigurationError, match=r"damaged|its end is missing"):
            restore(path, tmp_path / "other", None, BY)
        assert not (tmp_path / "other").exists()
    path.write_bytes(whole)
    assert verify_backup(path).discrepancy is None


def test_wrong_books_are_backed_up_told_and_not_restored_unless_asked_for(gateway: Gateway, tmp_path: Path) -> None:
    with gateway.store.write() as connection:
        connection.execute(text("UPDATE charges SET charged = charged + 1"))
    done = create_backup(gateway.store, BY, tmp_path / "a.backup.zip")
    assert done.checked.discrepancy is not None
    with pytest.raises(ConfigurationError, match="The books in .* are wrong"):
        restore(done.path, tmp_path / "other", None, BY)
    assert not (tmp_path / "other").exists()
    assert restore(done.path, tmp_path / "other", None, BY, accept_discrepancy=True).discrepancy is not None


def test_nothing_is_restored_over_data(gateway: Gateway, tmp_path: Path) -> None:
    done = create_backup(gateway.store, BY, tmp_path / "a.backup.zip")
    before = content(gateway.store)
    with pytest.raises(ConfigurationError, match="is not empty"):
        restore(done.path, gateway.store.directory, None, BY)
    assert content(gateway.store) == before
    other = tmp_path / "other"
    (other / "lost+found").mkdir(parents=True)
    (other / "seal.key").write_text("kept")
    restore(done.path, other, None, BY)
    assert (other / "seal.key").read_text() == "kept"


def test_nothing_is_restored_into_a_database_with_tables(gateway: Gateway, tmp_path: Path, postgres: Any) -> None:
    done = create_backup(gateway.store, BY, tmp_path / "a.backup.zip")
    with pytest.raises(ConfigurationError, match="has tables already"):
        restore(done.path, tmp_path / "other", postgres.new_database(), BY)
    assert not (tmp_path / "other").exists()


def test_a_file_that_is_there_is_not_replaced(gateway: Gateway, tmp_path: Path) -> None:
    path = tmp_path / "a.backup.zip"
    path.write_text("mine")
    with pytest.raises(ConfigurationError, match="exists already"):
        create_backup(gateway.store, BY, path)
    assert path.read_text() == "mine"
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


def test_an_incremental_backup_has_what_is_new_and_needs_its_base(tmp_path: Path, database_url: str | None) -> None:
    gateway = Gateway(tmp_path / "data", database_url)
    gateway.book(*range(1, 200))
    first = create_backup(gateway.store, BY, tmp_path / "1.backup.zip")
    gateway.book(500, 501)
    second = create_backup(gateway.store, BY, tmp_path / "2.backup.zip", base=first.path)
    gateway.book(502)
    third = create_backup(gateway.store, BY, tmp_path / "3.backup.zip", base=second.path)
    before = content(gateway.store)
    gateway.store.close()
    rows = [done.manifest.table("usage_records").rows for done in (first, second, third)]  # type: ignore[union-attr]
    assert rows == [199, 2, 1]
    assert third.checked.discrepancy is None
    with restored(third.path, tmp_path / "other") as store:
        assert content(store) == before
    second.path.rename(tmp_path / "away")
    with pytest.raises(ConfigurationError, match="which is missing"):
        verify_backup(third.path)
    shutil.copy(first.path, second.path)
    with pytest.raises(ConfigurationError, match="is another backup"):
        verify_backup(third.path)


def test_rows_that_came_late_or_are_others_are_written_again(tmp_path: Path) -> None:
    """PostgreSQL gives numbers before they are committed; a database that was restored goes on with numbers that an older
    backup has too."""
    gateway = Gateway(tmp_path / "data")
    gateway.book(1)
    gateway.book(2)
    with sqlite3.connect(gateway.store.directory / "fairlead.db") as database:
        late = database.execute("SELECT * FROM usage_records WHERE number = 1").fetchone()
        database.execute("DELETE FROM usage_records WHERE number = 1")
    database.close()
    first = create_backup(gateway.store, BY, tmp_path / "1.backup.zip", books=False)
    with sqlite3.connect(gateway.store.directory / "fairlead.db") as database:
        database.execute(f"INSERT INTO usage_records VALUES ({', '.join('?' * len(late))})", late)
    database.close()
    second = create_backup(gateway.store, BY, tmp_path / "2.backup.zip", base=first.path)
    table = second.manifest.table("usage_records")
    assert table is not None
    assert (table.since, table.rows) == (None, 2)
    gateway.store.close()
    other = Gateway(tmp_path / "fork")
    other.book(7)
    other.book(8)
    forked = create_backup(other.store, BY, tmp_path / "3.backup.zip", base=second.path)
    table = forked.manifest.table("usage_records")
    assert table is not None
    assert (table.since, table.rows) == (None, 2)
    other.store.close()


def test_a_backup_of_an_older_version_is_restored_and_of_a_newer_one_refused(
    gateway: Gateway, tmp_path: Path, monkeypatch: Any
) -> None:
    from fairlead.admin import restore as restore_module
    from fairlead.store.database import make_tables

    old = tmp_path / "old"
    store = open_store(old, migrate=False)
    with store.write() as connection:
        make_tables(connection, "0018")
        add_account(connection, "from before", prepaid=False)
    done = create_backup(store, BY, tmp_path / "old.backup.zip")
    assert done.manifest.migration == "0018"
    with store.read() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "0018"
    store.close()
    with restored(done.path, tmp_path / "other") as store, store.read() as connection:
        assert connection.execute(text("SELECT name FROM accounts")).scalars().all() == ["from before"]
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == HEAD
    done = create_backup(gateway.store, BY, tmp_path / "new.backup.zip")
    monkeypatch.setattr(restore_module, "HEAD", "0001")
    with pytest.raises(ConfigurationError, match="was made by Fairlead"):
        restore(done.path, tmp_path / "newer", None, BY)


def test_old_backups_are_removed_but_not_those_that_are_continued(gateway: Gateway, tmp_path: Path) -> None:
    names = [backup_name(day * 86_400) for day in range(5)]
    others = ("mine.backup.zip", "notes.txt")
    for name in others:
        (tmp_path / name).write_text("kept")
    for name, base in zip(names, (None, None, names[1], names[2], None), strict=True):
        create_backup(gateway.store, BY, tmp_path / name, base=base and tmp_path / base, books=False)
    assert [one.name for one in prune(tmp_path, 2)] == [names[0]]
    verify_backup(tmp_path / names[3])
    assert [one.name for one in prune(tmp_path, 1)] == [names[3], names[2], names[1]]
    assert {one.name for one in tmp_path.glob("*.*")} == {names[4], *others}


def test_commands_report_what_is_wrong_by_their_exit_status(gateway: Gateway, tmp_path: Path) -> None:
    data, path = gateway.store.directory, tmp_path / "a.backup.zip"
    done = fairlead("backup", "create", "--output", str(path), "--json", data=data)
    assert (done.returncode, json.loads(done.stdout)["records"]) == (0, 3)
    assert fairlead("backup", "create", "--output", str(path), data=data).returncode == 2
    assert fairlead("backup", "create", "--output", str(tmp_path / "b.zip"), "--keep", "3", data=data).returncode == 2
    assert fairlead("restore", str(path), data=data).returncode == 2
    with gateway.store.write() as connection:
        connection.execute(text("UPDATE charges SET charged = charged + 1"))
    done = fairlead("backup", "create", "--output", str(tmp_path), "--keep", "1", data=data)
    assert done.returncode == 1
    assert "the books that were backed up are wrong" in done.stderr
    assert "Removed" not in done.stdout
    path.write_bytes(path.read_bytes()[:-1])
    done = fairlead("restore", str(path), data=tmp_path / "other")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


# --- kill -9, and a full disk

PROGRAM = """
import os, signal, sys
from pathlib import Path
from fairlead.admin import backup, backup_file, restore
from fairlead.admin.audit import Actor
from fairlead.store import open_store

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def after(calls, real):
    def run(*given, **named):
        nonlocal calls
        calls -= 1
        if calls < 0:
            die()
        return real(*given, **named)
    return run

by, data, file, url = Actor("command line", "t"), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4] or None
"""
BACKUPS = {
    "in the middle of the tables": "backup.dump = after(5, backup.dump)",
    "before it has its name": "backup_file.BackupWriter.finish = die",
    "while it is verified": "backup.restored_to = die",
}
RESTORES = {
    "in the middle of the tables": "restore.load = after(5, restore.load)",
    "before the commit": "restore.record = die",
    "in the middle of the move": "restore.Path.rename = after(1, Path.rename)",
    "before the end": "restore.shutil.rmtree = die",
}


def killed(kill: str, run: str, directory: Path, file: Path, url: str | None = None) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{PROGRAM}\n{kill}\n{run}", "", directory, file, url or ""],
        timeout=60, capture_output=True,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


@pytest.mark.parametrize("kill", BACKUPS.values(), ids=list(BACKUPS))
def test_a_killed_backup_leaves_none_or_a_whole_one(kill: str, gateway: Gateway, tmp_path: Path) -> None:
    path = tmp_path / "backups" / "a.backup.zip"
    path.parent.mkdir()
    killed(kill, "backup.create_backup(open_store(data), by, file)", gateway.store.directory, path)
    if path.exists():
        assert verify_backup(path).discrepancy is None
        path.unlink()
    assert create_backup(gateway.store, BY, path).checked.discrepancy is None
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("kind", "kill"),
    [
        *(("sqlite", kill) for kill in RESTORES.values()),
        *(("postgresql", RESTORES[name]) for name in ("in the middle of the move", "before the end")),
    ],
    ids=[*RESTORES, "PostgreSQL, before the commit", "PostgreSQL, behind the commit"],
)
def test_a_killed_restore_is_never_served_and_is_run_again(
    kind: str, kill: str, gateway: Gateway, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    other_url = None if kind == "sqlite" else request.getfixturevalue("postgres").new_database(empty=True)
    gateway.spool(4)
    path = create_backup(gateway.store, BY, tmp_path / "a.backup.zip").path
    other = tmp_path / "other"
    killed(kill, "restore.restore(file, data, url, by)", other, path, other_url)
    assert (other / RESTORING).exists()
    with pytest.raises(ConfigurationError, match="was interrupted"):
        open_store(other, other_url)
    with restored(path, other, other_url) as store:
        adopt(store)
        assert records(store) == [f"gen_{number:06d}" for number in (1, 2, 3, 4)]
    assert not (other / RESTORING).exists()


@contextlib.contextmanager
def small_disk(size: int) -> Iterator[None]:
    """No file may become larger; what is written behind that fails as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_full_disk_leaves_nothing(gateway: Gateway, tmp_path: Path) -> None:
    path = tmp_path / "backups" / "a.backup.zip"
    path.parent.mkdir()
    with small_disk(4_000), pytest.raises(OSError):
        create_backup(gateway.store, BY, path)
    assert list(path.parent.iterdir()) == []
    create_backup(gateway.store, BY, path)
    path.unlink()
    with small_disk(40_000), pytest.raises(OSError):  # there is room for the file, and none to verify it
        create_backup(gateway.store, BY, path)
    assert list(path.parent.iterdir()) == []
    create_backup(gateway.store, BY, path)
    with small_disk(40_000), pytest.raises(OSError):
        restore(path, tmp_path / "other", None, BY)
    assert not (tmp_path / "other").exists()


def test_a_row_that_the_database_refuses_is_one_sentence(gateway: Gateway, tmp_path: Path) -> None:
    done = create_backup(gateway.store, BY, tmp_path / "a.backup.zip")
    table = done.manifest.table("accounts")
    assert table is not None
    for line, words in ((b'["acc_1"]\n', "Incorrect number of bindings"), (b"[[\n", "cannot be read")):
        path = tmp_path / "odd.backup.zip"
        with BackupWriter(path) as writer:
            with writer.member("tables/accounts.jsonl") as out:
                out.write(line)
            writer.finish(replace(done.manifest, files={}, tables=(table,)))
        with pytest.raises(ConfigurationError, match=words):
            restore(path, tmp_path / "other", None, BY)
        path.unlink()


def test_a_member_of_a_backup_cannot_leave_the_data_directory(gateway: Gateway, tmp_path: Path) -> None:
    done = create_backup(gateway.store, BY, tmp_path / "a.backup.zip")
    for name in ("../evil", "spool/../../evil", "/evil", "spool/.hidden", "fairlead.db"):
        path = tmp_path / "evil.backup.zip"
        with BackupWriter(path) as writer:
            with writer.member(f"files/{name}") as out:
                out.write(b"x")
            writer.finish(replace(done.manifest, files={name: 1}, tables=()))
        with pytest.raises(ConfigurationError, match="cannot be"):
            restore(path, tmp_path / "other", None, BY)
        path.unlink()
    assert not (tmp_path / "evil").exists()
