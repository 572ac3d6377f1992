"""Calls that were mirrored elsewhere (`[shadow]`), beside their originals."""

from __future__ import annotations

from typing import Any

from fairlead.money import Picodollars
from fairlead.store import Store
from fairlead.telemetry.figures import Figures, Mirrored
from fairlead.telemetry.reader import WINDOWS, Reader

__all__ = ["WINDOWS", "mirrored_entry", "shadow_report"]


def shadow_report(store: Store, window: str) -> tuple[Mirrored, ...]:
    """Each model and target with mirrored calls within the last time, a name of WINDOWS."""
    return Reader(store).mirrored(window)


def mirrored_entry(one: Mirrored) -> dict[str, Any]:
    """As JSON documents show it. Durations in milliseconds, None where there are too few; amounts in dollars."""
    return {
        "model": one.model,
        "target": one.target,
        "original": _side(one.original, one.original_cost),
        "mirrored": _side(one.mirrored, one.mirrored_cost),
    }


def _side(found: Figures, picodollars: int) -> dict[str, Any]:
    return {
        "calls": found.calls,
        "served": found.ok,
        "outcomes": found.outcomes,
        "latency_ms_p50": found.latency.p50,
        "latency_ms_p95": found.latency.p95,
        "first_token_ms_p50": found.first_token.p50,
        "output_tokens": found.output_tokens,
        "cost_usd": Picodollars(picodollars).dollars(),
    }
