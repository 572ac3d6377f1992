"""`fairlead demo` as its user meets it: a process of its own, because it sets the clock of all modules."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlencode

import pytest

from fairlead.people import passwords
from fairlead.telemetry.cells import TRAFFIC
from fairlead.telemetry.recorder import Recorder
from fairlead.telemetry.tally import count

ROOT = Path(__file__).parents[2]
AT = "2026-11-30T12:00"
AT_MS = 1_796_040_000_000
CALLS = "1500"
# What may differ between two demonstrations with the same seed and --at.
OF_THE_PROCESS = {"processes", "leases", "telemetry_marks", "sqlite_sequence", "person_links", "form_attempts"}


class Demo:
    def __init__(self, url: str, data: Path, output: list[str]) -> None:
        self.url = url
        self.data = data
        self.output = output

    def get(self, path: str, key: str = "") -> Any:
        with self.open(path, key) as answer:
            return json.load(answer)

    def open(self, path: str, key: str = "") -> Any:
        request = urllib.request.Request(self.url + path)
        if key:
            request.add_header("authorization", f"Bearer {key}")
        return urllib.request.urlopen(request, timeout=60)

    @property
    def keys(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.data / "demonstration.json").read_text())["keys"]
        return found


@contextlib.contextmanager
def demonstrating(data: Path, *options: str) -> Iterator[Demo]:
    command = ["-m", "fairlead", "demo", "--port", "0", "--no-engine", "--data", str(data), *options]
    process = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "no_proxy": "*"},
    )  # fmt: skip
    output: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            output.append(line)
            if found := re.search(r"Fairlead .* is at (\S+)", line):
                yield Demo(found[1], data, output)
                break
        else:
            raise AssertionError("".join(output))
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    data = tmp_path_factory.mktemp("demo") / "one"
    with demonstrating(data, "--at", AT, "--still", "--calls", CALLS) as demo:
        yield demo


def rows(data: Path, table: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(data / "fairlead.db")) as database:
        return sorted(database.execute(f"SELECT * FROM {table}").fetchall(), key=repr)


def tables(data: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(data / "fairlead.db")) as database:
        found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return sorted(name for (name,) in found)


def test_the_books_of_a_demonstration_verify(still: Demo) -> None:
    command = [sys.executable, "-m", "fairlead", "verify", "--data", str(still.data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "as charged" in done.stdout


def test_everything_that_pages_show_is_there(still: Demo) -> None:
    for table in (
        "accounts", "projects", "members", "api_keys", "entries", "postings", "usage_records", "call_sessions", "funds",
        "refunds", "credit_codes", "telemetry_minutes", "telemetry_hours", "telemetry_days", "health_events",
        "decisions", "usage_rollups", "calls", "audit_log", "alert_outbox", "configuration_versions", "price_sheets",
    ):  # fmt: skip
        assert rows(still.data, table), table
    assert len(rows(still.data, "configuration_versions")) == 10
    assert len(still.get("/status.json")["incidents"]) >= 8
    assert len(still.get("/models/meta/llama-3.3-70b-instruct.json?window=7d")["deployments"]) == 4
    assert len(still.get("/rankings.json?period=month")["models"]) == 12


def test_the_clock_stands_where_history_ends(still: Demo) -> None:
    with still.open("/status") as page:
        assert "2026-11-30 12:00" in page.read().decode()
    assert max(at for _, _, at, *_ in rows(still.data, "usage_records")) <= AT_MS


def test_a_key_of_the_demonstration_works_and_is_limited_as_configured(still: Demo) -> None:
    models = {one["id"] for one in still.get("/v1/models", still.keys["letters, production"])["data"]}
    assert models == {"mistral-small-3.2", "llama-3.3-70b-instruct", "gemini-2.5-flash", "gpt-5-mini"}


ONLY_HISTORY = """
import sys
from pathlib import Path
from fairlead.demo.clock import DemoClock, repeatable_randomness
clock = DemoClock()
clock.install()
from fairlead.demo.history import make_history
from fairlead.store import open_store
store = open_store(Path(sys.argv[1]))
with repeatable_randomness(1):
    make_history(store, clock, float(sys.argv[2]), sys.argv[3], seed=1, calls=int(sys.argv[4]))
