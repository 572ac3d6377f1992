"""The life of a process: prepare, listen, serve, drain."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import os
import resource
import signal
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import uvloop
from sqlalchemy.exc import SQLAlchemyError

from fairlead import __version__
from fairlead.accounts.keys import first_start
from fairlead.admin.operator_links import first_operator_link
from fairlead.compose.following import at_start
from fairlead.compose.service import Parts, Service
from fairlead.doors.table import DOORS
from fairlead.engines.spec import EngineSpec, demo_spec, engine_is_installed, install_engine
from fairlead.engines.supervisor import Engine
from fairlead.errors import (
    ConfigurationError,
    ServiceError,
)
from fairlead.http.failure_log import FailureLog
from fairlead.http.listening import bind
from fairlead.http.memory import release_file_pages, tune_allocator
from fairlead.http.server import Server
from fairlead.processes import has_terminal
from fairlead.settings import Settings, admin_address, database_url
from fairlead.store import open_store, reason
from fairlead.threads import Threads

log = logging.getLogger("fairlead")

# How long a stop waits for what is still being counted of answers that were cut.
LAST_BILLS_SECONDS = 5.0
# Threads for everything but the database of the ledger and keys: tokenizers, pages, metrics.
OTHER_THREADS = 6
# Net allocations between two young collections; Python's 700 cost a twentieth of a call. What a call has used is freed
# without any (tests/e2e/test_garbage.py): they find what libraries leave, and pages.
GC_THRESHOLD = 5_000
# A host that means every address, and one that a caller on this machine can use.
EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - only shown differently


class CannotListen(ServiceError):
    """The address is taken or not ours."""


def serve(
    *,
    settings: Settings,
    data_dir: Path,
    host: str,
    port: int,
    engine: bool = True,
    ggufs: Sequence[EngineSpec] = (),
    file: Path | None = None,
) -> int:
    """Serves until SIGTERM or SIGINT; gives the exit code. `ggufs` replace the demonstration model; `file`: that of
    `settings`.

    Raises ConfigurationError or CannotListen before anything is served.
    """
    prepare_process(settings)
    store = open_store(data_dir, database_url(settings))
    try:
        own = engines_in(data_dir, ggufs, demo=engine)
        in_force, origin = at_start(store, settings, file)
        process = Process(Service(in_force, store, own, origin=origin))
        return uvloop.run(process.run(host, port, own))
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise ConfigurationError(f"The database {store.shown} cannot be used: {reason(error)}.") from None
    finally:
        store.close()


def engines_in(data_dir: Path, ggufs: Sequence[EngineSpec], *, demo: bool) -> list[Engine]:
    """The engines of a data directory, not started yet. `demo`: the demonstration model, where no other is named.
    Raises ConfigurationError."""
    spec = demo_spec() if demo and not ggufs else None
    try:
        return [Engine(one, data_dir) for one in (ggufs if spec is None else [spec])]
    except OSError as error:
        where = error.filename or data_dir
        raise ConfigurationError(f"The data directory {data_dir} cannot be used: {where}: {error.strerror}.") from None


def prepare_process(settings: Settings) -> None:
    """Logging, the allocator and the number of open files: once in the life of a process."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if settings.warning:
        log.warning("%s", settings.warning)
    tune_allocator()
    _raise_open_files()


class Process:
    """One process that serves: alone with engines of its own (`run`), or as a worker among others whose sockets and
    engines are its parent's (`serve`)."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._stopping = asyncio.Event()

    async def run(self, host: str, port: int, engines: Sequence[Engine]) -> int:
        """Serves alone; returns the exit code. Raises CannotListen."""

        async def listen(server: Server) -> None:
            try:
                address = await server.listen(host, port)
            except OSError as error:
                raise cannot_listen(host, port, error) from None
            first_key = first_start(self._service.store)  # only now: a key that nobody gets to see would be lost
            for engine in engines:
                await engine.start()  # in the background: what goes wrong there is in its state
            greet(self._service, host, address[1], first_key, operator_link=operator_link(self._service))

        code = await self.serve(listen)
        for engine in engines:
            await engine.stop()
        return code

    async def serve(self, listen: Callable[[Server], Awaitable[None]]) -> int:
        """Serves what `listen` makes the server accept, until SIGTERM or SIGINT; returns the exit code."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(FailureLog(log).loop_failed)
        loop.set_default_executor(Threads(OTHER_THREADS, "other"))
        parts = Parts(self._service)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up, has_terminal(), parts)
        for (own_host, own_port), private in parts.private.items():
            try:
                await private.accept_from(bind(own_host, own_port, shared=self._service.workers > 1))
            except OSError as error:
                raise cannot_listen(own_host, own_port, error, how="in the configuration") from None
        await listen(parts.server)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        parts.begin_background()
        # What lives as long as the process is not looked at again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, 20, 50)
        release_file_pages()
        await self._stopping.wait()
        # A second signal ends it at once, as everywhere.
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        await parts.drain(self._service.settings.server.drain_timeout_seconds)
        for private in parts.private.values():
            await private.drain(0)
        for reach in parts.version.reaches.values():
            await reach.pool.close()
        give_up = loop.time() + LAST_BILLS_SECONDS
        while parts.servings.calls and loop.time() < give_up:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await parts.close()
        return 0

    def _hang_up(self, had_terminal: bool, parts: Parts) -> None:
        """Reads the configuration again, or stops when the terminal was closed that this was started in."""
        if had_terminal and not has_terminal():
            self._stopping.set()
        else:
            parts.following.reload()


