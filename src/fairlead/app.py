"""The whole service put together: the only place that chooses concrete classes."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import resource
import signal
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlsplit

import uvloop
from sqlalchemy.exc import SQLAlchemyError

from fairlead import __version__
from fairlead.accounts.keys import KeyRing, first_start
from fairlead.accounts.limits import LimitBook, Limits
from fairlead.api.chat import ChatCompletions
from fairlead.api.credit import Credit
from fairlead.api.dispatch import Dispatch, Endpoint
from fairlead.api.health import HealthChecks
from fairlead.api.metrics import Gauge, Metrics
from fairlead.api.models import Models
from fairlead.api.openapi import OpenApi
from fairlead.api.performance import Performances
from fairlead.api.plan import Plans
from fairlead.api.receipts import Receipts
from fairlead.api.routes import Endpoints, Route, served, tables
from fairlead.api.traced import TracedChatCompletions, Tracer
from fairlead.catalogue.facts import ModelFacts, Source, Value
from fairlead.catalogue.load import build, model_of, with_statements
from fairlead.catalogue.snapshot import Deployment, Model, Provider, Snapshot
from fairlead.catalogue.views import limits
from fairlead.catalogue.vocabulary import OUTPUT_CAPS
from fairlead.chores import Chores
from fairlead.engines.shared import SharedEngine
from fairlead.engines.spec import EngineSpec, demo_spec, engine_is_installed
from fairlead.engines.supervisor import Engine
from fairlead.errors import (
    ConfigurationError,
    EngineCrashed,
    FairleadError,
    ServiceError,
    UpstreamCut,
    UpstreamDenied,
    UpstreamUnreachable,
)
from fairlead.gateway import Gateway
from fairlead.http.asgi import AsgiBridge
from fairlead.http.client import Pool, PoolLimits, Timeouts
from fairlead.http.connect import Proxy
from fairlead.http.memory import give_back_at_rest, let_go_of_code, tune_allocator
from fairlead.http.request import Request, Response
from fairlead.http.server import Server, ServerLimits
from fairlead.ledger.ledger import Ledger
from fairlead.ledger.unreadable import UNREADABLE
from fairlead.prices import FREE, PriceSheet
from fairlead.providers.anthropic_messages import AnthropicMessages
from fairlead.providers.bedrock import BedrockConverse
from fairlead.providers.dialects import DIALECTS, Dialect
from fairlead.providers.gemini import Gemini
from fairlead.providers.openai_chat import OpenAIChat
from fairlead.providers.prefill import goes_on
from fairlead.providers.presets import with_presets
from fairlead.providers.sigv4 import Signer
from fairlead.routing.attempt import HangUp
from fairlead.routing.health import CLOSED, Health
from fairlead.routing.keeper import Keeper as RoutingKeeper
from fairlead.routing.needs import CAPABILITY_BITS, CHOICES, JSON_SCHEMA, PREFILL, lacks_of
from fairlead.routing.options import Options
from fairlead.routing.plan import Rules
from fairlead.routing.probes import Probes
from fairlead.routing.protocols import Adapter, Measured
from fairlead.routing.schedule import Schedule
from fairlead.routing.upstream import Servable, Upstream, servable, unit_price
from fairlead.settings import LimitSettings, RoutingSettings, ServerSettings, Settings, database_url, otlp_headers
from fairlead.store import Store, open_store
from fairlead.store.health import events_since
from fairlead.telemetry.board import Board
from fairlead.telemetry.cells import PROBE, TRAFFIC
from fairlead.telemetry.exposition import families
from fairlead.telemetry.figures import DayBar, ModelDay, Performance, Rate
from fairlead.telemetry.keeper import Keeper, Keeping
from fairlead.telemetry.reader import Reader
from fairlead.telemetry.recorder import Recorder, Series
from fairlead.tokens import family_of
from fairlead.wire.chat import PARAMETERS

if TYPE_CHECKING:
    from fairlead.site.records import Event
    from fairlead.telemetry.otel import Sender

T = TypeVar("T")
log = logging.getLogger("fairlead")

# The last dated version that is no preview: https://learn.microsoft.com/en-us/azure/ai-foundry/openai/api-version-lifecycle
AZURE_API_VERSION = "2024-10-21"
ENGINE_PROVIDER = "engine"
ENGINE_QUEUE = 256
ENGINE_PRIORITY = 1_000  # the last deployment of its model, unless an operator put others behind it
# How long a stop waits for what is still being counted of answers that were cut.
LAST_BILLS_SECONDS = 5.0
# How long a worker that is not the first one leaves an open breaker to the first one's probes.
PATIENCE_SECONDS = 10.0
# Threads for everything but the database of the ledger and keys: tokenizers, pages, metrics.
OTHER_THREADS = 6
# Net allocations between two young collections; Python's 700 cost a twentieth of a call. What a call has used is freed
# without any (tests/e2e/test_garbage.py): they find what libraries leave, and pages.
GC_THRESHOLD = 5_000
# A host that means every address, and one that a caller on this machine can use.
EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - only shown differently


class CannotListen(ServiceError):
    """The address is taken or not ours."""


def serve(
    *, settings: Settings, data_dir: Path, host: str, port: int, engine: bool = True, gguf: EngineSpec | None = None
) -> int:
    """Serves until SIGTERM or SIGINT; gives the exit code. `gguf` replaces the demonstration model.

    Raises ConfigurationError or CannotListen before anything is served.
    """
    prepare_process()
    store = open_store(data_dir, database_url(settings))
    try:
        own = engine_in(data_dir, gguf if gguf is not None else demo_spec() if engine else None)
        service = Service(settings, store, own)
        return uvloop.run(service.run(host, port, own))
    finally:
        store.close()


def engine_in(data_dir: Path, spec: EngineSpec | None) -> Engine | None:
    """The engine of a data directory, not started yet. Raises ConfigurationError."""
    try:
        return None if spec is None else Engine(spec, data_dir)
    except OSError as error:
        where = error.filename or data_dir
        raise ConfigurationError(f"The data directory {data_dir} cannot be used: {where}: {error.strerror}.") from None


def prepare_process() -> None:
    """Logging, the allocator and the number of open files: once in the life of a process."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    tune_allocator()
    _raise_open_files()


