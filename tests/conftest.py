"""What all tests have: which code runs, patches that compiled code sees, and a real PostgreSQL server (Debian's package,
started for the session, one database for each test that asks)."""

from __future__ import annotations

import ast
import gc
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Generator, Iterator
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpcore2
import pytest

from fairlead import compiled
from fairlead.store import open_store

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[1]
# "compiled" or "source": what script/test says that this run tests. A run of anything else would prove nothing.
MODE = "FAIRLEAD_TESTS"
# Each may start a PostgreSQL server of its own.
MOST_WORKERS = 8
# The files that take longest, longest first: begun late, they would leave all processes but one without work at the end.
LONGEST = (
    "docs/test_pages.py",
    "e2e/test_langchain.py",
    "site/test_pages.py",
    "ledger/test_machine.py",
    "admin/test_backup.py",
    "admin/test_configuration.py",
    "site/test_playground.py",
    "compose/test_following.py",
    "demo/test_demo.py",
    "site/test_full_pages.py",
    "site/test_model_page.py",
    "accounts/test_key_ring.py",
    "attacks/test_load.py",
    "bench/test_failover.py",
    "site/test_pictures.py",
    "e2e/test_gemini_cli.py",
    "e2e/test_codex.py",
    "e2e/test_engine.py",
    "console/test_browser.py",
    "console/test_first_call.py",
    "console/test_operating_browser.py",
)
# initdb refuses to run as root.
SERVANT = "nobody"


@cache
def compiled_modules() -> list[str]:
    """The names of the modules that tools/compile/build.py compiles."""
    tree = ast.parse((ROOT / "tools" / "compile" / "build.py").read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "MODULES":
            return [f"fairlead.{name.replace('/', '.')}" for name in ast.literal_eval(node.value)]
    raise AssertionError("tools/compile/build.py has no MODULES")


def is_extension(origin: str | None) -> bool:
    return origin is not None and origin.endswith(tuple(EXTENSION_SUFFIXES))


def pytest_configure(config: pytest.Config) -> None:
    # Each client of an SDK would read the certificates of all authorities, for 30 ms; our servers speak plain HTTP.
    httpcore2.default_ssl_context = cache(httpcore2.default_ssl_context)
    wanted = os.environ.get(MODE)
    if wanted is None:
        return
    for name in compiled_modules():
        spec = importlib.util.find_spec(name)
        if spec is None or is_extension(spec.origin) != (wanted == "compiled"):
            found = compiled.stale() or (f"{name} would be {spec.origin}" if spec else f"{name} is not there")
            pytest.exit(f"{MODE} is {wanted}, but {found}", 4)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Without the garbage collector, which would take half of the time of the imports, and whose later runs need not look at
    what was imported."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        starts_gateways = hasattr(getattr(item, "module", None), "serving")
        if (
            starts_gateways
            or "postgres" in getattr(item, "fixturenames", ())
            or "postgresql" in getattr(getattr(item, "callspec", None), "params", {}).values()
        ):
            item.add_marker(pytest.mark.slow)
    places = {ROOT / "tests" / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.hookimpl(optionalhook=True)  # absent without pytest-xdist
def pytest_xdist_auto_num_workers() -> int:
    """For `-n auto`: two more than there are cores, because most tests wait for processes."""
    return min((os.cpu_count() or 1) + 2, MOST_WORKERS)


def pytest_report_header() -> str:
    spec = importlib.util.find_spec("fairlead.http.server")
    return f"data plane: {'compiled' if spec and is_extension(spec.origin) else 'from its sources'}"


class SeenPatch(pytest.MonkeyPatch):
    """Refuses what compiled code would not see: mypyc calls functions and classes of its modules directly, so a test
    that replaces one cannot fail. Module variables, and functions of other modules, are looked up at each use."""

    def setattr(self, target: Any, name: Any, *value: Any, **given: Any) -> None:
        owner, attribute = target, name
        if isinstance(target, str):
            module, _, attribute = target.rpartition(".")
            owner = importlib.import_module(module)
        place = owner.__name__ if isinstance(owner, ModuleType) else getattr(owner, "__module__", "")
        if place in compiled_modules() and callable(getattr(owner, attribute, None)):
            raise AssertionError(f"{place} is compiled, where a patch of {attribute} is not seen: patch what it uses")
        super().setattr(target, name, *value, **given)


@pytest.fixture
def monkeypatch() -> Iterator[pytest.MonkeyPatch]:
    patch = SeenPatch()
    yield patch
    patch.undo()


@pytest.fixture
def short_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for a socket, whose path is 107 bytes at most: those of `tmp_path` have the test's name in them."""
    return tmp_path_factory.mktemp("s")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium. Until its module has ended, this thread is Playwright's: asyncio.run would be refused."""
    from playwright.sync_api import sync_playwright
    from tests.browsing import launched

    with sync_playwright() as playwright:
        found = launched(playwright)
        yield found
        found.close()


class PostgresServer:
    """A server on a Unix socket, as safe as nobody needs it to be: a test that kills it does so by `stop`."""

    def __init__(self, programs: Path, directory: Path) -> None:
        self.programs = programs
        self.directory = directory
        self.output = directory.parent / f"{directory.name}.out"
        self._data = directory / "data"
        self._migrated: str | None = None  # the database that others are copies of
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

    def new_database(self, *, empty: bool = False) -> str:
        """The URL of a database with all migrations and no rows, or of an `empty` one, as an operator creates it."""
        if empty:
            return self._create()
        if self._migrated is None:
            self._migrated = f"migrated{uuid4().hex}"
            with tempfile.TemporaryDirectory() as directory:
                open_store(Path(directory), self._create(self._migrated)).close()
        return self._create(f"t{uuid4().hex}", "-T", self._migrated)

    def _create(self, name: str = "", *options: str) -> str:
        name = name or f"t{uuid4().hex}"
        self._run("createdb", "-h", str(self.directory), "-U", "fairlead", *options, name)
        return f"postgresql://fairlead@/{name}?host={self.directory}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), *arguments]
        if os.getuid() == 0:
            command = ["setpriv", f"--reuid={SERVANT}", "--regid=nogroup", "--clear-groups", *command]
        # Not captured by pipes: the server keeps them open for as long as it lives.
        with self.output.open("ab") as out:
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
    server.output.unlink()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str | None:
    """None for SQLite, or the URL of a new database, migrated: for tests that hold on both."""
    if request.param == "sqlite":
        return None
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def new_database(postgres: PostgresServer) -> Callable[..., str]:
    return postgres.new_database
