"""script/setup, script/serve and script/test, with programs that only write down how they were called."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# An interpreter that makes environments with itself in them, and "compiles" when it is allowed to.
PYTHON = """#!/bin/sh
case "$*" in
"-m venv .venv")
    [ ! -f no-venv ] || { echo "ensurepip is not available"; exit 1; }
    mkdir -p .venv/bin && cp "$0" .venv/bin/python && touch .venv/bin/pip && chmod +x .venv/bin/pip ;;
*"pip install"*) [ ! -f no-index ] || { echo "Could not fetch"; exit 1; } ;;
*sysconfig*) echo "$PWD" ;;
"-m compileall"*) touch bytecode ;;
"-m pytest"*)
    echo "$FAIRLEAD_TESTS${FAIRLEAD_PURE:+ pure} $(ls src/fairlead/compiled.txt 2>/dev/null) $*" >>tests
    touch go  # only now the compiler ends: it worked beside the tests
    [ ! -f tests-fail ] ;;
"tools/compile/build.py")
    echo begun >>builds
    [ ! -f no-build ] || exit 1
    until [ -f go ]; do sleep 0.05; done
    touch src/fairlead/compiled.txt ;;
*) echo "Python 3.12.0" ;;
esac
"""
FAIRLEAD = """#!/bin/sh
[ -f src/fairlead/compiled.txt ] && echo "compiled $*" || echo "sources $*"
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name in ("setup", "compile", "serve", "test"):
        (tmp_path / "script").mkdir(exist_ok=True)
        shutil.copy(ROOT / "script" / name, tmp_path / "script" / name)
    for name, text in {
        "requirements.lock": "a==1 \\\nb==2 \\\n",
        "requirements-dev.lock": "",
        "pyproject.toml": "",
        "Python.h": "",
    }.items():
        (tmp_path / name).write_text(text)
    for folder in ("src/fairlead", "tools/compile"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "src/fairlead/a.py").write_text("")
    (tmp_path / "tools/compile/build.py").write_text("")
    (tmp_path / "fake-python").write_text(PYTHON)
    (tmp_path / "fake-python").chmod(0o755)
    return tmp_path