AnyEngine = Engine | SharedEngine


@dataclass(frozen=True, slots=True)
class Reach:
    """How a provider is reached: its pool, and the engine behind it when it is one of ours."""

    pool: Pool
    headers: bytes
    engine: AnyEngine | None = None


class Service:
    """One process: engine, pools, gateway, server; `run` starts them in order and ends them in reverse, `serve` does
    it for a worker among others, whose sockets and engine are its parent's."""

    def __init__(
        self, settings: Settings, store: Store, engine: AnyEngine | None, *, place: int = 0, workers: int = 1
    ) -> None:
        self._place = place  # among the workers of this machine
        self._workers = workers
        self._settings = settings
        self._store = store
        self._tls = tls_context(settings)
        snapshot = build(with_presets(settings), DIALECTS, goes_on)
        self._engine = engine
        if engine is not None:
            snapshot = _with_engine(snapshot, engine)
        self._snapshot = snapshot
        self._reaches = {provider.id: self._reach(provider) for provider in snapshot.providers.values()}
        self._stopping = asyncio.Event()
        self._chores = Chores()
        self._recorder = Recorder()
        self._traced: Callable[[Series, Model, Deployment], Measured] | None = None
        self._tracer: Tracer | None = None
        self._ledger: Ledger | None = None
        self._gateway: Gateway | None = None
        self._keeper: RoutingKeeper
        self._probes: Probes

    async def run(self, host: str, port: int, engine: Engine | None) -> int:
        """Serves alone, with an engine of its own. Raises CannotListen."""
        starting: asyncio.Task[None] | None = None

        async def listen(server: Server) -> None:
            nonlocal starting
            try:
                address = await server.listen(host, port)
            except OSError as error:
                raise cannot_listen(host, port, error) from None
            first_key = first_start(self._store)  # only now: a key that nobody gets to see would be lost
            if engine is not None:
                starting = asyncio.create_task(engine.start())
            self.greet(host, address[1], first_key)

        code = await self.serve(listen)
        if engine is not None and starting is not None:
            with contextlib.suppress(Exception):
                await starting
            await engine.stop()
        return code

    async def serve(self, listen: Callable[[Server], Awaitable[None]]) -> int:
        """Serves what `listen` makes the server accept, until SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(OTHER_THREADS, "other"))
        keys = KeyRing(self._store)
        self._ledger = ledger = Ledger(self._store, self._sheets(), power=self._settings.ledger.durability == "power")
        kept = self._settings.telemetry
        keeper = Keeper(
            self._store,
            self._recorder,
            Keeping(kept.minutes_kept_days, kept.kept_days, kept.flush_seconds),
            writer=ledger.name,
        )
        sender = self._sender()
        server = self._server(keys, ledger, keeper)
        await listen(server)
        keys.reload()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        chores = self._chores
        chores.begin("watches the keys", keys.watch)
        chores.begin("stores usage", ledger.run)
        chores.begin("stores telemetry", keeper.run)
        chores.begin("stores what routing has decided", self._keeper.run)
        chores.begin("probes", self._probes.run)
        chores.begin("gives back memory", lambda: give_back_at_rest(lambda: server.requests, lambda: server.in_flight))
        # What lives as long as the process is not looked at again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, 20, 50)
        let_go_of_code()
        await self._stopping.wait()
        # A second signal ends it at once, as everywhere.
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        await server.drain(self._settings.server.drain_timeout_seconds)
        for reach in self._reaches.values():
            await reach.pool.close()
        give_up = loop.time() + LAST_BILLS_SECONDS
        while self._gateway is not None and self._gateway.open_bills and loop.time() < give_up:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await chores.end()
        await loop.run_in_executor(self._store.threads, self._keeper.close)
        await keeper.close()
        if sender is not None:
            await loop.run_in_executor(None, sender.close)
        await ledger.close()
        return 0

    def _sender(self) -> Sender | None:
        """What tells OpenTelemetry's receiver of attempts, where one is configured."""
        given = self._settings.telemetry
        if given.otlp_endpoint is None:
            return None
        from fairlead.telemetry.otel import Sender, Subject

        sender = Sender(given.otlp_endpoint, otlp_headers(given), given.otlp_service_name, __version__)

        def traced(series: Series, model: Model, deployment: Deployment) -> Measured:
            provider = self._snapshot.providers[deployment.provider]
            parts = urlsplit(provider.base_url)
            address = parts.hostname or parts.path
            port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
            return sender.traced(
                series, Subject(model.id, deployment.upstream_model, provider.id, provider.dialect, address, port)
            )

        self._traced = traced
        self._tracer = sender
        return sender

    def _measured(self, model: Model, deployment: Deployment) -> Measured:
        series = self._recorder.series(TRAFFIC, model.id, deployment.id)
        return series if self._traced is None else self._traced(series, model, deployment)

    def _sheets(self) -> list[PriceSheet]:
        return [deployment.sheet for model in self._snapshot.models.values() for deployment in model.deployments]

    def _server(self, keys: KeyRing, ledger: Ledger, keeper: Keeper) -> Server:
        hang_up = HangUp(self._settings.ledger.hang_up_seconds, self._settings.ledger.hang_up_tokens)
        servables = self._servables()
        clock = asyncio.get_running_loop().time
        health = Health(probed=self._settings.routing.probes)
        gateway = Gateway(
            servables,
            health,
            clock,
            ledger,
            hang_up,
            self._limits(),
            _options(self._settings.routing),
            self._snapshot.aliases,
        )
        self._gateway = gateway
        upstreams = {one.deployment.id: one for offer in servables.values() for one in offer.upstreams}
        known = {name: one.deployment for name, one in upstreams.items()}
        self._keeper = RoutingKeeper(
            self._store, health, gateway.take_decisions, clock, known, shared=self._workers > 1 or self._store.is_shared
        )
        self._keeper.restore()
        receipts = Receipts(ledger, keys, self._keeper.routed)
        seconds = self._settings.routing.probe_interval_seconds
        # One worker probes for all; the others do it when nothing has come of that.
        schedule = Schedule(upstreams.values(), health, seconds, clock()) if seconds and not self._place else None
        self._probes = Probes(upstreams, health, clock, ledger, schedule, PATIENCE_SECONDS if self._place else 0.0)
        credit = Credit(ledger, keys)
        models = Models(self._snapshot.models.values(), keys)
        board = Board(Reader(self._store))
        performance = Performances(self._snapshot.models.values(), board, self._obstacle)
        checks = HealthChecks(self._obstacles, self._warnings)
        site = LazySite(
            self._snapshot,
            self._obstacle,
            lambda deployment: _broken(health, deployment, clock()),
            Recorded(board, self._store),
            self._settings.server.public_url,
        )
        server: Server | None = None
        metrics = Metrics(
            (
                Gauge(
                    "fairlead_requests_in_flight", "Requests being answered.", lambda: server.in_flight if server else 0
                ),
                Gauge("fairlead_connections", "Connections of callers.", lambda: len(server.open) if server else 0),
                Gauge("fairlead_open_bills", "Calls not charged yet.", lambda: gateway.open_bills),
                Gauge("fairlead_spool_waiting_bytes", "Usage the database lacks.", lambda: ledger.waiting_bytes),
                Gauge("fairlead_spool_full", "1: no paid call is taken.", lambda: ledger.full),
                Gauge("fairlead_spool_set_aside", "Records that could not be read.", lambda: ledger.set_aside),
                Gauge("fairlead_spools_closed", "Spools not taken up.", lambda: len(ledger.closed_spools)),
                Gauge("fairlead_database_trouble", "1: usage cannot be stored.", lambda: ledger.trouble is not None),
                Gauge(
                    "fairlead_credit_trouble",
                    "1: no credit can be leased.",
                    lambda: ledger.wallets.trouble is not None,
                ),
                Gauge("fairlead_telemetry_lost_cells", "Minutes of telemetry given up.", lambda: keeper.lost),
                Gauge(
                    "fairlead_chore_failures", "How often work beside the calls failed.", lambda: self._chores.failures
                ),
                Gauge("fairlead_ready", "1: a call can be served.", lambda: not self._obstacles()),
            ),
            {"process": ledger.name},
            lambda: families(keeper.all_totals()),
        )
        routes: list[Route] = []
        endpoints = Endpoints(
            chat=self._chat(gateway, keys),
            plan=Plans(gateway, keys),
            models=models,
            performance=performance,
            receipts=receipts,
            credit=credit,
            checks=checks,
            openapi=OpenApi(routes),
            metrics=metrics if self._settings.server.metrics else None,
        )
        routes += served(endpoints)
        dispatch = Dispatch(*tables(routes, endpoints), site.handle, frozenset(self._settings.server.cors_origins))
        site.on_error = dispatch.answer_error
        server = Server(
            dispatch,
            limits=_server_limits(self._settings.server),
            refuse=dispatch.refusal,
            on_error=dispatch.answer_error,
            tls=self._tls,
        )
        return server

    def _chat(self, gateway: Gateway, keys: KeyRing) -> Endpoint:
        if self._tracer is None:
            return ChatCompletions(gateway, keys)
        return TracedChatCompletions(gateway, keys, self._tracer)

    def _limits(self) -> LimitBook:
        given = self._settings.limits
        return LimitBook(
            _limits_from(given),
            _limits_from(given.free),
            {model.id: _limits_from(model.limits) for model in self._settings.models},
        )

    def _servables(self) -> dict[str, Servable]:
        return {
            model.id: servable(
                model,
                [self._upstream(model, deployment) for deployment in model.deployments],
                self._recorder.series(TRAFFIC, model.id),
            )
            for model in self._snapshot.models.values()
        }

    def _upstream(self, model: Model, deployment: Deployment) -> Upstream:
        reach = self._reaches[deployment.provider]
        provider = self._snapshot.providers[deployment.provider]
        dialect = _spoken(provider, deployment)
        costs = not deployment.sheet.free or deployment.sheet.cost is not None
        return Upstream(
            deployment=deployment,
            adapter=ADAPTERS[dialect.speaks](dialect, model, deployment, provider),
            pool=reach.pool,
            path=_path(dialect, deployment, provider),
            headers=reach.headers,
            answer_headers=b"x-fairlead-deployment: %b\r\n" % quote(deployment.id, safe="/:@._-").encode(),
            stream_type=dialect.stream_type,
            costs=costs,
            bills_cut=costs and (dialect.bills_cut if provider.bills_cut is None else provider.bills_cut),
            family=family_of(deployment.upstream_model) or family_of(model.id),
            gate=reach.engine,
            translate=None if reach.engine is None else _engine_error,
            measured=self._measured(model, deployment),
            probed=self._recorder.series(PROBE, model.id, deployment.id),
            probe=deployment.probe or provider.probe or ("list" if costs else "call"),
            list_path=_list_path(dialect, provider),
            model_id=model.id,
            lacks=_lacks(dialect, model, deployment),
            context=deployment.context_length or model.context_length,
            output=_own_output(model, deployment),
            unit_price=unit_price(deployment.sheet),
            continues=_goes_on(dialect, model, deployment) is True,
            translated=_translated(dialect),
        )

    def _reach(self, provider: Provider) -> Reach:
        engine = self._engine if provider.id == ENGINE_PROVIDER else None
        parts = urlsplit(provider.base_url)
        proxy = None
        if parts.hostname and (url := self._settings.proxy.for_url(parts.scheme, parts.hostname)):
            try:
                proxy = Proxy.parse(url)
            except ValueError as error:
                raise ConfigurationError(f"HTTP_PROXY or HTTPS_PROXY cannot be used: {error}.") from None
        pool = Pool(
            provider.base_url,
            timeouts=Timeouts(
                provider.connect_seconds, provider.first_byte_seconds, provider.idle_seconds, provider.total_seconds
            ),
            limits=PoolLimits(
                connections=provider.connections,
                queue=provider.queue,
                queue_seconds=provider.queue_seconds,
                reuse=DIALECTS[provider.dialect].keeps_connections,
            ),
            proxy=proxy,
        )
        headers = b"content-type: application/json\r\nuser-agent: fairlead/%b\r\n" % __version__.encode()
        dialect = DIALECTS[provider.dialect]
        headers += dialect.headers
        if provider.api_key:
            headers += dialect.key_header.format(key=provider.api_key).encode() + b"\r\n"
        return Reach(pool, headers, engine)

    def _obstacle(self, model_id: str) -> str | None:
        """Why a model cannot be called now, in a few words; None when it can."""
        model = self._snapshot.models.get(model_id)
        if model is None or not model.deployments:
            return "no deployment configured"
        engines = [self._reaches[deployment.provider].engine for deployment in model.deployments]
        if any(engine is None or engine.is_ready for engine in engines):
            return None
        if any(engine is not None and engine.gave_up for engine in engines):
            return "the engine crashed too often and is not started again"
        return "the engine is not ready"

    def _warnings(self) -> list[str]:
        """What the operator should look at although calls are served."""
        found = []
        if self._ledger is not None and self._ledger.trouble is not None:
            waiting = self._ledger.waiting_bytes
            found.append(
                f"the database takes no usage records ({self._ledger.trouble}); {waiting} bytes wait in the spool"
            )
        if self._ledger is not None and self._ledger.wallets.trouble is not None:
            found.append(f"credit cannot be leased, so calls that need it are refused ({self._ledger.wallets.trouble})")
        if self._ledger is not None:
            found += [
                f"usage of an earlier process is not in the books: {path} cannot be taken up ({why})"
                for path, why in self._ledger.closed_spools.items()
            ]
        if self._ledger is not None and self._ledger.set_aside:
            found.append(
                f"{self._ledger.set_aside} usage records could not be read and are not in the books: "
                f"they are set aside in {self._store.directory / UNREADABLE}"
            )
        return found

    def _obstacles(self) -> list[str]:
        """Why nothing can be served; empty when any model can be called."""
        if self._ledger is not None and self._ledger.full:
            return ["usage cannot be recorded: the spool is full or cannot be written"]
        reasons = {}
        for model in self._snapshot.models.values():
            obstacle = self._obstacle(model.id)
            if obstacle is None:
                return []
            if model.deployments:
                reasons[model.id] = obstacle
        return [f"{name}: {text}" for name, text in reasons.items()] or ["no deployment is configured"]

    def greet(self, host: str, port: int, first_key: str | None, workers: int = 1) -> None:
        """Prints where this is, the first key when there is one, and a call to try."""
        shown = EVERY_ADDRESS.get(host, f"[{host}]" if ":" in host else host)
        url = f"{'http' if self._tls is None else 'https'}://{shown}:{port}"
        callable_ = [model for model in self._snapshot.models.values() if model.deployments]
        lines = [f"Fairlead {__version__} is at {url}" + (f" ({workers} workers)" if workers > 1 else "")]
        if first_key is not None:
            lines += ["", f"Your API key, shown this once: {first_key}"]
        if callable_:
            preferred = next((model for model in callable_ if not model.demonstration), callable_[0])
            key = first_key or "$FAIRLEAD_API_KEY"
            lines += [
                "",
                "Try it:",
                f"  curl {url}/v1/chat/completions \\",
                f'    -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \\',
                f'    -d \'{{"model": "{preferred.id}", "messages": [{{"role": "user", "content": "Hello!"}}]}}\'',
            ]
        else:
            lines += [
                "",
                "No model can be called yet: name a provider and a model in a file, and start with --config FILE.",
                f"How: {url}/docs/settings",
            ]
            if not engine_is_installed():
                lines.append(f"Or try the demonstration model: {sys.executable} -m pip install 'fairlead[engine]'")
        print("\n".join(lines), flush=True)


