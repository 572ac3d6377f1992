"""The data directory: private, migrated, shared by processes, and refused when it is not ours to read."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from fairlead.errors import ConfigurationError
from fairlead.store import database, open_store
from fairlead.store.database import HEAD
from fairlead.store.tables import metadata

SOURCE = Path(__file__).parents[2] / "src"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_directory_is_private_and_its_database_safe(tmp_path: Path) -> None:
    store = open_store(tmp_path / "a" / "b")
    try:
        assert mode(store.directory) == 0o700
        assert {mode(file) for file in store.directory.glob("fairlead.db*")} == {0o600}
        with store.read() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
            assert connection.exec_driver_sql("PRAGMA page_size").scalar() == 8192
    finally:
        store.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_migrations_make_the_tables_that_the_code_knows(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    if kind == "sqlite":
        store = migrated(tmp_path)
    else:
        store = open_store(tmp_path, request.getfixturevalue("new_database")(empty=True))
    try:
        with store.read() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []
            assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == HEAD
    finally:
        store.close()
    script = ScriptDirectory(str(SOURCE / "fairlead" / "store" / "migrations"))
    assert script.get_current_head() == HEAD


def migrated(directory: Path) -> database.Store:
    """A SQLite file to which every migration was applied."""
    store = database._sqlite(directory)
    database._upgrade(store, None)
    return store


def plain(statement: str | None) -> str:
    """What is within the parentheses of a CREATE TABLE."""
    return (statement or "").replace('"', "").partition("(")[2].rpartition(")")[0].strip()


def test_a_new_file_is_what_the_migrations_make(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    found = []
    for store in (open_store(tmp_path / "new"), migrated(tmp_path / "old")):
        with contextlib.closing(sqlite3.connect(store.directory / "fairlead.db")) as file:
            schema = file.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name").fetchall()
            # A migration that copies a table, or adds a column to one, keeps the order of the columns alone.
            parts = [(*row[:3], sorted(re.split(r",\s+(?![^()]*\))", plain(row[3])))) for row in schema]
            tables = {
                row[1]: (
                    file.execute(f"PRAGMA table_info({row[1]})").fetchall(),
                    file.execute(f"SELECT * FROM {row[1]}").fetchall(),
                )
                for row in schema
                if row[0] == "table"
            }
            found.append((parts, tables))
        store.close()
    assert found[0] == found[1]
    assert len(found[0][1]) > 10


def test_a_new_file_is_made_without_alembic(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from fairlead.store import open_store; open_store(Path(sys.argv[1])).close(); print([name for name in sys.modules if name.startswith('alembic')])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(SOURCE)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_failed_block_leaves_nothing(tmp_path: Path, database_url: str | None) -> None:
    store = open_store(tmp_path, database_url)
    try:
        with pytest.raises(ZeroDivisionError), store.write() as connection:
            connection.exec_driver_sql(
                "INSERT INTO accounts (id, name, created_at, prepaid) VALUES ('a', 'b', 1, false)"
            )
            raise ZeroDivisionError
        with store.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM accounts").scalar() == 0
    finally:
        store.close()


def test_another_process_is_noticed(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    try:
        before = store.version()
        assert store.version() == before
        other = sqlite3.connect(store.directory / "fairlead.db")
        other.execute("INSERT INTO accounts (id, name, created_at, prepaid) VALUES ('a', 'b', 1, false)")
        other.commit()
        other.close()
        assert store.version() != before
    finally:
        store.close()


@pytest.mark.slow
def test_several_processes_may_start_first_at_once(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from fairlead.store import open_store; open_store(Path(sys.argv[1])).close()"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "d")], env=environment, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors.decode()


DIES = """
import os, sys
from pathlib import Path
from fairlead.store import database

def prepare(connection, record, first=database._prepare):
    first(connection, record)
    connection.set_trace_callback(lambda statement: os._exit(9) if "CREATE TABLE api_keys" in statement else None)

database._prepare = prepare
database.open_store(Path(sys.argv[1]))
"""


def test_a_first_start_that_is_killed_between_two_tables_can_be_repeated(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    killed = subprocess.run([sys.executable, "-c", DIES, str(tmp_path)], env=environment, timeout=60)
    assert killed.returncode == 9
    store = open_store(tmp_path)
    try:
        with store.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM api_keys").scalar() == 0
    finally:
        store.close()


def test_a_migration_that_nobody_knows_is_one_sentence(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "fairlead.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = '0000'")
        database.commit()
    with pytest.raises(ConfigurationError, match="migration 0000, which is unknown to this version"):
        open_store(tmp_path)


def test_a_newer_database_is_left_alone(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    database = sqlite3.connect(tmp_path / "fairlead.db")
    database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.commit()
    database.close()
    before = (tmp_path / "fairlead.db").read_bytes()
    with pytest.raises(ConfigurationError, match="newer Fairlead"):
        open_store(tmp_path)
    assert (tmp_path / "fairlead.db").read_bytes() == before


def test_what_is_no_database_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "fairlead.db").write_bytes(b"not a database" * 100)
    with pytest.raises(ConfigurationError, match="cannot be used") as caught:
        open_store(tmp_path)
    assert "\n" not in caught.value.message
    assert (tmp_path / "fairlead.db").read_bytes().startswith(b"not a database")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        open_store(tmp_path / "file" / "data")


def test_two_nodes_that_start_at_once_make_one_database(tmp_path: Path, new_database: Callable[..., str]) -> None:
    url = new_database(empty=True)
    script = (
        "import sys, pathlib; from fairlead.store import open_store; open_store(pathlib.Path(sys.argv[1]), sys.argv[2])"
    )
    nodes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / str(number)), url],
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
        )
        for number in range(4)
    ]
    assert [node.wait(60) for node in nodes] == [0, 0, 0, 0]


def test_a_database_elsewhere_is_named_without_its_password_and_never_mistaken(
    tmp_path: Path, new_database: Callable[..., str]
) -> None:
    store = open_store(tmp_path / "a", new_database(empty=True))
    version = store.version()
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE versions SET number = number + 1")
    assert store.version() == version + 1
    store.close()
    with pytest.raises(ConfigurationError, match=r"belongs to the database postgresql.*FAIRLEAD_DATABASE_URL"):
        open_store(tmp_path / "a")
    open_store(tmp_path / "b").close()
    with pytest.raises(ConfigurationError, match="holds a SQLite database already"):
        open_store(tmp_path / "b", new_database(empty=True))
    for number, (url, words) in enumerate(
        {
            "postgresql://me:s3cret@127.0.0.1:1/x": "cannot be used: .*refused",
            "mysql://me:s3cret@127.0.0.1/x": "begins with postgresql://",
            "not an address": "must look like postgresql://",
        }.items()
    ):
        with pytest.raises(ConfigurationError, match=words) as refused:
            open_store(tmp_path / f"c{number}", url)
        assert "s3cret" not in str(refused.value)


def test_a_newer_database_elsewhere_is_refused(tmp_path: Path, new_database: Callable[..., str]) -> None:
    url = new_database(empty=True)
    store = open_store(tmp_path / "a", url)
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    store.close()
    with pytest.raises(ConfigurationError, match="made by a newer Fairlead"):
        open_store(tmp_path / "b", url)
