"""GET /metrics: figures for Prometheus, read when they are asked for. Nothing here is on the path of a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from fairlead.http.request import Request, Response

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

HEAD = b"x-content-type-options: nosniff\r\ncache-control: no-store\r\n"


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

    __slots__ = ("_families", "_gauges", "_labels", "_registry")

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

    async def __call__(self, _request: Request, response: Response) -> None:
        response.send(200, *await asyncio.get_running_loop().run_in_executor(None, self._written))

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