class Recorded:
    """What the pages show of this server's own traffic."""

    def __init__(self, board: Board, store: Store) -> None:
        self._board = board
        self._store = store

    async def shares(self) -> Mapping[str, Rate]:
        found = (await self._read(self._board.shares())).value
        return {one.model: one.served for one in found}

    async def model_days(self, days: int) -> tuple[ModelDay, ...]:
        return (await self._read(self._board.model_days(days))).value

    async def day_bars(self, model: str, deployment: str = "") -> tuple[DayBar, ...]:
        return (await self._read(self._board.day_bars(model, deployment))).value

    async def performance(self, model: str, window: str) -> Performance | None:
        return (await self._read(self._board.performance(model, window))).value

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


class LazySite:
    """The pages, loaded when the first one is asked for: a gateway that only serves the API needs none of it."""

    def __init__(
        self,
        snapshot: Snapshot,
        obstacle: Callable[[str], str | None],
        broken: Callable[[Deployment], str | None],
        records: Recorded,
        public_url: str | None,
    ) -> None:
        self._snapshot = snapshot
        self._obstacle = obstacle
        self._broken = broken
        self._records = records
        self._public_url = public_url
        self._bridge: AsgiBridge | None = None
        self.on_error: Callable[[Request, Response, BaseException], None] = _not_set

    def handle(self, request: Request, response: Response) -> None:
        if self._bridge is None:
            from fairlead.site.app import site
            from fairlead.site.sources import Sources

            sources = Sources(
                lambda: self._snapshot,
                self._obstacle,
                lambda: datetime.now(UTC),
                self._records,
                self._carries,
                self._broken,
            )
            self._bridge = AsgiBridge(site(sources, self._public_url), self.on_error)
        self._bridge.handle(request, response)

    def _carries(self, deployment: Deployment) -> frozenset[str] | None:
        return _spoken(self._snapshot.providers[deployment.provider], deployment).carries


