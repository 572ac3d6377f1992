"""One process put together: connections, gateway, ledger, endpoints, server, background work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fairlead import __version__
from fairlead.accounts.guests import add_guest_account
from fairlead.accounts.key_ring import KeyRing
from fairlead.accounts.sharing import SharedLimits
from fairlead.alerts.accounts import AccountDelivery
from fairlead.alerts.delivery import AlertDelivery, Channels, set_rules
from fairlead.api.access import AccessEndpoint
from fairlead.api.admission import Admission, admit_no_body
from fairlead.api.archive import ResponseArchive
from fairlead.api.background_responses import BackgroundResponses
from fairlead.api.call import CallEndpoint
from fairlead.api.count_tokens import CountTokens
from fairlead.api.credit import Credit
from fairlead.api.dispatch import Dispatch, Endpoint, Routes
from fairlead.api.health import HealthChecks
from fairlead.api.management.endpoint import Management
from fairlead.api.management.table import ACTIONS
from fairlead.api.metrics import Metrics
from fairlead.api.models import DoorModels, Models
from fairlead.api.openapi import OpenApi
from fairlead.api.openrouter import OpenRouterLists
from fairlead.api.performance import Performances
from fairlead.api.plan import Plans
from fairlead.api.receipts import Receipts
from fairlead.api.routes import PAGE_ROUTES, Endpoints, Route, served, tables, with_body
from fairlead.api.stored import StoredResponses, StoringEndpoint
from fairlead.background import BackgroundTasks, rest
from fairlead.catalogue.snapshot import Deployment, Model
from fairlead.compose.credential_watch import CredentialWatch
from fairlead.compose.drain_watch import DrainWatch
from fairlead.compose.engine_model import engine_provider
from fairlead.compose.following import NOWHERE, Following, Origin
from fairlead.compose.gauges import gauges
from fairlead.compose.live import LiveConsole, LiveDeployments
from fairlead.compose.options import guests_of, limit_book, limits_of, server_limits, tls_context, valkey_of
from fairlead.compose.pages import ADMIN, BESIDE_ADMIN, CONSOLE, LazyConsole, LazySite, Pages, Recorded, broken, no_page
from fairlead.compose.readiness import Readiness
from fairlead.compose.upstreams import AnyEngine
from fairlead.compose.version import Version, serving_from, version_of
from fairlead.content.collector import ContentCollector
from fairlead.content.collector import Writer as CollectedWriter
from fairlead.content.retention import ContentRetention
from fairlead.doors.table import BELOW, DEFAULT_DOOR, DOORS, DoorFinder
from fairlead.engines.configured import ConfiguredEngine, ConfiguredEngines, EngineRoom
from fairlead.gateway.gateway import Gateway
from fairlead.http.client import Pool
from fairlead.http.memory import trim_heap_when_idle
from fairlead.http.request import Request
from fairlead.http.server import Server
from fairlead.http.upload import Uploads
from fairlead.ledger.counting import UsageCounter
from fairlead.ledger.funds import credit_scope
from fairlead.ledger.ledger import Ledger
from fairlead.operations.chat.inlining import Inliner
from fairlead.operations.chat.operation import CHAT
from fairlead.operations.chat.recovery import ChatRecovery
from fairlead.operations.embeddings import EMBEDDINGS, EmbeddingsRecovery
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.sealed import Reader as SealedReader
from fairlead.routing.attempt import DisconnectPolicy
from fairlead.routing.health import Health
from fairlead.routing.health_store import HealthStore
from fairlead.routing.probes import Probes
from fairlead.routing.protocols import Measured
from fairlead.routing.schedule import Schedule
from fairlead.routing.shadow import Mirrors
from fairlead.schemas.checker import SchemaChecker
from fairlead.serving import Serving, Servings
from fairlead.settings import (
    PUBLIC,
    ContentSettings,
    Secrets,
    Settings,
    admin_address,
    exposure,
    otlp_headers,
    private_addresses,
)
from fairlead.store import Store
from fairlead.store.alerts import AlertRules
from fairlead.telemetry.cells import TRAFFIC
from fairlead.telemetry.exposition import families
from fairlead.telemetry.performance_cache import PerformanceCache
from fairlead.telemetry.reader import Reader
from fairlead.telemetry.recorder import Recorder
from fairlead.telemetry.writer import Keeping, TelemetryWriter
from fairlead.wire.answer import WriterFactory

if TYPE_CHECKING:
    from fairlead.console.services import ConsoleServices
    from fairlead.telemetry.otel import Sender


# How long a worker that is not the first one leaves an open breaker to the first one's probes.
PATIENCE_SECONDS = 10.0
# How often it is looked whether connections of an earlier configuration can be closed.
RETIRE_SECONDS = 0.5


class Service:
    """What is known before anything runs: the configuration, checked. `place`: of this process among the workers of
    this machine; `room`: where engines of the configuration have their sockets. Raises ConfigurationError."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        engines: Sequence[AnyEngine],
        *,
        place: int = 0,
        workers: int = 1,
        origin: Origin = NOWHERE,
        room: EngineRoom | None = None,
    ) -> None:
        self.settings = settings
        self.origin = origin
        self.store = store
        self.engines = engines
        self.place = place
        self.workers = workers
        self.tls = tls_context(settings)
        self.valkey = valkey_of(settings)
        self.secrets = Secrets(sealed=SealedReader(store))
        room = room or EngineRoom(store.directory)
        self.configured = ConfiguredEngines(room, keeps=not place, workers=workers)
        own = self.configured.of(settings)
        self.version = version_of(
            settings, engines, secrets=self.secrets, configured=own
        )  # the one that it starts with


