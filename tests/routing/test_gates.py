"""What a caller hears of a local engine that is not there."""

from __future__ import annotations

import asyncio
import mmap
from pathlib import Path

import pytest

from fairlead.engines.shared import GAVE_UP, READY, STARTING, SharedEngine
from fairlead.engines.spec import demo_spec
from fairlead.engines.supervisor import Engine
from fairlead.routing.gates import not_ready


@pytest.mark.parametrize(("state", "seconds", "words"), [(STARTING, 2, "few seconds"), (GAVE_UP, 60, "must restart")])
def test_a_caller_is_told_whether_waiting_helps(tmp_path: Path, state: int, seconds: int, words: str) -> None:
    spec = demo_spec()
    assert spec is not None
    flags = mmap.mmap(-1, 1)
    engine = SharedEngine(Engine(spec, tmp_path), flags)
    flags[0] = READY
    assert asyncio.run(engine.wait_ready(0))
    flags[0] = state
    assert not asyncio.run(engine.wait_ready(0.01))
    error = not_ready(engine)
    assert error.retry_after_seconds == seconds
    assert words in str(error)