def _broken(health: Health, deployment: Deployment, now: float) -> str | None:
    """Why a deployment is out of use: its breaker or its provider's, or a refused credential. None: it is in use."""
    standing = health.standings.get(deployment.id)
    if standing is None:
        return None
    provider = standing.provider
    for one in (standing,) if provider is None else (standing, provider):
        if one.state != CLOSED:
            return one.last_error or one.state
    # One failed connection rests a provider for a moment, too; that is not told.
    denied = provider is not None and provider.blocked_until > now and standing.last_error == UpstreamDenied.code
    return UpstreamDenied.code if denied else None


def _openai(dialect: Dialect, model: Model, deployment: Deployment, _provider: Provider) -> Adapter:
    return OpenAIChat(dialect, model.id, deployment.upstream_model, model.defaults)


def _anthropic(dialect: Dialect, model: Model, deployment: Deployment, _provider: Provider) -> Adapter:
    return AnthropicMessages(
        dialect, model.id, deployment.upstream_model, model.defaults, clock=time.time,
        most_output=limits(model, deployment)[1],
    )  # fmt: skip


def _gemini(dialect: Dialect, model: Model, deployment: Deployment, _provider: Provider) -> Adapter:
    return Gemini(dialect, model.id, deployment.upstream_model, model.defaults, clock=time.time)


