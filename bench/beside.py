"""What people who look at pages cost callers: the same calls in short slices of time, alone and beside them in turns.

On a machine that others use, too, a figure of one minute says little about the next. So the load never stops, people
stay connected and are only let in and kept out, and each slice is compared with its neighbour: what the machine does
meanwhile falls on both. Pairs go on until enough of them were calm or the time is over; the calmest count. Their median
says what people cost, and the quartiles how well that is known.
"""

from __future__ import annotations

import os
import statistics
import struct
import subprocess
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from measure import CALM_CORES, Bench, BenchError, Others, Running, compiled, on_core, request_body
from report import Samples, Values, figure, spread
from visitors import Company

PACED_PER_SECOND = 300
ALONE_SECONDS = 0.5
# After people are let in or kept out, and until a load has opened its connections.
LEAD_SECONDS = 0.1
WARM_LOAD_SECONDS = 1.0
END_SECONDS = 60.0
SHARED_FIELDS = 4


class Load(NamedTuple):
    """Connections, and calls a second: 0 is as fast as they are answered."""

    name: str
    label: str
    connections: int
    per_second: int = 0


LOADS = (
    Load("full", "32 callers", 32),
    Load("lone", "one caller", 1),
    Load("paced", f"{PACED_PER_SECOND} calls/s", 16, PACED_PER_SECOND),
)


class Shape(NamedTuple):
    """Of a test: seconds of a slice with people, the calm pairs that are enough for a load, and the seconds that a load
    takes at most."""

    beside_seconds: float
    enough: int
    most_seconds: float


@dataclass(frozen=True, slots=True)
class Slice:
    """`cpu_us`: of all threads of the gateway for each answer, `loop_us`: of its event loop. `others`: cores that
    other work on the machine used. `waits_us` are sorted."""

    calls: int
    seconds: float
    cpu_us: float
    loop_us: float
    others: float = 0.0
    waits_us: Sequence[int] = ()

    def rate(self) -> float:
        return self.calls / self.seconds


class Pair(NamedTuple):
    alone: Slice
    beside: Slice

    def others(self) -> float:
        return max(self.alone.others, self.beside.others)


def order() -> Iterator[bool]:
    """Whether people are let in, slice by slice: every second pair the other way round, so that no drift of the machine
    falls on the same side."""
    return cycle((False, True, True, False))


def paired(slices: Sequence[Slice]) -> list[Pair]:
    """Of slices in the order of `order`."""
    pairs = zip(slices[::2], slices[1::2], strict=False)
    return [Pair(second, first) if number % 2 else Pair(first, second) for number, (first, second) in enumerate(pairs)]


def calmest(pairs: Sequence[Pair], enough: int) -> list[Pair]:
    """Those that other work disturbed least."""
    return sorted(pairs, key=Pair.others)[:enough]


def quantile(values: Sequence[int], share: float) -> float:
    """Of sorted values."""
    return float(values[min(len(values) - 1, int(len(values) * share))])


def more_percent(alone: float, beside: float) -> float:
    return 100 * (beside / alone - 1)


def waits_of(samples: bytes) -> dict[int, list[int]]:
    """What calls.c has written: by slice, the microseconds of its calls, sorted."""
    numbers = array("I", samples)
    found: dict[int, list[int]] = {}
    for number, micro in zip(numbers[::2], numbers[1::2], strict=True):
        found.setdefault(number, []).append(micro)
    return {number: sorted(waits) for number, waits in found.items()}


