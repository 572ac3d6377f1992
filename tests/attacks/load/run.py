"""Starts all parts, watches the gateway while they run, and gathers what each has seen."""

from __future__ import annotations

import contextlib
import http.client
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

from tests.attacks.load import books, honest, hostile
from tests.attacks.load.control import control
from tests.attacks.load.honest import Done
from tests.attacks.load.hostile import Seen
from tests.attacks.load.scene import Accounts, configuration
from tests.attacks.load.upstreams import HonestUpstream, HostileUpstream, kinds

START_SECONDS: Final = 90
STOP_SECONDS: Final = 60
# After the last call: what waits is answered, drained, counted and stored.
SETTLE_SECONDS: Final = 90
SAMPLE_SECONDS: Final = 0.1
SPAWN: Final = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Phases:
    """Moments on time.monotonic(): the honest alone from `begin`, the attack between the next two, alone again."""

    begin: float
    attack: float
    after: float
    end: float


@dataclass
class Outcome:
    """All that was seen; what is wrong is decided by the report."""

    phases: Phases
    actors: frozenset[str]
    honest: list[Done] = field(default_factory=list)
    health: list[Done] = field(default_factory=list)
    # The same calls through the control. They have no charge: `problem` says so, and is no problem.
    control: list[Done] = field(default_factory=list)
    seen: dict[str, Seen] = field(default_factory=dict)
    memory_kb: dict[str, int] = field(default_factory=dict)
    # Seconds that the gateway's loop was ready to run and had no core, because others had them.
    no_core_seconds: dict[str, float] = field(default_factory=dict)
    quiet_seconds: float | None = None
    ready: str = ""
    stopped: str = ""
    verified: str = ""
    verify_status: int = -1
    log: str = ""
    log_lines: int = 0
    unreadable: int = 0
    wrong_honest: list[str] = field(default_factory=list)
    unpaid: list[str] = field(default_factory=list)
    uncovered: list[str] = field(default_factory=list)
    overdrawn: list[str] = field(default_factory=list)
    records: int = 0
    cpu_seconds: dict[str, float] = field(default_factory=dict)


class Gateway:
    """A `fairlead serve` of its own. Its log goes to a file: a pipe that nobody reads would stop it."""

    def __init__(self, directory: Path, configured: str) -> None:
        self.data = directory / "data"
        self.log = directory / "log"
        file = directory / "fairlead.toml"
        file.write_text(configured)
        argv = [sys.executable, "-m", "fairlead", "serve", "--port", "0", "--data", str(self.data), "--no-engine", "--config", str(file)]  # fmt: skip
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT, env=environment())
        self.port = 0

    def wait_ready(self) -> str:
        """Gives the operator's key. Raises RuntimeError when it does not begin to serve."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            text = self.log.read_text(errors="replace")
            key, address = re.search(r"sk-fl-[\w-]{20,}", text), re.search(r"http://127\.0\.0\.1:(\d+)", text)
            if key is not None and address is not None and "curl" in text:
                self.port = int(address[1])
                return key[0]
            time.sleep(0.05)
        raise RuntimeError(f"The gateway did not start: {self.log.read_text(errors='replace')[-3000:]}")

    def ask(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def stop(self) -> str:
        """SIGTERM; an empty text when it ended as it should."""
        if self.process.poll() is not None:
            return f"it had ended with status {self.process.returncode}"
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return f"not within {STOP_SECONDS} s of SIGTERM"
        except BaseException:  # interrupted: nothing is left behind
            self.process.kill()
            raise
        return "" if status == 0 else f"status {status}"


def environment() -> dict[str, str]:
    source = str(Path(__file__).parents[3] / "src")
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {**kept, "PYTHONPATH": source, "PYTHONUNBUFFERED": "1"}


def command(*arguments: str, data: Path) -> subprocess.CompletedProcess[str]:
    """One command of `fairlead` on this data directory."""
    argv = [sys.executable, "-m", "fairlead", *arguments, "--data", str(data)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False, env=environment())


def new_key(data: Path, *options: str) -> str:
    made = command("keys", "create", "--name", "load", *options, data=data)
    if made.returncode:
        raise RuntimeError(made.stderr)
    return made.stdout.split()[-1]


def serve_upstream(kind: str, pipe: Pipe) -> None:
    """The process of a provider: sends its address, and serves until it is told to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if kind == "hostile":
        os.nice(hostile.NICENESS)
    with HonestUpstream() if kind == "honest" else HostileUpstream() as upstream:
        pipe.send((upstream.url.removesuffix("/v1"), os.getpid()))
        with contextlib.suppress(EOFError):
            pipe.recv()


class Part:
    """A process of the load, and the end of its pipe."""

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        self.pipe, other = SPAWN.Pipe()
        self.process: BaseProcess = SPAWN.Process(target=target, args=(*arguments, other), daemon=True)
        self.process.start()
        other.close()

    def receive(self, seconds: float) -> Any:
        if not self.pipe.poll(seconds):
            raise RuntimeError(f"{self.process.name} sent nothing within {seconds:g} s")
        return self.pipe.recv()

    def end(self) -> None:
        self.pipe.close()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()


@contextlib.contextmanager
def upstreams() -> Iterator[dict[str, tuple[str, int]]]:
    """Address and process id of the honest and of the hostile provider."""
    parts = {kind: Part(serve_upstream, kind) for kind in ("honest", "hostile")}
    try:
        yield {kind: part.receive(START_SECONDS) for kind, part in parts.items()}
    finally:
        for part in parts.values():
            part.end()


