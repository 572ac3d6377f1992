"""Calls a deployment of a configuration that need not be in force: what the command line and the console do before an
apply."""

from __future__ import annotations

from fairlead.compose.upstreams import upstream
from fairlead.compose.version import Version, version_of
from fairlead.errors import NotFound
from fairlead.providers.sealed import Reader
from fairlead.routing.trial import TRIAL_SECONDS, Trial, try_out
from fairlead.settings import Secrets, Settings
from fairlead.store import Store
from fairlead.telemetry.cells import PROBE
from fairlead.telemetry.recorder import Recorder
from fairlead.toml import nearest


def checked(settings: Settings, store: Store) -> Version:
    """A configuration with its keys read, without local engines. Raises ConfigurationError."""
    return version_of(settings, (), secrets=Secrets(sealed=Reader(store)))


async def try_deployment(version: Version, deployment_id: str, seconds: float = TRIAL_SECONDS) -> Trial:
    """Calls one of its deployments once, over a connection of its own. Raises NotFound."""
    found = {
        one.id: (model, one) for model in version.snapshot.models.values() for one in model.deployments
    }  # fmt: skip
    if deployment_id not in found:
        raise NotFound(f"There is no deployment {deployment_id[:200]!r}; {nearest(deployment_id[:200], found)}")
    model, deployment = found[deployment_id]
    series = Recorder().series(PROBE, model.id, deployment.id)
    reach = version.reaches[deployment.provider]
    bound = upstream(
        model, deployment, version.snapshot.providers[deployment.provider], reach, measured=series, probed=series
    )
    try:
        return await try_out(bound, None, seconds)
    finally:
        await reach.pool.close()
