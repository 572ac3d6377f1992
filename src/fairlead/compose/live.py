"""What only the running process knows, for the management API and the console."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from fairlead.admin.alerts import try_channels
from fairlead.alerts.delivery import Channels
from fairlead.background import BackgroundTasks, Job
from fairlead.compose.pages import broken
from fairlead.compose.readiness import Readiness
from fairlead.compose.trial import checked, list_models, try_deployment
from fairlead.compose.upstreams import AnyEngine
from fairlead.compose.version import Version
from fairlead.engines.configured import ConfiguredEngine
from fairlead.engines.shared import SharedEngine
from fairlead.errors import InvalidRequest, NotFound
from fairlead.money import Picodollars
from fairlead.routing.health import CLOSED, OPEN, Health
from fairlead.routing.probes import Books
from fairlead.routing.trial import trial_entry, try_out
from fairlead.serving import Servings
from fairlead.settings import Settings
from fairlead.store import Store
from fairlead.toml import nearest

if TYPE_CHECKING:
    from fairlead.console.services import PoolState


class LiveDeployments:
    """The deployments of the configuration in force, with their health as this process sees it. `books`: where tests
    are noted; `channels()`: those of alerts that are configured."""

    def __init__(self, servings: Servings, health: Health, books: Books, channels: Callable[[], Channels]) -> None:
        self._servings = servings
        self._health = health
        self._books = books
        self._channels = channels

    def deployments(self) -> list[dict[str, Any]]:
        found = []
        for model in self._servings.now.snapshot.models.values():
            for deployment in model.deployments:
                health = self._health.by_deployment.get(deployment.id)
                rates = deployment.sheet.price.rates
                found.append(
                    {
                        "id": deployment.id,
                        "model": model.id,
                        "provider": deployment.provider,
                        "upstream_model": deployment.upstream_model,
                        "state": "closed" if health is None else health.state,
                        "in_flight": 0 if health is None else health.in_flight,
                        "last_error": None if health is None else health.last_error or None,
                        "input_per_million": Picodollars(rates.input).per_million(),
                        "output_per_million": Picodollars(rates.output).per_million(),
                    }
                )
        return found

    def models(self) -> tuple[Mapping[str, bool], Mapping[str, str]]:
        serving = self._servings.now
        return {name: one.paid for name, one in serving.servables.items() if one.upstreams}, serving.aliases

    def trial(self, deployment: str) -> Callable[[], Awaitable[dict[str, Any]]]:
        upstreams = self._servings.upstreams()
        upstream = upstreams.get(deployment)
        if upstream is None:
            raise NotFound(f"There is no deployment {deployment[:200]!r}; {nearest(deployment[:200], upstreams)}")

        async def later() -> dict[str, Any]:
            return trial_entry(await try_out(upstream, self._books))

        return later

    def alert_trial(self) -> Callable[[], Awaitable[list[dict[str, Any]]]]:
        channels = self._channels()
        if not channels.names:
            raise InvalidRequest("[alerts] has neither a webhook nor an email.")

        async def later() -> list[dict[str, Any]]:
            return [{"channel": one.channel, "error": one.error or None} for one in await try_channels(channels)]

        return later


class LiveConsole(LiveDeployments):
    """What the console shows besides."""

    def __init__(
        self,
        servings: Servings,
        health: Health,
        books: Books,
        channels: Callable[[], Channels],
        version: Callable[[], Version],
        readiness: Readiness,
        background: BackgroundTasks,
        store: Store,
        engines: Callable[[], Mapping[str, AnyEngine]],
    ) -> None:
        super().__init__(servings, health, books, channels)
        self._version = version
        self._readiness = readiness
        self._background = background
        self._store = store
        self._engines = engines

    def deployments(self) -> list[dict[str, Any]]:
        """With what takes a whole provider out of use: its breaker, or a credential that it refuses."""
        models = self._servings.now.snapshot.models.values()
        known = {one.id: one for model in models for one in model.deployments}
        now = asyncio.get_running_loop().time()
        found = super().deployments()
        for one in found:
            why = broken(self._health, known[one["id"]], now) if one["state"] == CLOSED else None
            if why is not None:
                one |= {"state": OPEN, "last_error": why}
        return found

    def pools(self) -> Mapping[str, PoolState]:
        from fairlead.console.services import PoolState

        found = {}
        for provider, reach in self._version().reaches.items():
            pool = reach.pool
            found[provider] = PoolState(pool.in_flight, pool.limits.connections, pool.waiting)
        return found

    def jobs(self) -> list[Job]:
        return list(self._background.jobs.values())

    def tasks(self) -> Mapping[str, int]:
        return self._background.failed

    def engines(self) -> list[dict[str, Any]]:
        return [_engine_entry(name, engine) for name, engine in self._engines().items()]

    def obstacles(self) -> list[str]:
        return self._readiness.obstacles()

    def warnings(self) -> list[str]:
        return self._readiness.warnings()

    def models_of(self, settings: Settings, provider: str) -> Callable[[], Awaitable[list[str]]]:
        version = checked(settings, self._store)
        return lambda: list_models(version, provider)

    def trial_of(self, settings: Settings, deployment: str) -> Callable[[], Awaitable[dict[str, Any]]]:
        version = checked(settings, self._store)

        async def later() -> dict[str, Any]:
            return trial_entry(await try_deployment(version, deployment))

        return later


def _engine_entry(name: str, engine: AnyEngine) -> dict[str, Any]:
    """`state`: "starting", "ready", "crashed" or "stopped"; `log`: what it has written last."""
    spec = engine.spec
    lines: tuple[str, ...] = ()
    if isinstance(engine, SharedEngine):
        state = "ready" if engine.is_ready else "crashed" if engine.gave_up else "starting"
        reason = ""
    else:
        state, reason, lines = engine.state, engine.reason, engine.log
    return {
        "id": name,
        "model": spec.model_id,
        "file": str(spec.gguf),
        "mode": spec.mode,
        "context_tokens": spec.context_tokens,
        "slots": spec.slots,
        "configured": isinstance(engine, ConfiguredEngine),
        "state": state,
        "gave_up": engine.gave_up,
        "reason": reason,
        "log": list(lines),
        "since": engine.since if isinstance(engine, ConfiguredEngine) else None,
    }