def _bedrock(dialect: Dialect, model: Model, deployment: Deployment, provider: Provider) -> Adapter:
    parts = urlsplit(provider.base_url)
    signer = None
    if provider.aws_keys is not None:
        host = parts.netloc.rpartition("@")[2]  # as it stands in the request
        signer = Signer(*provider.aws_keys, region=provider.region, service="bedrock", host=host)
    return BedrockConverse(
        dialect, model.id, deployment.upstream_model, model.defaults, clock=time.time, signer=signer,
        prefix=parts.path, most_output=limits(model, deployment)[1],
    )  # fmt: skip


# Who speaks each family of dialects.
ADAPTERS: Mapping[str, Callable[[Dialect, Model, Deployment, Provider], Adapter]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "bedrock": _bedrock,
}


def _spoken(provider: Provider, deployment: Deployment) -> Dialect:
    """The dialect of a deployment, less the parameters that the operator says it does not take."""
    dialect = DIALECTS[provider.dialect]
    taken = deployment.parameters
    if taken is None:
        return dialect
    if taken & OUTPUT_CAPS:
        taken |= OUTPUT_CAPS
    if dialect.carries is None:
        carries = taken - dialect.lacks
    else:
        carries = frozenset(
            name for name in taken if name in dialect.carries or (dialect.passes_unknown and name not in PARAMETERS)
        )
    return replace(dialect, carries=carries, passes_unknown=False)


