"""A gateway that was forked is what a start would have made: the tests of all gateways depend on it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from .fork_server import ForkedProcess, ForkServer, fork_server

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="forks on Linux only")

# What a process can see of its own start.
PROGRAM = """
import asyncio, gc, json, logging, os, random, resource, signal, sys, threading, warnings
import fairlead.workers, fairlead.http.server
print(json.dumps({
    "argv": sys.argv,
    "path": [one for one in sys.path if one],
    "environment": dict(sorted(os.environ.items())),
    "folder": os.getcwd(),
    "leads its session": os.getsid(0) == os.getpgid(0) == os.getpid(),
    "files": sorted(int(one) for one in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{one}")),
    "same output": os.fstat(1) == os.fstat(2),
    "signals": {one.name: str(signal.getsignal(one)) for one in signal.Signals},
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    "mask": os.umask(0),
    "limits": resource.getrlimit(resource.RLIMIT_NOFILE),
    "threads": threading.active_count(),
    "name": __name__,
    "main": sys.modules["__main__"].__dict__["__name__"],
    "flags": str(sys.flags),
    "collector": [gc.isenabled(), *gc.get_threshold()],
    "filters": len(warnings.filters),
    "log": [logging.getLogger("fairlead").level, logging.getLogger().handlers],
    "streams": [(one.encoding, one.errors, one.line_buffering, one.write_through) for one in (sys.stdout, sys.stderr)],
    "server": fairlead.http.server.__file__,
}, default=str))
print(random.random(), file=sys.stderr)
if "ends" in sys.argv:
    sys.exit(int(sys.argv[-1]))
if "raises" in sys.argv:
    raise RuntimeError("on purpose")
signal.pause()
"""


@pytest.fixture
def environment() -> Mapping[str, str]:
    return {**os.environ, "PYTHONPATH": "src", "PYTHONUNBUFFERED": "1", "FAIRLEAD_DATABASE_URL": "postgresql://x/y"}


@pytest.fixture
def server(environment: Mapping[str, str]) -> Iterator[ForkServer]:
    found = fork_server(environment)
    assert found is not None
    return found


@pytest.fixture
def program(tmp_path: Path) -> str:
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    return str(file)


def said(process: subprocess.Popen[str] | ForkedProcess) -> tuple[dict[str, Any], list[str]]:
    assert process.stdout is not None
    with process.stdout:
        lines = process.stdout.read().splitlines()
    return json.loads(lines[0]), lines[1:]


def test_a_forked_process_sees_what_a_started_one_sees(
    server: ForkServer, program: str, environment: Mapping[str, str]
) -> None:
    arguments = ["ends", "--port", "0", "7"]
    started = subprocess.Popen(
        [sys.executable, program, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True,
    )  # fmt: skip
    forked = [server.start([program], arguments, environment) for _ in range(2)]
    expected, (chance,) = said(started)
    assert started.wait(60) == 7
    for one in forked:
        seen, (other,) = said(one)
        assert seen == expected
        assert other != chance, "random numbers of its own"
        chance = other
        assert one.wait(60) == one.poll() == one.returncode == 7


def test_a_forked_process_ends_as_a_started_one_ends(
    server: ForkServer, program: str, environment: Mapping[str, str]
) -> None:
    raising = server.start([program], ["raises"], environment)
    assert raising.wait(60) == 1
    assert said(raising)[1][-1] == "RuntimeError: on purpose"
    for end in (signal.SIGTERM, signal.SIGKILL):
        waiting = server.start([program], [], environment)
        assert waiting.stdout.readline()
        assert waiting.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(0.01)
        waiting.send_signal(end)
        assert waiting.wait(60) == -end
        waiting.send_signal(end)  # of a process that has ended, whose number may be another's
        waiting.stdout.close()


def test_a_module_is_run_as_python_runs_it(server: ForkServer, environment: Mapping[str, str]) -> None:
    answers = []
    for arguments in (["version"], ["serve", "--port", "70000"]):
        started = subprocess.run(
            [sys.executable, "-m", "fairlead", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
        )  # fmt: skip
        forked = server.start(["-m", "fairlead"], arguments, environment)
        with forked.stdout:
            assert (forked.stdout.read(), forked.wait(60)) == (started.stdout, started.returncode)
        answers.append(started.returncode)
    assert answers == [0, 2]


def test_what_would_change_the_interpreter_or_its_modules_is_not_forked(
    environment: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FAIRLEAD_PURE", "PYTHONWARNINGS", "LC_ALL"):
        assert fork_server({**environment, name: "other"}) is None
    monkeypatch.chdir(tmp_path)
    assert fork_server(environment) is None
