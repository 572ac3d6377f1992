"""What the process keeps of the memory that it once needed: freed buffers, and code that only a start runs."""

from __future__ import annotations

import asyncio
import ctypes
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from fairlead.background import rest

# glibc's malloc.h. With the defaults each body over 128 KiB is mapped and unmapped by the kernel, page fault by page
# fault: three quarters of the cost of a 1 MB request. Measured: 3,550 -> 1,121 us.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -2, -3, -8
# An arena for each thread that once read the database would keep what it freed for itself; the interpreter's lock lets
# one thread allocate at a time anyway.
ARENAS = 1
MMAP_THRESHOLD_BYTES = 64 << 20
# glibc's own 128 KiB, or 8 MiB, keep less after the largest bodies, but give back in the middle of a load what the next
# body takes again: 130 to 240 page faults for each call of 1 MB, a third of what it costs.
TRIM_THRESHOLD_BYTES = 256 << 20
TOP_PAD_BYTES = 4 << 20


def tune_allocator() -> bool:
    """Keeps freed memory for the next large body; False where the C library has no `mallopt` (musl, macOS)."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    # Largest threshold first: glibc clamps mmap's to HEAP_MAX/2 on some versions and then answers 0.
    set_mmap = mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES) or mallopt(M_MMAP_THRESHOLD, 32 << 20)
    mallopt(M_ARENA_MAX, ARENAS)
    return bool(set_mmap and mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES) and mallopt(M_TOP_PAD, TOP_PAD_BYTES))


MADV_DONTNEED = 4


def release_file_pages() -> None:
    """Unmaps the pages of programs and libraries that were never written to. Half of them only a start needs; what is
    needed again is mapped again from the kernel's cache of files, sixteen pages at a time."""
    if not sys.platform.startswith("linux"):
        return
    try:
        madvise = ctypes.CDLL(None).madvise
        with Path("/proc/self/smaps").open(encoding="utf-8", errors="replace") as smaps:
            spans = untouched_code(smaps)
    except (OSError, AttributeError):
        return
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for start, end in spans:
        madvise(start, end - start, MADV_DONTNEED)


def untouched_code(smaps: Iterable[str]) -> list[tuple[int, int]]:
    """Where files are mapped that this process cannot write to and has not written to, from the lines of
    /proc/PID/smaps. What the loader has relocated is read-only as well, but no longer what stands in the file."""
    spans = []
    span = (0, 0)
    for line in smaps:
        words = line.split()
        if not words[0].endswith(":"):  # 7f0000000000-7f0000001000 r-xp 00000000 08:01 123 /lib/libc.so.6
            is_file = words[4] != "0" and words[1] in ("r-xp", "r--p")
            start, _, end = words[0].partition("-")
            span = (int(start, 16), int(end, 16)) if is_file else (0, 0)
        elif words[0] == "Anonymous:" and words[1] == "0" and span[1]:
            spans.append(span)
    return spans


# So long nothing was in flight before freed memory goes back to the kernel.
REST_SECONDS = 1.0


async def trim_heap_when_idle(
    requests: Callable[[], int], in_flight: Callable[[], int], seconds: float = REST_SECONDS
) -> None:
    """Runs until it is cancelled. What large bodies took is kept for the next ones while there are calls, and given
    back when there are none. `requests`: how many there were so far; `in_flight`: how many there are now."""
    trim = _trimmer()
    if trim is None:
        return
    trimmed_at = seen = requests()
    while True:
        await rest(seconds)
        now = requests()
        if now == seen and now != trimmed_at and not in_flight():
            await asyncio.get_running_loop().run_in_executor(None, trim, 0)
            trimmed_at = now
        seen = now


def _trimmer() -> Callable[[int], int] | None:
    """glibc's `malloc_trim`; None where there is none. It lets go of Python's lock while it works."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    return trim
