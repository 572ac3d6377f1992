"""A version of the configuration: checked, connected, bound to what calls it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from fairlead.catalogue.load import Known, build, known_models
from fairlead.catalogue.snapshot import Deployment, Model, Provider, Snapshot
from fairlead.compose.engine_model import engine_provider, with_engines
from fairlead.compose.options import routing_options
from fairlead.compose.upstreams import AnyEngine, Reach, reach, upstream
from fairlead.money import Picodollars
from fairlead.prices import PriceSheet
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.prefill import supports_prefill
from fairlead.providers.presets import with_presets
from fairlead.routing.protocols import Measured
from fairlead.routing.shadow import Mirrors, Shadow, Target
from fairlead.routing.upstream import Servable, Upstream, servable
from fairlead.serving import Serving
from fairlead.settings import Secrets, Settings
from fairlead.telemetry.cells import (
    PROBE,
    SHADOWS,
    TRAFFIC,
)
from fairlead.telemetry.recorder import Recorder
from fairlead.toml import unknown

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
    settings: Settings,
    engines: Sequence[AnyEngine],
    before: Version | None = None,
    secrets: Secrets | None = None,
    configured: Mapping[str, AnyEngine] | None = None,
) -> Version:
    """Checks a configuration. Providers that are the same as `before` keep their connections, and the catalogue that
    is bundled is not read again: that takes longer than all the rest, and calls would wait for it.

    `secrets`: what reads the keys of providers; `configured`: engines of the configuration, by id. Raises
    ConfigurationError.
    """
    own = settings.catalogue.directory is not None
    if before is None or own or before.settings.catalogue.directory is not None:
        known = known_models(settings)
    else:
        known = before.known
    snapshot = build(with_presets(settings), DIALECTS, supports_prefill, secrets, known)
    snapshot = with_engines(snapshot, engines, configured)
    check_shadow(settings, snapshot)
    behind = {**{engine_provider(at): engine for at, engine in enumerate(engines)}, **(configured or {})}
    reaches = {}
    for provider in snapshot.providers.values():
        if before is not None and _same_reach(provider, settings, before):
            reaches[provider.id] = before.reaches[provider.id]
        else:
            reaches[provider.id] = reach(provider, settings, behind.get(provider.id))
    return Version(settings, snapshot, reaches, known)


def _same_reach(provider: Provider, settings: Settings, before: Version) -> bool:
    was, becomes = (provider.base_url in one.guarded for one in (before.settings, settings))
    return before.snapshot.providers.get(provider.id) == provider and was == becomes


def serving_from(version: Version, recorder: Recorder, attempts: Attempts, mirrors: Mirrors | None = None) -> Serving:
    """What this version makes callable. `attempts`: where a deployment's attempts are counted; `mirrors`: of this
    process, None: nothing is mirrored."""
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

    servables = [offered(model) for model in snapshot.models.values()]
    shadow = None if mirrors is None else _shadow(version, servables, recorder, mirrors)
    return Serving(snapshot, servables, routing_options(version.settings.routing), shadow)


def _shadow(version: Version, servables: Sequence[Servable], recorder: Recorder, mirrors: Mirrors) -> Shadow | None:
    """What mirrors calls by `[shadow]`; None where it is off. `to` was checked by `check_shadow`."""
    given = version.settings.shadow
    if given.to is None or not given.share:
        return None
    provider, _, name = given.to.partition("/")
    known = {at.deployment.id: at.deployment for one in servables for at in one.upstreams}
    targets = {}
    for one in servables:
        model = one.model
        if not one.upstreams or (given.models and model.id not in given.models):
            continue
        id_ = f"{provider}/{name or model.id}"
        # A deployment that nobody else is sent to costs what the model costs.
        sheet = one.upstreams[0].deployment.sheet
        deployment = known.get(id_) or Deployment(id_, provider, name or model.id, sheet, weight=1, priority=0)
        series = [recorder.series(kind, model.id, id_) for kind in SHADOWS]
        bound = upstream(
            model, deployment, version.snapshot.providers[provider], version.reaches[provider], measured=series[0],
            probed=series[0],
        )  # fmt: skip
        targets[model.id] = Target(bound, *series)
    budget = Picodollars.parse(given.budget_usd).value
    return Shadow(targets, given.share, given.max_concurrent, budget, mirrors, random.random)


def check_shadow(settings: Settings, snapshot: Snapshot) -> None:
    """Whether what `[shadow]` names is there. Raises ConfigurationError with file and line."""
    given = settings.shadow
    if given.to is None:
        if given.share:
            raise settings.error("shadow.share", "'to' is missing: name the provider that gets the mirrored calls.")
        return
    provider = given.to.partition("/")[0]
    if provider not in snapshot.providers:
        raise settings.error("shadow.to", unknown("provider", provider, snapshot.providers))
    for at, name in enumerate(given.models):
        if name not in snapshot.models or not snapshot.models[name].deployments:
            raise settings.error(f"shadow.models[{at}]", f"there is no model {name!r} with a deployment.")
