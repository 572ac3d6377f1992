"""A real PostgreSQL server for the tests that ask for one: Debian's package, started for the session, one database each."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

# initdb refuses to run as root.
SERVANT = "nobody"


class PostgresServer:
    """A server on a Unix socket, as safe as nobody needs it to be: a test that kills it does so by `stop`."""

    def __init__(self, programs: Path, directory: Path) -> None:
        self.programs = programs
        self.directory = directory
        self._data = directory / "data"
        if os.getuid() == 0:
            shutil.chown(directory, SERVANT)
        self._run("initdb", "-D", str(self._data), "-U", "fairlead", "--auth=trust", "-E", "UTF8", "--no-sync")
        self.start()

    def start(self) -> None:
        options = (
            f"-c listen_addresses= -c unix_socket_directories={self.directory} -c fsync=off -c max_connections=200"
        )
        self._run("pg_ctl", "-D", str(self._data), "-w", "-l", str(self.directory / "log"), "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-w", "-m", "immediate", "stop")

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"t{uuid4().hex}"
        self._run("createdb", "-h", str(self.directory), "-U", "fairlead", name)
        return f"postgresql://fairlead@/{name}?host={self.directory}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), *arguments]
        if os.getuid() == 0:
            command = ["setpriv", f"--reuid={SERVANT}", "--regid=nogroup", "--clear-groups", *command]
        # Not captured by pipes: the server keeps them open for as long as it lives.
        with (self.directory.parent / f"{self.directory.name}.out").open("ab") as out:
            subprocess.run(command, check=True, cwd="/", stdout=out, stderr=out, stdin=subprocess.DEVNULL, timeout=60)


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) if Path("/usr/lib/postgresql").is_dir() else []
    named = shutil.which("initdb")
    return found[-1].parent if found else Path(named).resolve().parent if named else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    programs = _programs()
    if programs is None:
        if os.environ.get("CI") == "true":
            pytest.fail("PostgreSQL is not installed; in CI nothing is left out")
        pytest.skip("needs PostgreSQL (Debian: apt-get install postgresql)")
    directory = Path(tempfile.mkdtemp(prefix="fairlead-pg-", dir="/tmp"))
    directory.chmod(0o755)
    server = PostgresServer(programs, directory)
    yield server
    server.stop()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str | None:
    """None for SQLite, or the URL of a new database: for tests that hold on both."""
    if request.param == "sqlite":
        return None
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def new_database(postgres: PostgresServer) -> Callable[[], str]:
    return postgres.new_database
