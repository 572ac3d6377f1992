"""What was recorded of this server's own traffic, as the pages read it. Nothing here knows where it is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from itertools import count
from time import monotonic
from typing import Any, Protocol, TypeVar

from fairlead.telemetry.figures import DayBar, ModelDay, Performance

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Event:
    """A circuit breaker that opened, half opened or closed, or a deployment that rests. `deployment` is empty for a
    whole provider; `at`: milliseconds since 1970."""

    deployment: str
    provider: str
    event: str
    reason: str
    at: int


class Records(Protocol):
    async def model_days(self, days: int) -> tuple[ModelDay, ...]: ...

    async def day_bars(self, model: str, deployment: str = "") -> tuple[DayBar, ...]: ...

    async def performance(self, model: str, window: str) -> Performance | None: ...

    async def events(self, since_ms: int) -> tuple[Event, ...]:
        """Since then, the newest first."""
        ...


class NoRecords:
    """A server that records nothing: every page says so."""

    async def model_days(self, days: int) -> tuple[ModelDay, ...]:  # noqa: ARG002
        return ()

    async def day_bars(self, model: str, deployment: str = "") -> tuple[DayBar, ...]:  # noqa: ARG002
        return ()

    async def performance(self, model: str, window: str) -> Performance | None:  # noqa: ARG002
        return None

    async def events(self, since_ms: int) -> tuple[Event, ...]:  # noqa: ARG002
        return ()


@dataclass(slots=True)
class Fresh:
    """Values that are read again after some seconds. Each reading has a number, which pages depend on."""

    clock: Callable[[], float] = monotonic
    _kept: dict[Hashable, tuple[float, int, Any]] = field(default_factory=dict)
    _numbers: count[int] = field(default_factory=count)

    async def get(self, key: Hashable, seconds: float, read: Callable[[], Awaitable[T]]) -> tuple[int, T]:
        found = self._kept.get(key)
        now = self.clock()
        if found is not None and now - found[0] < seconds:
            return found[1], found[2]
        # Two visitors who come at the same moment both read: rare, and harmless.
        value = await read()
        number = found[1] if found is not None and found[2] == value else next(self._numbers)
        self._kept[key] = (now, number, value)
        return number, value
