"""Where a gateway's CPU goes: perf (by library and symbol) and py-spy (by Python function), whichever is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from gateways import Gateway
from measure import Bench, Running

SHOWN = 40
STREAMS = {"paced": 64, "burst": 16}
CONNECTIONS = {"1k": 32, "100k": 16, "1m": 8}


def load(bench: Bench, run: Running, test: str, secs: int) -> None:
    if test in STREAMS:
        bench.streams(run, test, STREAMS[test], warm=0.5, secs=secs)
    else:
        bench.plain(run, CONNECTIONS[test], test, secs)


def profile(bench: Bench, gateway: Gateway, test: str, folder: Path) -> int:
    """Loads `gateway` with `test` under each profiler found; prints shares, leaves the raw files in `folder`."""
    spy = shutil.which("py-spy") or shutil.which("py-spy", path=str(folder / "tools/bin"))
    perf = shutil.which("perf")
    if not spy and not perf:
        print("profile: needs perf (apt-get install linux-perf) or py-spy (pip install py-spy)", file=sys.stderr)
        return 2
    secs = max(4, bench.secs)
    with bench.running(gateway) as run:
        bench.check(gateway)
        pid = str(run.pids()[-1])
        if perf:
            data = folder / f"{test}.perf.data"
            recorder = subprocess.Popen(
                [perf, "record", "-q", "-e", "cpu-clock", "-F", "999", "-g", "-p", pid, "-o", str(data)],
                stderr=subprocess.DEVNULL,
            )
            load(bench, run, test, secs)
            recorder.terminate()
            recorder.wait(20)
            for sort in ("dso", "dso,symbol"):
                report = [perf, "report", "-i", str(data), "--stdio", "--no-children", "-g", "none", "--sort", sort]
                out = subprocess.run(report, capture_output=True, text=True, check=False).stdout
                lines = [line.rstrip(" -") for line in out.splitlines() if line.strip() and not line.startswith("#")]
                print(f"\nperf, self, by {sort}:\n" + "\n".join(lines[:SHOWN]))
        if spy:
            raw = folder / f"{test}.py-spy.txt"
            argv = [spy, "record", "-p", pid, "-d", str(secs), "-r", "500", "-f", "raw", "-o", str(raw)]
            recorder = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            load(bench, run, test, secs + 1)
            recorder.wait(30)
            print_stacks(raw.read_text())
    return 0


def print_stacks(folded: str) -> None:
    """`folded`: one stack a line, frames joined by ";", then the number of samples."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    total = 0
    for line in folded.splitlines():
        stack, _, number = line.rpartition(" ")
        frames = [re.sub(r":\d+\)$", ")", frame) for frame in stack.split(";")]  # one entry per function, not per line
        count = int(number)
        total += count
        own[frames[-1]] += count
        for frame in set(frames):
            whole[frame] += count
    for title, counter in (("self", own), ("with what it calls", whole)):
        print(f"\npy-spy, {title}:")
        for frame, count in counter.most_common(SHOWN):
            print(f"{100 * count / max(1, total):6.1f} %  {frame}")
