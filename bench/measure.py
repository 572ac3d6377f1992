"""Starts the mock and the gateways, loads them, and reads what the kernel counted."""

from __future__ import annotations

import hashlib
import http.client
import json
import math
import mmap
import os
import re
import resource
import signal
import statistics
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gateways import BUILD, HERE, PACES, VENDORS, Gateway, Route, Upstream, free_port

EVENTS_PER_STREAM = 100
BODY_SHAPES = {"1k": (1, 9), "100k": (21, 57), "1m": (21, 570)}  # size: (messages, lines in each)
REPLY_BYTES = 1_100  # the mock's plain answer is a little longer: fewer bytes per answer were not that answer
READY_SECONDS = 120.0
IDLE_SHARE = 0.02  # of a core; below it a gateway has finished the previous load
CALM_CORES = 0.15  # CPU that other work on the machine may use during a measurement, in cores
CALM_TRIES = 3
TURN_SECONDS = 0.25  # of one load, where several are measured by turns
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """One measurement or one gateway failed; the others go on."""


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU time of a process tree in seconds.

    `total` is exact (the kernel's nanosecond clock). The kernel only samples whether a tick was user or system time,
    so `user` and `system` carry the share of the ticks.
    """

    total: float
    user: float
    system: float

    def __sub__(self, before: Cpu) -> Cpu:
        total, user, system = self.total - before.total, self.user - before.user, self.system - before.system
        share = user / (user + system) if user + system > 0 else 0.0
        return Cpu(total, total * share, total * (1 - share))

    def per(self, count: float) -> dict[str, float]:
        """Microseconds per completed thing: total, and its two parts."""
        micro = 1e6 / count
        return {"cpu_us": self.total * micro, "user_us": self.user * micro, "system_us": self.system * micro}


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started inside runs on that core, and so do its children."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def compiled(source: str) -> Path:
    """The program made from bench/`source`, built once per content: an edit is never measured with the old binary."""
    code = HERE / source
    binary = BUILD / f"{code.stem}-{hashlib.sha256(code.read_bytes()).hexdigest()[:16]}"
    if not binary.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        fresh = binary.with_suffix(f".{os.getpid()}")
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-o", str(fresh), str(code)], check=True)
        fresh.replace(binary)
    return binary


def raise_open_files(wanted: int) -> int:
    """Raises this process's limit of open files, which the programs started here inherit. Returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted and os.geteuid() == 0:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        except (ValueError, OSError):
            pass
        else:
            return wanted
    limit = wanted if hard == resource.RLIM_INFINITY else max(soft, min(wanted, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends what we started and nothing else: the process leads a group of its own."""
    for number, patience in ((15, 8.0), (9, 5.0)):  # SIGTERM, then SIGKILL for what is left of the group
        try:
            os.killpg(process.pid, number)
            process.wait(patience)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def request_body(size: str, model: str, *, stream: bool) -> bytes:
    """A chat request of about that size, with quotes, newlines and non-ASCII text, as real ones have."""
    count, lines = BODY_SHAPES[size]
    text = 'The quick brown fox jumps over the lazy dog, and says "hello" to café number 42.\n' * lines
    system = 'You are a careful assistant. Answer in plain words.\nUse "quotes" and say what you do not know. '
    turns = [{"role": ("user", "assistant")[i % 2], "content": text} for i in range(count)]
    messages = [{"role": "system", "content": system}, *turns]
    body = {"model": model, "messages": messages, "max_tokens": 256, "user": "u-123"}
    return json.dumps(body | ({"stream": True} if stream else {}), ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(slots=True)
class Running:
    """A gateway and its process tree; `direct` has none."""

    gateway: Gateway
    process: subprocess.Popen[bytes] | None
    startup_seconds: float = 0.0

    def pids(self) -> list[int]:
        found = [self.process.pid] if self.process else []
        for pid in found:  # grows while it is walked
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                try:
                    found += [int(child) for child in children.read_text().split()]
                except OSError:
                    continue
        return found

    def cpu(self) -> Cpu:
        """CPU time of the tree so far, from each process's clock and /proc/PID/stat."""
        total, user, system = 0.0, 0, 0
        for pid in self.pids():
            try:
                total += clock_seconds(pid)
                ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            user, system = user + int(ticks[11]), system + int(ticks[12])
        return Cpu(total, user / TICKS_PER_SECOND, system / TICKS_PER_SECOND)

    def memory_kb(self, line: str) -> int:
        """Memory of the tree in KB. "Pss" counts pages that several processes share once, "Rss" is what ps shows."""
        total = 0
        for pid in self.pids():
            try:
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            found = re.search(rf"^{line}:\s+(\d+)", rollup, re.MULTILINE)
            total += int(found[1]) if found else 0
        return total

    def settle(self) -> None:
        """Waits until requests that the last load left behind are finished, at most 15 s."""
        for _ in range(60):
            before = self.cpu().total
            time.sleep(0.25)
            if self.cpu().total - before < IDLE_SHARE * 0.25:
                return


def clock_seconds(pid: int) -> float:
    """CPU time of one process, user and system, from its clock (clock_getcpuclockid(3)). Raises OSError."""
    return time.clock_gettime_ns((~pid << 3) | 2) / 1e9


def machine_seconds() -> float:
    """CPU time that all cores together were not idle, with what the host took away."""
    user, nice, system, _idle, _wait, *others = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + sum(others)) / TICKS_PER_SECOND


class Mock:
    """The mock upstream and what it counted."""

    def __init__(self, core: int, work: Path) -> None:
        self.upstream = Upstream({pace: free_port() for pace in PACES}, {name: free_port() for name in VENDORS})
        self._counters = work / "mock-counters"
        specs = [f"{port}:{EVENTS_PER_STREAM}:{PACES[pace]}" for pace, port in self.upstream.ports.items()]
        specs += [f"{port}:{EVENTS_PER_STREAM}:0:{name}" for name, port in self.upstream.vendors.items()]
        argv = [str(compiled("mock.c")), str(self._counters), *specs]
        with on_core(core):
            self._process = subprocess.Popen(argv, start_new_session=True)

    def requests(self) -> int:
        """Requests that arrived whole, on all ports."""
        return int(struct.unpack_from("Q", self._counters.read_bytes())[0])

    def cpu_seconds(self) -> float:
        return clock_seconds(self._process.pid)

    def close(self) -> None:
        end_group(self._process)


@contextmanager
def mock_upstream(core: int, work: Path) -> Iterator[Mock]:
    mock = Mock(core, work)
    try:
        yield mock
    finally:
        mock.close()


class Others:
    """Watches what other work on the machine uses meanwhile: all CPU time less that of the rig's own processes."""

    def __init__(self, mock: Mock, *load_pids: int) -> None:
        self._mock, self._load_pids = mock, load_pids
        self._at, self._own, self._all = time.monotonic(), self._own_seconds(), machine_seconds()

    def _own_seconds(self) -> float:
        """This process, the loads (by their clocks, or as ended children) and the mock; without the gateway."""
        load = sum(map(clock_seconds, self._load_pids))
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + load + ended.ru_utime + ended.ru_stime + self._mock.cpu_seconds()

    def cores(self, gateway_seconds: float) -> float:
        """The mean number of cores that others used since the start; `gateway_seconds` is ours too."""
        own = self._own_seconds() - self._own + gateway_seconds
        return max(0.0, (machine_seconds() - self._all - own) / (time.monotonic() - self._at))


@dataclass(frozen=True, slots=True)
class Load:
    """One request that is asked over and over; an answer has `least_bytes` at least."""

    name: str
    route: Route
    body: bytes
    least_bytes: int = REPLY_BYTES


@dataclass(slots=True)
class Bench:
    """One mock, one load core, one gateway core; collects what went wrong."""

    work: Path
    mock: Mock
    gateway_core: int
    load_core: int
    secs: int
    problems: list[str] = field(default_factory=list)
    disturbed: list[float] = field(default_factory=list)  # cores that other work used, one entry per measurement

    def post(self, gateway: Gateway, pace: str, *, stream: bool = False) -> tuple[int, bytes]:
        route = gateway.routes[pace]
        connection = http.client.HTTPConnection("127.0.0.1", route.port, timeout=10)
        try:
            headers = {"Content-Type": "application/json", **route.headers}
            connection.request("POST", route.path, request_body("1k", route.model, stream=stream), headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    @contextmanager
    def running(self, gateway: Gateway) -> Iterator[Running]:
        """Starts it on the gateway's core, waits for the first 200, and ends the whole process group afterwards."""
        if not gateway.argv:
            yield Running(gateway, None)
            return
        log = self.work / f"{gateway.name}.log"
        started = time.monotonic()
        env = {**os.environ, **gateway.env}
        with log.open("wb") as out, on_core(self.gateway_core):
            process = subprocess.Popen(
                gateway.argv, stdout=out, stderr=out, cwd=gateway.cwd, env=env, start_new_session=True
            )
        try:
            self._wait_for_answer(gateway, process, log)
            yield Running(gateway, process, time.monotonic() - started)
        finally:
            end_group(process)

    def _wait_for_answer(self, gateway: Gateway, process: subprocess.Popen[bytes], log: Path) -> None:
        until, last = time.monotonic() + READY_SECONDS, "no answer"
        while time.monotonic() < until and process.poll() is None:
            try:
                status, body = self.post(gateway, "burst")
            except (OSError, http.client.HTTPException) as error:
                last = repr(error)
            else:
                if status == 200:
                    return
                last = f"{status} {body[:300]!r}"
            time.sleep(0.01)
        raise BenchError(f"{gateway.name} did not start: {last}\n{log.read_text(errors='replace')[-1500:]}")

    def check(self, gateway: Gateway) -> None:
        """Refuses to measure what does not do the work: a gateway that drops usage or events would look fast."""
        status, body = self.post(gateway, "burst")
        if status != 200 or b'"total_tokens":320' not in body.replace(b" ", b""):
            raise BenchError(f"{gateway.name}: a plain call gave {status} {body[:300]!r}")
        for pace in gateway.routes:
            if pace == "slow":
                continue
            status, body = self.post(gateway, pace, stream=True)
            if status != 200 or body.count(b"TS#") != EVENTS_PER_STREAM or b"[DONE]" not in body:
                events = body.count(b"TS#")
                raise BenchError(f"{gateway.name}: a {pace} stream gave {status}, {events} events: {body[:300]!r}")

    def calmest(self, load: Callable[[], dict[str, float]]) -> dict[str, float]:
        """The result of `load` that other work on the machine disturbed least; repeated while it is disturbed."""
        best = load()
        for _ in range(CALM_TRIES - 1):
            if best["other_cores"] <= CALM_CORES:
                return best
            best = min(best, load(), key=lambda seen: seen["other_cores"])
        self.disturb(best["other_cores"])
        return best

    def disturb(self, cores: float) -> None:
        """Remembers a measurement during which other work used so much."""
        if cores > CALM_CORES:
            self.disturbed.append(cores)

    def plain(self, run: Running, connections: int, size: str, secs: int) -> dict[str, float]:
        """Plain requests in a closed loop: CPU per request in us, requests per second, p50 in us."""
        route = run.gateway.routes["burst"]
        name = f"{run.gateway.name}: {size} c={connections}"
        return self.loop(run, route, request_body(size, route.model, stream=False), connections, secs, name)

    def loop(
        self,
        run: Running,
        route: Route,
        request: bytes,
        connections: int,
        secs: int,
        name: str,
        least_bytes: int = REPLY_BYTES,
    ) -> dict[str, float]:
        """The same for any request to any route. Raises BenchError."""
        run.settle()
        argv, env = self._wrk(route, request, connections, secs)
        others = Others(self.mock)
        asked, before = self.mock.requests(), run.cpu()
        with on_core(self.load_core):
            wrk = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=secs + 60, check=False)
        used, asked = run.cpu() - before, self.mock.requests() - asked
        other_cores = others.cores(used.total)
        seen = read_wrk(wrk.stdout)
        if seen is None:
            raise BenchError(f"{name}: nothing was completed: {(wrk.stdout + wrk.stderr)[-300:]}")
        if seen.failures:
            raise BenchError(f"{name}: {'; '.join(seen.failures)} of {seen.count}")
        if asked < seen.count or seen.bytes < seen.count * least_bytes:
            raise BenchError(f"{name}: {seen.count} answers of {seen.bytes} bytes from {asked} upstream requests")
        if run.process and seen.count < 10 * connections:
            self.problems.append(f"{name}: only {seen.count} requests; use a longer --secs")
        return used.per(seen.count) | {
            "rps": seen.count / seen.seconds,
            "p50_us": seen.p50_us,
            "other_cores": other_cores,
        }

    def _wrk(self, route: Route, request: bytes, connections: int, secs: float) -> tuple[list[str], dict[str, str]]:
        """The command for a load, and its environment."""
        body = self.work / f"request-{hashlib.sha256(request).hexdigest()[:16]}.json"
        body.write_bytes(request)
        env = os.environ | {"BODY": str(body), "HEADERS": "\n".join(f"{k}: {v}" for k, v in route.headers.items())}
        argv = ["wrk", "-t1", f"-c{connections}", f"-d{math.ceil(secs)}s", "--latency", "--timeout", "20s", "-s"]
        return [*argv, str(HERE / "post.lua"), f"http://127.0.0.1:{route.port}{route.path}"], env

    def by_turns(self, run: Running, loads: Mapping[str, Load], connections: int, secs: float) -> dict[str, float]:
        """CPU per request of each load in us, by its key, while each runs for `secs` in turns of a quarter of a second
        and the others stand still: what the host does meanwhile falls on all of them. Of a load's turns it is the lower
        quartile, because a host that is shared only ever adds to what the work itself needs. Raises BenchError."""
        run.settle()
        turns = max(2, round(secs / TURN_SECONDS))
        length = (turns + 2) * len(loads) * TURN_SECONDS * 2  # they are stopped before
        running: dict[str, subprocess.Popen[str]] = {}
        seen: dict[str, list[float]] = {key: [] for key in loads}
        try:
            for key, load in loads.items():
                argv, env = self._wrk(load.route, load.body, connections, length)
                with on_core(self.load_core):
                    running[key] = subprocess.Popen(
                        argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
                    )
                time.sleep(TURN_SECONDS)  # it connects, and is warm
                running[key].send_signal(signal.SIGSTOP)
            others = Others(self.mock, *(load.pid for load in running.values()))
            began = run.cpu().total
            for turn in range(turns):
                for key in seen if turn % 2 == 0 else reversed(seen):
                    seen[key] += self._turn(run, running[key])
            other_cores = others.cores(run.cpu().total - began)
            for key, load in loads.items():
                self._end(running[key], load)
        finally:
            for process in running.values():
                process.kill()
                process.communicate()
        for key, values in seen.items():
            if len(values) < 2:
                raise BenchError(f"{loads[key].name}: nothing was asked in its turns")
        calm = {key: statistics.quantiles(values, n=4, method="inclusive")[0] for key, values in seen.items()}
        return calm | {"other_cores": other_cores}

    def _turn(self, run: Running, load: subprocess.Popen[str]) -> list[float]:
        """Microseconds per request in a turn of this load; none when it asked for nothing."""
        load.send_signal(signal.SIGCONT)
        asked, before = self.mock.requests(), run.cpu().total
        time.sleep(TURN_SECONDS)
        asked, used = self.mock.requests() - asked, run.cpu().total - before
        load.send_signal(signal.SIGSTOP)
        return [used / asked * 1e6] if asked else []

    def _end(self, process: subprocess.Popen[str], load: Load) -> None:
        """Ends a load, and refuses what it measured when it was not answered rightly."""
        process.send_signal(signal.SIGCONT)
        while (
            True
        ):  # a thread that has just been woken up may take the signal, and then the one that waits does not end
            process.send_signal(signal.SIGINT)  # wrk then prints what it has seen
            try:
                out = process.communicate(timeout=0.1)[0]
            except subprocess.TimeoutExpired:
                continue
            break
        seen = read_wrk(out)
        if seen is None:
            raise BenchError(f"{load.name}: nothing was completed: {out[-300:]}")
        if seen.failures:
            raise BenchError(f"{load.name}: {'; '.join(seen.failures)} of {seen.count}")
        if seen.bytes < seen.count * load.least_bytes:
            raise BenchError(f"{load.name}: {seen.count} answers of {seen.bytes} bytes")

    def streams(
        self, run: Running, pace: str, count: int, *, warm: float, secs: float, open_per_10ms: int = 100_000
    ) -> dict[str, float]:
        """Keeps `count` streams open; CPU and events are counted in the last `secs`, when all are open and warm."""
        run.settle()
        route = run.gateway.routes[pace]
        body, counters = self.work / "stream.json", self.work / "stream-counters"
        body.write_bytes(request_body("1k", route.model, stream=True))
        counters.write_bytes(bytes(48))
        headers = "".join(f"{name}: {value}\r\n" for name, value in route.headers.items())
        shape = (count, warm, secs, body, headers, counters, open_per_10ms)
        argv = [str(arg) for arg in (compiled("streams.c"), route.port, route.path, *shape)]
        idle_kb = run.memory_kb("Pss")
        with on_core(self.load_core):
            load = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            time.sleep(warm)
            with counters.open("rb") as file, mmap.mmap(file.fileno(), 48, access=mmap.ACCESS_READ) as shared:
                others = Others(self.mock, load.pid)
                cpu, events, at = run.cpu(), struct.unpack_from("Q", shared)[0], time.monotonic()
                time.sleep(max(0.2, secs - 0.3))
                used, events = run.cpu() - cpu, struct.unpack_from("Q", shared)[0] - events
                took, other_cores = time.monotonic() - at, others.cores(used.total)
                flowing, open_kb = struct.unpack_from("6Q", shared)[5], run.memory_kb("Pss")
            out, err = load.communicate(timeout=60)
        finally:
            if load.poll() is None:
                load.kill()
                load.communicate()
        name, said = f"{run.gateway.name}: {count} {pace} streams", err.decode(errors="replace")[:300]
        if not events or not out:
            raise BenchError(f"{name}: no events: {said}")
        ends = json.loads(out)
        if ends["errors"]:
            raise BenchError(f"{name}: {ends['errors']} errors: {said}")
        return used.per(events) | {
            "events_per_second": events / took,
            "flowing": flowing,
            "idle_mb": idle_kb / 1024,
            "open_mb": open_kb / 1024,
            "kb_per_stream": (open_kb - idle_kb) / max(1, flowing),
            "delay_p50_us": ends["delay_p50_us"],
            "delay_p99_us": ends["delay_p99_us"],
            "other_cores": other_cores,
        }


@dataclass(frozen=True, slots=True)
class WrkResult:
    count: int
    seconds: float
    bytes: float
    p50_us: float
    failures: tuple[str, ...]


UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6}
SIZES = {"B": 1.0, "KB": 1024.0, "MB": 1024.0**2, "GB": 1024.0**3, "TB": 1024.0**4}


def read_wrk(out: str) -> WrkResult | None:
    """What wrk printed; None when it completed nothing."""
    done = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m), ([\d.]+)([KMGT]?B) read", out)
    p50 = re.search(r"50%\s+([\d.]+)(us|ms|s|m)", out)
    if not done or not p50 or int(done[1]) == 0:
        return None
    failures = re.findall(r"Non-2xx or 3xx responses: \d+|Socket errors:.*", out)
    seconds = float(done[2]) * UNITS[done[3]] / 1e6
    read = float(done[4]) * SIZES[done[5]]
    return WrkResult(int(done[1]), seconds, read, float(p50[1]) * UNITS[p50[2]], tuple(failures))
