"""What the pages read, as protocols: they know neither SQL nor who measures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from fairlead.catalogue.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Sources:
    """`snapshot()`: what is served now; a change is another object. `obstacle(model id)`: why that model cannot be
    called now, or None. `now()`: the time, in UTC."""

    snapshot: Callable[[], Snapshot]
    obstacle: Callable[[str], str | None]
    now: Callable[[], datetime]
