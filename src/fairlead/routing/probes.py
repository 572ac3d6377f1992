"""A deployment that is out of order is asked by a probe, not by a caller, whether it works again: for one word."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from fairlead.errors import FairleadError, UpstreamInvalid, UpstreamTimeout
from fairlead.http.eager import run
from fairlead.routing.health import Health, Standing
from fairlead.routing.upstream import Upstream, is_stream, send
from fairlead.wire.chat import parse_chat

LOOK_SECONDS = 0.5
# A deployment that needs longer than this for one word is not well.
PROBE_SECONDS = 10.0
MARK = b"x-fairlead-probe: 1\r\n"


class Probes:
    """`run` probes until it is cancelled. `upstreams`: everything that can be called, by deployment id."""

    def __init__(
        self,
        upstreams: Mapping[str, Upstream],
        health: Health,
        clock: Callable[[], float],
    ) -> None:
        self._upstreams = upstreams
        self._health = health
        self._clock = clock
        self._under_way: set[str] = set()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for standing in self._health.due_probes(self._clock()):
                upstream = self._upstreams.get(standing.id)
                if upstream is not None and standing.id not in self._under_way:
                    self._start(upstream, standing)

    def _start(self, upstream: Upstream, standing: Standing) -> None:
        self._under_way.add(standing.id)
        began = self._clock()
        timer: asyncio.TimerHandle | None = None

        def done(failure: BaseException | None) -> None:
            if timer is not None:
                timer.cancel()
            self._under_way.discard(standing.id)
            error = failure if isinstance(failure, FairleadError) else None
            if failure is not None and error is None:
                error = UpstreamInvalid("The probe failed.")
            now = self._clock()
            self._health.probed(standing, error, now)
            if upstream.probed is not None:
                upstream.probed.add("served" if error is None else type(error).code, 0.0, now - began, 0, 0)

        running = run(probe(upstream), done)
        if not running.finished:
            late = UpstreamTimeout("The probe was not answered in time.")
            timer = asyncio.get_running_loop().call_later(PROBE_SECONDS, partial(running.interrupt, late))


async def probe(upstream: Upstream) -> None:
    """Asks for one word. Raises a FairleadError when none comes. Runs on `http.eager`."""
    body = {"model": upstream.model_id, "messages": [{"role": "user", "content": "Say OK."}], "max_tokens": 1}
    call = upstream.adapter.to_vendor(parse_chat(msgspec.json.encode(body)))
    exchange = send(upstream, call, MARK)
    try:
        status = await exchange.head()
        if status != 200:
            raise upstream.adapter.error(status, exchange.headers, await exchange.read())
        if call.stream and is_stream(upstream, exchange):
            assembler = upstream.adapter.assembler(call)
            await exchange.relay(assembler.feed)
            assembler.finish()
        else:
            upstream.adapter.plain(call, await exchange.read())
    finally:
        exchange.cancel()
