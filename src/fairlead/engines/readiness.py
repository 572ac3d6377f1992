"""Waiting for an engine that another process keeps."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

POLL_SECONDS: Final = 0.02


class Followed(Protocol):
    """An engine as a process sees it that does not keep it."""

    @property
    def is_ready(self) -> bool: ...

    @property
    def gave_up(self) -> bool: ...


async def wait_ready(engine: Followed, seconds: float) -> bool:
    """Whether the engine can answer within this time."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + seconds
    while not engine.is_ready:
        if engine.gave_up or loop.time() >= give_up:
            return False
        await asyncio.sleep(POLL_SECONDS)
    return True
