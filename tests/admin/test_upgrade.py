"""`fairlead upgrade --check` says what an upgrade will do, and does nothing."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import text
from tests.e2e.conftest import fairlead

from fairlead.accounts.accounts import add_account
from fairlead.admin import upgrade as upgrade_module
from fairlead.admin.audit import Actor
from fairlead.admin.backup import create_backup
from fairlead.admin.upgrade import check_upgrade
from fairlead.store import Store, open_store
from fairlead.store.database import HEAD, make_tables, migration_of

BY = Actor("command line", "tester")
OLD = "0021"


def old(directory: Path, url: str | None = None) -> Store:
    """A database of an earlier version, with an account."""
    store = open_store(directory, url, migrate=False)
    with store.write() as connection:
        make_tables(connection, OLD)
        add_account(connection, "books", prepaid=False)
    return store


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_pending_migrations_are_listed_with_rows_and_not_run(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = None if kind == "sqlite" else request.getfixturevalue("postgres").new_database(empty=True)
    store = old(tmp_path, url)
    if url is not None:
        with store.write() as connection:
            connection.execute(text("ANALYZE"))
    found = check_upgrade(store)
    assert next(one.version for one in found.migrations) == f"{int(OLD) + 1:04d}"
    assert [one.version for one in found.migrations][-1] == HEAD
    assert all(one.summary for one in found.migrations)
    named = [one.tables["accounts"] for one in found.migrations if "accounts" in one.tables]
    assert named
    assert set(named) == {1}
    assert migration_of(store) == OLD
    assert (found.can_go_back, found.backup) == (False, None)
    assert any("no backup of the last 24 hours" in one for one in found.obstacles)
    store.close()


def test_nothing_is_pending_in_a_database_of_this_version(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    found = check_upgrade(store)
    assert (found.migrations, found.obstacles, found.can_go_back) == ((), (), True)
    store.close()


def test_a_fresh_backup_is_a_way_back_and_an_old_one_is_not(tmp_path: Path, monkeypatch: Any) -> None:
    store = open_store(tmp_path / "data")
    create_backup(store, BY, tmp_path / "a.backup.zip")
    with store.write() as connection:
        connection.execute(text(f"UPDATE alembic_version SET version_num = '{OLD}'"))
    found = check_upgrade(store)
    assert found.backup is not None
    assert (found.backup.name, found.can_go_back, found.obstacles) == ("a.backup.zip", True, ())
    later = check_upgrade(store, now=time.time() + 2 * 86_400)
    assert later.can_go_back is False
    assert later.obstacles

    class Full(NamedTuple):
        free: int = 10

    monkeypatch.setattr(upgrade_module.shutil, "disk_usage", lambda _: Full())
    assert any("are free" in one for one in check_upgrade(store).obstacles)
    store.close()


def test_settings_that_are_deprecated_or_unknown_are_told(tmp_path: Path) -> None:
    store = open_store(tmp_path / "data")
    store.close()
    file = tmp_path / "fairlead.toml"
    file.write_text("[ledger]\nhang_up_seconds = 5\n")
    done = fairlead("upgrade", "--check", "--json", "--config", str(file), data=tmp_path / "data")
    found = json.loads(done.stdout)
    assert (done.returncode, found["ready"]) == (0, True)
    assert "disconnect_seconds" in found["deprecated"][0]
    file.write_text("[ledger]\nno_such_setting = 5\n")
    done = fairlead("upgrade", "--check", "--config", str(file), data=tmp_path / "data")
    assert done.returncode == 1
    assert "no_such_setting" in done.stdout
    assert done.stdout.endswith("Not ready.\n")
    assert fairlead("upgrade", data=tmp_path / "data").returncode == 2


def test_a_newer_database_is_an_obstacle(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert any("newer Fairlead" in one for one in check_upgrade(store).obstacles)
    store.close()
    shutil.rmtree(tmp_path)
