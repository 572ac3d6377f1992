"""Every request enters here: the table of routes, cross-origin rules, and the one place that answers errors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

from fairlead.api.auth import UnknownKey
from fairlead.api.headers import ALLOWED_HEADERS, EXPOSED_HEADERS
from fairlead.api.ids import RequestIds
from fairlead.doors.table import BELOW_DATA_PLANE, DEFAULT_DOOR, DoorFinder
from fairlead.errors import (
    CallerGone,
    FairleadError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NoDeployment,
    NotFound,
    WebSocketRefused,
)
from fairlead.http.failure_log import FailureLog
from fairlead.http.request import Request, Response

log = logging.getLogger("fairlead.api")

Endpoint = Callable[[Request, Response], Coroutine[Any, Any, None] | None]
Routes = dict[str, dict[str, Endpoint]]
PrefixRoutes = dict[str, "dict[str, Endpoint | ByAction]"]

DATA_PLANE_PREFIX: Final = "/v1/"
# Where clients of OpenRouter expect the same (`routes.tables`).
DATA_PLANE_PREFIXES: Final = (DATA_PLANE_PREFIX, BELOW_DATA_PLANE)
BELOW_TARGET: Final = BELOW_DATA_PLANE.encode()
# Paths with a suffix whose routes are remembered, and how long each may be: anybody may ask for any.
MOST_KNOWN_PATHS: Final = 1_000
LONGEST_KNOWN_PATH: Final = 256
# Of errors that do not know when they will be over, by their status. A provider that limits calls rests for as long
# (`routing/health.py`); Codex gives up at a 429 without the header.
RETRY_AFTER_SECONDS: Final = {429: 5, 503: 1}


class ByAction:
    """Endpoints of paths that differ only in the action behind their member. `known`: by the action, with its colon."""

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: dict[str, Endpoint] = {}

    def at(self, path: str) -> Endpoint | None:
        _, colon, action = path.rpartition(":")
        return self.known.get(colon + action)


def _nothing_at(path: str) -> FairleadError:
    if path.startswith((DATA_PLANE_PREFIX + "v1", BELOW_DATA_PLANE + "v1")):
        # Not 404: Claude Code reads that as a model that does not exist, and does not show the sentence.
        return InvalidRequest(f"There is no {path} here. The base URL of this client must end before /v1.")
    return NotFound(f"There is no {path} here. The API is described at /openapi.json and /docs/reference/api.")


def no_action(request: Request, _response: Response) -> None:
    """Answers for an action that there is not. Raises NotFound."""
    raise NotFound(f"There is no {request.path} here. The API is described at /openapi.json.")


class Dispatch:
    """`routes`: path -> method -> endpoint. `prefixes`: the same for paths with a suffix (`/v1/models/{id}`).
    What is no path of the data plane goes to `site`. `doors`: whose dialect errors are written in."""

    __slots__ = ("_cors_origins", "_doors", "_failures", "_ids", "_known", "_prefixes", "_routes", "_site")

    def __init__(
        self,
        routes: Routes,
        prefixes: PrefixRoutes,
        site: Callable[[Request, Response], None],
        cors_origins: frozenset[str] = frozenset(),
        doors: DoorFinder | None = None,
    ) -> None:
        self._routes = routes
        self._prefixes = prefixes
        self._known: Routes = {}  # paths that were found by their prefix
        self._site = site
        self._cors_origins = cors_origins
        self._doors = doors or DoorFinder()
        self._ids = RequestIds()
        self._failures = FailureLog(log)

    def __call__(self, request: Request, response: Response) -> Coroutine[Any, Any, None] | None:
        path = request.path
        methods = self._routes.get(path) or self._known.get(path) or self._methods_by_prefix(path)
        response.extra = self._ids.line()
        if methods is None and not path.startswith(DATA_PLANE_PREFIXES):
            if request.method == "POST" and self._doors.is_call("/v1" + path):
                raise NotFound(f"There is no {path} here. The base URL of this client must end with /v1.")
            self._site(request, response)
            return None
        if self._cors_origins and self._answer_cross_origin(request, response, methods):
            return None
        if methods is None:
            raise _nothing_at(path)
        method = request.method
        endpoint = methods.get(method)
        if endpoint is None and method == "HEAD":
            endpoint = methods.get("GET")
        if endpoint is None:
            if request.header(b"sec-websocket-version") is not None:
                raise WebSocketRefused(f"There are no WebSockets here: send {path} a request over HTTP.")
            raise MethodNotAllowed(f"{path} takes {', '.join(sorted(methods))}, not {method}.")
        pending: asyncio.Future[bool] | None = None
        try:
            return endpoint(request, response)
        except UnknownKey as error:
            pending = error.pending
            if pending is None:
                raise
        return _after(pending, endpoint, request, response)

    def _methods_by_prefix(self, path: str) -> dict[str, Endpoint] | None:
        for prefix, endpoints in self._prefixes.items():
            if path.startswith(prefix) and len(path) > len(prefix):
                methods: dict[str, Endpoint] = {}
                for method, one in endpoints.items():
                    endpoint = one.at(path) if isinstance(one, ByAction) else one
                    methods[method] = no_action if endpoint is None else endpoint
                if len(path) <= LONGEST_KNOWN_PATH:
                    if len(self._known) >= MOST_KNOWN_PATHS:
                        self._known.clear()
                    self._known[path] = methods
                return methods
        return None

    def _answer_cross_origin(self, request: Request, response: Response, methods: dict[str, Endpoint] | None) -> bool:
        """Adds the cross-origin headers; True when the request was a preflight and has been answered."""
        origin = request.header(b"origin")
        if origin is None or ("*" not in self._cors_origins and origin.decode("latin-1") not in self._cors_origins):
            return False
        response.extra += (
            b"access-control-allow-origin: %b\r\nvary: origin\r\naccess-control-expose-headers: %b\r\n"
            % (origin, EXPOSED_HEADERS)
        )
        if request.method != "OPTIONS" or request.header(b"access-control-request-method") is None:
            return False
        allowed = ", ".join(sorted(methods or ())).encode()
        response.send(
            204,
            b"access-control-allow-methods: %b\r\naccess-control-allow-headers: %b\r\naccess-control-max-age: 86400\r\n"
            % (allowed, request.header(b"access-control-request-headers") or ALLOWED_HEADERS),
            b"",
        )
        return True

    def refusal(self, _status: int, code: str, sentence: str) -> tuple[bytes, bytes]:
        """What the HTTP server refuses by itself, in the same shape as everything else."""
        error = FairleadError(sentence)
        error.code = code
        error.type = "invalid_request_error" if _status < 500 else "service_unavailable"
        head, body = DEFAULT_DOOR.error(error)
        return head + self._ids.line(), body

    def answer_error(self, request: Request, response: Response, error: BaseException) -> None:
        """The one place where an error becomes an answer. A stream that has begun ends with an error event."""
        if isinstance(error, CallerGone) or response.disconnected:
            response.abort()
            return
        if not isinstance(error, FairleadError):
            self._failures.error(f"{request.method} {request.path!r} failed", error)
            error = InternalError("An internal error occurred. The log has the details under this request id.")
        door = self._doors.of(request)
        error.numbered = request.target.startswith(BELOW_TARGET)
        if response.started:
            last = (response.error_event or door.error_event)(error)
            if not last:  # it has no words for an error: that it is incomplete must show
                response.abort()
                return
            response.write(last)
            response.end()
            return
        head, body = door.error(error)
        head += error.headers
        seconds = error.retry_after_seconds
        if seconds is None and not isinstance(error, NoDeployment):
            seconds = RETRY_AFTER_SECONDS.get(error.status)
        if seconds is not None:
            head += b"retry-after: %d\r\n" % seconds
        if isinstance(error, MethodNotAllowed):
            allowed = self._routes.get(request.path) or self._methods_by_prefix(request.path) or {}
            head += f"allow: {', '.join(sorted(allowed))}\r\n".encode()
        response.send(error.status, head, body)


async def _after(pending: asyncio.Future[bool], endpoint: Endpoint, request: Request, response: Response) -> None:
    """Again, when the key has been looked up."""
    await pending
    running = endpoint(request, response)
    if running is not None:
        await running
