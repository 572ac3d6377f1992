"""script/setup, script/serve and script/test, with programs that only write down how they were called."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.conftest import LONGEST, compiled_modules

ROOT = Path(__file__).parents[2]
# An interpreter that makes environments with itself in them, has pip unless it must not, and "compiles" when it may.
PYTHON = """#!/bin/sh
site=.venv/lib/python3.12/site-packages
case "$*" in
"-m venv"*)
    [ ! -f no-venv ] || { echo "ensurepip is not available"; exit 1; }
    echo "$*" >>venvs
    mkdir -p .venv/bin "$site" && cp "$0" .venv/bin/python && chmod +x .venv/bin/python
    [ "$*" = "-m venv --without-pip .venv" ] || touch .venv/pip ;;
"-c import pip"*) case "$0" in *.venv/bin/python) [ -f .venv/pip ] ;; *) [ ! -f no-pip ] ;; esac ;;
"-m pip"*)
    for lock; do :; done  # the last argument
    [ ! -f no-index ] || { echo "Could not fetch"; exit 1; }
    echo $$ >>pids
    while [ -f "slow" ]; do sleep 0.05; done
    touch .venv/pip
    echo "$0 $*" >>calls
    for name in $(sed -n 's/==.*//p' "$lock"); do mkdir -p "$site/$name-1.dist-info"; done
    cat "$lock" >>installed ;;
*purelib*) echo "$site" ;;
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


