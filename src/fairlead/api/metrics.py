"""GET /metrics: figures for Prometheus, read when they are asked for. Nothing here is on the path of a call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from fairlead.http.request import Request, Response

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

HEAD = b"x-content-type-options: nosniff\r\ncache-control: no-store\r\n"
# They take some 50 ms of Python, and where they are public anybody may ask: at most this share of the time is for them.
SHARE = 0.03


class Gauge:
    """One figure: what it means, and where it is read."""

    __slots__ = ("help", "name", "read")

    def __init__(self, name: str, help_: str, read: Callable[[], float]) -> None:
        self.name = name
        self.help = help_
        self.read = read


class Metrics:
    """`labels` stand on every gauge: which of several workers answered, for instance. `families` gives what else there
    is, whole; it may read files, and is asked in a thread."""

    __slots__ = ("_families", "_gauges", "_labels", "_making", "_next", "_not_before", "_registry")

    def __init__(
        self,
        gauges: Iterable[Gauge],
        labels: Mapping[str, str] | None = None,
        families: Callable[[], Iterable[Metric]] = tuple,
    ) -> None:
        self._families = families
        self._gauges = tuple(gauges)
        self._labels = dict(labels or {})
        self._registry: CollectorRegistry | None = None
        self._making = asyncio.Lock()
        self._not_before = 0.0
        self._next: asyncio.Task[tuple[bytes, bytes]] | None = None

    async def __call__(self, _request: Request, response: Response) -> None:
        # All who have asked before it begins share one: each is answered with figures that are read after its request.
        if self._next is None:
            self._next = asyncio.create_task(self._make())
        response.send(200, *await asyncio.shield(self._next))

    async def _make(self) -> tuple[bytes, bytes]:
        loop = asyncio.get_running_loop()
        async with self._making:
            await asyncio.sleep(self._not_before - loop.time())
            self._next = None
            made, seconds = await loop.run_in_executor(None, self._timed)
            self._not_before = loop.time() + seconds / SHARE
        return made

    def _timed(self) -> tuple[tuple[bytes, bytes], float]:
        """And the CPU seconds that it took."""
        began = time.thread_time()
        return self._written(), time.thread_time() - began

    def _written(self) -> tuple[bytes, bytes]:
        """Lines for the head, and the body. Loading the library alone takes 30 ms: in a thread."""
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

        if self._registry is None:
            registry = CollectorRegistry(auto_describe=False)
            registry.register(self)
            self._registry = registry
        return b"content-type: %b\r\n" % CONTENT_TYPE_LATEST.encode() + HEAD, generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """What the registry asks for."""
        from prometheus_client.core import GaugeMetricFamily

        for gauge in self._gauges:
            family = GaugeMetricFamily(gauge.name, gauge.help, labels=list(self._labels))
            family.add_metric(list(self._labels.values()), gauge.read())
            yield family
        yield from self._families()