def _lacks(dialect: Dialect, model: Model, deployment: Deployment) -> int:
    carries, passes_unknown = dialect.carries, dialect.passes_unknown
    if carries is None and dialect.lacks:
        carries, passes_unknown = frozenset(PARAMETERS) - dialect.lacks, True
    bits = lacks_of(model, deployment, carries, passes_unknown)
    for name in dialect.incapable:
        bits |= CAPABILITY_BITS[name]
    if _goes_on(dialect, model, deployment) is False:
        bits |= PREFILL
    return bits


def _goes_on(dialect: Dialect, model: Model, deployment: Deployment) -> bool | None:
    """Whether a deployment goes on from a prefill: what the operator says, then the catalogue, then its dialect."""
    if "prefill" in deployment.lacks:
        return False
    if deployment.continues is not None:
        return deployment.continues
    if model.facts.get("capability.prefill").value is False:
        return False
    return goes_on(dialect, deployment.upstream_model)


def _own_output(model: Model, deployment: Deployment) -> int | None:
    """A deployment's own limit of an answer, where its context is not the tighter one."""
    context, own = deployment.context_length or model.context_length, deployment.max_output_tokens
    return own if own is not None and (context is None or own < context) else None


def _path(dialect: Dialect, deployment: Deployment, provider: Provider) -> bytes:
    """What follows the base URL. Azure's has the deployment in it; Gemini's and Bedrock's calls bring their own."""
    if dialect.name != "azure":
        return dialect.path
    version = provider.api_version or AZURE_API_VERSION
    name = quote(deployment.upstream_model, safe="")
    return f"/openai/deployments/{name}/chat/completions?api-version={version}".encode()