def tree(pid: int) -> list[int]:
    """A process and all that it has started."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def resident_kb(pid: int) -> int:
    """Resident memory of the whole tree. Pages that processes share count once for each: never too little."""
    total = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{one}/status").read_text())
            total += int(found[1]) if found else 0
    return total


class Watch:
    """Looks at the gateway ten times a second: the most memory of each phase, and how long it had no core."""

    def __init__(self, pid: int, outcome: Outcome) -> None:
        self._pid = pid
        self._outcome = outcome
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        phases, most, waited = self._outcome.phases, self._outcome.memory_kb, self._outcome.no_core_seconds
        before = no_core_seconds(self._pid)
        while not self._ended.wait(SAMPLE_SECONDS):
            now, kilobytes, total = time.monotonic(), resident_kb(self._pid), no_core_seconds(self._pid)
            phase = "alone" if now < phases.attack else "attacked" if now < phases.after else "after"
            most[phase] = max(most.get(phase, 0), kilobytes)
            most["last"] = kilobytes
            waited[phase] = waited.get(phase, 0.0) + total - before
            before = total

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


def no_core_seconds(pid: int) -> float:
    """Of the process's first thread, which runs the event loop."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):  # gone, or a kernel without it
        return 0.0


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Plan:
    """`alone` seconds, `seconds` of attack, `alone` again. `actors` are the names of those who attack; with a `pace` of
    2 they act twice as often."""

    seconds: float
    alone: float
    actors: frozenset[str]
    pace: float = 1.0
    seed: int = 17


def run(directory: Path, plan: Plan) -> Outcome:
    """The whole scene."""
    with upstreams() as providers, control(directory, providers["honest"][0]) as beside:
        gateway = Gateway(directory, configuration(providers["honest"][0], providers["hostile"][0], kinds()))
        try:
            accounts = open_accounts(gateway)
            outcome = _attack(gateway, beside, accounts, plan)
            for kind, (_, pid) in providers.items():
                outcome.cpu_seconds[f"{kind} provider"] = cpu_seconds(pid)
            _settle(gateway, outcome)
        finally:
            stopped = gateway.stop()
    outcome.stopped = stopped
    _inspect(gateway, outcome)
    return outcome


def open_accounts(gateway: Gateway) -> Accounts:
    operator = gateway.wait_ready()
    options = (
        ("--credit", "10000"),
        ("--credit", "0.01"),
        ("--credit", "10", "--limit", "requests_per_minute=600", "--limit", "concurrent_requests=8"),
        ("--credit", "1000"),
    )
    with ThreadPoolExecutor() as pool:
        rich, poor, limited, honest_key = pool.map(lambda given: new_key(gateway.data, *given), options)
    return Accounts(operator, (operator, honest_key), rich, poor, limited)


def _attack(gateway: Gateway, beside: int, accounts: Accounts, plan: Plan) -> Outcome:
    parts = {"honest": Part(honest.main, gateway.port, beside, accounts.honest, plan.seed)}
    for kind in ("strangers", "customers"):
        parts[kind] = Part(hostile.main, kind, plan.actors, gateway.port, accounts, plan.pace, plan.seed)
    for part in parts.values():
        part.receive(START_SECONDS)
    begin = time.monotonic() + 0.2
    attack, after = begin + plan.alone, begin + plan.alone + plan.seconds
    phases = Phases(begin, attack, after, after + plan.alone)
    for name, part in parts.items():
        part.pipe.send((begin, phases.end) if name == "honest" else (attack, after))
    outcome = Outcome(phases, plan.actors)
    watch = Watch(gateway.process.pid, outcome)
    try:
        for name, part in parts.items():
            received = part.receive(phases.end - time.monotonic() + SETTLE_SECONDS)
            if name == "honest":
                outcome.honest, outcome.health, outcome.control, outcome.cpu_seconds["honest callers"] = received
                outcome.cpu_seconds["gateway"] = sum(cpu_seconds(pid) for pid in tree(gateway.process.pid))
            else:
                outcome.seen[name] = received
                outcome.cpu_seconds[name] = received.cpu_seconds
    finally:
        for part in parts.values():
            part.end()
        watch.end()
    return outcome


def _settle(gateway: Gateway, outcome: Outcome) -> None:
    """Waits until nothing but the question itself is in flight, and asks whether it is ready."""
    began = time.monotonic()
    while time.monotonic() - began < SETTLE_SECONDS:
        with contextlib.suppress(OSError, http.client.HTTPException):
            _, metrics = gateway.ask("/metrics")
            if re.search(r"^fairlead_requests_in_flight\{.*\} 1\.0$", metrics, re.MULTILINE):
                outcome.quiet_seconds = time.monotonic() - began
                break
        time.sleep(0.2)
    try:
        status, body = gateway.ask("/readyz")
    except (OSError, http.client.HTTPException) as error:
        outcome.ready = f"{type(error).__name__}: {error}"
    else:
        outcome.ready = "" if status == 200 else f"{status} {body[:500]}"


def _inspect(gateway: Gateway, outcome: Outcome) -> None:
    verified = command("verify", data=gateway.data)
    outcome.verify_status = verified.returncode
    outcome.verified = (verified.stdout + verified.stderr).strip()[-600:]
    outcome.log = gateway.log.read_text(errors="replace")
    outcome.log_lines = outcome.log.count("\n")
    outcome.unreadable = sum(1 for _ in (gateway.data / "unreadable").glob("*"))
    database = gateway.data / "fairlead.db"
    records = books.records_of(database)
    outcome.records = len(records)
    outcome.wrong_honest = books.wrong_honest(outcome.honest, records)
    deliveries = [one for seen in outcome.seen.values() for one in seen.deliveries]
    outcome.unpaid = books.unpaid(deliveries, records)
    outcome.uncovered = books.uncovered(records)
    outcome.overdrawn = books.overdrawn(database)
