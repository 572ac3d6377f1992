"""What large bodies took goes back to the kernel when nobody calls, and the code of the start when it is over."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fairlead.http.memory import untouched_code

SCRIPT = """
import asyncio, os
from fairlead.http.memory import trim_heap_when_idle, tune_allocator

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") // 1_000_000

async def main():
    requests, in_flight = 0, 1
    task = asyncio.create_task(trim_heap_when_idle(lambda: requests, lambda: in_flight, 0.05))
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


SMAPS = """\
55d0c0000000-55d0c0001000 r--p 00000000 08:01 11 /usr/bin/python
Size:                  4 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
55d0c0001000-55d0c0003000 r-xp 00001000 08:01 11 /usr/bin/python
Anonymous:             0 kB
55d0c0003000-55d0c0004000 r--p 00003000 08:01 11 /usr/bin/python
Anonymous:             4 kB
55d0c0004000-55d0c0005000 rw-p 00004000 08:01 11 /usr/bin/python
Anonymous:             0 kB
55d0c1000000-55d0c1100000 rw-p 00000000 00:00 0 [heap]
Anonymous:          1024 kB
7f0000000000-7f0000400000 rw-s 00000000 08:01 12 /data/spool/1.spool
Anonymous:             0 kB
7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
"""


def test_only_pages_that_are_still_what_the_file_says_are_let_go() -> None:
    assert untouched_code(SMAPS.splitlines()) == [
        (0x55D0C0000000, 0x55D0C0001000),
        (0x55D0C0001000, 0x55D0C0003000),
    ]


LET_GO = """
import ctypes, hashlib, json, sqlite3, ssl, sys
from fairlead.http.memory import release_file_pages

def mapped():
    with open("/proc/self/smaps_rollup") as file:
        said = dict(line.split()[:2] for line in file if ":" in line.split()[0])
    return int(said["Pss_File:"])

def work():
    rows = sqlite3.connect(":memory:").execute("select 1, 'a' || 'b'").fetchall()
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest(), ssl.create_default_context().check_hostname

before = work()
was = mapped()
release_file_pages()
print(was, mapped(), work() == before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux's /proc")
def test_code_that_only_a_start_runs_is_unmapped_and_comes_back_when_it_is_called() -> None:
    run = subprocess.run([sys.executable, "-c", LET_GO], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr
    was, now, same = run.stdout.split()
    assert same == "True"
    assert int(now) < int(was) / 2
