"""A process that has imported what `fairlead serve` needs, and forks for each gateway or command that a test starts.

Nine tenths of what a start costs is imports, and the tests start some hundreds of gateways. A forked one has the arguments,
environment, folder, session and standard streams that it would have as a process of its own, and ends as one does. One
process for each process of pytest, started with the first gateway and ended with pytest.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TextIO

# What a start imports; the migrations of a new database are run by Alembic.
PRELOADED = (
    "fairlead.cli",
    "fairlead.workers",
    "alembic.command",
    "alembic.ddl.postgresql",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "sqlalchemy.dialects.postgresql.psycopg",
)
# An environment that differs in one of these changes what an interpreter does before it runs its first line.
OF_THE_INTERPRETER = ("PYTHON", "FAIRLEAD_PURE", "LANG", "LC_", "LD_", "MALLOC_", "GLIBC_", "TZ")
LARGEST_REQUEST = 1 << 20
ROOT = Path(__file__).parents[2]
PYTHON = sys.executable
RUN_SECONDS = 60


class ForkedProcess:
    """A process that was forked: what tests use of a `subprocess.Popen[str]`. The caller closes `stdout`."""

    def __init__(self, server: ForkServer, args: Sequence[str], pid: int, stdout: TextIO) -> None:
        self.args = args
        self.pid = pid
        self.returncode: int | None = None
        self.stdout = stdout
        self._server = server
        self._ended = os.pidfd_open(pid)
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        return self._reap(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._reap(None if timeout is None else int(timeout * 1000))
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(list(self.args), timeout)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _reap(self, milliseconds: int | None) -> int | None:
        with self._lock:
            if self.returncode is None:
                ended = select.poll()
                ended.register(self._ended, select.POLLIN)
                if ended.poll(milliseconds):
                    self.returncode = self._server.reap(self.pid)
                    os.close(self._ended)
            return self.returncode


class ForkServer:
    """The side of pytest. Usable from any thread."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = of_the_interpreter(environment)
        self._lock = threading.Lock()
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())], env=environment, pass_fds=[theirs.fileno()]
            )

    def fits(self, environment: Mapping[str, str]) -> bool:
        """Whether a process with this environment would be what is forked here."""
        return of_the_interpreter(environment) == self._environment

    def start(self, program: Sequence[str], argv: Sequence[str], environment: Mapping[str, str]) -> ForkedProcess:
        """`program`: the interpreter's arguments, `-m MODULE` or a file. Standard error comes with the output."""
        reading, writing = os.pipe()
        output = os.fdopen(reading, encoding="utf-8", errors="replace")
        try:
            return self.fork(program, argv, environment, Path.cwd(), output, (writing, writing))
        finally:
            os.close(writing)

    def fork(
        self,
        program: Sequence[str],
        argv: Sequence[str],
        environment: Mapping[str, str],
        cwd: Path,
        output: TextIO,
        descriptors: tuple[int, int],
    ) -> ForkedProcess:
        """`output`: where `descriptors`, standard output and error, can be read."""
        request = {"program": program, "argv": argv, "cwd": str(cwd), "env": dict(environment)}
        pid = self._ask(request, descriptors)
        return ForkedProcess(self, [sys.executable, *program, *argv], pid, output)

    def reap(self, pid: int) -> int:
        """The exit code of a process that has ended, as `subprocess` gives it."""
        return self._ask({"reap": pid}, ())

    def close(self) -> None:
        self._connection.close()
        self._process.wait(60)

    def _ask(self, request: dict[str, Any], descriptors: Sequence[int]) -> int:
        with self._lock:
            socket.send_fds(self._connection, [json.dumps(request).encode()], descriptors)
            answer = self._connection.recv(64)
        if not answer:
            raise RuntimeError(f"the fork server has ended with {self._process.wait(60)}")
        return int(answer)


_server: ForkServer | None = None
_lock = threading.Lock()


def fork_server(environment: Mapping[str, str]) -> ForkServer | None:
    """This process's, or None where a process with this environment must be started by itself."""
    global _server  # noqa: PLW0603 - one for pytest's process, whichever folders' tests it runs
    if not hasattr(os, "pidfd_open") or Path.cwd() != ROOT or sys.executable != PYTHON:
        return None  # PYTHONPATH is relative: elsewhere these are not the sources
    with _lock:
        if _server is None:
            _server = ForkServer(environment)
            atexit.register(_server.close)
        return _server if _server.fits(environment) else None


def environment_of(**more: str) -> dict[str, str]:
    """What a child of this process gets."""
    return {**os.environ, "PYTHONPATH": "src", "PYTHONUNBUFFERED": "1", **more}


def run(
    *arguments: str, environment: Mapping[str, str] | None = None, forked: bool = True
) -> subprocess.CompletedProcess[str]:
    """Runs `fairlead` until it ends. `forked`: False where the test is about the start itself."""
    environment = environment_of() if environment is None else environment
    command = [sys.executable, "-m", "fairlead", *arguments]
    server = fork_server(environment) if forked else None
    if server is None:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=RUN_SECONDS, check=False, env=environment
        )
    with TemporaryFile("w+", encoding="utf-8") as output, TemporaryFile("w+", encoding="utf-8") as errors:
        descriptors = output.fileno(), errors.fileno()
        process = server.fork(command[1:3], arguments, environment, Path.cwd(), output, descriptors)
        try:
            status = process.wait(RUN_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(command, status, output.read(), errors.read())


def of_the_interpreter(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(OF_THE_INTERPRETER)}


def serve(connection: socket.socket) -> dict[str, Any] | None:
    """Forks for each request until pytest ends. Returns in the forked processes, with the request."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(connection, LARGEST_REQUEST, 2)
        if not data:
            return None
        request: dict[str, Any] = json.loads(data)
        if "reap" in request:
            _, status = os.waitpid(request["reap"], 0)
            connection.sendall(b"%d" % os.waitstatus_to_exitcode(status))
            continue
        pid = os.fork()
        if not pid:
            os.setsid()
            os.dup2(descriptors[0], 1)
            os.dup2(descriptors[1], 2)
        for one in descriptors:
            os.close(one)
        if not pid:
            return request
        connection.sendall(b"%d" % pid)


def become(request: dict[str, Any]) -> None:
    """What the interpreter would do with these arguments."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    program, argv = request["program"], request["argv"]
    if program[0] == "-m":
        sys.argv = [program[1], *argv]
        sys.path[0] = request["cwd"]
        runpy.run_module(program[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [*program, *argv]
        sys.path[0] = os.path.dirname(program[0])  # noqa: PTH120
        runpy.run_path(program[0], run_name="__main__")


def main(descriptor: int) -> None:
    # Ctrl-C is for pytest, whose end is seen here.
    interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Not the folder of this file, whose names are not those of packages.
    sys.path[0] = os.getcwd()  # noqa: PTH109
    for name in PRELOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # as a gateway does; a command that looked at all of this at its end would take longer than one that is started
    with socket.socket(fileno=descriptor) as connection:
        request = serve(connection)
    if request is not None:
        signal.signal(signal.SIGINT, interrupted)
        become(request)


if __name__ == "__main__":
    main(int(sys.argv[1]))
