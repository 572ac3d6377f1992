"""A deployment with a limit of its own gets no call without a cap: what its provider would do is not left to chance."""

from __future__ import annotations

from fairlead.routing.ceiling import LEAST_OUTPUT_TOKENS
from fairlead.routing.counting import SPARE_TOKENS
from fairlead.routing.demand import Demand
from fairlead.routing.upstream import Upstream


def cap_there(demand: Demand, cap: int, upstream: Upstream, prompt_tokens: int) -> int:
    """The cap of an answer from this deployment: the call's own (`cap`, 0: none) where its limit (`upstream.output`)
    allows it. A caller's cap above it has been refused by the plan, so that only one that was set for another
    deployment is made smaller here.

    Without a cap the answer gets what the prompt leaves of the context: an engine refuses a cap that does not fit.
    """
    most = upstream.output
    if most is None or (cap and cap <= most):
        return cap
    if not cap and upstream.context is not None and not demand.media:
        room = upstream.context - prompt_tokens - SPARE_TOKENS - prompt_tokens // 32
        most = min(most, max(LEAST_OUTPUT_TOKENS, room))
    return most