def run(clone: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FAIRLEAD_")}
    return subprocess.run(
        [f"script/{command[0]}", *command[1:]], cwd=clone, capture_output=True, text=True, timeout=100,
        env={**clean, "PYTHON": "./fake-python", "CC": "sh", **environment},
    )  # fmt: skip


def until(condition: object) -> None:
    assert callable(condition)
    give_up = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def test_setup_says_what_it_does_and_how_long_it_took_and_once_only(clone: Path) -> None:
    done = run(clone, "setup")
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert [line.rpartition(" ... ")[0] for line in lines] == [
        "Making .venv with Python 3.12.0", "Installing the 2 packages of requirements.lock", "Installing Fairlead",
    ]  # fmt: skip
    assert all(line.endswith(" s") for line in lines)
    assert run(clone, "setup").stderr == ""


@pytest.mark.parametrize(
    ("wrong", "reason", "words"),
    [
        ("no-venv", "ensurepip is not available", "apt-get install python3-venv"),
        ("no-index", "Could not fetch", "package index"),
    ],
)
def test_a_step_that_fails_says_why_and_what_to_do_and_is_done_the_next_time(
    clone: Path, wrong: str, reason: str, words: str
) -> None:
    (clone / wrong).touch()
    done = run(clone, "setup")
    assert done.returncode == 2
    assert reason in done.stderr
    assert words in done.stderr.splitlines()[-1]
    (clone / wrong).unlink()
    assert run(clone, "setup").returncode == 0


def test_serve_serves_from_the_sources_at_once_and_compiled_the_next_time(clone: Path) -> None:
    assert run(clone, "setup").returncode == 0
    program = clone / ".venv/bin/fairlead"
    program.write_text(FAIRLEAD)
    program.chmod(0o755)
    first = run(clone, "serve", "--port", "0")
    assert first.stdout == "sources serve --port 0\n"
    assert first.stderr.count("\n") == 1
    assert "compiled beside it" in first.stderr
    until((clone / "builds").exists)
    # Another start while it is compiled: neither a second build, nor what is not ready.
    assert run(clone, "serve").stdout == "sources serve\n"
    (clone / "go").touch()
    until(lambda: (clone / "build/compiled/stamp").exists() and not (clone / "build/compiling").exists())
    assert (clone / "builds").read_text() == "begun\n"
    later = run(clone, "serve")
    assert (later.stdout, later.stderr) == ("compiled serve\n", "")
    (clone / "src/fairlead/a.py").write_text("# changed\n")
    assert "compiled beside it" in run(clone, "serve").stderr
    until(lambda: (clone / "builds").read_text() == "begun\n" * 2)
    until(lambda: (clone / "build/compiled/stamp").exists() and not (clone / "build/compiling").exists())
    assert run(clone, "serve").stdout == "compiled serve\n"
    (clone / "src/fairlead/a.py").write_text("# changed again\n")
    assert run(clone, "serve", FAIRLEAD_PURE="1").stderr == ""
    assert (clone / "builds").read_text() == "begun\n" * 2


def test_where_there_is_no_compiler_it_is_said_once(clone: Path) -> None:
    assert run(clone, "setup").returncode == 0
    assert "No C compiler" in run(clone, "compile", CC="no-such-compiler").stderr
    assert (clone / "bytecode").exists()  # made all the same: it makes the starts short
    assert run(clone, "compile", CC="no-such-compiler").stderr == ""
    assert run(clone, "compile", "--is-done", CC="no-such-compiler").returncode == 0


def test_a_lock_of_a_build_that_was_killed_stops_nothing(clone: Path) -> None:
    assert run(clone, "setup").returncode == 0
    (clone / "build/compiling").mkdir(parents=True)
    (clone / "build/compiling/pid").write_text("999999999")
    (clone / "go").touch()
    assert run(clone, "compile").returncode == 0
    assert (clone / "src/fairlead/compiled.txt").exists()


@pytest.fixture
def tested(clone: Path) -> Path:
    """A clone whose checks pass, where nothing is missing."""
    (clone / "programs").mkdir()
    (clone / "script/check").write_text("#!/bin/sh\n[ ! -f wrong-format ]\n")
    (clone / "script/check").chmod(0o755)
    for name in ("gcc", "wrk", "nginx", "chromium", "initdb"):
        (clone / "programs" / name).write_text("#!/bin/sh\n")
        (clone / "programs" / name).chmod(0o755)
    return clone


def run_tests(clone: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """And how pytest was called: what it tests, what is compiled by then, and its arguments."""
    path = f"{clone / 'programs'}:{os.environ['PATH']}"
    done = run(clone, "test", *arguments, CI="true", PATH=path)
    calls = clone / "tests"
    return done, calls.read_text().splitlines() if calls.exists() else []


def test_all_tests_run_compiled_and_the_compiled_parts_from_the_sources_while_the_compiler_works(tested: Path) -> None:
    done, (sources, everything) = run_tests(tested)
    assert done.returncode == 0, done.stderr
    assert sources.startswith("source pure  -m pytest ")
    assert "tests/wire" in sources
    assert everything.startswith("compiled src/fairlead/compiled.txt -m pytest ")
    assert "tests/" not in everything, "nothing is left out"
    for call in (sources, everything):
        assert "-n auto" in call
        assert "--durations=25" in call


@pytest.mark.parametrize(("wrong", "calls"), [("wrong-format", 0), ("tests-fail", 1), ("no-build", 1)])
def test_what_fails_ends_a_run_of_the_tests_with_an_error(tested: Path, wrong: str, calls: int) -> None:
    (tested / wrong).touch()
    (tested / "go").touch()
    done, called = run_tests(tested)
    assert done.returncode == 1
    assert len(called) == calls


def test_arguments_are_pytests_and_nothing_is_compiled_for_them(tested: Path) -> None:
    done, called = run_tests(tested, "tests/money", "-x")
    assert done.returncode == 0
    assert called == ["source pure  -m pytest tests/money -x"]
    assert not (tested / "builds").exists()
