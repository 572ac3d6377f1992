"""What the pages read, and the pages themselves, loaded when the first one is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from fairlead.catalogue.snapshot import Deployment
from fairlead.clock import utc_now
from fairlead.compose.upstreams import spoken
from fairlead.errors import NotFound, UpstreamDenied
from fairlead.http.asgi import AsgiBridge
from fairlead.http.request import Request, Response
from fairlead.ledger import books, rollups
from fairlead.routing.health import CLOSED, DRAINED, Health
from fairlead.serving import Servings
from fairlead.store import Store
from fairlead.store.health import events_since
from fairlead.telemetry.figures import DayBar, ModelDay, Performance, Rate
from fairlead.telemetry.performance_cache import PerformanceCache

if TYPE_CHECKING:
    from fairlead.console.services import ConsoleServices
    from fairlead.site.records import Event, Priced, Used


T = TypeVar("T")


class Recorded:
    """What the pages show of this server's own traffic."""

    def __init__(self, cache: PerformanceCache, store: Store) -> None:
        self._cache = cache
        self._store = store

    async def shares(self) -> Mapping[str, Rate]:
        found = (await self._read(self._cache.shares())).value
        return {one.model: one.served for one in found}

    async def model_days(self, days: int) -> tuple[ModelDay, ...]:
        return (await self._read(self._cache.model_days(days))).value

    async def day_bars(self, model: str, deployment: str = "") -> tuple[DayBar, ...]:
        return (await self._read(self._cache.day_bars(model, deployment))).value

    async def performance(self, model: str, window: str) -> Performance | None:
        return (await self._read(self._cache.performance(model, window))).value

    async def prices(self, deployments: Sequence[str]) -> tuple[Priced, ...]:
        loop = asyncio.get_running_loop()
        return await self._read(loop.run_in_executor(None, self._prices, deployments))

    def _prices(self, deployments: Sequence[str]) -> tuple[Priced, ...]:
        from fairlead.site.records import Priced

        with self._store.read() as connection:
            found = books.sheets_of(connection, deployments)
        return tuple(Priced(one.deployment, at, one.price.rates.input, one.price.rates.output) for at, one in found)

    async def used(self, model: str, days: int) -> tuple[Used, ...]:
        loop = asyncio.get_running_loop()
        return await self._read(loop.run_in_executor(None, self._used, model, days))

    def _used(self, model: str, days: int) -> tuple[Used, ...]:
        from fairlead.site.records import Used

        with self._store.read() as connection:
            found = rollups.days_of_model(connection, model, int(utc_now().timestamp()), days)
        return tuple(
            Used(day, deployment, one.requests, one.prompt_tokens, one.cached_tokens, one.completion_tokens)
            for day, deployment, one in found
        )

    async def events(self, since_ms: int) -> tuple[Event, ...]:
        loop = asyncio.get_running_loop()
        return await self._read(loop.run_in_executor(None, self._events, since_ms))

    def _events(self, since_ms: int) -> tuple[Event, ...]:
        from fairlead.site.records import Event

        with self._store.read() as connection:
            found = events_since(connection, since_ms)
        return tuple(Event(one.deployment, one.provider, one.event, one.reason, one.at) for one in found)

    async def _read(self, reading: Awaitable[T]) -> T:
        try:
            return await reading
        except SQLAlchemyError:
            from fairlead.site.records import Unreadable

            raise Unreadable from None


class LazyApp:
    """Pages that are loaded when the first one is asked for: a gateway that only serves the API needs none of them."""

    def __init__(self) -> None:
        self._bridge: AsgiBridge | None = None
        self._loading: asyncio.Task[AsgiBridge] | None = None
        self.on_error: Callable[[Request, Response, BaseException], None] = _not_set

    def handle(self, request: Request, response: Response) -> None:
        if self._bridge is not None:
            self._bridge.handle(request, response)
            return
        if self._loading is None:
            self._loading = asyncio.get_running_loop().create_task(self._load())
        self._loading.add_done_callback(partial(self._loaded, request, response))

    async def _load(self) -> AsgiBridge:
        """In a thread: importing the libraries takes half a second, in which nobody else would be served."""
        return await asyncio.get_running_loop().run_in_executor(None, self._made)

    def _loaded(self, request: Request, response: Response, loading: asyncio.Task[AsgiBridge]) -> None:
        try:
            self._bridge = self._bridge or loading.result()
        except Exception as error:  # the next visitor tries it again
            self._loading = None
            self.on_error(request, response, error)
        else:
            self._bridge.handle(request, response)

    def _made(self) -> AsgiBridge:
        raise NotImplementedError


