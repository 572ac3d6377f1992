"""Compares Fairlead with nginx, the floor of what a proxy costs, on one machine and in interleaved rounds.

The gateway under load runs on one core; the mock upstream and the load run on another. bench/README.md says how to
read the figures. The exit status is 1 when a bar is missed (unless --no-bars), 2 when nothing could be measured.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

import console
from beside import Shape, beside_table, measure_beside
from doors import door_table, door_verdicts, measure_doors
from fairlead.console.app import COOKIE
from fairlead.store import open_store
from gateways import GATEWAYS, HERE, Gateway, NotInstalledError, Site, fairlead_to_vendors, fairlead_with_data
from measure import EVENTS_PER_STREAM, Bench, BenchError, Running, mock_upstream, raise_open_files
from profiling import profile
from report import FLOOR, PRODUCT, Samples, Values, table, verdicts
from visitors import people, visitors

PACED_STREAMS = 64
BURST_STREAMS = 16
STREAM_ROUNDS = 3
OPENED_PER_10MS = 20
VISITORS = 50
PEOPLE = 20
CALM_PAIRS_PER_ROUND = 2
# Seconds of a slice with people, and of a load at most. The console saves up time while nobody looks at it, so its
# slice is much longer than one without.
VISITED_SECONDS = (0.75, 18.0)
CONSOLE_SECONDS = (3.0, 45.0)
MILLION = HERE / "build" / "million"
CONSOLE_PAGES = (
    "/account", "/account/activity", "/account/activity?time=24h", "/account/activity?time=30d", "/account/keys",
    "/account/calls/{call}", "/account/credit", "/admin",
)  # fmt: skip
SLOW_START_SECONDS = 3.0  # what starts slower than this is started twice only
FEW_STREAMS = 100  # for gateways that cannot hold thousands
FILES_PER_STREAM = 2  # the gateway's: the caller's socket and the upstream's
DOCS_BEGIN, DOCS_END = "<!-- figures: begin -->", "<!-- figures: end -->"


def cpu_rows(seen: Mapping[str, float], name: str, scale: float = 1.0) -> dict[str, float | None]:
    return {f"{part}_{name}_us": seen[f"{part}_us"] * scale for part in ("cpu", "user", "system")}


def latency(bench: Bench, run: Running, direct: Running) -> Values:
    floor = bench.plain(direct, 1, "1k", bench.secs)["p50_us"]
    return {"added_p50_us": bench.plain(run, 1, "1k", bench.secs)["p50_us"] - floor}


def small(bench: Bench, run: Running, _direct: Running) -> Values:
    seen = bench.calmest(lambda: bench.plain(run, 32, "1k", bench.secs))
    return cpu_rows(seen, "1k") | {"rps": seen["rps"]}


def medium(bench: Bench, run: Running, _direct: Running) -> Values:
    return cpu_rows(bench.calmest(lambda: bench.plain(run, 16, "100k", bench.secs)), "100k")


def large(bench: Bench, run: Running, _direct: Running) -> Values:
    return cpu_rows(bench.calmest(lambda: bench.plain(run, 8, "1m", bench.secs)), "1m")


def paced(bench: Bench, run: Running, _direct: Running) -> Values:
    def through(pace: str) -> dict[str, float]:
        return bench.calmest(lambda: bench.streams(run, pace, PACED_STREAMS, warm=0.6, secs=bench.secs + 0.3))

    seen = through("paced")
    values = cpu_rows(seen, "chunk") | {"delay_p50_us": seen["delay_p50_us"], "delay_p99_us": seen["delay_p99_us"]}
    return values | cpu_rows(through("paced-vllm"), "vllm") if "paced-vllm" in run.gateway.routes else values


def burst(bench: Bench, run: Running, _direct: Running) -> Values:
    seen = bench.calmest(lambda: bench.streams(run, "burst", BURST_STREAMS, warm=0.4, secs=bench.secs + 0.3))
    return cpu_rows(seen, "stream", EVENTS_PER_STREAM)


def memory(_bench: Bench, run: Running, _direct: Running) -> Values:
    return {"pss_mb": run.memory_kb("Pss") / 1024, "rss_mb": run.memory_kb("Rss") / 1024}


def shape(seconds: tuple[float, float], rounds: int) -> Shape:
    return Shape(seconds[0], CALM_PAIRS_PER_ROUND * rounds, seconds[1])


def measure_site(bench: Bench, site: Site, rounds: int, samples: Samples) -> None:
    """Calls alone, and while visitors look at the public pages."""
    with bench.running(GATEWAYS[PRODUCT](site)) as run, visitors(run.gateway.routes["burst"].port, VISITORS) as company:
        bench.plain(run, 16, "1k", 1)
        company.warm_up()
        measure_beside(bench, run, company, "site", shape(VISITED_SECONDS, rounds), samples)


def measure_console(bench: Bench, site: Site, rounds: int, samples: Samples) -> None:
    """The same for people who have signed in, on a copy of a database with a million calls, which is made when it is
    not there."""
    if not (MILLION / "fairlead.db").exists():
        print(f"making a database with a million calls in {MILLION} (some minutes) ...", file=sys.stderr)
        subprocess.run([sys.executable, HERE / "console.py", "make", MILLION], check=True)
    data = site.work / "million"
    data.mkdir()
    for file in MILLION.glob("fairlead.db*"):
        shutil.copy(file, data)
    gateway = fairlead_with_data(site, data)
    store = open_store(data)
    words, token = console.session(store)
    console.configure(store, (site.work / f"{data.name}.toml").read_text())
    store.close()
    pages = [one.format(**words) for one in CONSOLE_PAGES]
    with bench.running(gateway) as run:
        bench.plain(run, 16, "1k", 1)
        with people(gateway.routes["burst"].port, PEOPLE, f"{COOKIE}={token}", pages) as company:
            company.warm_up()
            measure_beside(bench, run, company, "console", shape(CONSOLE_SECONDS, rounds), samples)


Test = Callable[[Bench, Running, Running], Values]
# Tests of gateways that stay up, in the order of a round; memory comes last, after the largest bodies.
LOADS: Mapping[str, Test] = {
    "latency": latency,
    "1k": small,
    "paced": paced,
    "burst": burst,
    "100k": medium,
    "1m": large,
    "memory": memory,
}
# Calls alone and beside people, in pairs of slices of time.
WITH_SITE: Mapping[str, tuple[str, Callable[[Bench, Site, int, Samples], None]]] = {
    "site": (f"{VISITORS} visitors of the pages", measure_site),
    "console": (f"{PEOPLE} people who use the console on a million calls", measure_console),
}
# Besides tests that start each gateway afresh: "streams" and "startup".
TESTS = (*LOADS, *WITH_SITE, "streams", "startup")


def turns(gateways: Sequence[Gateway], number: int) -> Sequence[Gateway]:
    """Every second round runs in the opposite order, so that no gateway always follows the same neighbour."""
    return gateways if number % 2 == 0 else gateways[::-1]


@contextmanager
def tried(bench: Bench, what: str) -> Iterator[None]:
    """A measurement that fails leaves a gap and a line, and the others go on."""
    try:
        yield
    except BenchError as error:
        bench.problems.append(f"{what}: {error}")


def measure_loads(
    bench: Bench, gateways: Sequence[Gateway], direct: Gateway, rounds: int, tests: Sequence[str], samples: Samples
) -> None:
    """All gateways stay up; each test runs on one after the other, so that a pair is seconds apart."""
    if not tests:
        return
    with ExitStack() as stack:
        runs: dict[str, Running] = {}
        for gateway in gateways:
            with tried(bench, gateway.name):
                run = stack.enter_context(bench.running(gateway))
                bench.check(gateway)
                bench.plain(run, 16, "1k", 1)
                runs[gateway.name] = run
        floor = Running(direct, None)
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            for test in tests:
                for gateway in turns(gateways, number):
                    if gateway.name in runs:
                        with tried(bench, f"round {number + 1}"):
                            samples.add(gateway.name, number, LOADS[test](bench, runs[gateway.name], floor))


def measure_streams(bench: Bench, gateways: Sequence[Gateway], rounds: int, wanted: int, samples: Samples) -> None:
    """Each stream sends one event a second; opened at 2,000 a second on a fresh process, then counted."""
    for number in range(min(rounds, STREAM_ROUNDS)):
        print(f"streams, round {number + 1}", file=sys.stderr)
        for gateway in turns(gateways, number):
            count = wanted if gateway.name in (FLOOR, PRODUCT) else min(wanted, FEW_STREAMS)
            with tried(bench, f"streams, round {number + 1}"), bench.running(gateway) as run:
                opened_in = count / (100 * OPENED_PER_10MS) + 4
                seen = bench.streams(
                    run, "slow", count, warm=opened_in, secs=max(4, bench.secs), open_per_10ms=OPENED_PER_10MS
                )
                if seen["flowing"] < count:
                    raise BenchError(f"{gateway.name}: only {seen['flowing']:.0f} of {count} streams were open")
                values = {"streams_open": seen["flowing"], "kb_per_stream": seen["kb_per_stream"]}
                samples.add(gateway.name, number, values | cpu_rows(seen, "slow"))


def measure_startup(bench: Bench, gateways: Sequence[Gateway], rounds: int, samples: Samples) -> None:
    """From the spawn to the first 200 of a real call. The first start, which warms the disk cache, is not counted."""
    slow: set[str] = set()
    for number in range(-1, rounds):
        for gateway in turns(gateways, number):
            if gateway.name in slow and number > 0:
                continue
            with tried(bench, "startup"), bench.running(gateway) as run:
                if run.startup_seconds > SLOW_START_SECONDS:
                    slow.add(gateway.name)
                if number >= 0:
                    samples.add(gateway.name, number, {"startup_ms": run.startup_seconds * 1e3})


def machine() -> str:
    """One line that says where the figures come from."""
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    version = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=False).stderr if nginx else ""
    parts = [
        dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        f"{os.cpu_count()} × {found[1] if found else platform.machine()}",
        f"Linux {platform.release().split('-')[0]}",
        f"Python {platform.python_version()}",
        version.strip().removeprefix("nginx version: "),
        f"load average at start {os.getloadavg()[0]:.1f}",
    ]
    return ", ".join(part for part in parts if part)


def write_docs(page: Path, text: str) -> None:
    """Replaces what stands between the two markers of `page`."""
    before, begin, rest = page.read_text().partition(DOCS_BEGIN)
    _, end, after = rest.partition(DOCS_END)
    if not begin or not end:
        raise SystemExit(f"{page}: no {DOCS_BEGIN} ... {DOCS_END}")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def tests_named(text: str) -> list[str]:
    names = text.split(",")
    wrong = [name for name in names if name not in TESTS]
    if wrong:
        raise argparse.ArgumentTypeError(f"no test {wrong[0]!r}; choose from {','.join(TESTS)}")
    return [name for name in TESTS if name in names]


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--secs", type=int, default=2, help="length of each load (default 2; LiteLLM wants 8)")
    parser.add_argument(
        "--only",
        type=tests_named,
        default=[name for name in TESTS if name not in WITH_SITE],
        metavar="TEST,...",
        help=",".join(TESTS),
    )
    parser.add_argument("--streams", type=int, default=5000, help="slow streams to hold open (default 5000)")
    parser.add_argument("--with-litellm", action="store_true", help="also LiteLLM, installed under bench/build")
    parser.add_argument("--with-portkey", action="store_true", help="also Portkey, installed under bench/build")
    parser.add_argument(
        "--with-site",
        action="store_true",
        help="also calls beside visitors of the pages and of the console",
    )
    parser.add_argument(
        "--doors", action="store_true", help="instead: each API of callers to providers of each dialect"
    )
    parser.add_argument("--no-bars", action="store_true", help="only measure")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample to FILE")
    parser.add_argument(
        "--docs", type=Path, metavar="PAGE", help="write the table into PAGE (docs/internals/performance.md)"
    )
    parser.add_argument("--cores", default=None, help="core of the gateway, core of mock and load (default: first two)")
    parser.add_argument("--profile", choices=("1k", "100k", "1m", "paced", "burst"), help="where Fairlead's CPU goes")
    args = parser.parse_args(argv)
    if args.with_site:
        args.only += [name for name in WITH_SITE if name not in args.only]
    return args


def chosen_cores(asked: str | None) -> tuple[int, int]:
    cores = [int(core) for core in asked.split(",")] if asked else sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("one core only: gateway, mock and load share it, and the figures say little", file=sys.stderr)
    return cores[0], cores[1] if len(cores) > 1 else cores[0]


def measure(
    bench: Bench, gateways: Sequence[Gateway], direct: Gateway, site: Site, args: argparse.Namespace
) -> Samples:
    samples = Samples()
    measure_loads(bench, gateways, direct, args.rounds, [name for name in args.only if name in LOADS], samples)
    if "streams" in args.only:
        wanted = FILES_PER_STREAM * args.streams + 500
        limit = raise_open_files(wanted)
        if limit < wanted:
            bench.problems.append(f"streams: need an open-file limit of {wanted}, it is {limit} (ulimit -Hn)")
        else:
            measure_streams(bench, gateways, args.rounds, args.streams, samples)
    for name, (label, measured) in WITH_SITE.items():
        if name in args.only:
            print(f"calls beside {label}", file=sys.stderr)
            with tried(bench, name):
                measured(bench, site, args.rounds, samples)
    if "startup" in args.only:
        measure_startup(bench, gateways, args.rounds, samples)
    return samples


def finish(bench: Bench, samples: Samples, names: Sequence[str], where: str, args: argparse.Namespace) -> int:
    found = [] if args.no_bars else verdicts(samples, args.only)
    beside = beside_table(samples, PRODUCT, {name: label for name, (label, _) in WITH_SITE.items()})
    figures = "\n\n".join(part for part in (table(samples, names), beside) if part)
    lines = [str(verdict) for verdict in found]
    print(f"{where}; {args.rounds} rounds of {args.secs} s\n\n{figures}\n\n" + "\n".join(lines))
    if bench.disturbed:
        most = max(bench.disturbed)
        bench.problems.append(
            f"other work disturbed {len(bench.disturbed)} measurements, with up to {most:.1f} cores: run it again alone"
        )
    problems = list(dict.fromkeys(bench.problems))
    for problem in problems:
        print(f"! {problem}", file=sys.stderr)
    if args.docs:
        bars = "\n".join(["```", *lines, "```"]) if lines else ""
        write_docs(args.docs, f"{where}; {args.rounds} rounds of {args.secs} s.\n\n{figures}\n\n{bars}".rstrip())
    if args.json:
        bars_seen = [{**asdict(verdict), "kept": verdict.kept} for verdict in found]
        document: dict[str, object] = {
            "machine": where,
            "rounds": args.rounds,
            "secs": args.secs,
            "samples": samples.columns,
        }
        document |= {"bars": bars_seen, "problems": problems}
        args.json.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    if not samples.columns:
        return 2
    return 0 if all(verdict.kept for verdict in found) else 1


def doors(bench: Bench, gateway: Gateway, where: str, args: argparse.Namespace) -> int:
    samples = Samples()
    measure_doors(bench, gateway, args.rounds, samples)
    found = [] if args.no_bars else door_verdicts(samples, gateway.routes)
    print(f"{where}; {args.rounds} rounds of {args.secs} s\n\n{door_table(samples, gateway.routes)}\n")
    print("\n".join(map(str, found)))
    for problem in dict.fromkeys(bench.problems):
        print(f"! {problem}", file=sys.stderr)
    return 0 if all(verdict.kept for verdict in found) else 1


def main(argv: Sequence[str] | None = None) -> int:
    args = arguments(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what we started is ended too
    gateway_core, load_core = chosen_cores(args.cores)
    names = [FLOOR, PRODUCT, *(["litellm"] if args.with_litellm else []), *(["portkey"] if args.with_portkey else [])]
    where = machine()
    raise_open_files(FILES_PER_STREAM * args.streams + 500)  # before the mock starts: it inherits the limit
    with tempfile.TemporaryDirectory(prefix="fairlead-bench-") as folder:
        work = Path(folder)
        work.chmod(0o755)  # nginx's worker is another user
        with mock_upstream(load_core, work) as mock:
            site = Site(work, mock.upstream)
            bench = Bench(work, mock, gateway_core, load_core, args.secs)
            try:
                if args.doors:
                    return doors(bench, fairlead_to_vendors(site), where, args)
                if args.profile:
                    return profile(bench, GATEWAYS[PRODUCT](site), args.profile, HERE / "build")
                gateways = [GATEWAYS[name](site) for name in names]
            except (NotInstalledError, BenchError) as error:
                print(error, file=sys.stderr)
                return 2
            os.sched_setaffinity(0, {load_core})
            samples = measure(bench, gateways, GATEWAYS["direct"](site), site, args)
            return finish(bench, samples, names, where, args)


if __name__ == "__main__":
    sys.exit(main())
