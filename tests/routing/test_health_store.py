"""What is stored of how calls were routed."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.routing.support import upstream

from fairlead.routing.decision import Decided
from fairlead.routing.health import Health
from fairlead.routing.health_store import HealthStore
from fairlead.routing.plan import Plan
from fairlead.store import open_store


def test_who_asks_for_a_decision_waits_while_it_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path)
    waiting = [Decided("gen_1", Plan((upstream("a/x"),)), (), None)]
    gate, keep = threading.Event(), HealthStore._keep

    def held(*given: Any) -> Any:
        assert gate.wait(60)
        return keep(*given)

    def take() -> list[Decided]:
        taken, waiting[:] = waiting[:], []
        return taken

    monkeypatch.setattr(HealthStore, "_keep", held)

    async def story() -> str | None:
        kept = HealthStore(store, Health(), take, asyncio.get_running_loop().time, dict)
        stored = asyncio.create_task(kept._flush())
        await asyncio.sleep(0)
        assert waiting == [], "a thread has it now"
        asked = asyncio.create_task(kept.routed("gen_1"))
        await asyncio.sleep(0.05)  # reading takes less
        gate.set()
        await stored
        return await asked

    found = asyncio.run(story())
    assert found is not None
    assert json.loads(found)["candidates"]
    store.close()
