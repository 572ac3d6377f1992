"""What the console shows of the running process."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from tests.console.test_operating import DOCUMENT

from fairlead.catalogue.load import build
from fairlead.compose.live import LiveConsole
from fairlead.errors import UpstreamDenied
from fairlead.providers.dialects import DIALECTS
from fairlead.routing.health import Health
from fairlead.settings import Unread, parse_settings


def test_a_provider_that_refuses_its_key_is_shown_as_failing() -> None:
    snapshot = build(parse_settings(DOCUMENT, "x", {}), DIALECTS, lambda *_: None, Unread())
    health = Health(probed=False)
    servings = cast("Any", SimpleNamespace(now=SimpleNamespace(snapshot=snapshot)))
    nothing = cast("Any", None)
    live = LiveConsole(servings, health, nothing, nothing, nothing, nothing, nothing, nothing, nothing)
    [deployment] = snapshot.models["mistral-small-3.2"].deployments

    async def shown() -> tuple[str, str | None]:
        [one] = live.deployments()
        return one["state"], one["last_error"]

    target = health.of(deployment)
    assert asyncio.run(shown()) == ("closed", None)
    target.last_error = UpstreamDenied.code
    assert target.provider is not None
    target.provider.blocked_until = float("inf")
    assert asyncio.run(shown()) == ("open", UpstreamDenied.code)
