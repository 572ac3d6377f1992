"""`fairlead config` as an operator types it, without a running server."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from tests.e2e.conftest import fairlead

SECRET = "s3cr3t-of-the-provider"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("FAIRLEAD_CONFIG", raising=False)
    found = tmp_path / "data"
    assert fairlead("keys", "create", "--name", "first", data=found).returncode == 0
    return found


def written(folder: Path, price: str, more: str = "") -> str:
    file = folder / f"price{price}.toml"
    file.write_text(
        f'[[providers]]\nid = "p"\nbase_url = "http://p/v1"\napi_key = "{SECRET}"\n'
        '[[models]]\nid = "m"\n[[models.deployments]]\nprovider = "p"\nupstream_model = "x"\n'
        f'price = {{ input = "0", output = "{price}" }}\n{more}'
    )
    return str(file)


def apply(folder: Path, data: Path, price: str, *more: str) -> CompletedProcess[str]:
    return fairlead("config", "apply", written(folder, price), "--yes", *more, data=data)


def test_a_plan_exits_with_2_when_something_would_change_and_with_0_when_nothing_would(
    tmp_path: Path, data: Path
) -> None:
    first = written(tmp_path, "1")
    done = fairlead("config", "plan", first, data=data)
    assert (done.returncode, done.stderr) == (2, "")
    assert "model m can be called: p/x (input 0.00, output 1.00)" in done.stdout
    assert apply(tmp_path, data, "1", "--comment", "first", "--author", "alice").returncode == 0
    assert fairlead("config", "plan", first, data=data).returncode == 0
    done = fairlead("config", "plan", written(tmp_path, "2"), "--json", data=data)
    found = json.loads(done.stdout)
    assert (done.returncode, found["current"]["version"], found["changes_anything"]) == (2, 1, True)
    assert [(one["kind"], one["words"]) for one in found["changes"]] == [
        ("price.changed", "price of m output 1.00 -> 2.00 from now on")
    ]


@pytest.mark.parametrize("arguments", [("no-such.toml",), ("--bogus",), ("bad.toml",), ()])
def test_a_plan_that_fails_exits_with_1(
    tmp_path: Path, data: Path, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.toml").write_text("[server\n")
    done = fairlead("config", "plan", *arguments, data=data)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    if arguments == ("bad.toml",):
        assert "bad.toml:1: this is not valid TOML" in done.stderr


def test_versions_are_applied_listed_compared_and_rolled_back(tmp_path: Path, data: Path) -> None:
    assert "No version was applied; no configuration file" in fairlead("config", "history", data=data).stdout
    done = apply(tmp_path, data, "1", "--comment", "first", "--author", "alice")
    assert "Version 1 was applied.\nNo process is running; the next start uses it." in done.stdout
    assert "is the same document. Nothing was applied." in apply(tmp_path, data, "1").stdout
    assert apply(tmp_path, data, "2", "--comment", "cheaper").returncode == 0
    listed = fairlead("config", "history", data=data).stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["VERSION", "2*", "1"]
    assert listed[2].split()[3] == "alice"
    assert fairlead("config", "diff", "1", "2", data=data).stdout == "price of m output 1.00 -> 2.00 from now on\n"
    assert '+price = { input = "0", output = "2" }' in fairlead("config", "diff", "1", "2", "--text", data=data).stdout
    done = fairlead("config", "rollback", "1", "--yes", data=data)
    assert (done.returncode, "Version 3 was applied." in done.stdout) == (0, True)
    newest = json.loads(fairlead("config", "history", "--json", data=data).stdout)[0]
    assert (newest["number"], newest["restored"], newest["comment"]) == (3, 1, "Rollback to version 1")
    status = json.loads(fairlead("config", "status", "--json", data=data).stdout)
    assert (status["current"]["source"], status["current"]["version"], status["processes"]) == ("database", 3, [])
    assert fairlead("config", "rollback", "9", "--yes", data=data).returncode == 1


def test_what_was_applied_meanwhile_is_not_overwritten(tmp_path: Path, data: Path) -> None:
    assert apply(tmp_path, data, "1", "--expect", "0").returncode == 0
    done = apply(tmp_path, data, "2", "--expect", "0")
    assert (done.returncode, done.stderr) == (1, "Error: Version 1 was applied meanwhile; plan again.\n")
    assert fairlead("config", "rollback", "1", "--yes", "--expect", "0", data=data).returncode == 1
    assert len(json.loads(fairlead("config", "history", "--json", data=data).stdout)) == 1


def test_nothing_is_applied_without_a_yes(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    done = fairlead("config", "apply", written(tmp_path, "1"), data=data)
    assert done.returncode == 130
    assert json.loads(fairlead("config", "history", "--json", data=data).stdout) == []


def test_no_command_prints_a_secret(tmp_path: Path, data: Path) -> None:
    shown = [apply(tmp_path, data, "1"), apply(tmp_path, data, "2")]
    for arguments in (
        ("show",), ("show", "1"), ("show", "--json"), ("plan", written(tmp_path, "3")), ("diff", "1", "2"),
        ("plan", written(tmp_path, "3"), "--json"), ("diff", "1", "2", "--text"), ("diff", "1", "2", "--json"),
        ("history",), ("history", "--json"), ("status",), ("status", "--json"), ("rollback", "1", "--yes"),
    ):  # fmt: skip
        shown.append(fairlead("config", *arguments, data=data))
    assert {one.returncode for one in shown} == {0, 2}
    assert not [one.args for one in shown if SECRET in one.stdout + one.stderr]
    assert 'api_key = { sealed = "p-' in fairlead("config", "show", data=data).stdout


def test_what_was_shown_with_hidden_values_cannot_be_applied(tmp_path: Path, data: Path) -> None:
    assert apply(tmp_path, data, "1").returncode == 0
    file = tmp_path / "shown.toml"
    shown = fairlead("config", "show", data=data).stdout
    file.write_text(shown)
    assert fairlead("config", "plan", str(file), data=data).returncode == 0  # the name of a key is as good as the key
    file.write_text(re.sub(r"\{ sealed = .* \}", '"(hidden)"', shown))
    done = fairlead("config", "apply", str(file), "--yes", data=data)
    assert done.returncode == 2
    assert "has hidden values" in done.stderr


def test_a_wrong_file_does_not_keep_its_mistake_from_being_seen(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy of what is in force says where the database is, and what a plan is compared with."""
    good = Path(written(tmp_path, "1"))
    (data / "in-force.toml").write_text(good.read_text())
    bad = tmp_path / "fairlead.toml"
    bad.write_text("[server\n")
    monkeypatch.setenv("FAIRLEAD_CONFIG", str(bad))
    assert fairlead("config", "status", data=data).returncode == 0
    done = fairlead("config", "plan", data=data)
    assert (done.returncode, done.stderr) == (
        1,
        f"fairlead: {bad}:1: this is not valid TOML: Expected ']' at the end of a table declaration.\n",
    )
    bad.write_text(good.read_text().replace('output = "1"', 'output = "4"'))
    done = fairlead("config", "plan", data=data)
    assert done.returncode == 2
    assert "price of m output 1.00 -> 4.00 from now on" in done.stdout