class Parts:
    """What runs in one process, made inside its event loop. `close` ends what outlives the server."""

    def __init__(self, service: Service) -> None:
        settings, store = service.settings, service.store
        self._service = service
        self.version = service.version
        self._clock = asyncio.get_running_loop().time
        self._usage_counter = UsageCounter(service.store)
        self.background = BackgroundTasks()
        self.engines = service.configured
        self._run_engines(self.version)
        self.keys = KeyRing(store)
        self.keys.guests = guests_of(settings, service.workers if service.valkey is None else 1)
        if self.keys.guests is not None:
            add_guest_account(store)
        self._alerts = AlertRules()
        set_rules(self._alerts, settings.alerts)
        self._delivery = AlertDelivery(store, Channels(settings.alerts, service.secrets))
        self._account_delivery = AccountDelivery(store, lambda: self._delivery.channels)
        self.ledger = Ledger(
            store, service.version.sheets, power=settings.ledger.durability == "power", alerts=self._alerts
        )
        self._recorder = Recorder()
        self._mirrors = Mirrors()
        kept = settings.telemetry
        self.telemetry = TelemetryWriter(
            store,
            self._recorder,
            Keeping(kept.minutes_kept_days, kept.kept_days, kept.flush_seconds),
            writer=self.ledger.name,
        )
        self._sender = self._make_sender()
        self.health = Health(probed=settings.routing.probes)
        serving = serving_from(self.version, self._recorder, self._attempts, self._mirrors)
        self.servings = Servings(serving)
        self._limits = limit_book(settings)
        self.sharing = None if service.valkey is None else SharedLimits(service.valkey, self._clock, service.workers)
        if self.sharing is not None:
            self._limits.share(self.sharing)
        self._schemas = SchemaChecker()
        inliner = Inliner() if settings.routing.fetch_media else None
        self.gateway = Gateway(
            self.servings,
            self.health,
            self._clock,
            self.ledger,
            DisconnectPolicy(settings.ledger.disconnect_seconds, settings.ledger.disconnect_tokens),
            self._limits,
            {
                CHAT.name: ChatRecovery(self._clock, self._schemas, inliner, _writers()),
                EMBEDDINGS.name: EmbeddingsRecovery(),
            },
        )
        self.routing = HealthStore(
            store, self.health, self.gateway.take_decisions, self._clock, self.servings.deployments,
            shared=service.workers > 1 or store.is_shared, alerts=self._alerts,
        )  # fmt: skip
        self.routing.restore()
        self.drains = DrainWatch(store, self.health, self.servings.deployments, self._clock)
        self.drains.restore()
        self.probes = Probes(
            self.servings.upstreams, self.health, self._clock, self.ledger, self._schedule(serving),
            PATIENCE_SECONDS if service.place else 0.0,
        )  # fmt: skip
        self._digests = settings.ledger.digests
        self._stored = ResponseArchive(store, settings.responses.keep_days)
        self._archive = self._stored if settings.responses.store else None
        self._responding = None if self._archive is None else BackgroundResponses(self.gateway, self._archive)
        self.content = ContentCollector(self._content_settings, self._content_writer)
        self.following = Following(
            store,
            settings,
            service.origin,
            self.apply,
            self._in_flight,
            name=self.ledger.name,
            place=service.place,
            alerts=self._alerts,
            remark=lambda: "" if self.sharing is None else self.sharing.remark(),
        )
        self.readiness = Readiness(self.servings, self.ledger, store, self.following, self.sharing)
        self._credential_watch = CredentialWatch(
            service.secrets, store, lambda: self.version, self._another_key
        )  # fmt: skip
        self.server = self._make_server()

    async def apply(self, settings: Settings) -> None:
        """Replaces the version of the configuration that is in force: providers, models, prices, limits and routing.
        What the process itself is made of (`[server]`, `[ledger]`, `[telemetry]`) stays as it was started with.

        Calls under way keep the version that they began with. Raises ConfigurationError, or LedgerUnavailable when the
        new prices cannot be stored; then nothing has changed.
        """
        # In a thread that shares the interpreter in short turns: many models take long, and calls continue.
        version, serving = await asyncio.get_running_loop().run_in_executor(None, self._built, settings)
        await self.ledger.add_sheets(version.sheets)
        # From here on nothing is awaited and nothing fails: one version is in force for everything.
        self.version = version
        self._run_engines(version)
        set_rules(self._alerts, settings.alerts)
        self._delivery.channels = Channels(settings.alerts, self._service.secrets)
        self._limits.replace(*limits_of(settings))
        self.probes.replace_schedule(self._schedule(serving))
        self.servings.replace(serving)
        self.health.forget_others(self.servings.deployments())
        self.drains.apply()

    def _built(self, settings: Settings) -> tuple[Version, Serving]:
        secrets = self._service.secrets.held(settings)
        own = self.engines.of(settings)
        version = version_of(settings, self._service.engines, self.version, secrets, own)
        return version, serving_from(version, self._recorder, self._attempts, self._mirrors)

    def _all_engines(self) -> dict[str, AnyEngine]:
        first = {engine_provider(at): one for at, one in enumerate(self._service.engines)}
        return {**first, **self.engines.engines}

    def _run_engines(self, version: Version) -> None:
        reaches = {name: one for name, one in version.reaches.items() if isinstance(one.engine, ConfiguredEngine)}
        wanted = {name: one.engine for name, one in reaches.items() if isinstance(one.engine, ConfiguredEngine)}
        self.engines.put_in_force(wanted, {name: partial(_calls_of, one.pool) for name, one in reaches.items()})

    def _content_writer(self) -> CollectedWriter:
        """Made in its thread when the first call is to be stored: what it needs is not loaded before."""
        from fairlead.content.writer import ContentWriter

        return ContentWriter(self._service.store, self._content_settings)

    def _content_settings(self) -> ContentSettings:
        return self.version.settings.content

    def _in_flight(self) -> dict[str, int]:
        return {name: one.in_flight for name, one in self.health.by_deployment.items()}

    async def close_retired(self) -> None:
        """Closes the connections of providers that are not configured any more, once no call needs them."""
        while True:
            await rest(RETIRE_SECONDS)
            for pool in self.servings.retired():
                await pool.close()

    def begin_background(self) -> None:
        """Starts what runs beside the calls until `close`."""
        server, begin = self.server, self.background.begin
        if self.sharing is not None:
            begin("shared limits", self.sharing.run)
        begin("key watcher", self.keys.watch)
        begin("configuration watcher", self.following.run)
        begin("usage writer", self.ledger.run)
        begin("engines of the configuration", self.engines.run)
        if not self._service.place:
            begin("usage counter", self._usage_counter.run)
            begin("retention of content", ContentRetention(self._service.store, self._content_settings).run)
        begin("telemetry writer", self.telemetry.run)
        begin("routing writer", self.routing.run)
        begin("drained deployments", self.drains.run)
        begin("deployment probes", self.probes.run)
        begin("alerts", self._delivery.run)
        begin("alerts of accounts", self._account_delivery.run)
        begin("stored responses", self._stored.forget)
        if self._responding is not None:
            begin("responses in the background", self._responding.watch)
        begin("retired connections", self.close_retired)
        begin("provider keys", self._credential_watch.run)
        begin("heap trimming", lambda: trim_heap_when_idle(lambda: server.requests, lambda: server.in_flight))

    async def drain(self, seconds: float) -> None:
        """Takes no more calls, and lets those under way finish for so long."""
        draining = [self.server.drain(seconds)]
        if self._responding is not None:
            draining.append(self._responding.drain(seconds))
        await asyncio.gather(*draining)

    async def close(self) -> None:
        """Stores what is not stored yet, in the order in which one part hands it to the next."""
        loop = asyncio.get_running_loop()
        await self.background.end()
        await self.engines.close()
        await self.following.close()
        await loop.run_in_executor(self._service.store.threads, self.routing.close)
        await loop.run_in_executor(None, self.content.close)
        await self.telemetry.close()
        await self._schemas.close()
        if self._sender is not None:
            await loop.run_in_executor(None, self._sender.close)
        await self.ledger.close()

    def _another_key(self, provider: str) -> None:
        for deployment in self.servings.deployments().values():
            if deployment.provider == provider:
                self.health.forgive(deployment)

    def _make_sender(self) -> Sender | None:
        """What exports attempts to an OpenTelemetry collector, where one is configured."""
        given = self._service.settings.telemetry
        if given.otlp_endpoint is None:
            return None
        from fairlead.telemetry.otel import Sender

        return Sender(given.otlp_endpoint, otlp_headers(given), given.otlp_service_name, __version__)

    def _attempts(self, version: Version, model: Model, deployment: Deployment) -> Measured:
        """Where the attempts of a deployment are counted."""
        series = self._recorder.series(TRAFFIC, model.id, deployment.id)
        sender = self._sender
        if sender is None:
            return series
        from fairlead.telemetry.otel import Subject

        provider = version.snapshot.providers[deployment.provider]
        parts = urlsplit(provider.base_url)
        address = parts.hostname or parts.path
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        name = DIALECTS[provider.dialect].telemetry_name or provider.id
        operation = next((row.operation.name for row in DOORS.values() if model.mode in row.operation.modes), CHAT.name)
        return sender.traced(series, Subject(model.id, deployment.upstream_model, name, address, port, operation))

    def _schedule(self, serving: Serving) -> Schedule | None:
        """One worker probes for all; the others do it when nothing has come of that."""
        seconds = serving.options.probe_interval_seconds
        if not seconds or self._service.place:
            return None
        return Schedule(serving.upstreams.values(), self.health, seconds, self._clock())

    def _make_server(self) -> Server:
        service, health, clock = self._service, self.health, self._clock
        settings, servings = service.settings, self.servings
        figures = PerformanceCache(Reader(service.store))
        site = LazySite(
            servings,
            self.readiness.obstacle,
            lambda deployment: broken(health, deployment, clock()),
            Recorded(figures, service.store),
            settings.server.public_url,
            with_status=settings.server.status == PUBLIC,
            docs_edit_url=settings.site.docs_edit_url,
            with_console=settings.console.enabled,
            guests=self.keys.guests is not None,
        )
        console = self._make_console()
        pages = Pages(site.handle, console)
        metrics = self._metrics()
        models = Models(servings, self.keys)
        lists = {name: DoorModels(models, row) for name, row in DOORS.items() if row.models is not None}
        routes: list[Route] = []
        live = LiveDeployments(servings, health, self.ledger, lambda: self._delivery.channels)
        management = Management(ACTIONS, service.store, self.keys, self.ledger, live)
        endpoints = Endpoints(
            calls=self._calls(),
            counts=self._counts(),
            plan=Plans(DEFAULT_DOOR, self.gateway, self.keys),
            models=models,
            lists=lists,
            performance=Performances(servings, figures, self.readiness.obstacle),
            receipts=Receipts(
                self.ledger, self.keys, self.routing.routed, show_cost=settings.ledger.receipts_show_cost
            ),
            credit=Credit(self.ledger, self.keys),
            access=AccessEndpoint(service.store, self.keys, servings),
            checks=HealthChecks(self.readiness.obstacles, self.readiness.warnings, self.following.shown),
            openapi=OpenApi(routes, PAGE_ROUTES),
            metrics=metrics if exposure(settings.server.metrics) == PUBLIC else None,
            stored=StoredResponses(self._archive, self._responding, self.keys),
            management=management,
            openrouter=OpenRouterLists(servings, models),
        )
        routes += served(endpoints)
        doors = DoorFinder(DOORS.values())
        paths, prefixes = tables(routes, endpoints, self.keys)
        dispatch = Dispatch(paths, prefixes, pages.handle, frozenset(settings.server.cors_origins), doors)
        site.on_error = dispatch.answer_error
        if console is not None:
            console.on_error = dispatch.answer_error
        self.private = {
            address: _private_server(settings, address, metrics, site, self._services)
            for address in private_addresses(settings)
        }
        return Server(
            dispatch,
            limits=server_limits(settings.server),
            refuse=dispatch.refusal,
            on_error=dispatch.answer_error,
            tls=service.tls,
            admit=Admission(with_body(routes), self.keys, doors, _any(management.admits, console)),
            uploads=Uploads(
                service.store.directory,
                [above + path for row in DOORS.values() if row.uploads for path in row.paths for above in ("", BELOW)],
                settings.server.max_upload_bytes,
            ),
        )

    def _make_console(self) -> LazyConsole | None:
        settings = self._service.settings
        if not settings.console.enabled:
            return None
        return LazyConsole(CONSOLE if admin_address(settings) is None else CONSOLE - {ADMIN}, self._services)

    def _mail_to(self, to: str, subject: str, text: str) -> None:
        self._delivery.channels.mail_to(to, subject, text)  # those of the configuration in force

    def _services(self) -> ConsoleServices:
        from fairlead.console.services import ConsoleServices

        return ConsoleServices(
            self._service.store,
            lambda: self.version.settings,
            lambda: self.servings.now.snapshot,
            self._service.settings.server.public_url,
            self.ledger.flush,
            lambda account_id: self.ledger.wallets.credited(credit_scope(account_id)),
            lambda: self._delivery.channels.has_mail,
            self._mail_to,
            LiveConsole(
                self.servings,
                self.health,
                self.ledger,
                lambda: self._delivery.channels,
                lambda: self.version,
                self.readiness,
                self.background,
                self._service.store,
                self._all_engines,
            ),
            self._service.secrets,
        )

    def _calls(self) -> dict[str, Endpoint]:
        calls: dict[str, Endpoint] = {}
        for name, row in DOORS.items():
            if self._archive is not None and self._responding is not None and row.storing is not None:
                calls[name] = StoringEndpoint(
                    row.storing,
                    self.gateway,
                    self.keys,
                    self._archive,
                    self._responding,
                    self._sender,
                    self.content,
                    digests=row.has_digests(self._digests),
                )
            else:
                calls[name] = CallEndpoint(
                    row.door,
                    self.gateway,
                    self.keys,
                    self._sender,
                    row.request_id,
                    row.outlines,
                    row.has_digests(self._digests),
                    row.uploads,
                    self.content,
                )
        return calls

    def _counts(self) -> dict[str, Endpoint]:
        return {
            name: CountTokens(
                row.door,
                self.gateway,
                self.keys,
                row.counted,
                row.request_id,
                None if row.storing is None or self._archive is None else (row.storing, self._archive),
            )
            for name, row in DOORS.items()
            if row.count_paths
        }

    def _metrics(self) -> Metrics:
        return Metrics(gauges(self), {"process": self.ledger.name}, lambda: families(self.telemetry.all_totals()))