# A call to try, by the mode of its model: what stands beside the model.
TRIED = {
    "chat": '"messages": [{"role": "user", "content": "Hello!"}]',
    "embedding": '"input": "Hello!"',
    "rerank": '"query": "greeting", "documents": ["Hello!", "Goodbye!"]',
}


def operator_link(service: Service) -> str | None:
    """The token of a link that signs the first operator in; None when there is an operator, or no console."""
    return first_operator_link(service.store) if service.settings.console.enabled else None


def greet(
    service: Service,
    host: str,
    port: int,
    first_key: str | None,
    workers: int = 1,
    operator_link: str | None = None,
) -> None:
    """Prints where this is, the first key and the first operator's link when there are any, and a call to try."""
    shown = EVERY_ADDRESS.get(host, f"[{host}]" if ":" in host else host)
    url = f"{'http' if service.tls is None else 'https'}://{shown}:{port}"
    models = service.version.snapshot.models.values()
    callable_ = [model for model in models if model.deployments and model.mode in TRIED]
    facts = [f"{workers} workers"] if workers > 1 else []
    if (seconds := seconds_since_start()) is not None:
        facts.append(f"ready after {seconds:.1f} s")
    lines = [f"Fairlead {__version__} is at {url}" + (f" ({', '.join(facts)})" if facts else "")]
    if first_key is not None:
        lines += ["", f"Your API key, shown this once: {first_key}"]
    if operator_link is not None:
        own = admin_address(service.settings)
        at = service.settings.server.public_url or url
        if own is not None:
            at = f"http://{EVERY_ADDRESS.get(own[0], own[0])}:{own[1]}"
        lines += ["", f"Sign in as operator, once within a day: {at}/sign-in#{operator_link}"]
    if callable_:
        preferred = min(callable_, key=lambda model: (model.mode != "chat", model.demonstration))
        path = next(row.paths[0] for row in DOORS.values() if preferred.mode in row.operation.modes)
        key = first_key or "$FAIRLEAD_API_KEY"
        lines += [
            "",
            "Try it:",
            f"  curl {url}{path} \\",
            f'    -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \\',
            f'    -d \'{{"model": "{preferred.id}", {TRIED[preferred.mode]}}}\'',
        ]
    else:
        lines += [
            "",
            "No model can be called yet: configure a provider and a model in a file, and start with --config FILE.",
            f"How: {url}/docs/get-started/five-minutes",
        ]
        if not engine_is_installed():
            lines.append(f"Or install the demonstration model's engine and start again: {install_engine()}")
    print("\n".join(lines), flush=True)


def seconds_since_start() -> float | None:
    """The age of this process, with what was done before `exec`: script/serve installs packages. None where there is
    no /proc."""
    try:
        after_the_name = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        began = int(after_the_name[19]) / os.sysconf("SC_CLK_TCK")  # field 22 of proc_pid_stat(5), since the boot
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - began)
    except (OSError, ValueError, IndexError, AttributeError):
        return None


def cannot_listen(host: str, port: int, error: OSError, how: str = "with --port") -> CannotListen:
    """`how`: another port is chosen."""
    if error.errno == errno.EADDRINUSE:
        return CannotListen(f"{host}:{port} is in use by another program. Choose another port {how}.")
    reason = (error.strerror or str(error)).lower()
    return CannotListen(f"Cannot listen on {host}:{port}: {reason}.")


def _raise_open_files() -> None:
    """Two descriptors per stream: the usual 1,024 would end at 500 callers."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
