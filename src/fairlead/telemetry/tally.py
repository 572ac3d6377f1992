"""Cells of times that are over, counted without a recorder: for history that was not made in this process."""

from __future__ import annotations

from fairlead.telemetry.layout import (
    FIRST_TOKEN,
    LATENCY,
    OTHER,
    OUTCOME_SLOTS,
    OUTPUT_TOKENS,
    PROMPT_TOKENS,
    SERVED,
    SPEED,
    Counts,
)
from fairlead.telemetry.recorder import LEAST_SECONDS, LEAST_TOKENS


def count(
    cell: Counts, outcome: str, first_seconds: float, total_seconds: float, prompt_tokens: int, output_tokens: int
) -> None:
    """Counts one attempt or call into a cell, as `Series.add` of the recorder does."""
    slots = [(OUTCOME_SLOTS.get(outcome, OTHER), 1), (PROMPT_TOKENS, prompt_tokens), (OUTPUT_TOKENS, output_tokens)]
    if outcome == "served":
        assert slots[0][0] == SERVED
        value = total_seconds * 1000
        slots += [(LATENCY.sum_slot, int(value * 1000)), (LATENCY.slot(value), 1)]
        if first_seconds > 0:
            value = first_seconds * 1000
            slots += [(FIRST_TOKEN.sum_slot, int(value * 1000)), (FIRST_TOKEN.slot(value), 1)]
            seconds = total_seconds - first_seconds
            if output_tokens >= LEAST_TOKENS and seconds >= LEAST_SECONDS:
                speed = output_tokens / seconds
                slots += [(SPEED.sum_slot, int(speed * 1000)), (SPEED.slot(speed), 1)]
    for slot, number in slots:
        if number:
            cell[slot] = cell.get(slot, 0) + number
