"""Probes: an open deployment is asked for one word, by the same dialect and over the same pool as its calls."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import uvloop
from tests.http.support import pool_to

from fairlead.errors import UpstreamFailed
from fairlead.routing.health import FAST_FLOOR, Health
from fairlead.routing.probes import Probes
from fairlead.testing import Fault, Reply, ScriptedUpstream

from .support import upstream


class Noted:
    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, outcome: str, first: float, seconds: float, prompt: int, output: int) -> None:
        self.found.append(outcome)


def test_a_probe_that_fails_keeps_it_open_and_one_that_is_answered_lets_a_call_try() -> None:
    async def story(a: ScriptedUpstream) -> None:
        loop = asyncio.get_running_loop()
        pool = pool_to(a.url)
        noted = Noted()
        one = replace(upstream("a/x"), pool=pool, probed=noted)
        # Its time has come: it opened long ago.
        health, now = Health(probed=True), loop.time()
        target = health.of(one.deployment)
        for _ in range(FAST_FLOOR):
            health.failed(target, UpstreamFailed("500"), now - 6)
        probes = asyncio.create_task(Probes(lambda: {"a/x": one}, health, loop.time).run())
        a.default = Reply(fault=Fault.CLOSE_AT_ONCE)
        while not noted.found:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert target.state == "open"
        assert target.until > loop.time() + 5, "not asked again at once"
        target.until = loop.time()
        a.default = Reply(text="OK")
        while len(noted.found) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert target.state == "half_open"
        assert noted.found == ["upstream_cut", "served"]
        probes.cancel()
        await asyncio.gather(probes, return_exceptions=True)
        await pool.close()

    with ScriptedUpstream() as a:
        uvloop.run(story(a))
        asked = a.requests[-1]
        assert asked.headers["x-fairlead-probe"] == "1"
        assert asked.json["max_tokens"] == 1
        assert asked.json["model"] == "x"
