"""The time and the randomness of a demonstration. Both are the process's own: whatever reads `time.time` or
`os.urandom` gets them, so that history is written by the same functions as in earnest.

Must be installed before modules are imported that keep `time.time` or `time.time_ns` under a name of their own."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

_real: Final[Callable[[], float]] = time.time


class DemoClock:
    """The time that this process believes in, in seconds since 1970: stands at what was `set`, or runs from there."""

    def __init__(self) -> None:
        self._still: float | None = None
        self._ahead = 0.0

    def time(self) -> float:
        return self._still if self._still is not None else _real() + self._ahead

    def time_ns(self) -> int:
        return int(self.time() * 1_000_000) * 1_000

    def set(self, at: float) -> None:
        """Stops the clock at this time."""
        self._still = at

    def run_from(self, at: float) -> None:
        self._ahead = at - _real()
        self._still = None

    def run(self) -> None:
        """It is the time of this machine again."""
        self._ahead = 0.0
        self._still = None

    def install(self) -> None:
        time.time = self.time
        time.time_ns = self.time_ns


@contextmanager
def repeatable_randomness(seed: int | str) -> Iterator[None]:
    """Ids, keys and codes that are made inside are the same each time. Nothing that anybody relies on for secrecy may
    be made here: the keys of a demonstration are known to everybody."""
    source = random.Random(seed)  # noqa: S311 - see above
    modules: tuple[tuple[Any, str], ...] = ((os, "urandom"), (random, "_urandom"))  # `secrets` reads the second one
    kept = [getattr(module, name) for module, name in modules]
    for module, name in modules:
        setattr(module, name, source.randbytes)
    try:
        yield
    finally:
        for (module, name), function in zip(modules, kept, strict=True):
            setattr(module, name, function)
