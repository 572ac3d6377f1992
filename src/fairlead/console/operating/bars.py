"""Bars over time, as SVG with a title for each: calls by hour, spend by day. Pure; the axis begins at zero."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

STEP, WIDTH, HEIGHT = 12, 9, 96


class Step(NamedTuple):
    """`value` as a height, of which `bad` is drawn as failed; `words`: what it says, with its time."""

    value: float
    bad: float
    words: str


def bars(steps: Sequence[Step], summary: str) -> Markup:
    """`summary` stands for the picture where it is not seen."""
    top = max((one.value for one in steps), default=0) or 1
    parts = []
    for at, one in enumerate(steps):
        high, bad = (_height(value, top) for value in (one.value, one.bad))
        x = at * STEP
        parts.append(f"<g><title>{escape(one.words)}</title>")
        parts.append(f'<rect class="hit" x="{x}" y="0" width="{STEP}" height="{HEIGHT}"/>')
        parts.append(f'<rect class="bar" x="{x}" y="{HEIGHT - high}" width="{WIDTH}" height="{high}"/>')
        if bad:
            parts.append(f'<rect class="bad" x="{x}" y="{HEIGHT - bad}" width="{WIDTH}" height="{bad}"/>')
        parts.append("</g>")
    return Markup(  # noqa: S704 - numbers, and escaped words
        f'<svg class="bars" data-read viewBox="0 0 {len(steps) * STEP} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(summary)}">{"".join(parts)}</svg>'
    )


def _height(value: float, top: float) -> float:
    """At least a hairline where there is something."""
    return 0 if not value else max(1.0, round(value / top * HEIGHT, 1)) if math.isfinite(value) else 0
