"""Engines of the configuration in force (`[[engines]]`): started, replaced and ended without a restart.

One process of a server keeps the children (`keeps`); the others call them by the same sockets, and read how they are
from a file beside each socket. So every worker shows the same, and none needs a message from another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import logging
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from fairlead.background import rest, turned
from fairlead.engines.folders import allowed_file, model_folders
from fairlead.engines.processors import available_processors
from fairlead.engines.readiness import POLL_SECONDS, wait_ready
from fairlead.engines.socket_directory import LONGEST_PATH_BYTES, SOCKET_NAME, remove_stale
from fairlead.engines.spec import MOST_THREADS, UNPOOLED, EngineSpec, check_memory, spec_for
from fairlead.engines.supervisor import Engine, EngineLimits
from fairlead.errors import ConfigurationError
from fairlead.settings import EngineSettings, Settings

log = logging.getLogger("fairlead.engines")

# Of a context that nobody has chosen: enough for most conversations, and the same on every machine.
CONTEXT_TOKENS: Final = 8_192
STATE_FILE: Final = "state.json"
LINES_KEPT: Final = 20
LOOK_SECONDS: Final = 0.25
# An engine that could not be started, for want of its file or of memory, is tried again so often.
RETRY_SECONDS: Final = 15.0
# What an engine that is removed may still do: calls end, and other processes take the configuration up meanwhile.
GRACE_SECONDS: Final = 3.0
LONGEST_GRACE_SECONDS: Final = 60.0


class EngineRoom:
    """Where the sockets of one server are, known to all of its processes: made before they fork."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._owner = os.getpid()
        self._secret = secrets.token_bytes(32)

    def place(self, what: str) -> tuple[Path, str]:
        """The directory of an engine's socket, and the key for calls of it."""
        digest = hmac.new(self._secret, what.encode(), hashlib.sha256).hexdigest()
        name = f"fairlead-{self._owner}-{digest[:8]}"  # as `make_socket_directory` names them, so that it removes them
        run = self.data_dir.absolute() / "run"
        fits = len(os.fsencode(run / name / SOCKET_NAME)) <= LONGEST_PATH_BYTES
        return (run if fits else Path(tempfile.gettempdir())) / name, digest[8:]


class ConfiguredEngine:
    """What a process knows of one engine. Looks like an `Engine` to those who call it. `problem`: why it cannot be
    started as things are; "": nothing is known to be wrong."""

    def __init__(self, given: EngineSettings, folders: Sequence[Path], directory: Path, api_key: str) -> None:
        """Reads its files."""
        spec, problem = spec_of(given, folders)
        self.given = given
        self.folders = folders
        self.spec = spec
        self.directory = directory
        self.api_key = api_key
        self.problem = problem
        self.state = "crashed" if problem else "starting"
        self.reason = problem
        self.log: tuple[str, ...] = ()
        self.since = time.time()
        self.gave_up = bool(problem)

    @property
    def base_url(self) -> str:
        return f"unix:{self.directory / SOCKET_NAME}"

    @property
    def slots(self) -> int:
        return self.spec.slots

    @property
    def is_ready(self) -> bool:
        return self.state == "ready"

    async def wait_ready(self, seconds: float) -> bool:
        """As that of `Engine`."""
        return await wait_ready(self, seconds)

    def note(self, state: str, reason: str, lines: Sequence[str], *, gave_up: bool) -> None:
        if state != self.state:
            self.since = time.time()
        self.state, self.reason, self.gave_up = state, reason, gave_up
        self.log = tuple(lines[-LINES_KEPT:])


