"""One small call of a deployment, past routing: does it answer, how fast, and what does it count?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from functools import partial
from typing import Any, Final, NamedTuple

from fairlead.errors import FairleadError, UpstreamInvalid, UpstreamTimeout
from fairlead.http.eager import run
from fairlead.providers.scrub import without_host
from fairlead.routing.gates import not_ready
from fairlead.routing.probes import MARK, Books, note_cost
from fairlead.routing.protocols import Answer
from fairlead.routing.upstream import Upstream, hide_keys, is_stream, send
from fairlead.wire.usage import Usage

# A first token of a large model that is loaded for this call takes its time.
TRIAL_SECONDS: Final = 30.0
LONGEST_ERROR: Final = 500


class Trial(NamedTuple):
    """`outcome`: "served", or the code of an error, which `message` describes without keys and private addresses;
    `status`: what the provider answered, None where it did not; times in seconds; `usage`: what it reported."""

    deployment: str
    outcome: str
    message: str
    status: int | None
    seconds: float
    first_token_seconds: float | None = None
    usage: Usage | None = None

    @property
    def works(self) -> bool:
        return self.outcome == "served"


class _Asking:
    def __init__(self) -> None:
        self.status: int | None = None
        self.first_token: float | None = None
        self.usage: Usage | None = None


async def try_out(upstream: Upstream, books: Books | None = None, seconds: float = TRIAL_SECONDS) -> Trial:
    """Asks for one word, by the adapter and the connections of its calls. Raises nothing for what a provider does.
    `books`: where its cost is noted, as that of a probe."""
    asking, began = _Asking(), time.perf_counter()
    failure = await ended(_ask(upstream, books, asking, began), seconds)
    taken = time.perf_counter() - began
    name = upstream.deployment.id
    if failure is None:
        return Trial(name, "served", "", asking.status, taken, asking.first_token, asking.usage)
    if not isinstance(failure, FairleadError):
        failure = UpstreamInvalid("The answer cannot be understood.")
    if upstream.pool.address.host:
        failure.message = without_host(failure.message, upstream.pool.address.host)
    hide_keys(upstream, failure)
    return Trial(name, type(failure).code, failure.message[:LONGEST_ERROR], asking.status, taken, asking.first_token)


async def ended(coroutine: Coroutine[Any, Any, None], seconds: float) -> BaseException | None:
    """Runs what waits for an exchange (`http.eager`) from a task; gives the error that it ended with."""
    loop = asyncio.get_running_loop()
    end: asyncio.Future[BaseException | None] = loop.create_future()
    running = run(coroutine, partial(_end, end))
    late = UpstreamTimeout(f"The provider did not answer within {seconds:g} s.")
    timer = loop.call_later(seconds, running.interrupt, late)
    try:
        return await end
    finally:
        timer.cancel()
        running.interrupt(late)  # nothing where it has ended


def _end(ended: asyncio.Future[BaseException | None], failure: BaseException | None) -> None:
    if not ended.done():
        ended.set_result(failure)


async def _ask(upstream: Upstream, books: Books | None, asking: _Asking, began: float) -> None:
    if upstream.gate is not None and not upstream.gate.is_ready:
        raise not_ready(upstream.gate)
    payload = upstream.operation.probe(upstream.model_id)
    adapter = upstream.adapters.get(payload.api)
    if adapter is None:
        raise UpstreamInvalid("Nothing here calls what its model is for, so it cannot be tested.")
    call = adapter.to_vendor(payload)
    exchange = send(upstream, call, MARK)
    try:
        asking.status = await exchange.head()
        if asking.status != 200:
            raise adapter.error(asking.status, exchange.headers, await exchange.read())
        answer: Answer
        if call.stream and is_stream(adapter, exchange):
            assembler = adapter.assembler(call)

            def feed(data: bytes) -> None:
                if asking.first_token is None:
                    asking.first_token = time.perf_counter() - began
                assembler.feed(data)

            await exchange.relay(feed)
            assembler.finish()
            answer = assembler
        else:
            answer = adapter.plain(call, await exchange.read())
        asking.usage = answer.usage
        if books is not None and upstream.costs:
            await note_cost(upstream, upstream.operation.kept(payload), answer, books)
    finally:
        exchange.cancel()


def trial_entry(found: Trial) -> dict[str, Any]:
    """As JSON documents show it."""
    usage = found.usage
    first = found.first_token_seconds
    return {
        "deployment": found.deployment,
        "outcome": found.outcome,
        "message": found.message or None,
        "status": found.status,
        "latency_ms": round(found.seconds * 1000),
        "first_token_ms": None if first is None else round(first * 1000),
        "prompt_tokens": None if usage is None else usage.prompt,
        "completion_tokens": None if usage is None else usage.completion,
    }
