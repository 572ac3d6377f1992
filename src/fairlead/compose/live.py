"""What only the running process knows, for the management API and the console."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fairlead.admin.alerts import try_channels
from fairlead.alerts.delivery import Channels
from fairlead.errors import InvalidRequest, NotFound
from fairlead.money import Picodollars
from fairlead.routing.health import Health
from fairlead.routing.probes import Books
from fairlead.routing.trial import trial_entry, try_out
from fairlead.serving import Servings
from fairlead.toml import nearest


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
