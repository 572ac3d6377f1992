"""What the operator chose about routing, for one process."""

from __future__ import annotations

from typing import NamedTuple

from fairlead.routing.plan import Rules


class Options(NamedTuple):
    """`timeout_seconds`: for calls that bring none of their own. `retries`: rounds after all candidates have failed.
    `probe_interval_seconds`: after so long without a call a deployment is probed; 0: never."""

    rules: Rules
    timeout_seconds: float | None
    retries: int
    continue_streams: bool
    hedge: bool
    probe_interval_seconds: float