class LazySite(LazyApp):
    """The public pages."""

    def __init__(
        self,
        servings: Servings,
        obstacle: Callable[[str], str | None],
        broken: Callable[[Deployment], str | None],
        records: Recorded,
        public_url: str | None,
        *,
        with_status: bool = True,
        docs_edit_url: str | None = None,
        with_console: bool = False,
        guests: bool = False,
    ) -> None:
        super().__init__()
        self._guests = guests
        self._servings = servings
        self._obstacle = obstacle
        self._broken = broken
        self._records = records
        self._public_url = public_url
        self._with_status = with_status
        self._docs_edit_url = docs_edit_url
        self._with_console = with_console

    def with_status(self) -> LazySite:
        """The same pages, and the status page among them, for other visitors."""
        return LazySite(
            self._servings, self._obstacle, self._broken, self._records, None, docs_edit_url=self._docs_edit_url
        )

    def _made(self) -> AsgiBridge:
        from fairlead.site.app import site
        from fairlead.site.sources import Sources

        sources = Sources(
            lambda: self._servings.now.snapshot,
            self._obstacle,
            utc_now,
            self._records,
            self._carries,
            self._broken,
            lambda: self._guests,
        )
        app = site(
            sources,
            self._public_url,
            with_status=self._with_status,
            docs_edit_url=self._docs_edit_url,
            with_console=self._with_console,
        )
        return AsgiBridge(app, self.on_error)

    def without_public_url(self) -> LazySite:
        """The same pages at another address than the public one."""
        return LazySite(
            self._servings,
            self._obstacle,
            self._broken,
            self._records,
            None,
            with_status=self._with_status,
            docs_edit_url=self._docs_edit_url,
        )

    def _carries(self, deployment: Deployment) -> frozenset[str] | None:
        return spoken(self._servings.now.snapshot.providers[deployment.provider], deployment).carries


# The first parts of all paths of the console (a test compares them with its pages).
CONSOLE: Final = frozenset({"sign-in", "sign-up", "sign-out", "reset", "confirm", "invitation"}) | {
    "account", "admin", "console",
}  # fmt: skip
ADMIN: Final = "admin"
# What must be there beside the operator's pages, where those are at an address of their own.
BESIDE_ADMIN: Final = frozenset({"sign-in", "sign-out", "account", "console", ADMIN})
# Of a form. A visitor with a cookie of ours may send more: a configuration, a picture to ask about.
MOST_FORM_BYTES: Final = 65_536
MOST_SIGNED_IN_BYTES: Final = 16_777_216


class LazyConsole(LazyApp):
    """What people see after they have signed in. `parts`: the first parts of the paths that are served here."""

    def __init__(self, parts: Collection[str], services: Callable[[], ConsoleServices]) -> None:
        super().__init__()
        self._parts = parts
        self._services = services

    def has(self, path: str) -> bool:
        return path[1:].partition("/")[0] in self._parts

    def admits(self, request: Request) -> bool:
        """Whether the body of a request is worth reading, by its head."""
        if request.method != "POST" or not self.has(request.path):
            return False
        length = request.header(b"content-length")
        if length is None or not length.isdigit() or len(length) > 9:
            return False
        known = b"fairlead=" in (request.header(b"cookie") or b"")
        return int(length) <= (MOST_SIGNED_IN_BYTES if known else MOST_FORM_BYTES)

    def _made(self) -> AsgiBridge:
        from fairlead.console.app import console

        return AsgiBridge(console(self._services()), self.on_error)


class Pages:
    """The console where it is, and the public pages everywhere else."""

    def __init__(self, site: Callable[[Request, Response], None], console: LazyConsole | None) -> None:
        self._site = site
        self._console = console

    def handle(self, request: Request, response: Response) -> None:
        if self._console is not None and self._console.has(request.path):
            self._console.handle(request, response)
        else:
            self._site(request, response)


def no_page(request: Request, _response: Response) -> None:
    """Answers where no pages are served. Raises NotFound."""
    raise NotFound(f"There is no {request.path[:256]} at this address.")


def broken(health: Health, deployment: Deployment, now: float) -> str | None:
    """Why a deployment is out of use: its breaker or its provider's, or a refused credential. None: it is in use."""
    target = health.by_deployment.get(deployment.id)
    if target is None:
        return None
    provider = target.provider
    for one in (target,) if provider is None else (target, provider):
        if one.state == DRAINED:
            return one.state
        if one.state != CLOSED:
            return one.last_error or one.state
    # One failed connection rests a provider for a moment, too; that is not told.
    denied = provider is not None and provider.blocked_until > now and target.last_error == UpstreamDenied.code
    return UpstreamDenied.code if denied else None


def _not_set(_request: Request, _response: Response, error: BaseException) -> None:
    raise error
