"""The order in which a call's candidates are tried. Pure: no clock, no network."""

from __future__ import annotations

from collections.abc import Mapping

from fairlead.routing.upstream import Upstream


def plan(upstreams: tuple[Upstream, ...], rests: Mapping[str, float], now: float) -> tuple[Upstream, ...]:
    """Candidates in the order to try them: the configured order, those that rest (see `Health`) last,
    the one whose rest ends first before the others. None is left out: a resting one is better than no answer."""
    if not rests or len(upstreams) == 1:
        return upstreams
    return tuple(sorted(upstreams, key=lambda upstream: max(0.0, rests.get(upstream.deployment.id, 0.0) - now)))