def lock_of(*names: str) -> str:
    return "".join(
        f"{name}==1 \\\n    --hash=sha256:{name} \\\n    --hash=sha256:of-{name}\n    # via x\n" for name in names
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name in ("setup", "exclusive.sh", "compile", "serve", "test"):
        (tmp_path / "script").mkdir(exist_ok=True)
        shutil.copy(ROOT / "script" / name, tmp_path / "script" / name)
    for name, text in {
        "requirements.lock": lock_of("a", "b", "c"),
        "requirements-build.lock": lock_of("c", "mypy", "pip"),
        "requirements-dev.lock": lock_of("a", "b", "c", "mypy", "pip", "pytest"),
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


def steps(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line.rpartition(" ... ")[0] for line in done.stderr.splitlines()]


def installed(clone: Path) -> list[str]:
    """The names of what pip was given, in order of the alphabet."""
    return sorted(re.findall(r"^([a-z]+)==", (clone / "installed").read_text(), re.MULTILINE))


def test_setup_says_what_it_does_and_how_long_it_took_and_once_only(clone: Path) -> None:
    done = run(clone, "setup")
    assert done.returncode == 0, done.stderr
    assert steps(done) == [
        "Making .venv with Python 3.12.0", "Installing pip", "Installing the 3 packages of requirements.lock",
    ]  # fmt: skip
    assert all(line.endswith(" s") for line in done.stderr.splitlines())
    assert run(clone, "setup").stderr == ""


def test_each_package_is_installed_once_with_its_hashes_and_nothing_is_resolved(clone: Path) -> None:
    assert run(clone, "setup").returncode == 0
    assert installed(clone) == ["a", "b", "c", "pip"]
    text = (clone / "installed").read_text()
    assert text.count("--hash=") == 4 * 2
    first, *parts = (clone / "calls").read_text().splitlines()
    assert first.startswith("./fake-python -m pip --python .venv/bin/python install "), "with the pip that is there"
    assert len(parts) == 2
    for call in parts:
        assert call.startswith(".venv/bin/python -m pip install "), "with the locked pip"
    for call in (first, *parts):
        assert {"--no-deps", "--require-hashes"} <= set(call.split())
        assert "index" not in call.replace("--no-index", ""), "pip's own settings choose it"


def test_what_compiling_needs_is_installed_when_something_is_compiled(clone: Path) -> None:
    (clone / "go").touch()
    assert run(clone, "setup").returncode == 0
    assert "mypy" not in installed(clone)
    done = run(clone, "compile")
    assert steps(done)[0] == "Installing the 3 packages of requirements-build.lock"
    assert "mypy" in installed(clone)
    assert run(clone, "setup", "--build").stderr == ""


def test_the_largest_lock_file_stands_for_the_others(clone: Path) -> None:
    assert run(clone, "setup", "--dev").returncode == 0
    assert installed(clone) == ["a", "b", "c", "mypy", "pip", "pip", "pytest"], "pip first, which then is there"
    for option in ([], ["--build"], ["--dev"]):
        assert run(clone, "setup", *option).stderr == ""
    (clone / "requirements.lock").write_text(lock_of("a", "b", "d"))
    assert steps(run(clone, "setup")) == ["Installing the 3 packages of requirements.lock"]
    assert run(clone, "setup", "--dev").stderr == "", "this file has not changed"


def test_an_interpreter_without_pip_gets_one_from_python_itself(clone: Path) -> None:
    (clone / "no-pip").touch()
    done = run(clone, "setup")
    assert done.returncode == 0, done.stderr
    assert steps(done)[1] == "Updating pip"
    assert (clone / "venvs").read_text() == "-m venv .venv\n"


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
    assert run(clone, "setup").stderr == ""


def test_packages_that_cannot_be_had_are_tried_again(clone: Path) -> None:
    assert run(clone, "setup").returncode == 0
    (clone / "requirements.lock").write_text(lock_of("a", "d"))
    (clone / "no-index").touch()
    assert run(clone, "setup").returncode == 2
    (clone / "no-index").unlink()
    done = run(clone, "setup")
    assert (done.returncode, "interrupted" in done.stderr) == (0, False)
    assert (clone / "venvs").read_text().count("\n") == 1, "what was there was used"


def start(clone: Path, *command: str) -> subprocess.Popen[str]:
    """In a process group of its own that Ctrl-C reaches, like what is typed into a terminal."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FAIRLEAD_")}
    # Where the tests run in the background of a shell, SIGINT is ignored, also by what they start.
    undo = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    return subprocess.Popen(
        [sys.executable, "-c", undo, f"script/{command[0]}", *command[1:]],
        cwd=clone, stderr=subprocess.PIPE, text=True, process_group=0,
        env={**clean, "PYTHON": "./fake-python", "CC": "sh"},
    )  # fmt: skip


def pips(clone: Path) -> list[int]:
    return [int(pid) for pid in (clone / "pids").read_text().split()] if (clone / "pids").exists() else []


def interrupted(clone: Path, *command: str, by: signal.Signals, pids: int) -> None:
    """Begins while pip hangs in its `pids`-th process, and is ended there."""
    (clone / "slow").touch()
    process = start(clone, *command)
    until(lambda: len(pips(clone)) == pids)
    os.killpg(process.pid, by)
    process.communicate(timeout=60)
    until(lambda: not any(alive(pid) for pid in pips(clone)))
    (clone / "slow").unlink()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
def test_a_setup_that_was_interrupted_begins_again(clone: Path, by: signal.Signals) -> None:
    assert run(clone, "setup").returncode == 0
    (clone / "requirements.lock").write_text(lock_of("a", "d"))
    interrupted(clone, "setup", by=by, pids=5)  # three of the first time, then two at once
    (clone / "installed").unlink()
    done = run(clone, "setup")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("The last setup was interrupted. It begins again.\n")
    assert installed(clone) == ["a", "d", "pip"]


def test_the_server_stays_when_the_setup_beside_it_was_interrupted(clone: Path) -> None:
    assert run(clone, "setup").returncode == 0
    (clone / ".venv/of-a-server").touch()
    interrupted(clone, "setup", "--build", by=signal.SIGKILL, pids=5)
    assert run(clone, "setup").stderr == "", "nothing that a server needs is missing"
    assert run(clone, "setup", "--build").returncode == 0
    assert (clone / ".venv/of-a-server").exists()
    assert "--ignore-installed" in (clone / "calls").read_text().splitlines()[-1]


def test_two_setups_at_once_install_once(clone: Path) -> None:
    (clone / "slow").touch()
    both = [start(clone, "setup"), start(clone, "setup")]
    until(lambda: bool(pips(clone)))
    (clone / "slow").unlink()
    for one in both:
        one.communicate(timeout=100)
    assert [one.returncode for one in both] == [0, 0]
    assert installed(clone) == ["a", "b", "c", "pip"]


def test_the_command_works_in_a_folder_with_a_blank_in_its_name_that_was_moved(clone: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my folder"
    folder.mkdir()
    for path in [path for path in clone.iterdir() if path != folder]:
        path.rename(folder / path.name)
    assert run(folder, "setup").returncode == 0
    assert run(folder, "setup").stderr == ""
    moved = folder.rename(tmp_path / "another folder")
    assert steps(run(moved, "setup")) == ["Installing the 3 packages of requirements.lock"]
    folder = moved
    assert (folder / ".venv/lib/python3.12/site-packages/fairlead.pth").read_text() == f"{folder}/src\n"
    (folder / ".venv/bin/python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (folder / "src/fairlead/cli.py").write_text("import sys\ndef main(): print(sys.argv[1:])\n")
    (folder / "src/fairlead/__init__.py").write_text("")
    done = subprocess.run(
        [folder / ".venv/bin/fairlead", "keys", "create", "--name", "a b"], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(folder / "src")}, check=True,
    )  # fmt: skip
    assert done.stdout == "['keys', 'create', '--name', 'a b']\n"


def test_serve_serves_from_the_sources_at_once_and_compiled_the_next_time(clone: Path) -> None:
    assert run(clone, "setup").returncode == 0
    program = clone / ".venv/bin/fairlead"
    program.write_text(FAIRLEAD)
    program.chmod(0o755)
    first = run(clone, "serve", "--port", "0")
    assert first.stdout == "sources serve --port 0\n"
    assert first.stderr.count("\n") == 1
    assert "compiled in the background" in first.stderr
    until((clone / "builds").exists)
    # Another start while it is compiled: neither a second build, nor what is not ready.
    assert run(clone, "serve").stdout == "sources serve\n"
    (clone / "go").touch()
    until(lambda: (clone / "build/compiled/stamp").exists() and not (clone / "build/compiling").exists())
    assert (clone / "builds").read_text() == "begun\n"
    later = run(clone, "serve")
    assert (later.stdout, later.stderr) == ("compiled serve\n", "")
    (clone / "src/fairlead/a.py").write_text("# changed\n")
    assert "compiled in the background" in run(clone, "serve").stderr
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
    once = re.findall(r"--ignore=(\S+)", everything)
    assert once == [one for one in once if one in sources.split()], "nothing is left out"
    assert everything.count("tests/") == len(once)
    parts = tuple(f"fairlead.{one.removeprefix('tests/')}." for one in once)
    assert not [name for name in compiled_modules() if name.startswith(parts)], "what is compiled is tested so"
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


def test_the_files_that_begin_first_are_there() -> None:
    assert [name for name in LONGEST if not (ROOT / "tests" / name).exists()] == []
