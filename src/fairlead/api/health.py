"""GET /healthz (the process answers) and /readyz (a call can be served)."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from fairlead import __version__
from fairlead.http.request import Request, Response

JSON_HEAD = b"content-type: application/json\r\nx-content-type-options: nosniff\r\ncache-control: no-store\r\n"


class HealthChecks:
    """`obstacles` gives the reasons why no call can be served now: an empty list means ready. `warnings` gives what
    somebody should look at although calls are served, `configuration` which one this process runs."""

    __slots__ = ("_configuration", "_obstacles", "_warnings")

    def __init__(
        self,
        obstacles: Callable[[], list[str]],
        warnings: Callable[[], list[str]],
        configuration: Callable[[], dict[str, object]],
    ) -> None:
        self._obstacles = obstacles
        self._warnings = warnings
        self._configuration = configuration

    def process(self, _request: Request, response: Response) -> None:
        response.send(200, JSON_HEAD, b'{"status":"ok"}')

    def ready(self, _request: Request, response: Response) -> None:
        obstacles = self._obstacles()
        status = 503 if obstacles else 200
        body = {
            "status": "not_ready" if obstacles else "ready",
            "reasons": obstacles,
            "warnings": self._warnings(),
            "configuration": self._configuration(),
        }
        response.send(status, JSON_HEAD, msgspec.json.encode(body))

    def alive(self, _request: Request, response: Response) -> None:
        """As LiteLLM says it."""
        response.send(200, JSON_HEAD, b'"I\'m alive!"')

    def readiness(self, _request: Request, response: Response) -> None:
        """As LiteLLM says it; what is in the way is said by /readyz."""
        ready = not self._obstacles()
        body: dict[str, object] = {
            "status": "healthy" if ready else "unhealthy", "db": "connected" if ready else "unknown", "cache": None,
            "litellm_version": f"fairlead {__version__}", "success_callbacks": [], "last_updated": None,
        }  # fmt: skip
        response.send(200 if ready else 503, JSON_HEAD, msgspec.json.encode(body))
