"""A clock that is set, and writers and readers around it."""

from __future__ import annotations

from fairlead.store import Store
from fairlead.telemetry.recorder import Recorder
from fairlead.telemetry.writer import Keeping, TelemetryWriter

# A Monday, at the beginning of a day.
MONDAY = 1_767_571_200


class Clock:
    def __init__(self, now: float = MONDAY) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


KEEPING = Keeping(minutes_days=3, days=90, flush_seconds=5)


class Writer:
    """What one worker process has of telemetry."""

    def __init__(self, store: Store, clock: Clock, keeping: Keeping = KEEPING, name: str | None = None) -> None:
        self.recorder = Recorder(clock)
        self.telemetry = TelemetryWriter(store, self.recorder, keeping, clock, name)
