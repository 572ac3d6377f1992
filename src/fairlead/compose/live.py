"""What only the running process knows, for the management API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairlead.money import Picodollars
from fairlead.routing.health import Health
from fairlead.serving import Servings


class LiveDeployments:
    """The deployments of the configuration in force, with their health as this process sees it."""

    def __init__(self, servings: Servings, health: Health) -> None:
        self._servings = servings
        self._health = health

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