class ConfiguredEngines:
    """All of them, as one process sees them. `put_in_force` says which are wanted; `run` brings that about, or follows
    it. `workers`: how many processes call them."""

    def __init__(self, room: EngineRoom, *, keeps: bool, workers: int = 1, limits: EngineLimits | None = None) -> None:
        self._room = room
        self._keeps = keeps
        self._workers = workers
        self._limits = limits
        self._known: dict[tuple[EngineSettings, tuple[Path, ...]], ConfiguredEngine] = {}
        self._wanted: dict[str, ConfiguredEngine] = {}
        self._busy: dict[ConfiguredEngine, Callable[[], int]] = {}
        self._running: dict[ConfiguredEngine, Engine] = {}
        self._changed = asyncio.Event()

    def of(self, settings: Settings) -> dict[str, ConfiguredEngine]:
        """The engines of a configuration, by id; those that stay as they are in force are the same objects. What is
        wrong with one is in its `problem`: a node that lacks a file serves all else. Reads files."""
        folders = model_folders(self._room.data_dir, settings.configuration.model_folders)
        found = {}
        for given in settings.engines:
            if given.enabled:
                key = (given, folders)
                engine = self._known.get(key)
                if engine is None or engine.problem:  # the file may be there by now
                    engine = self._known[key] = self._made(given, folders)
                found[given.id] = engine
        return found

    def _made(self, given: EngineSettings, folders: Sequence[Path]) -> ConfiguredEngine:
        return ConfiguredEngine(given, folders, *self._room.place(repr(given)))

    @property
    def engines(self) -> Mapping[str, ConfiguredEngine]:
        """Those in force, by id."""
        return self._wanted

    def put_in_force(
        self, wanted: Mapping[str, ConfiguredEngine], busy: Mapping[str, Callable[[], int]] | None = None
    ) -> None:
        """`busy`: by id, how many calls are under way from this process. On the event loop."""
        self._wanted = dict(wanted)
        for name, calls in (busy or {}).items():
            self._busy[wanted[name]] = calls
        self._known = {key: one for key, one in self._known.items() if one in self._wanted.values()}
        self._changed.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        if self._keeps:
            await self._keep()
        while True:
            if not self._wanted:
                self._changed.clear()
                await self._changed.wait()
            for engine in self._wanted.values():
                _read_state(engine)
            await rest(LOOK_SECONDS)

    async def close(self) -> None:
        """Ends the children that this process keeps."""
        for engine in list(self._running):
            await self._end(engine)

    async def _keep(self) -> None:
        while True:
            self._changed.clear()
            for engine in [one for one in self._running if one not in self._wanted.values()]:
                await self._let_go(engine)
            for engine in [one for one in self._wanted.values() if one not in self._running]:
                await self._start(engine)
            lacking = any(one not in self._running for one in self._wanted.values())
            turned(RETRY_SECONDS if lacking else 0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_SECONDS if lacking else None):
                    await self._changed.wait()

    async def _start(self, engine: ConfiguredEngine) -> None:
        """A missing file and too little memory are tried again; anything else is the supervisor's."""
        loop = asyncio.get_running_loop()
        try:
            if engine.problem:
                engine.spec, engine.problem = await loop.run_in_executor(None, spec_of, engine.given, engine.folders)
                if engine.problem:
                    raise ConfigurationError(engine.problem)
            await loop.run_in_executor(None, check_memory, engine.spec)
            await loop.run_in_executor(None, _make_directory, engine.directory)
        except (ConfigurationError, OSError) as error:
            reason = error.message if isinstance(error, ConfigurationError) else f"{error.filename}: {error.strerror}"
            if reason != engine.reason:
                log.warning("Engine %s cannot be started: %s", engine.given.id, reason)
            engine.note("crashed", reason, (), gave_up=True)
            _write_state(engine)
            return
        child = Engine(
            engine.spec, self._room.data_dir, self._limits, directory=engine.directory, api_key=engine.api_key
        )

        def note(changed: Engine) -> None:
            engine.note(changed.state, changed.reason, changed.log, gave_up=changed.gave_up)
            _write_state(engine)

        child.on_state = note
        self._running[engine] = child
        engine.note("starting", "The engine is starting.", (), gave_up=False)
        log.info("Engine %s: starting %s.", engine.given.id, engine.spec.gguf.name)
        await child.start()

    async def _let_go(self, engine: ConfiguredEngine) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        calls = self._busy.pop(engine, int)
        grace = GRACE_SECONDS if self._workers > 1 else 0.0
        while loop.time() - began < (LONGEST_GRACE_SECONDS if calls() else grace):  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)
        log.info("Engine %s: stopping.", engine.given.id)
        await self._end(engine)

    async def _end(self, engine: ConfiguredEngine) -> None:
        child = self._running.pop(engine)
        child.on_state = None
        await child.stop()
        engine.note("stopped", "The engine was stopped.", (), gave_up=False)


def spec_of(given: EngineSettings, folders: Sequence[Path]) -> tuple[EngineSpec, str]:
    """What an engine is to run, and why it cannot ("": it can, as far as its files say)."""
    model_id = given.model or given.id
    try:
        path = allowed_file(given.file, folders)
        vision = None if given.vision_file is None else allowed_file(given.vision_file, folders)
        context = given.context_length
        spec = spec_for(path, vision, model_id, context, given.slots, given.mode, measure=False)
        if context is None and spec.context_tokens > CONTEXT_TOKENS:
            spec = spec_for(path, vision, model_id, CONTEXT_TOKENS, given.slots, given.mode, measure=False)
    except ConfigurationError as error:
        lacking = EngineSpec(
            model_id=model_id,
            gguf=Path(given.file),
            mmproj=None,
            context_tokens=given.context_length or CONTEXT_TOKENS,
            slots=given.slots,
            threads=min(MOST_THREADS, available_processors()),
            chat_template=None,
            images=False,
            mode=given.mode or "chat",
            pooling=UNPOOLED,
        )
        return lacking, error.message
    return spec, ""


def _make_directory(directory: Path) -> None:
    """Afresh, for this user alone. Raises OSError."""
    directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    remove_stale(directory.parent)
    shutil.rmtree(directory, ignore_errors=True)  # of a worker that has died
    directory.mkdir(mode=0o700)


def _write_state(engine: ConfiguredEngine) -> None:
    shown = {name: getattr(engine, name) for name in ("state", "reason", "log", "gave_up", "since")}
    with contextlib.suppress(OSError):
        engine.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = engine.directory / f"{STATE_FILE}.new"
        fresh.write_text(json.dumps(shown), "utf-8")
        fresh.replace(engine.directory / STATE_FILE)


def _read_state(engine: ConfiguredEngine) -> None:
    try:
        found: dict[str, Any] = json.loads((engine.directory / STATE_FILE).read_text("utf-8"))
        state, reason, lines = str(found["state"]), str(found["reason"]), list(map(str, found["log"]))
        gave_up, since = bool(found["gave_up"]), float(found["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return  # it is about to be started, or was stopped
    engine.note(state, reason, lines, gave_up=gave_up)
    engine.since = since
