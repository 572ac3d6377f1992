"""What was recorded of this server's own traffic, as the pages read it. Nothing here knows where it is kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from time import monotonic
from typing import Any, Protocol, TypeVar

from fairlead.telemetry.figures import DayBar, ModelDay, Performance, Rate

T = TypeVar("T")
MOST_KEPT = 64
# When a reading failed: so long nobody tries it again, for each try may wait for a database that does not answer.
FAILED_SECONDS = 5.0


class Unreadable(Exception):
    """What was recorded cannot be read now."""


@dataclass(frozen=True, slots=True)
class Event:
    """A circuit breaker that opened, half opened or closed, or a deployment that rests. `deployment` is empty for a
    whole provider; `at`: milliseconds since 1970."""

    deployment: str
    provider: str
    event: str
    reason: str
    at: int


@dataclass(frozen=True, slots=True)
class Priced:
    """What a deployment's callers pay from a time on (seconds since 1970), in picodollars per token."""

    deployment: str
    at: int
    input: int
    output: int


@dataclass(frozen=True, slots=True)
class Used:
    """What a deployment's callers used on one day (UTC). Tokens: `cached` is a part of `prompt`, reasoning one of
    `output`."""

    date: str
    deployment: str
    calls: int
    prompt: int
    cached: int
    output: int


class Records(Protocol):
    """Each may raise Unreadable."""

    async def shares(self) -> Mapping[str, Rate]:
        """By model: the share of the last half hour's calls that were served. Models without calls are left out."""
        ...

    async def model_days(self, days: int) -> tuple[ModelDay, ...]: ...

    async def day_bars(self, model: str, deployment: str = "") -> tuple[DayBar, ...]: ...

    async def performance(self, model: str, window: str) -> Performance | None: ...

    async def prices(self, deployments: Sequence[str]) -> tuple[Priced, ...]:
        """Every price that these deployments have had, the oldest first."""
        ...

    async def used(self, model: str, days: int) -> tuple[Used, ...]:
        """By day, the oldest first, and deployment; today's day is the last one."""
        ...

    async def events(self, since_ms: int) -> tuple[Event, ...]:
        """Since then, the newest first."""
        ...


class NoRecords:
    """A server that records nothing: every page says so."""

    async def shares(self) -> Mapping[str, Rate]:
        return {}

    async def model_days(self, days: int) -> tuple[ModelDay, ...]:  # noqa: ARG002
        return ()

    async def day_bars(self, model: str, deployment: str = "") -> tuple[DayBar, ...]:  # noqa: ARG002
        return ()

    async def performance(self, model: str, window: str) -> Performance | None:  # noqa: ARG002
        return None

    async def prices(self, deployments: Sequence[str]) -> tuple[Priced, ...]:  # noqa: ARG002
        return ()

    async def used(self, model: str, days: int) -> tuple[Used, ...]:  # noqa: ARG002
        return ()

    async def events(self, since_ms: int) -> tuple[Event, ...]:  # noqa: ARG002
        return ()


@dataclass(slots=True)
class Fresh:
    """Values that are read again after some seconds. Each reading has a number, which pages depend on. Where a value
    cannot be read any more, the last one is still shown: it has its own time."""

    clock: Callable[[], float] = monotonic
    _kept: OrderedDict[Hashable, tuple[float, int, Any]] = field(default_factory=OrderedDict)
    _failed: OrderedDict[Hashable, float] = field(default_factory=OrderedDict)
    _numbers: count[int] = field(default_factory=count)

    async def get(self, key: Hashable, seconds: float, read: Callable[[], Awaitable[T]]) -> tuple[int, T]:
        """Raises Unreadable when nothing was ever read."""
        found = self._kept.get(key)
        now = self.clock()
        if found is not None and now - found[0] < seconds:
            return found[1], found[2]
        failed = now - self._failed.get(key, now - FAILED_SECONDS) < FAILED_SECONDS
        # Two visitors who come at the same moment both read: rare, and harmless.
        try:
            if failed:
                raise Unreadable
            value = await read()
        except Unreadable:
            if not failed:
                _put(self._failed, key, now)
            if found is None:
                raise
            return found[1], found[2]
        number = found[1] if found is not None and found[2] == value else next(self._numbers)
        _put(self._kept, key, (now, number, value))
        return number, value

    async def get_or(self, key: Hashable, seconds: float, read: Callable[[], Awaitable[T]], other: T) -> tuple[int, T]:
        """The same; `other` with the number -1 when nothing was ever read."""
        try:
            return await self.get(key, seconds, read)
        except Unreadable:
            return -1, other


def _put(kept: OrderedDict[Hashable, Any], key: Hashable, value: object) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > MOST_KEPT:
        kept.popitem(last=False)
