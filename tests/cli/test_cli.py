"""The commands as an operator types them: one sentence for every mistake, never a traceback."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.fork_server import environment_of, run

from fairlead import __version__
from fairlead.engines.spec import DEMO_GGUF
from fairlead.store import open_store

SOURCE = Path(__file__).parents[2] / "src"


def test_keys_are_listed_in_pages_and_by_account(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path))
    for name in ("one", "two", "three"):
        run("keys", "create", "--name", name, *data)
    run("keys", "create", "--name", "customer", "--credit", "1", *data)
    every = json.loads(run("keys", "list", "--json", *data).stdout)
    account = next(one["account"] for one in every if one["name"] == "customer")
    assert [one["name"] for one in json.loads(run("keys", "list", "--json", "--account", account, *data).stdout)] == [
        "customer"
    ]
    ids: list[str] = []
    while page := json.loads(
        run("keys", "list", "--json", "--limit", "3", *(("--after", ids[-1]) if ids else ()), *data).stdout
    ):
        assert len(page) <= 3
        ids += [one["id"] for one in page]
    assert ids == sorted(one["id"] for one in every)


def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "d"))
    made = run("keys", "create", "--name", "first", "--credit", "2.50", *data, forked=False)
    assert made.returncode == 0, made.stderr
    key = made.stdout.splitlines()[-1]
    assert key.startswith("sk-fl-")
    (entry,) = json.loads(run("keys", "list", "--json", *data).stdout)
    assert (entry["name"], entry["revoked_at"]) == ("first", None)
    table = run("keys", "list", *data).stdout
    assert entry["id"] in table
    assert key not in table
    assert run("keys", "revoke", entry["id"], *data).returncode == 0
    assert "revoked" in run("keys", "list", *data).stdout
    (entry,) = json.loads(run("keys", "list", "--json", *data).stdout)
    assert isinstance(entry["revoked_at"], int)


def test_a_slip_in_the_name_of_the_data_directory_is_told_and_makes_nothing(tmp_path: Path) -> None:
    for command in (("verify",), ("keys", "list"), ("keys", "revoke", "key_0"), ("usage", "export", "--format", "csv")):
        done = run(*command, "--data", str(tmp_path / "nope"))
        assert (done.returncode, done.stdout) == (2, "")
        assert f"No Fairlead data found in {tmp_path / 'nope'}" in done.stderr
    assert not (tmp_path / "nope").exists()
    tmp_path.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "fairlead", "keys", "create", "--name", "x", "--data", ""],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )  # fmt: skip
    assert done.returncode == 2
    assert "it is empty" in done.stderr
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert list(tmp_path.iterdir()) == []


def test_the_data_directory_may_come_from_the_environment(tmp_path: Path) -> None:
    assert (
        run("keys", "create", "--name", "x", environment=environment_of(FAIRLEAD_DATA=str(tmp_path / "e"))).returncode
        == 0
    )
    assert (tmp_path / "e" / "fairlead.db").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("keys", "create"), 2, "--name"),
        (("keys", "create", "--name", "x", "--credit", "lots"), 2, "decimal string"),
        (("keys", "create", "--name", ""), 2, "printable"),
        (("keys", "revoke", "key_0"), 1, "no key"),
        (("serve", "--config", "/nothing.toml"), 2, "does not exist"),
        (("serve", "--port", "70000"), 2, "70000"),
        (("engine", "run", "/nothing.gguf"), 2, "does not exist"),
        (("engine", "run", __file__), 2, "cannot be used"),
        (("engine", "run", str(DEMO_GGUF), "--as", "../my model"), 2, "cannot be the id of a model"),
        (("nonsense",), 2, "No such command"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    open_store(tmp_path / "d").close()
    done = run(*arguments, environment=environment_of(FAIRLEAD_DATA=str(tmp_path / "d")))
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_data_directory_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    done = run("keys", "create", "--name", "x", "--data", str(tmp_path / "f" / "d"))
    assert done.returncode == 2
    assert "cannot be used" in done.stderr


@pytest.mark.parametrize(
    "statement",
    ["DROP TABLE api_keys", "CREATE TRIGGER t BEFORE INSERT ON api_keys BEGIN SELECT RAISE(ABORT, 'full'); END"],
    ids=["damaged", "not writable"],
)
def test_a_database_that_fails_under_a_command_is_one_sentence(tmp_path: Path, statement: str) -> None:
    open_store(tmp_path).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "fairlead.db")) as database:
        database.execute(statement)
    done = run("keys", "create", "--name", "x", "--data", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("begin", [0, 3 * 8192], ids=["all of it", "behind its head"])
@pytest.mark.parametrize("command", [("serve", "--no-engine", "--port", "0"), ("keys", "list")], ids=["serve", "keys"])
def test_a_damaged_database_is_one_sentence_that_says_what_to_do(
    tmp_path: Path, begin: int, command: tuple[str, ...]
) -> None:
    open_store(tmp_path).close()
    path = tmp_path / "fairlead.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:begin] + b"\xa5" * (len(whole) - begin))
    done = run(*command, "--data", str(tmp_path))
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert str(path) in done.stderr
    assert "restore it from a backup" in done.stderr


def test_help_and_version() -> None:
    assert __version__ in run("--version", forked=False).stdout
    assert run("version", forked=False).stdout.strip() == __version__
    helped = run("--help", forked=False).stdout
    for command in ("serve", "keys", "engine"):
        assert command in helped


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_start_says_how_long_it_took_with_what_came_before_it(tmp_path: Path) -> None:
    """script/serve installs packages and becomes `fairlead serve` then."""
    command = f"sleep 1.5; exec '{sys.executable}' -m fairlead serve --port 0 --no-engine --data '{tmp_path / 'd'}'"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    with subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.terminate()
        rest = process.stdout.read()
    found = re.fullmatch(r"Fairlead \S+ is at http://127\.0\.0\.1:\d+ \(ready after (\d+\.\d) s\)\n", first)
    assert found is not None, first
    assert float(found[1]) >= 1.5
    assert "Your API key" in rest
    assert "No model can be called yet" in rest
