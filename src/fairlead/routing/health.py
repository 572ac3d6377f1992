"""What is known about deployments from the calls that went through them: who should rest, and until when."""

from __future__ import annotations

from collections.abc import Mapping

from fairlead.errors import FairleadError, UpstreamBusy, UpstreamDenied, UpstreamRateLimited

# A failed deployment is tried last for a while. Short: with one caller a second of wrong preference costs more
# than one extra failed connection every few seconds.
REST_SECONDS = 5.0
# A refused credential does not mend itself in seconds.
DENIED_REST_SECONDS = 60.0
# Retry-After is believed up to this.
LONGEST_REST_SECONDS = 3600.0


class Health:
    """Rests by deployment id, in the clock of `asyncio`'s loop (seconds). A rest orders candidates; it refuses none."""

    __slots__ = ("_rests",)

    def __init__(self) -> None:
        self._rests: dict[str, float] = {}

    @property
    def rests(self) -> Mapping[str, float]:
        return self._rests

    def failed(self, deployment_id: str, error: FairleadError, now: float) -> None:
        """Lets a deployment rest as long as its failure asks for. Our own full queue is no fault of it."""
        if isinstance(error, UpstreamBusy):
            return
        rest = REST_SECONDS
        if isinstance(error, UpstreamDenied):
            rest = DENIED_REST_SECONDS
        elif isinstance(error, UpstreamRateLimited) and error.retry_after_seconds is not None:
            rest = min(float(error.retry_after_seconds), LONGEST_REST_SECONDS)
        self._rests[deployment_id] = now + rest

    def served(self, deployment_id: str) -> None:
        """Ends a rest early: it works again."""
        self._rests.pop(deployment_id, None)
