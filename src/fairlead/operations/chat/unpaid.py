"""A bound for emulated calls that fail: the caller pays nothing for them, the operator pays the provider.

Each key has a bucket that is full after ten failures, or after failures of one dollar; it empties within an hour, and
a little with each emulated answer that was paid for. While it is full, nothing is emulated for that key.
See docs/decisions/0005-failed-emulations.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fairlead.errors import RateLimited

FAILURES: Final = 10
PICODOLLARS: Final = 1_000_000_000_000  # 1 USD, by the caller's prices
EMPTY_AFTER_SECONDS: Final = 3_600.0
# Paid answers compensate for one failure: a key whose answers fail now and then is never refused.
PAID_ANSWERS_PER_FAILURE: Final = 4
MOST_KEYS: Final = 10_000


class UnpaidEmulations:
    """The buckets of all keys of one process. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._levels: dict[str, tuple[float, float]] = {}  # 1.0: full; at that time

    def admit(self, key: str) -> None:
        """Raises RateLimited while the bucket of this key is full."""
        if key not in self._levels:
            return
        over = self._level(key) + 1.0 / FAILURES - 1.0  # when one more fails
        if over > 0.0:
            wait = int(over * EMPTY_AFTER_SECONDS) + 1
            raise RateLimited(
                "Too many emulated calls of this key failed recently; JSON schema emulation is suspended for it. "
                f"Use a model that supports response_format itself, or try again in {-(-wait // 60)} minutes.",
                retry_after_seconds=wait,
            )

    def failed(self, key: str, picodollars: int) -> None:
        """An emulated call failed; `picodollars`: what it would have cost the caller."""
        level = self._level(key) + max(1.0 / FAILURES, picodollars / PICODOLLARS)
        if key not in self._levels and len(self._levels) >= MOST_KEYS:
            del self._levels[next(iter(self._levels))]
        self._levels[key] = (level, self._clock())

    def paid(self, key: str) -> None:
        """An emulated answer was delivered and charged."""
        if key in self._levels:
            level = self._level(key) - 1.0 / (FAILURES * PAID_ANSWERS_PER_FAILURE)
            if level > 0.0:
                self._levels[key] = (level, self._clock())
            else:
                del self._levels[key]

    def _level(self, key: str) -> float:
        level, at = self._levels.get(key, (0.0, 0.0))
        return max(0.0, level - (self._clock() - at) / EMPTY_AFTER_SECONDS)
