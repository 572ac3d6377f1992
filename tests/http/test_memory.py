"""What large bodies took goes back to the kernel when nobody calls."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import asyncio, os
from fairlead.http.memory import give_back_at_rest, tune_allocator

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") // 1_000_000

async def main():
    requests, in_flight = 0, 1
    task = asyncio.create_task(give_back_at_rest(lambda: requests, lambda: in_flight, 0.05))
    await asyncio.sleep(0.1)
    bodies = [bytes(1_000_000) for _ in range(100)]
    last = bytes(500_000)  # on top of the heap, so that freeing the others alone gives nothing back
    requests = 100
    del bodies
    await asyncio.sleep(0.3)
    busy = resident()
    in_flight = 0
    await asyncio.sleep(0.5)
    print(busy, resident(), task.done(), len(last))
    task.cancel()

assert tune_allocator()
asyncio.run(main())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc_trim")
def test_freed_memory_is_kept_while_calls_are_in_flight_and_given_back_at_rest() -> None:
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr
    busy, rested, done, _ = run.stdout.split()
    assert done == "False"
    assert int(busy) > 100, "kept for the next large body"
    assert int(rested) < int(busy) - 80
