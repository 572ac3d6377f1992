"""How many processors an engine may use: more threads than those make llama.cpp slower, not faster."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")


def available_processors(quota: Path = QUOTA) -> int:
    """Processors of the machine that this process may use, or of its container when that has fewer."""
    count = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    try:
        allowed, period = quota.read_text().split()
    except (OSError, ValueError):
        return count
    if not (allowed.isdecimal() and period.isdecimal()) or int(period) == 0:
        return count
    return max(1, min(count, math.ceil(int(allowed) / int(period))))