# Figures of a slice.
FIGURES: Mapping[str, Callable[[Slice], float]] = {
    "cpu": lambda one: one.cpu_us,
    "loop": lambda one: one.loop_us,
    "rate": Slice.rate,
    "p50": lambda one: quantile(one.waits_us, 0.5),
    "p99": lambda one: quantile(one.waits_us, 0.99),
}
# Shares of the calls of all slices together: one slice has too few of them.
RARE: Mapping[str, float] = {"p999": 0.999, "longest": 1.0}
LABELS: Mapping[str, str] = {
    "cpu": "CPU µs/call of the whole process, pages included",
    "loop": "… of its event loop",
    "rate": "calls/s",
    "p50": "p50 µs",
    "p99": "p99 µs",
    "p999": "p99.9 µs, all slices",
    "longest": "longest µs, all slices",
}
PEOPLE: Mapping[str, str] = {
    "pages": "pages/s that people saw",
    "wait_ms": "first byte of their pages, p50 ms",
    "refused_percent": "pages refused because the server was busy, %",
}
HEAD = (("alone: median [quartiles]", "beside", "more, % (min to max)"), ("---:", "---:", "---:"))


def values(test: str, load: Load, pairs: Sequence[Pair]) -> list[Values]:
    """For each pair its figures and by how many percent they are more beside people; what is rare, of all together."""
    found: list[dict[str, float | None]] = []
    for alone, beside in pairs:
        one: dict[str, float | None] = {}
        for name, of in FIGURES.items():
            one |= _compared(f"{test}_{load.name}_{name}", of(alone), of(beside))
        one[f"{test}_{load.name}_lost_percent"] = -more_percent(alone.rate(), beside.rate())
        found.append(one)
    together = [sorted(wait for pair in pairs for wait in pair[side].waits_us) for side in (0, 1)]
    for name, share in RARE.items():
        alone_us, beside_us = (quantile(waits, share) for waits in together)
        found[0] |= _compared(f"{test}_{load.name}_{name}", alone_us, beside_us)
    return found


def _compared(key: str, alone: float, beside: float) -> dict[str, float | None]:
    return {f"{key}_alone": alone, f"{key}_beside": beside, f"{key}_percent": more_percent(alone, beside)}


def beside_table(samples: Samples, gateway: str, tests: Mapping[str, str]) -> str:
    """In Markdown: medians of the slices alone and beside people, and of the differences of neighbours."""
    blocks = []
    for test, label in tests.items():
        rows: list[tuple[str, ...]] = []
        for load in LOADS:
            for name, text in LABELS.items():
                key = f"{test}_{load.name}_{name}"
                of = ("alone", "beside", "percent")
                alone, beside, more = (spread(samples.of(gateway, f"{key}_{which}")) for which in of)
                if alone and beside and more:
                    row = alone.middle(), beside.middle(), more.in_full()
                    rows.append((f"{load.label}: {text}", *row))
        for name, text in PEOPLE.items():
            if found := spread(samples.of(gateway, f"{test}_{name}")):
                rows.append((text, "", figure(found.median), ""))
        if rows:
            head = [(label, *HEAD[0]), ("---", *HEAD[1])]
            blocks.append("\n".join(f"| {' | '.join(row)} |" for row in (*head, *rows)))
    return "\n\n".join(blocks)


def loop_seconds(run: Running) -> float:
    """CPU time of the event loops: a process's first thread. https://docs.kernel.org/scheduler/sched-stats.html"""
    total = 0
    for pid in run.pids():
        try:
            total += int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0])
        except OSError:
            continue
    return total / 1e9


class Calls:
    """calls.c while it runs, by the memory that it shares."""

    def __init__(self, shared: Path, process: subprocess.Popen[bytes]) -> None:
        self._shared = shared.open("r+b", buffering=0)
        self.process = process

    def answers(self) -> int:
        return self._read(0)

    def errors(self) -> int:
        return self._read(1)

    def count_in(self, number: int) -> None:
        """The slice that calls which begin from now on belong to; 0: none."""
        self._write(2, number)

    def end(self) -> None:
        self._write(3, 1)
        self.process.wait(END_SECONDS)
        self._shared.close()

    def _read(self, at: int) -> int:
        return int(struct.unpack("Q", os.pread(self._shared.fileno(), 8, 8 * at))[0])

    def _write(self, at: int, value: int) -> None:
        os.pwrite(self._shared.fileno(), struct.pack("Q", value), 8 * at)


