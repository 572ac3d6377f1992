"""One engine: a child process on a Unix socket, started, watched, restarted and ended.

The child is llama.cpp's server, native code that aborts its whole process on an assertion: it never runs in ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fairlead.engines.log_ring import LogRing
from fairlead.engines.socket_directory import SOCKET_NAME, make_socket_directory
from fairlead.engines.spec import EngineSpec

log = logging.getLogger("fairlead.engines")

State = Literal["starting", "ready", "crashed", "stopped"]

CHILD = Path(__file__).with_name("child.py")
REASON_LINES = 3
READ_BYTES = 16_384
# llama.cpp's server keeps a thread for every open connection, also for an idle one.
SPARE_HTTP_THREADS = 16
PROMPT_CACHE_MIB = 256
WARNINGS = 2


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """Times in seconds. A crash is quick when it comes within `healthy_seconds` of being ready. An engine that is ready
    is asked for its health every `pulse_seconds`, and ended when it misses `missed_pulses` in a row."""

    poll_seconds: float = 0.03
    poll_timeout_seconds: float = 2.0
    term_seconds: float = 5.0
    first_wait_seconds: float = 0.2
    longest_wait_seconds: float = 30.0
    healthy_seconds: float = 60.0
    quick_crashes: int = 8
    pulse_seconds: float = 10.0
    pulse_timeout_seconds: float = 5.0
    missed_pulses: int = 3


class Engine:
    """The engine of one model. Made anywhere; `start` and everything after it on one event loop.

    `base_url` and `api_key` are known before the start and stay over restarts. `on_state` is called on the loop after
    every change. A crash makes `state` "crashed" at once; "starting" follows when it is tried again, and does not when
    `gave_up` is true.
    """

    def __init__(
        self,
        spec: EngineSpec,
        data_dir: Path,
        limits: EngineLimits | None = None,
        *,
        directory: Path | None = None,
        api_key: str = "",
    ) -> None:
        """Makes the socket's directory, where it is not given with the key for calls. Raises OSError when that cannot
        be done."""
        self.spec = spec
        self.api_key = api_key or secrets.token_urlsafe(32)
        self.state: State = "stopped"
        self.reason = "The engine was not started."
        self.gave_up = False
        self.on_state: Callable[[Engine], None] | None = None
        self.starts = 0
        self._limits = limits or EngineLimits()
        self._directory = make_socket_directory(data_dir) if directory is None else directory
        self._socket = self._directory / SOCKET_NAME
        self._ring = LogRing()
        self._waiting: set[asyncio.Future[bool]] = set()
        self._task: asyncio.Task[None] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<Engine {self.spec.model_id} {self.state}>"

    @property
    def base_url(self) -> str:
        return f"unix:{self._socket}"

    @property
    def slots(self) -> int:
        return self.spec.slots

    @property
    def is_ready(self) -> bool:
        return self.state == "ready"

    @property
    def log(self) -> tuple[str, ...]:
        """What the child has written last, oldest line first."""
        return self._ring.lines()

    @property
    def pid(self) -> int | None:
        """The child's process id while there is one."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Brings the child up in the background."""
        if self._task is None:
            self.gave_up = False
            self._task = asyncio.create_task(self._watched(), name=f"engine {self.spec.model_id}")

    async def stop(self) -> None:
        """Ends the child, SIGTERM first, and removes the socket's directory: a stopped engine is not started again."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if task is not None:
            self._change("stopped", "The engine was stopped.")
        shutil.rmtree(self._directory, ignore_errors=True)

    async def wait_ready(self, seconds: float) -> bool:
        """Waits at most `seconds` until the engine is ready; False when it is not, at once when it never will be.

        Waits for a plain future and no task: callers need none either.
        """
        if self.is_ready:
            return True
        if self._task is None or self.gave_up or seconds <= 0:
            return False
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[bool] = loop.create_future()
        timer = loop.call_later(seconds, _resolve, ready, False)
        self._waiting.add(ready)
        try:
            return await ready
        finally:
            self._waiting.discard(ready)
            timer.cancel()

    def _change(self, state: State, reason: str) -> None:
        self.state = state
        self.reason = reason
        if state in ("ready", "stopped") or self.gave_up:
            for ready in tuple(self._waiting):
                _resolve(ready, state == "ready")
        if self.on_state is not None:
            self.on_state(self)

    async def _watched(self) -> None:
        """When the supervision fails by a fault of ours, callers and the operator are told that there is no engine."""
        try:
            await self._keep_up()
        except Exception as error:
            log.exception(
                "Engine %s: supervision failed. The engine is not restarted; restart Fairlead.", self.spec.model_id
            )
            self.gave_up = True
            self._change(
                "crashed", f"The supervision of the engine failed ({type(error).__name__}: {error}). Restart Fairlead."
            )

    async def _keep_up(self) -> None:
        """Starts the child again and again until it was stopped or crashes too often."""
        limits = self._limits
        crashes = 0
        while True:
            self._change("starting", "The engine is starting.")
            began = time.monotonic()
            failure = await self._run_once()
            crashes = 1 if time.monotonic() - began > limits.healthy_seconds else crashes + 1
            self.gave_up = crashes >= limits.quick_crashes
            if self.gave_up:
                failure += f" It crashed {crashes} times in a row and is not restarted: restart Fairlead."
                log.error("Engine %s: %s", self.spec.model_id, failure)
                self._change("crashed", failure)
                return
            self._change("crashed", failure)
            wait = min(limits.longest_wait_seconds, limits.first_wait_seconds * 2 ** (crashes - 1))
            # Jitter: several engines that one cause felled shall not come back at the same moment.
            wait *= random.uniform(0.75, 1.0)  # noqa: S311
            log.warning("Engine %s: %s Restarting in %.1f s.", self.spec.model_id, failure, wait)
            await asyncio.sleep(wait)

    async def _run_once(self) -> str:
        """One life of the child; gives the sentence that says how it ended."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[int] = loop.create_future()
        with contextlib.suppress(FileNotFoundError):
            self._socket.unlink()
        try:
            process = self._spawn()
        except OSError as failure:
            return f"The engine process could not be started: {failure.strerror}."
        self._process = process
        self.starts += 1
        watcher = threading.Thread(target=_watch, args=(process, self._ring, loop, ended), daemon=True)
        watcher.start()
        try:
            if await self._comes_up(ended):
                self._change("ready", "")
                if self.starts > 1:
                    log.warning("Engine %s: ready again.", self.spec.model_id)
                await self._lives(process, ended)
            return self._obituary(await asyncio.shield(ended))
        finally:
            if not ended.done():
                await _end(process, ended, self._limits.term_seconds)
            self._process = None
            # Held open until here: its end is the child's order to go.
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()

    def _spawn(self) -> subprocess.Popen[bytes]:
        # By path and with -P: neither the working directory nor this package is on the child's import path.
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
        )
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(self._parameters()).encode() + b"\n")
            process.stdin.flush()
        return process

    def _parameters(self) -> dict[str, Any]:
        spec = self.spec
        return {
            "parent": os.getpid(),
            "model_id": spec.model_id,
            "gguf": str(spec.gguf),
            "mmproj": None if spec.mmproj is None else str(spec.mmproj),
            "chat_template": None if spec.chat_template is None else spec.chat_template.read_text("utf-8"),
            "socket": str(self._socket),
            "api_key": self.api_key,
            "slots": spec.slots,
            "context_tokens": spec.context_tokens,
            "threads": spec.threads,
            "mode": spec.mode,
            "pooling": spec.pooling,
            "http_threads": 2 * spec.slots + SPARE_HTTP_THREADS,
            "prompt_cache_mib": PROMPT_CACHE_MIB,
            "verbosity": WARNINGS,
        }

    async def _comes_up(self, ended: asyncio.Future[int]) -> bool:
        """Asks the child for its health until it is well (True) or dead (False)."""
        while not ended.done():
            if await self._is_healthy(self._limits.poll_timeout_seconds):
                return True
            await asyncio.wait((ended,), timeout=self._limits.poll_seconds)
        return False

    async def _lives(self, process: subprocess.Popen[bytes], ended: asyncio.Future[int]) -> None:
        """Returns when the child is dead, or was killed because it answers nothing any more: SIGTERM might not help."""
        limits = self._limits
        missed = 0
        while missed < limits.missed_pulses:
            await asyncio.wait((ended,), timeout=limits.pulse_seconds)
            if ended.done():
                return
            missed = 0 if await self._is_healthy(limits.pulse_timeout_seconds) else missed + 1
        log.warning("Engine %s: health checks failed; killing the process.", self.spec.model_id)
        process.kill()

    async def _is_healthy(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                reader, writer = await asyncio.open_unix_connection(str(self._socket))
                try:
                    writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    return (await reader.readline()).startswith(b"HTTP/1.1 200 ")
                finally:
                    writer.close()
                    with contextlib.suppress(OSError):
                        await writer.wait_closed()
        except (OSError, TimeoutError):
            return False

    def _obituary(self, code: int) -> str:
        if code < 0:
            try:
                how = f"was killed by {signal.Signals(-code).name}"
            except ValueError:
                how = f"was killed by signal {-code}"
        else:
            how = f"exited with code {code}"
        last = " | ".join(line.strip() for line in self._ring.lines()[-REASON_LINES:])
        return f"The engine process {how}." + (f" Its last lines: {last}" if last else "")


def _resolve(future: asyncio.Future[bool], value: bool) -> None:
    if not future.done():
        future.set_result(value)


def _watch(
    process: subprocess.Popen[bytes], ring: LogRing, loop: asyncio.AbstractEventLoop, ended: asyncio.Future[int]
) -> None:
    """In a thread: drains the child's output, then waits for its end and tells the loop."""
    assert process.stdout is not None
    with process.stdout as output:
        while block := os.read(output.fileno(), READ_BYTES):
            ring.feed(block)
    ring.finish()
    code = process.wait()
    # The loop may be gone when the whole program is going.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(_ended, ended, code)


def _ended(future: asyncio.Future[int], code: int) -> None:
    if not future.done():
        future.set_result(code)


async def _end(process: subprocess.Popen[bytes], ended: asyncio.Future[int], seconds: float) -> None:
    process.terminate()
    await asyncio.wait((ended,), timeout=seconds)
    if not ended.done():
        process.kill()
        await asyncio.wait((ended,))
