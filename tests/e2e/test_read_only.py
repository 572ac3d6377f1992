"""A data directory that cannot be written to: said in one sentence at a start, seen while serving, over when it is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from fairlead.testing import ScriptedUpstream

from .conftest import eventually, fairlead, model, provider, serving

MODEL = "mistral-small-3.2"
HELLO: Any = [{"role": "user", "content": "Hello!"}]
NO_OVERRIDE = "-dac_override,-dac_read_search"
# Root may write anywhere, unless it is told not to.
AS_ANYBODY = ("setpriv", f"--bounding-set={NO_OVERRIDE}", f"--inh-caps={NO_OVERRIDE}") if os.getuid() == 0 else ()
RETURNS = """
import os, sys
from pathlib import Path
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError
from fairlead.store import open_store
store = open_store(Path(sys.argv[1]))
store.close()  # the connections that are made from here on find what is there then
database = Path(sys.argv[1]) / "fairlead.db"
with store.write() as other:
    other.execute(text("CREATE TABLE t (n INTEGER)"))
    database.chmod(0o400)
    try:
        with store.write() as connection:
            connection.execute(text("INSERT INTO t VALUES (1)"))
    except DatabaseError as error:
        print(error.orig)
database.chmod(0o600)
for number in range(20):
    with store.write() as connection:
        connection.execute(text("INSERT INTO t VALUES (2)"))
with store.read() as connection:
    print(connection.execute(text("SELECT count(*) FROM t")).scalar())
store.close()
"""


def run_as_anybody(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*AS_ANYBODY, sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": "src"},
    )  # fmt: skip


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("closed", "mode"), [("spool", 0o500), ("fairlead.db", 0o400), ("migrate.lock", 0o400), ("run", 0o500)]
)
def test_a_start_that_cannot_write_is_one_sentence(short_path: Path, closed: str, mode: int, workers: str) -> None:
    data = short_path / "data"
    assert fairlead("keys", "create", "--name", "x", data=data).returncode == 0
    for folder in ("spool", "run"):
        (data / folder).mkdir()
    (data / closed).chmod(mode)
    engine = () if closed == "run" else ("--no-engine",)
    done = run_as_anybody("-m", "fairlead", "serve", *engine, "--port", "0", "--workers", workers, "--data", str(data))
    (data / closed).chmod(0o700)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert re.fullmatch(
        rf"fairlead: The data directory {data} cannot be used: {data / closed}[^: ]*: Permission denied.\n", done.stderr
    )


def test_a_data_directory_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    data = tmp_path / "data"
    done = run_as_anybody("-m", "fairlead", "serve", "--no-engine", "--port", "0", "--data", str(data))
    tmp_path.chmod(0o700)
    assert done.returncode == 2
    assert done.stderr == f"fairlead: The data directory {data} cannot be used: Permission denied.\n"


def test_a_database_that_was_read_only_for_a_while_is_written_to_again(tmp_path: Path) -> None:
    done = run_as_anybody("-c", RETURNS, str(tmp_path / "data"))
    assert (done.returncode, done.stdout.splitlines()) == (0, ["attempt to write a readonly database", "20"]), (
        done.stdout + done.stderr
    )


def test_a_spool_of_another_user_is_told_while_calls_are_served_and_stored(tmp_path: Path) -> None:
    closed = tmp_path / "data" / "spool" / "00"
    (closed / "lock").mkdir(parents=True)  # nobody can open it for writing, not even root
    with (
        ScriptedUpstream() as upstream,
        serving(tmp_path, provider(upstream.url) + model()) as served,
        openai.OpenAI(base_url=served.url + "/v1", api_key=served.key, max_retries=0, timeout=60) as client,
        httpx2.Client(trust_env=False, base_url=served.url, timeout=60) as http,
    ):
        client.chat.completions.create(model=MODEL, messages=HELLO)
        eventually(lambda: http.get("/readyz").json()["warnings"])
        told = http.get("/readyz")
        assert told.status_code == 200
        assert told.json()["warnings"] == [
            f"usage of an earlier process is not in the books: its spool {closed} cannot be opened (Is a directory)"
        ]
        figures = http.get("/metrics").text
        assert 'fairlead_spools_closed{process="' in figures
        assert [line[-3:] for line in figures.splitlines() if line.startswith("fairlead_spools_closed{")] == ["1.0"]
        eventually(lambda: "Records: 1." in fairlead("verify", data=served.data).stdout)