store.close()
"""


def test_everybody_signs_in_with_the_password_that_is_printed(still: Demo) -> None:
    printed = "".join(still.output)
    password = re.search(r"with the password: (.+)", printed)
    assert password is not None, printed
    emails = re.findall(r"\S+@example\.org", printed)
    assert len(emails) >= 8
    stored = {row[1]: row[3] for row in rows(still.data, "people")}
    assert all(passwords.verify(stored[email], password[1]) for email in emails[:2])
    assert len(rows(still.data, "memberships")) == len(stored)
    assert rows(still.data, "person_sessions")


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("screenshots", ROOT / "tools" / "screenshots.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def signed_in(demo: Demo, email: str, password: str) -> urllib.request.OpenerDirector:
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    page = opener.open(f"{demo.url}/sign-in", timeout=60).read().decode()
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
    form = urlencode({**fields, "email": email, "password": password}).encode()
    answer = opener.open(urllib.request.Request(f"{demo.url}/sign-in", form, {"origin": demo.url}), timeout=60)
    assert not answer.url.endswith("/sign-in"), email
    return opener


def test_every_page_that_is_in_a_picture_is_full(still: Demo, tool: ModuleType) -> None:
    password = re.search(r"with the password: (.+)", "".join(still.output))
    assert password is not None
    openers = {"": urllib.request.build_opener()}
    for one in tool.PICTURES:
        if one.who not in openers:
            openers[one.who] = signed_in(still, one.who, password[1])
        with openers[one.who].open(still.url + one.path, timeout=60) as answer:
            page = answer.read().decode()
        assert answer.url == still.url + one.path, f"{one.name} is at {answer.url}"
        shown = re.sub(r"<[^>]+>", " ", page.partition("<main")[2])
        assert len(re.findall(r"[0-9]+", shown)) > 20, f"{one.name} has hardly a figure"
        if one.at:
            assert f'id="{one.at[1:]}"' in page, one.name
    assert tool.RECEIPT not in [one.name for one in tool.PICTURES]


def test_the_pictures_of_the_documentation_are_those_that_the_command_makes(tool: ModuleType) -> None:
    names = [*(one.name for one in tool.PICTURES), tool.RECEIPT]
    made = {f"{name}-{scheme}.png" for name in names for scheme in tool.SCHEMES}
    there = {file.name: file.stat().st_size for file in (ROOT / "docs" / "images").glob("*.png")}
    assert set(there) == made
    assert max(there.values()) < 80_000
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = {name for page in pages for name in re.findall(r"images/([\w-]+\.png)", page.read_text("utf-8"))}
    assert shown <= made
    assert {name.rpartition("-")[0] for name in shown} == set(names), "a picture that no page shows"


def test_the_same_seed_and_time_make_the_same_history(still: Demo, tmp_path: Path) -> None:
    address = json.loads((still.data / "demonstration.json").read_text())["address"]
    command = [sys.executable, "-c", ONLY_HISTORY, str(tmp_path), str(AT_MS // 1000), address, CALLS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for table in tables(still.data):
        if table not in OF_THE_PROCESS:
            # Without what the start itself and visitors of the pages have done.
            served = [row for row in rows(still.data, table) if "server" not in row and "127.0.0.1" not in row]
            assert served == rows(tmp_path, table), table


def test_calls_go_on_at_the_time_that_was_given_and_a_data_directory_is_used_again(tmp_path: Path) -> None:
    data = tmp_path / "live"
    with demonstrating(data, "--at", AT, "--calls", "400", "--rate", "20") as demo:
        before = len(rows(data, "usage_records"))
        deadline = time.monotonic() + 60
        while len(rows(data, "usage_records")) < before + 3:
            assert time.monotonic() < deadline, "".join(demo.output)
            time.sleep(0.2)
        keys = demo.keys
        assert max(at for _, _, at, *_ in rows(data, "usage_records")) > AT_MS
    with demonstrating(data, "--rate", "0") as again:
        assert again.keys == keys


def test_a_directory_of_a_real_gateway_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "fairlead.db").write_bytes(b"")
    command = [sys.executable, "-m", "fairlead", "demo", "--port", "0", "--data", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "not of a demonstration" in done.stderr


@pytest.mark.parametrize(
    "given",
    [
        ("served", 0.31, 2.5, 700, 120),
        ("served", 0.31, 0.311, 700, 120),
        ("served", 0.0, 0.5, 20, 3),
        ("served", 0.0004, 900.0, 1, 100_000),
        ("upstream_failed", 0.0, 0.2, 0, 0),
        ("something new", 0.1, 0.2, 5, 5),
    ],
)
def test_history_is_counted_as_the_recorder_counts(given: tuple[str, float, float, int, int]) -> None:
    recorder = Recorder(lambda: 60.0)
    recorder.series(TRAFFIC, "m").add(*given)
    (cell,) = recorder.open_cells
    counted: dict[int, int] = {}
    count(counted, *given)
    assert counted == cell.nonzero()
