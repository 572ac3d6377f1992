"""A call to a local engine begins when the engine is up."""

from __future__ import annotations

import asyncio

from fairlead.errors import EngineStarting, UpstreamError
from fairlead.http.exchange import Exchange
from fairlead.routing.protocols import Call, Gate
from fairlead.routing.upstream import Upstream, send

# How long a call waits for a local engine that is starting, before the next candidate or a 503.
GATE_WAIT_SECONDS = 8.0
GATE_RETRY_SECONDS = 0.05


async def through_gate(upstream: Upstream, gate: Gate, call: Call) -> Exchange:
    """The exchange with a local engine, begun when the engine is up.

    An engine that has just died is not known to be dead yet: what cannot be delivered waits for the next one.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + GATE_WAIT_SECONDS
    cut = False
    while await gate.wait_ready(max(0.0, give_up - loop.time())):
        exchange = send(upstream, call)
        try:
            await exchange.head()
        except UpstreamError as error:
            exchange.cancel()
            # Cut without a byte of answer may be this request's own doing: once more, and no oftener.
            if cut or loop.time() > give_up or not error.policy.again:
                raise
            cut = error.policy.verdict != "unreachable"
            await asyncio.sleep(GATE_RETRY_SECONDS)
        except BaseException:
            exchange.cancel()
            raise
        else:
            return exchange
    raise not_ready(gate)


def not_ready(gate: Gate) -> EngineStarting:
    if gate.gave_up:
        return EngineStarting(
            "The engine of this model crashed too often and is not restarted. The operator must restart Fairlead.",
            retry_after_seconds=60,
        )
    return EngineStarting("The engine of this model is not ready. Try again in a few seconds.", retry_after_seconds=2)
