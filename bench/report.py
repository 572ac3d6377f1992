"""What the samples say: medians, ratios round by round, the bars, and the table in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Values = Mapping[str, float | None]

FLOOR = "nginx"
PRODUCT = "fairlead"

# The rows of the table, in order; the tests in rig.py fill them. "cpu_NAME_us" has its parts in "user_NAME_us" and
# "system_NAME_us", which get a row of their own below it.
ROWS: Mapping[str, str] = {
    "cpu_1k_us": "CPU µs/request, 1 KB, c=32",
    "cpu_100k_us": "CPU µs/request, 100 KB, c=16",
    "cpu_1m_us": "CPU µs/request, 1 MB, c=8",
    "cpu_chunk_us": "CPU µs/chunk, paced, 64 streams × 100/s",
    "cpu_vllm_us": "CPU µs/chunk, paced, dialect vllm",
    "cpu_stream_us": "CPU µs/stream of 100 chunks, burst, c=16",
    "rps": "requests/s, 1 KB, c=32, one core",
    "added_p50_us": "added p50 µs, 1 KB, c=1",
    "delay_p50_us": "chunk delay p50 µs, paced",
    "delay_p99_us": "chunk delay p99 µs, paced",
    "pss_mb": "memory MB after the loads (PSS)",
    "rss_mb": "memory MB after the loads (RSS)",
    "streams_open": "slow streams open (1 chunk/s each)",
    "kb_per_stream": "KB per open slow stream (growth of PSS)",
    "cpu_slow_us": "CPU µs/chunk, slow streams",
    "startup_ms": "start to first answer, ms",
}


WITHOUT_RATIO = ("streams_open",)
LEAST_FOR_QUARTILES = 8


@dataclass(frozen=True, slots=True)
class Bar:
    """A promise: the median of `key` is at most `limit`, as a ratio to nginx or as a value of its own."""

    test: str
    key: str
    label: str
    limit: float
    unit: str  # "x nginx": a ratio; anything else: a value


RATIO = "x nginx"
PERCENT = "%"
BARS: tuple[Bar, ...] = (
    Bar("1k", "cpu_1k_us", "CPU per request, 1 KB", 2.0, RATIO),
    Bar("100k", "cpu_100k_us", "CPU per request, 100 KB", 2.2, RATIO),
    Bar("1m", "cpu_1m_us", "CPU per request, 1 MB", 2.5, RATIO),
    Bar("paced", "cpu_chunk_us", "CPU per paced chunk", 1.5, RATIO),
    Bar("streams", "kb_per_stream", "memory per open slow stream", 12.0, "KB"),
    Bar("startup", "startup_ms", "start to first answer", 1000.0, "ms"),
    Bar("site", "site_full_lost_percent", "throughput lost to 50 visitors", 10.0, PERCENT),
    # What people cost callers. The CPU of the process has that of the pages in it, which is theirs.
    Bar("console", "console_full_loop_percent", "CPU of the event loop beside 20 people, more by", 5.0, PERCENT),
    Bar("console", "console_full_lost_percent", "throughput lost to 20 people on the console", 5.0, PERCENT),
    Bar("console", "console_lone_p50_percent", "p50 of a lone caller beside them, longer by", 5.0, PERCENT),
    Bar("memory", "rss_mb", "gateway process after the loads", 70.0, "MB"),
)


@dataclass(frozen=True, slots=True)
class Spread:
    median: float
    least: float
    most: float
    count: int
    lower: float
    upper: float

    def __str__(self) -> str:
        return f"{figure(self.median)} ({figure(self.least)}–{figure(self.most)})"

    def in_full(self) -> str:
        """With quartiles, where there are enough values for them."""
        if self.count < LEAST_FOR_QUARTILES:
            return str(self) if self.count > 1 else figure(self.median)
        return f"{self.middle()} ({figure(self.least)} to {figure(self.most)})"

    def middle(self) -> str:
        """Median and quartiles."""
        if self.count == 1:
            return figure(self.median)
        return f"{figure(self.median)} [{figure(self.lower)} to {figure(self.upper)}]"


@dataclass(frozen=True, slots=True)
class Verdict:
    bar: Bar
    seen: Spread | None

    @property
    def kept(self) -> bool:
        return self.seen is not None and self.seen.median <= self.bar.limit

    def __str__(self) -> str:
        word = "PASS" if self.kept else "FAIL"
        in_pairs = self.seen is not None and self.bar.unit == PERCENT
        seen = (
            "not measured" if self.seen is None else f"{self.seen.in_full() if in_pairs else self.seen} {self.bar.unit}"
        )
        return f"{word}  {self.bar.label}: {seen}, bar {figure(self.bar.limit)}"


@dataclass(slots=True)
class Samples:
    """Each list has one entry a round, None where there is no figure."""

    columns: dict[str, dict[str, list[float | None]]] = field(default_factory=dict)

    def add(self, gateway: str, number: int, values: Values) -> None:
        for key, value in values.items():
            column = self.columns.setdefault(gateway, {}).setdefault(key, [])
            column += [None] * (number - len(column))
            column.append(value)

    def of(self, gateway: str, key: str) -> list[float | None]:
        return self.columns.get(gateway, {}).get(key, [])

    def ratios(self, gateway: str, base: str, key: str) -> list[float | None]:
        """Round by round: neighbours in time share the noise of the machine, medians of a session do not."""
        pairs = zip(self.of(gateway, key), self.of(base, key), strict=False)
        return [ours / theirs if ours is not None and theirs else None for ours, theirs in pairs]


def spread(values: Sequence[float | None]) -> Spread | None:
    seen = [value for value in values if value is not None]
    if not seen:
        return None
    lower, _, upper = statistics.quantiles(seen, n=4, method="inclusive") if len(seen) > 1 else seen * 3
    return Spread(statistics.median(seen), min(seen), max(seen), len(seen), lower, upper)


def figure(value: float) -> str:
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def verdicts(samples: Samples, tests: Sequence[str]) -> list[Verdict]:
    """One verdict for each bar whose test was asked for. What could not be measured is not kept."""
    found = []
    for bar in BARS:
        if bar.test in tests:
            values = samples.ratios(PRODUCT, FLOOR, bar.key) if bar.unit == RATIO else samples.of(PRODUCT, bar.key)
            found.append(Verdict(bar, spread(values)))
    return found


def part_key(key: str, part: str) -> str:
    return f"{part}_{key.removeprefix('cpu_')}"


def parts(samples: Samples, name: str, key: str) -> str:
    found = [spread(samples.of(name, part_key(key, part))) for part in ("user", "system")]
    return " + ".join(figure(part.median) for part in found if part)


def table(samples: Samples, names: Sequence[str]) -> str:
    """The figures in Markdown: median (min–max) of each gateway, then of the ratios round by round."""
    pairs = [(name, FLOOR) for name in names if name != FLOOR and FLOOR in names]
    pairs += [(name, PRODUCT) for name in names if name not in (FLOOR, PRODUCT) and PRODUCT in names]
    rows = [["median (min–max)", *names, *(f"{one} / {other}" for one, other in pairs)]]
    rows.append(["---", *("---:" for _ in rows[0][1:])])
    for key, label in ROWS.items():
        cells = [samples.of(name, key) for name in names]
        if any(map(spread, cells)):
            cells += [[] if key in WITHOUT_RATIO else samples.ratios(one, other, key) for one, other in pairs]
            rows.append([label, *(str(spread(cell) or "-") for cell in cells)])
        if any(samples.of(name, part_key(key, "user")) for name in names):
            rows.append(["… of it user + system", *(parts(samples, name, key) for name in names), *("" for _ in pairs)])
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in padded)
