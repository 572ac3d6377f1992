"""Calls a deployment of a configuration that need not be in force: what the command line and the console do before an
apply."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from fairlead.compose.upstreams import upstream
from fairlead.compose.version import Version, version_of
from fairlead.errors import FairleadError, NotFound, UpstreamDenied, UpstreamFailed, UpstreamInvalid
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.scrub import without_host
from fairlead.providers.sealed import Reader
from fairlead.routing.trial import TRIAL_SECONDS, Trial, ended, try_out
from fairlead.settings import Secrets, Settings
from fairlead.store import Store
from fairlead.telemetry.cells import PROBE
from fairlead.telemetry.recorder import Recorder
from fairlead.toml import nearest

LIST_SECONDS: Final = 10.0
MOST_LISTED: Final = 2_000
LONGEST_NAME: Final = 256


def checked(settings: Settings, store: Store) -> Version:
    """A configuration with its keys read, without local engines. Raises ConfigurationError."""
    return version_of(settings, (), secrets=Secrets(sealed=Reader(store)))


async def list_models(version: Version, provider_id: str, seconds: float = LIST_SECONDS) -> list[str]:
    """What a provider lists. Raises an UpstreamError whose message holds no key."""
    provider, reach = version.snapshot.providers[provider_id], version.reaches[provider_id]
    dialect = DIALECTS[provider.dialect]
    headers = reach.headers + dialect.headers
    if reach.credentials is not None:
        headers += reach.credentials.next(provider_id).line
    body = b""

    async def ask() -> None:
        nonlocal body
        exchange = reach.pool.request(b"GET", dialect.list_path_of(provider.api_version), headers)
        try:
            status = await exchange.head()
            if status in (401, 403):
                raise UpstreamDenied(f"The provider refused the key (status {status}).")
            if status != 200:
                raise UpstreamFailed(f"The provider answered with status {status}.")
            body = await exchange.read()
        finally:
            exchange.cancel()

    try:
        failure = await ended(ask(), seconds)
    finally:
        await reach.pool.close()
    if isinstance(failure, FairleadError):
        failure.message = without_host(failure.message, reach.pool.address.host)
        raise failure
    if failure is not None:
        raise UpstreamInvalid("The provider's list of models cannot be read.")
    return _names(body)


def _names(body: bytes) -> list[str]:
    """Of OpenAI's form, which most have, or of Gemini's."""
    try:
        found: Any = msgspec.json.decode(body)
        listed: Any = found.get("data", found.get("models", [])) if isinstance(found, dict) else found
        names = [one.get("id") or one.get("name") for one in listed if isinstance(one, dict)]
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError, RecursionError, AttributeError):
        raise UpstreamInvalid("The provider's list of models cannot be read.") from None
    return [
        name.removeprefix("models/") for name in names[:MOST_LISTED]
        if isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and name.isprintable()
    ]  # fmt: skip


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
