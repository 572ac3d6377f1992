"""What is said about a series: plain values, made of cells. `None` with a reason where there is too little to say."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from fairlead.telemetry.layout import (
    CALLER_FAULTS,
    CALLER_GONE,
    DEPLOYMENT_FAULTS,
    FAULTS,
    FIRST_TOKEN,
    LATENCY,
    MINUTES_SEEN,
    MINUTES_UP,
    MOST_OUTCOMES,
    OK,
    OUTCOMES,
    OUTPUT_TOKENS,
    PROMPT_TOKENS,
    SPEED,
    Counts,
    Scale,
    filled,
    quantiles,
    sum_of,
)

# Fewer samples say nothing about the middle, and a 95th percentile of fewer is only their maximum.
LEAST_FOR_MEDIAN = 5
LEAST_FOR_P95 = 20
LEAST_FOR_RATE = 5


class Measure(Struct, frozen=True):
    """Of a duration (ms) or a speed (tokens/s). `p95`: 95 % of the samples are below; for a speed `p5` is the slow end.
    `reason` says why a figure is None. `p75`, `p90` and `p99` come with `p50`; that of few samples is about their
    maximum."""

    unit: str
    samples: int
    p50: float | None = None
    p95: float | None = None
    p5: float | None = None
    mean: float | None = None
    reason: str | None = None
    p75: float | None = None
    p90: float | None = None
    p99: float | None = None


class Band(Struct, frozen=True):
    """A measure at one step of a chart: the median and what lies around it, in the unit of the whole measure."""

    samples: int
    p50: float | None = None
    p95: float | None = None
    p5: float | None = None


class Rate(Struct, frozen=True):
    """A share from 0 to 1 of `of`."""

    value: float | None
    of: int
    reason: str | None = None


class Figures(Struct, frozen=True):
    """`success`: of the calls that tell something (`ok` and `faults`). `uptime`: of the minutes that had such calls.
    `caller_faults`, `caller_gone` and `ours` tell nothing about a deployment. `outcomes`: numbers by code."""

    calls: int
    ok: int
    faults: int
    caller_faults: int
    caller_gone: int
    ours: int
    success: Rate
    uptime: Rate
    first_token: Measure
    speed: Measure
    latency: Measure
    prompt_tokens: int
    output_tokens: int
    outcomes: dict[str, int]


class Point(Struct, frozen=True):
    """One step of a chart; `at`: seconds since 1970, where it begins. A step without calls is left in, with zeros."""

    at: int
    calls: int
    ok: int
    faults: int
    first_token: Band
    speed: Band
    latency: Band


class Served(Struct, frozen=True):
    """The figures of a model (`deployment` "") or of one of its deployments, and their course."""

    deployment: str
    traffic: Figures
    probes: Figures
    series: tuple[Point, ...]


class Mirrored(Struct, frozen=True):
    """Calls of a model that were mirrored to `target`, and their originals. Costs in picodollars: what a caller would
    pay there, and what the callers were charged."""

    model: str
    target: str
    mirrored: Figures
    original: Figures
    mirrored_cost: int
    original_cost: int


class Performance(Struct, frozen=True):
    """`start` to `end` in seconds since 1970, `step_seconds` between the points of each series."""

    model: str
    window: str
    start: int
    end: int
    step_seconds: int
    at: int
    total: Served
    deployments: tuple[Served, ...]


class DayBar(Struct, frozen=True):
    """One day (UTC) of a status page; `date` like 2026-01-31. `uptime.value` None: no data is no data."""

    date: str
    calls: int
    success: Rate
    uptime: Rate


class ModelShare(Struct, frozen=True):
    """How many of a model's recent calls were served."""

    model: str
    served: Rate


class ModelDay(Struct, frozen=True):
    """The tokens of a model on one day (UTC), by everybody's calls."""

    model: str
    date: str
    calls: int
    prompt_tokens: int
    output_tokens: int


def figures(counts: Counts, deployment: bool) -> Figures:
    faulty = DEPLOYMENT_FAULTS if deployment else FAULTS
    ok, faults = sum_of(counts, OK), sum_of(counts, faulty)
    return Figures(
        calls=sum_of(counts, range(MOST_OUTCOMES)),
        ok=ok,
        faults=faults,
        caller_faults=sum_of(counts, CALLER_FAULTS),
        caller_gone=counts.get(CALLER_GONE, 0),
        ours=sum_of(counts, FAULTS - faulty),
        success=success(ok, faults),
        uptime=uptime(counts),
        first_token=measure(counts, FIRST_TOKEN),
        speed=measure(counts, SPEED),
        latency=measure(counts, LATENCY),
        prompt_tokens=counts.get(PROMPT_TOKENS, 0),
        output_tokens=counts.get(OUTPUT_TOKENS, 0),
        outcomes={code: counts[slot] for slot, code in enumerate(OUTCOMES) if counts.get(slot)},
    )


def point(at: int, counts: Counts, deployment: bool) -> Point:
    return Point(
        at,
        sum_of(counts, range(MOST_OUTCOMES)),
        sum_of(counts, OK),
        sum_of(counts, DEPLOYMENT_FAULTS if deployment else FAULTS),
        band(counts, FIRST_TOKEN),
        band(counts, SPEED),
        band(counts, LATENCY),
    )


def measure(counts: Mapping[int, int], scale: Scale) -> Measure:
    shown = band(counts, scale)
    if shown.p50 is None:
        return Measure(scale.unit, shown.samples, reason=_too_few(shown.samples, LEAST_FOR_MEDIAN))
    mean = round(counts.get(scale.sum_slot, 0) / 1000 / shown.samples, 3)
    reason = _too_few(shown.samples, LEAST_FOR_P95) if shown.p95 is None else None
    upper = (round(value, 3) for value in quantiles(filled(counts, scale), scale, (0.75, 0.9, 0.99)))
    return Measure(scale.unit, shown.samples, shown.p50, shown.p95, shown.p5, mean, reason, *upper)


def band(counts: Mapping[int, int], scale: Scale) -> Band:
    buckets = filled(counts, scale)
    number = sum(count for _, count in buckets)
    if number < LEAST_FOR_MEDIAN:
        return Band(number)
    p5, p50, p95 = (round(value, 3) for value in quantiles(buckets, scale, (0.05, 0.5, 0.95)))
    return Band(number, p50) if number < LEAST_FOR_P95 else Band(number, p50, p95, p5)


def success(ok: int, faults: int) -> Rate:
    number = ok + faults
    if number < LEAST_FOR_RATE:
        return Rate(None, number, _too_few(number, LEAST_FOR_RATE))
    return Rate(round(ok / number, 6), number)


def uptime(counts: Counts) -> Rate:
    seen = counts.get(MINUTES_SEEN, 0)
    if not seen:
        return Rate(None, 0, "no traffic: nothing is known")
    return Rate(round(counts.get(MINUTES_UP, 0) / seen, 6), seen)


def _too_few(number: int, least: int) -> str:
    return f"not enough data: {number} of {least} samples"
