"""An engine that another process of ours keeps: what a worker knows of it is one byte of shared memory."""

from __future__ import annotations

import asyncio
import mmap

from fairlead.engines.readiness import wait_ready
from fairlead.engines.spec import EngineSpec
from fairlead.engines.supervisor import Engine

STARTING, READY, GAVE_UP = 0, 1, 2


class SharedEngine:
    """Looks like an `Engine` to those who call it. `state` is memory, shared by a fork, whose
    byte at `place` the engine's supervisor writes."""

    def __init__(self, engine: Engine, state: mmap.mmap, place: int = 0) -> None:
        self._engine = engine
        self._place = place
        self._state = state

    @property
    def spec(self) -> EngineSpec:
        return self._engine.spec

    @property
    def base_url(self) -> str:
        return self._engine.base_url

    @property
    def api_key(self) -> str:
        return self._engine.api_key

    @property
    def slots(self) -> int:
        return self._engine.slots

    @property
    def is_ready(self) -> bool:
        return self._state[self._place] == READY

    @property
    def gave_up(self) -> bool:
        return self._state[self._place] == GAVE_UP

    async def wait_ready(self, seconds: float) -> bool:
        """As that of `Engine`."""
        return await wait_ready(self, seconds)


async def keep(engine: Engine, state: mmap.mmap, place: int, stopping: asyncio.Event) -> None:
    """Keeps an engine up for the workers until it is told to stop."""

    def note(changed: Engine) -> None:
        state[place] = READY if changed.is_ready else GAVE_UP if changed.gave_up else STARTING

    engine.on_state = note
    await engine.start()
    await stopping.wait()
    await engine.stop()
