"""A version of the configuration: checked, connected, bound to what calls it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from fairlead.catalogue.load import Known, build, known_models
from fairlead.catalogue.snapshot import Deployment, Model, Snapshot
from fairlead.compose.engine_model import engine_provider, with_engines
from fairlead.compose.options import routing_options
from fairlead.compose.upstreams import AnyEngine, Reach, reach, upstream
from fairlead.prices import PriceSheet
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.prefill import supports_prefill
from fairlead.providers.presets import with_presets
from fairlead.routing.protocols import Measured
from fairlead.routing.upstream import Servable, Upstream, servable
from fairlead.serving import Serving
from fairlead.settings import Secrets, Settings
from fairlead.telemetry.cells import PROBE, TRAFFIC
from fairlead.telemetry.recorder import Recorder

Attempts = Callable[["Version", Model, Deployment], Measured]


class Version(NamedTuple):
    """What the configuration says, with the connections that it needs; none of them is open yet."""

    settings: Settings
    snapshot: Snapshot
    reaches: Mapping[str, Reach]
    known: Known

    @property
    def sheets(self) -> list[PriceSheet]:
        return [deployment.sheet for model in self.snapshot.models.values() for deployment in model.deployments]


def version_of(
    settings: Settings, engines: Sequence[AnyEngine], before: Version | None = None, secrets: Secrets | None = None
) -> Version:
    """Checks a configuration. Providers that are the same as `before` keep their connections, and the catalogue that
    is bundled is not read again: that takes longer than all the rest, and calls would wait for it.

    `secrets`: what reads the keys of providers. Raises ConfigurationError.
    """
    own = settings.catalogue.directory is not None
    if before is None or own or before.settings.catalogue.directory is not None:
        known = known_models(settings)
    else:
        known = before.known
    snapshot = build(with_presets(settings), DIALECTS, supports_prefill, secrets, known)
    snapshot = with_engines(snapshot, engines)
    behind = {engine_provider(at): engine for at, engine in enumerate(engines)}
    reaches = {}
    for provider in snapshot.providers.values():
        if before is not None and before.snapshot.providers.get(provider.id) == provider:
            reaches[provider.id] = before.reaches[provider.id]
        else:
            reaches[provider.id] = reach(provider, settings, behind.get(provider.id))
    return Version(settings, snapshot, reaches, known)


def serving_from(version: Version, recorder: Recorder, attempts: Attempts) -> Serving:
    """What this version makes callable. `attempts`: where a deployment's attempts are counted."""
    snapshot = version.snapshot

    def bound(model: Model, deployment: Deployment) -> Upstream:
        return upstream(
            model,
            deployment,
            snapshot.providers[deployment.provider],
            version.reaches[deployment.provider],
            measured=attempts(version, model, deployment),
            probed=recorder.series(PROBE, model.id, deployment.id),
        )

    def offered(model: Model) -> Servable:
        upstreams = [bound(model, deployment) for deployment in model.deployments]
        return servable(model, upstreams, recorder.series(TRAFFIC, model.id))

    return Serving(snapshot, map(offered, snapshot.models.values()), routing_options(version.settings.routing))