def _list_path(dialect: Dialect, provider: Provider) -> bytes:
    if dialect.name != "azure":
        return dialect.list_path
    return f"/openai/models?api-version={provider.api_version or AZURE_API_VERSION}".encode()


def _limits_from(given: LimitSettings) -> Limits:
    return Limits(**{name: getattr(given, name) for name in Limits.__struct_fields__})


def _not_set(_request: Request, _response: Response, error: BaseException) -> None:
    raise error


def _with_engine(snapshot: Snapshot, engine: AnyEngine) -> Snapshot:
    """The snapshot with the local engine as a provider, and as the last deployment of its model."""
    spec = engine.spec
    if ENGINE_PROVIDER in snapshot.providers:
        raise ConfigurationError(
            f"The provider id {ENGINE_PROVIDER!r} is taken by the embedded engine; choose another."
        )
    provider = Provider(
        id=ENGINE_PROVIDER,
        base_url=engine.base_url,
        dialect="llamacpp",
        api_key=engine.api_key,
        connect_seconds=2,
        connections=engine.slots,
        queue=ENGINE_QUEUE,
        queue_seconds=60,
    )
    known = snapshot.models.get(spec.model_id)
    model = known if known is not None else model_of(_facts_of_file(spec))
    name = f"{ENGINE_PROVIDER}/{spec.gguf.name}"
    deployment = Deployment(
        name, ENGINE_PROVIDER, spec.model_id, PriceSheet(name, FREE), priority=ENGINE_PRIORITY,
        # Where others serve it too, these are limits of its own.
        context_length=spec.context_tokens if model.deployments else None,
    )  # fmt: skip
    if not model.deployments:  # nobody else serves it: it holds and takes what the engine does
        model = replace(
            model,
            context_length=spec.context_tokens,
            max_output_tokens=spec.context_tokens,
            input_modalities=("text", "image") if spec.images else ("text",),
        )
    elif spec.images:
        model = replace(model, input_modalities=("text", "image"))
    model = replace(model, deployments=(*model.deployments, deployment))
    return replace(
        snapshot,
        models={**snapshot.models, model.id: model},
        providers={**snapshot.providers, provider.id: provider},
    )