def _calls_of(pool: Pool) -> int:
    return pool.in_flight


def _writers() -> dict[str, WriterFactory]:
    """What writes the answers of each door that has a writer, by its API."""
    found = {row.door.api: row.door.new_writer for row in DOORS.values()}
    return {api: writer for api, writer in found.items() if writer is not None}


def _any(admits: Callable[[Request], bool], console: LazyConsole | None) -> Callable[[Request], bool]:
    return admits if console is None else lambda request: admits(request) or console.admits(request)


def _private_server(
    settings: Settings,
    address: tuple[str, int],
    metrics: Endpoint,
    site: LazySite,
    services: Callable[[], ConsoleServices],
) -> Server:
    """What is served at an address of its own: figures, the pages with the status page, those of operators, or all."""
    given = settings.server
    routes: Routes = {"/metrics": {"GET": metrics}} if exposure(given.metrics) == address else {}
    pages = site.with_status() if exposure(given.status) == address else None
    console = LazyConsole(BESIDE_ADMIN, services) if admin_address(settings) == address else None
    if console is not None and pages is None:
        pages = site.without_public_url()  # for the files that pages have in common
    dispatch = Dispatch(routes, {}, Pages(no_page if pages is None else pages.handle, console).handle)
    for one in (pages, console):
        if one is not None:
            one.on_error = dispatch.answer_error
    return Server(
        dispatch,
        limits=server_limits(given),
        refuse=dispatch.refusal,
        on_error=dispatch.answer_error,
        admit=admit_no_body if console is None else console.admits,
    )
