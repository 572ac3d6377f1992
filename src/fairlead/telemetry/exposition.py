"""What was counted as families of Prometheus's client. Read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from fairlead.money import PICODOLLARS_PER_DOLLAR
from fairlead.telemetry.cells import (
    COST_UNIT,
    SHADOW,
    SHADOW_COST,
    SHADOW_ORIGINAL,
    SHADOW_ORIGINAL_COST,
    TRAFFIC,
    SeriesName,
)
from fairlead.telemetry.layout import (
    BUCKETS,
    FIRST_TOKEN,
    LATENCY,
    OUTCOMES,
    OUTPUT_TOKENS,
    PER_DOUBLING,
    PROMPT_TOKENS,
    SPEED,
    Counts,
    Scale,
)

if TYPE_CHECKING:
    from prometheus_client.core import Metric

# By process, then by series: what each has counted since it began.
Totals = Mapping[str, Mapping[SeriesName, Counts]]

# Name, scale, what one unit of the scale is in the unit of the name, meaning.
_HISTOGRAMS = (
    ("first_token_seconds", FIRST_TOKEN, 0.001, "Time to the first token of answers"),
    ("duration_seconds", LATENCY, 0.001, "Duration of answers"),
    ("output_tokens_per_second", SPEED, 1.0, "Output speed of answers"),
)
_KINDS = (
    ("call", "calls, as callers saw them", ("process", "model")),
    ("attempt", "attempts at deployments", ("process", "model", "deployment")),
)


_SIDES = {
    SHADOW: "mirrored", SHADOW_COST: "mirrored", SHADOW_ORIGINAL: "original", SHADOW_ORIGINAL_COST: "original",
}  # fmt: skip


def families(totals: Totals) -> Iterable[Metric]:
    """Traffic only: counters of outcomes and tokens, histograms with a bucket per doubling."""
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    for kind, what, labels in _KINDS:
        rows = list(_rows(totals, kind))
        counter = CounterMetricFamily(f"fairlead_{kind}s", f"Outcomes of {what}.", labels=(*labels, "outcome"))
        for values, counts in rows:
            for slot, code in enumerate(OUTCOMES):
                if counts.get(slot):
                    counter.add_metric((*values, code), counts[slot])
        yield counter
        for name, scale, unit, meaning in _HISTOGRAMS:
            family = HistogramMetricFamily(f"fairlead_{kind}_{name}", f"{meaning}, of {what}.", labels=labels)
            for values, counts in rows:
                family.add_metric(
                    values, _buckets(counts, scale, unit), sum_value=counts.get(scale.sum_slot, 0) / 1000 * unit
                )
            yield family
    tokens = CounterMetricFamily(
        "fairlead_tokens", "Input and output tokens of calls.", labels=("process", "model", "direction")
    )
    for values, counts in _rows(totals, "call"):
        tokens.add_metric((*values, "input"), counts.get(PROMPT_TOKENS, 0))
        tokens.add_metric((*values, "output"), counts.get(OUTPUT_TOKENS, 0))
    yield tokens
    yield from _mirrored(totals)


def _mirrored(totals: Totals) -> Iterable[Metric]:
    """Calls that were mirrored, and their originals."""
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    labels = ("process", "model", "target", "side")
    calls = CounterMetricFamily(
        "fairlead_shadow_calls", "Outcomes of mirrored calls and of their originals.", labels=(*labels, "outcome")
    )
    tokens = CounterMetricFamily(
        "fairlead_shadow_output_tokens", "Output tokens of mirrored calls and of their originals.", labels=labels
    )
    cost = CounterMetricFamily(
        "fairlead_shadow_cost_usd", "Price of mirrored calls at their target, and of their originals.", labels=labels
    )
    times = HistogramMetricFamily(
        "fairlead_shadow_duration_seconds", "Duration of mirrored answers and of their originals.", labels=labels
    )
    for process, series in totals.items():
        for name, counts in series.items():
            if (side := _SIDES.get(name.kind)) is None:
                continue
            values = (process, name.model, name.deployment, side)
            if name.kind in (SHADOW_COST, SHADOW_ORIGINAL_COST):
                cost.add_metric(values, counts.get(OUTPUT_TOKENS, 0) * COST_UNIT / PICODOLLARS_PER_DOLLAR)
                continue
            tokens.add_metric(values, counts.get(OUTPUT_TOKENS, 0))
            seconds = counts.get(LATENCY.sum_slot, 0) / 1_000_000
            times.add_metric(values, _buckets(counts, LATENCY, 0.001), sum_value=seconds)
            for slot, code in enumerate(OUTCOMES):
                if counts.get(slot):
                    calls.add_metric((*values, code), counts[slot])
    yield from (calls, tokens, cost, times)


def _rows(totals: Totals, kind: str) -> Iterable[tuple[tuple[str, ...], Counts]]:
    for process, series in totals.items():
        for name, counts in series.items():
            if name.kind == TRAFFIC and bool(name.deployment) == (kind == "attempt"):
                yield (process, name.model, name.deployment) if name.deployment else (process, name.model), counts


def _buckets(counts: Counts, scale: Scale, unit: float) -> list[tuple[str, float]]:
    """Cumulative, a bucket per doubling, the last without an end."""
    found: list[tuple[str, float]] = []
    total = 0
    for bucket in range(0, BUCKETS, PER_DOUBLING):
        slots = range(scale.first_slot + bucket, scale.first_slot + bucket + PER_DOUBLING)
        total += sum(counts.get(slot, 0) for slot in slots)
        end = f"{scale.edge(bucket + PER_DOUBLING) * unit:g}" if bucket + PER_DOUBLING < BUCKETS else "+Inf"
        found.append((end, float(total)))
    return found