def _facts_of_file(spec: EngineSpec) -> ModelFacts:
    """What is known of a model of which there is only its file."""
    said = Source("engine", f"{spec.gguf.name} in the embedded engine", "measurement", str(datetime.now(UTC).date()))
    stated: dict[str, Value] = {
        "name": spec.model_id,
        "description": f"Served from {spec.gguf.name} by the embedded engine.",
        "context_length": spec.context_tokens,
        "max_output_tokens": spec.context_tokens,
        "input_modalities": ("text", "image") if spec.images else ("text",),
        "output_modalities": ("text",),
        "capability.vision": bool(spec.images),
        "mode": "chat",
    }
    return with_statements(ModelFacts(spec.model_id, "unknown", {}, {}), said, stated)


def _engine_error(error: FairleadError) -> FairleadError:
    """A connection to our own engine that breaks means that it crashed."""
    if isinstance(error, UpstreamCut | UpstreamUnreachable):
        return EngineCrashed("The engine crashed; it is being restarted.", retry_after_seconds=1)
    return error


def _translated(dialect: Dialect) -> frozenset[str]:
    if dialect.speaks != "openai":
        return dialect.carries or frozenset()
    names = set(dialect.renames)
    if dialect.tool_choice != "as_is":
        names.add("tool_choice")
    if dialect.structured != "as_is":
        names.add("structured_outputs")
    return frozenset(names)


def _options(given: RoutingSettings) -> Options:
    emulated = (JSON_SCHEMA if given.emulate_json_schema else 0) | (CHOICES if given.emulate_choices else 0)
    return Options(
        Rules(given.strategy, emulated), given.timeout_seconds, given.retries, given.continue_streams, given.hedge
    )


def _server_limits(settings: ServerSettings) -> ServerLimits:
    return ServerLimits(
        head_bytes=settings.max_head_bytes,
        body_bytes=settings.max_body_bytes,
        head_seconds=settings.head_timeout_seconds,
        body_seconds=settings.body_timeout_seconds,
        idle_seconds=settings.idle_timeout_seconds,
        stall_seconds=settings.stall_timeout_seconds,
        connections=settings.max_connections,
        requests_in_flight=settings.max_requests_in_flight,
    )


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """What the server speaks TLS with; None for plain HTTP. Raises ConfigurationError with file and line."""
    server = settings.server
    if server.tls_certificate is None:
        if server.tls_key is not None:
            raise settings.error("server.tls_key", "tls_key needs tls_certificate beside it.")
        return None
    for name, path in (("tls_certificate", server.tls_certificate), ("tls_key", server.tls_key)):
        # Asked before it is opened: to open a pipe waits for its writer.
        if path is not None and not Path(path).is_file():
            raise settings.error(f"server.{name}", f"{name}: {path!r} is not a file.")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(server.tls_certificate, server.tls_key)
    except ssl.SSLError as error:
        sentence = f"the certificate and key in server.tls_* do not match or are not PEM: {error.reason or error}."
        raise settings.error("server.tls_certificate", sentence) from None
    except OSError as error:
        sentence = f"tls_certificate or tls_key cannot be read: {error.strerror}."
        raise settings.error("server.tls_certificate", sentence) from None
    return context


def cannot_listen(host: str, port: int, error: OSError) -> CannotListen:
    if error.errno == errno.EADDRINUSE:
        return CannotListen(f"{host}:{port} is in use by another program. Choose another port with --port.")
    reason = (error.strerror or str(error)).lower()
    return CannotListen(f"Cannot listen on {host}:{port}: {reason}.")


def _raise_open_files() -> None:
    """Two descriptors per stream: the usual 1,024 would end at 500 callers."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
