"""The time of day, as `time.time` has it: a demonstration sets that to another one."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)
