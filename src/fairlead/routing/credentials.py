"""Several keys of one provider, or one that may be replaced while calls run: which one a call is sent with, and which
rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from fairlead.errors import FairleadError
from fairlead.routing.health import DENIED_REST_SECONDS, LONGEST_REST_SECONDS, RATE_REST_SECONDS

# What an error says of the key that a call was sent with, and not of the deployment.
OF_THE_KEY = ("limited", "denied")
# A key that was limited with "Retry-After: 0" is not asked at once.
LEAST_REST_SECONDS = 0.5


class Credential:
    """One key. `label`: where it is from; `line`: the header line that `value` stands in. It rests everywhere until
    `denied_until`, and at the deployments in `limited_until`."""

    __slots__ = ("denied_until", "label", "limited_until", "line", "value")

    def __init__(self, label: str, value: str, line: bytes) -> None:
        self.label = label
        self.value = value
        self.line = line
        self.denied_until = 0.0
        self.limited_until: dict[str, float] = {}

    def until(self, deployment: str) -> float:
        """Until when it rests there, in the clock's seconds."""
        return max(self.denied_until, self.limited_until.get(deployment, 0.0))


class Credentials:
    """The keys of one provider. Calls take turns, past those that rest. `keys`: label, key and header line of each."""

    __slots__ = ("_clock", "_turn", "keys")

    def __init__(self, keys: Iterable[tuple[str, str, bytes]], clock: Callable[[], float] = time.monotonic) -> None:
        self.keys = [Credential(*key) for key in keys]
        self._clock = clock
        self._turn = 0

    def next(self, deployment: str) -> Credential:
        """The key for the next call; when all rest, the one that rests shortest."""
        keys, now = self.keys, self._clock()
        for _ in keys:
            self._turn = (self._turn + 1) % len(keys)
            key = keys[self._turn]
            if key.until(deployment) <= now:
                return key
        return min(keys, key=lambda one: one.until(deployment))

    def free(self, deployment: str) -> bool:
        """Whether one of them does not rest."""
        now = self._clock()
        return any(key.until(deployment) <= now for key in self.keys)

    def rest(self, deployment: str, key: object, error: FairleadError) -> float:
        """Makes the `key` rest that a call was sent with, as the error says. Gives the seconds until one of them can be
        used there: 0 when there is one now."""
        now = self._clock()
        if isinstance(key, Credential):  # which may have been replaced meanwhile
            if error.policy.verdict == "denied":
                key.denied_until = now + DENIED_REST_SECONDS
            else:
                seconds = RATE_REST_SECONDS if error.retry_after_seconds is None else float(error.retry_after_seconds)
                key.limited_until[deployment] = now + min(max(seconds, LEAST_REST_SECONDS), LONGEST_REST_SECONDS)
        return max(0.0, min(key.until(deployment) for key in self.keys) - now)

    def replace(self, at: int, value: str, line: bytes) -> None:
        """Another key has taken this one's place: nothing is known of it."""
        self.keys[at] = Credential(self.keys[at].label, value, line)
