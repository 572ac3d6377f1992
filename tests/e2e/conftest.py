"""A real `fairlead serve` process for each test that asks for one: forked from one that has imported everything, or started
as a shell does."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fairlead.cli import main
from fairlead.testing import ScriptedUpstream
from fairlead.testing.connection import Received, Wire

from .fork_server import ForkedProcess, environment_of, fork_server, run

READY = re.compile(r"https?://127\.0\.0\.1:(\d+)")
KEY = re.compile(r"sk-fl-[A-Za-z0-9_-]{20,}")
START_SECONDS = 100


class Served:
    """A running gateway: its URL, the key it printed, its process and everything it has said."""

    def __init__(
        self, process: subprocess.Popen[str] | ForkedProcess, data: Path, database: str | None = None, workers: int = 1
    ) -> None:
        self.database = database
        self.workers = workers
        self.process = process
        self.data = data
        self.lines: list[str] = []
        self._ready = threading.Event()
        self.url = ""
        self.key = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if not self.key and (found := KEY.search(line)):
                self.key = found[0]
            if not self.url and (found := READY.search(line)):
                self.url = found[0]
                self.port = int(found[1])
            if "curl" in line or "How:" in line:
                self._ready.set()
        self._ready.set()

    def wait_ready(self) -> None:
        assert self._ready.wait(START_SECONDS), self.output
        assert self.url, self.output
        # The key comes before the curl on a first start.

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def stop(self, seconds: float = 60) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(seconds)
        self._reader.join(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@contextlib.contextmanager
def serving(
    tmp: Path,
    config: str | None = None,
    *,
    engine: bool = False,
    command: tuple[str, ...] = ("serve",),
    workers: int = 1,
    database: str | None = None,
    program: tuple[str, ...] = ("-m", "fairlead"),
    forked: bool = True,
) -> Iterator[Served]:
    """`forked`: False where the test is about the start itself."""
    data = tmp / "data"
    argv = [*command, "--port", "0", "--data", str(data), "--workers", str(workers)]
    if config is not None:
        file = tmp / "fairlead.toml"
        file.write_text(config)
        argv += ["--config", str(file)]
    if not engine and command == ("serve",):
        argv.append("--no-engine")
    environment = environment_of(**with_database(database))
    server = fork_server(environment) if forked else None
    process: subprocess.Popen[str] | ForkedProcess
    if server is not None:
        process = server.start(program, argv, environment)
    else:
        process = subprocess.Popen(
            [sys.executable, *program, *argv],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True,
        )  # fmt: skip
    served = Served(process, data, database, workers)
    try:
        served.wait_ready()
        yield served
    finally:
        try:
            served.stop()
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(60)
            raise


def with_database(url: str | None) -> dict[str, str]:
    return {} if url is None else {"FAIRLEAD_DATABASE_URL": url}


def fairlead(*arguments: str, data: Path, database: str | None = None) -> subprocess.CompletedProcess[str]:
    """One command of the CLI on the same data directory. All but `serve` run in this process, where they take a
    twentieth of the time; tests/cli starts commands as a shell does."""
    argv = ["fairlead", *arguments, "--data", str(data)]
    if arguments[0] == "serve":
        return run(*argv[1:], environment=environment_of(**with_database(database)))
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", argv)
        if database is not None:
            patch.setenv("FAIRLEAD_DATABASE_URL", database)
        status: Any = 0
        try:
            main()
        except SystemExit as end:
            status = end.code
    out.seek(0)
    err.seek(0)
    return subprocess.CompletedProcess(argv, status or 0, out.read(), err.read())


# Deployments are tried in the order in which they stand in the file, and asked nothing but what a test asks them.
IN_ORDER = '[routing]\nstrategy = "priority"\nprobe_interval_seconds = 0\nprobes = false\n'
# A lone deployment that fails is not tried again: one scripted fault is what the caller gets.
AT_ONCE = "[routing]\nretries = 0\nprobe_interval_seconds = 0\nprobes = false\n"


def provider(url: str, *, dialect: str = "vllm", name: str = "mock", extra: str = "") -> str:
    return f'[[providers]]\nid = "{name}"\nbase_url = "{url}"\ndialect = "{dialect}"\napi_key = "sk-up"\n{extra}\n'


def model(
    *providers: str, name: str = "mistral-small-3.2", upstream: str = "mistralai/Mistral-Small-3.2-24B-Instruct-2506"
) -> str:
    text = f'[[models]]\nid = "{name}"\n'
    for one in providers or ("mock",):
        text += (
            f'[[models.deployments]]\nprovider = "{one}"\nupstream_model = "{upstream}"\n'
            'price = { input = "0.10", output = "0.30" }\n'
        )
    return text


class Held(ScriptedUpstream):
    """While `held`, calls are counted (`arrived`) and not answered."""

    held = False
    arrived = 0

    async def answer(self, request: Received, wire: Wire) -> bool:
        self.arrived += 1
        while self.held:  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.01)
        return await super().answer(request, wire)


def eventually(condition: object, seconds: float = 60.0) -> float:
    """Waits until `condition()` is true; gives the seconds it took, fails after `seconds`."""
    start = time.monotonic()
    assert callable(condition)
    while not condition():
        assert time.monotonic() - start < seconds, f"not within {seconds} s"
        time.sleep(0.01)
    return time.monotonic() - start


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
