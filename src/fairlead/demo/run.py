"""From an empty directory to a gateway that serves: history, providers, server, calls."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fairlead.admin import configuration
from fairlead.demo.caller import Caller
from fairlead.demo.clock import DemoClock, repeatable_randomness
from fairlead.demo.history import MARA, PASSWORD, make_history
from fairlead.demo.organisations import ORGANISATIONS
from fairlead.demo.providers import DAYS, VERSIONS, document
from fairlead.demo.upstream import DemoUpstream
from fairlead.errors import ConfigurationError
from fairlead.runtime import serve
from fairlead.settings import load_settings
from fairlead.store import Store, open_store
from fairlead.store.database import DATABASE

# What says that a data directory is a demonstration's, and what it was made with.
MARK: Final = "demonstration.json"
HOST: Final = "127.0.0.1"
# Where the scripted providers listen, if nobody else does.
UPSTREAM_PORT: Final = 8790


@dataclass(frozen=True, slots=True)
class Options:
    """`data` None: a temporary directory. `at`: when history ends, in seconds since 1970, None: now. `still`: the clock
    stands at that time, and nobody calls. `rate`: calls per second; `calls`: of all history."""

    data: Path | None
    port: int
    engine: bool
    at: float | None
    still: bool
    seed: int
    calls: int
    rate: float
    upstream_port: int = UPSTREAM_PORT


def run(options: Options, clock: DemoClock) -> int:
    """Serves until SIGTERM or SIGINT; gives the exit code. Raises ConfigurationError or CannotListen."""
    with _directory(options.data) as directory, _upstream(options) as upstream:
        kept = _prepare(directory, options, clock, upstream.address)
        caller = None
        if options.still:
            clock.set(kept["at"])
        elif options.at is not None:
            clock.run_from(kept["at"] if options.data is None else max(options.at, kept["at"]))
        else:
            clock.run()
        port = options.port or _free_port()  # which the caller has to know
        if not options.still and options.rate > 0:
            caller = Caller(port, kept["keys"], options.rate, options.seed)
            caller.start()
        _greet(kept, options, directory, port)
        try:
            return serve(settings=load_settings(None), data_dir=directory, host=HOST, port=port, engine=options.engine)
        finally:
            if caller is not None:
                caller.stop()


def _prepare(directory: Path, options: Options, clock: DemoClock, address: str) -> dict[str, Any]:
    """Makes the history where there is none; returns what was made."""
    mark = directory / MARK
    if not mark.is_file() and (directory / DATABASE).exists():
        raise ConfigurationError(f"{directory} is the data directory of a gateway, not of a demonstration.")
    store = open_store(directory)
    try:
        if mark.is_file():
            kept: dict[str, Any] = json.loads(mark.read_text("utf-8"))
            clock.run_from(max(kept["at"], options.at or 0.0))
            _move(store, address)
            return kept
        return _make(store, mark, options, clock, address)
    finally:
        store.close()


def _make(store: Store, mark: Path, options: Options, clock: DemoClock, address: str) -> dict[str, Any]:
    began = time.monotonic()
    at = clock.time() if options.at is None else options.at
    with repeatable_randomness(options.seed):
        made = make_history(store, clock, at, address, seed=options.seed, calls=options.calls, progress=_tell)
    kept = {
        "at": at,
        "seed": options.seed,
        "address": address,
        "calls": made.calls,
        "seconds": round(time.monotonic() - began, 1),
        "keys": {one.name: one.key for one in made.keys},
        "organisations": {one.organisation.name: one.account_id for one in made.organisations},
    }
    mark.write_text(json.dumps(kept, indent=2) + "\n", "utf-8")
    _tell(0)
    return kept


def _move(store: Store, address: str) -> None:
    """The providers are at another address than the last time."""
    text = document(VERSIONS[-1], address)
    if configuration.digest_of(text) != configuration.current(store).digest:
        by = configuration.Submission(MARA, "", "The scripted providers are at another address")
        configuration.apply(store, text, "the demonstration", by)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((HOST, 0))
        return int(one.getsockname()[1])


def _tell(day: int) -> None:
    if sys.stderr.isatty():
        end = f"\rMaking {DAYS} days of history: day {day}" if day else "\r\033[K"
        print(end, end="", file=sys.stderr, flush=True)


def _greet(kept: dict[str, Any], options: Options, directory: Path, port: int) -> None:
    lines = [
        f"A demonstration with {kept['calls']:,} calls in {DAYS} days, made in {kept['seconds']:g} s. The providers",
        "are scripted: nothing leaves this machine.",
        f"Data: {directory}" + (" (removed at the end)" if options.data is None else ""),
        "",
        f"Sign in at http://{HOST}:{port}/sign-in with the password: {PASSWORD}",
        *(
            f"  {member.email:30} {'operator' if member.operator else member.role + ' of ' + one.name}"
            for one in ORGANISATIONS
            for member in one.members[:2]
        ),
        "",
        "Keys that anybody may use here:",
        *(f"  {name:26} {key}" for name, key in kept["keys"].items()),
        "",
    ]
    print("\n".join(lines), flush=True)


@contextlib.contextmanager
def _directory(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    made = Path(tempfile.mkdtemp(prefix="fairlead-demo-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def _upstream(options: Options) -> Iterator[DemoUpstream]:
    upstream = DemoUpstream(options.upstream_port, seed=options.seed)
    try:
        upstream.start()
    except OSError:  # another demonstration
        upstream = DemoUpstream(0, seed=options.seed)
        upstream.start()
    try:
        yield upstream
    finally:
        upstream.stop()