@contextmanager
def calling(bench: Bench, run: Running, load: Load) -> Iterator[Calls]:
    """The load, until the block ends; then its samples are in `calls-samples`."""
    route = run.gateway.routes["burst"]
    body, shared = bench.work / "calls.json", bench.work / "calls-shared"
    body.write_bytes(request_body("1k", route.model, stream=False))
    shared.write_bytes(bytes(8 * SHARED_FIELDS))
    headers = "".join(f"{name}: {value}\r\n" for name, value in route.headers.items())
    argv = [compiled("calls.c"), route.port, route.path, load.connections, load.per_second, body, headers, shared]
    with on_core(bench.load_core):
        process = subprocess.Popen([*map(str, argv), str(bench.work / "calls-samples")])
    calls = Calls(shared, process)
    try:
        yield calls
    finally:
        calls.end()


def compare(bench: Bench, run: Running, company: Company, load: Load, shape: Shape) -> list[Pair]:
    """Raises BenchError."""
    counted: list[Slice] = []
    run.settle()
    with calling(bench, run, load) as calls:
        until = time.monotonic() + WARM_LOAD_SECONDS + shape.most_seconds
        time.sleep(WARM_LOAD_SECONDS)
        before = False
        for number, beside in enumerate(order(), 1):
            if number % 2 and _enough(paired(counted), shape, until):
                break
            if beside != before:
                (company.admit if beside else company.pause)()
                before = beside
            time.sleep(LEAD_SECONDS)
            counted.append(_slice(bench, run, calls, number, shape.beside_seconds if beside else ALONE_SECONDS))
        company.pause()
        errors = calls.errors()
    waits = waits_of((bench.work / "calls-samples").read_bytes())
    if errors or not all(one.calls and number in waits for number, one in enumerate(counted, 1)):
        raise BenchError(f"{load.label}: {errors} failed calls, {[one.calls for one in counted]} answers")
    slices = [replace(one, waits_us=waits[number]) for number, one in enumerate(counted, 1)]
    found = calmest(paired(slices), shape.enough)
    bench.disturb(found[-1].others())
    return found


def _enough(pairs: Sequence[Pair], shape: Shape, until: float) -> bool:
    calm = sum(pair.others() <= CALM_CORES for pair in pairs)
    return calm >= shape.enough or (bool(pairs) and time.monotonic() > until)


def _slice(bench: Bench, run: Running, calls: Calls, number: int, seconds: float) -> Slice:
    calls.count_in(number)
    others = Others(bench.mock, calls.process.pid)
    answers, cpu, loop, at = calls.answers(), run.cpu().total, loop_seconds(run), time.monotonic()
    time.sleep(seconds)
    answers, cpu, loop = calls.answers() - answers, run.cpu().total - cpu, loop_seconds(run) - loop
    took = time.monotonic() - at
    calls.count_in(0)
    each = 1e6 / max(1, answers)
    return Slice(answers, took, cpu * each, loop * each, others.cores(cpu))


def measure_beside(bench: Bench, run: Running, company: Company, test: str, shape: Shape, samples: Samples) -> None:
    """All loads. Raises BenchError."""
    company.forget()
    for load in LOADS:
        for number, one in enumerate(values(test, load, compare(bench, run, company, load, shape))):
            samples.add(run.gateway.name, number, one)
    seen = company.seen
    if seen.failures or not seen.waits:
        raise BenchError(f"people: {len(seen.waits)} pages, {seen.failures[:3]}")
    found = {
        "pages": len(seen.waits) / company.admitted_seconds,
        "wait_ms": statistics.median(seen.waits) * 1e3,
        "refused_percent": 100 * seen.refused / (seen.refused + len(seen.waits)),
    }
    samples.add(run.gateway.name, 0, {f"{test}_{name}": value for name, value in found.items()})
