"""Deployments bound to what they are called by: dialect, adapter, connections, headers."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_network
from urllib.parse import quote, urlsplit

from fairlead import __version__
from fairlead.catalogue.snapshot import Deployment, Model, Provider
from fairlead.catalogue.views import limits
from fairlead.doors.table import DOORS, DoorRow
from fairlead.engines.configured import ConfiguredEngine
from fairlead.engines.shared import SharedEngine
from fairlead.engines.supervisor import Engine
from fairlead.errors import (
    ConfigurationError,
    EngineCrashed,
    FairleadError,
    UpstreamCut,
    UpstreamUnreachable,
)
from fairlead.http.client import Pool
from fairlead.http.connect import Proxy
from fairlead.http.guard import Guard
from fairlead.http.limits import PoolLimits
from fairlead.operations.chat.operation import CHAT
from fairlead.providers.billed_parameters import priced
from fairlead.providers.dialect import Binding, Dialect
from fairlead.providers.dialects import DIALECTS, VENDORS
from fairlead.providers.prefill import supports_prefill
from fairlead.routing.credentials import Credentials
from fairlead.routing.needs import BATCH, CAPABILITY_BITS, PREFILL, lacks_of
from fairlead.routing.prompt import TEMPLATE_TOKENS
from fairlead.routing.protocols import Adapter, Measured
from fairlead.routing.upstream import MOST_CONTEXT_TOKENS, Upstream, unit_price
from fairlead.settings import Settings
from fairlead.tokens import family_of
from fairlead.wire.vocabulary import OUTPUT_CAPS, PARAMETERS

JSON_BODY = b"content-type: application/json\r\n"
AnyEngine = Engine | SharedEngine | ConfiguredEngine


@dataclass(frozen=True, slots=True)
class Reach:
    """How a provider is reached: its pool, and the engine behind it when it is one of ours. `headers`: those of every
    call; the type of the body and the constant lines of the API are not among them, and the key is not where there are
    `credentials`: several keys, or one that may be replaced."""

    pool: Pool
    headers: bytes
    engine: AnyEngine | None = None
    credentials: Credentials | None = None


def reach(provider: Provider, settings: Settings, engine: AnyEngine | None) -> Reach:
    """Connections to a provider; `engine`: the one behind it. Raises ConfigurationError."""
    parts = urlsplit(provider.base_url)
    proxy = None
    if parts.hostname and (url := settings.proxy.for_url(parts.scheme, parts.hostname)):
        try:
            proxy = Proxy.parse(url)
        except ValueError as error:
            raise ConfigurationError(f"HTTP_PROXY or HTTPS_PROXY cannot be used: {error}.") from None
    pool = Pool(
        provider.base_url,
        timeouts=provider.timeouts,
        limits=PoolLimits(
            connections=provider.connections,
            queue=provider.queue,
            queue_seconds=provider.queue_seconds,
            reuse=DIALECTS[provider.dialect].keeps_connections,
        ),
        proxy=proxy,
    )
    if provider.base_url in settings.guarded and proxy is None:
        guard = Guard([ip_network(one) for one in settings.configuration.allow_networks])
        pool.address = replace(pool.address, allows=guard.allows)
    headers = b"user-agent: fairlead/%b\r\n" % __version__.encode()
    dialect = DIALECTS[provider.dialect]
    keys = provider.keys
    if len(keys) > 1 or any(key.source is not None for key in keys):
        return Reach(
            pool, headers, engine, Credentials((key.label, key.value, key_line(dialect, key.value)) for key in keys)
        )
    for key in keys:
        headers += key_line(dialect, key.value)
    return Reach(pool, headers, engine)


def key_line(dialect: Dialect, key: str) -> bytes:
    """The header line in which a provider's key stands."""
    return dialect.key_header.format(key=key).encode() + b"\r\n"


def upstream(
    model: Model, deployment: Deployment, provider: Provider, reach: Reach, *, measured: Measured, probed: Measured
) -> Upstream:
    """A deployment as it is called. `measured`, `probed`: where its attempts and probes are counted."""
    dialect = spoken(provider, deployment)
    costs = not deployment.sheet.free or deployment.sheet.cost is not None
    context = deployment.context_length or model.context_length
    served_by = [row for row in DOORS.values() if model.mode in row.operation.modes]
    binding = _binding(dialect, model, deployment, provider)
    most_inputs = deployment.max_inputs or dialect.max_inputs if model.mode == "embedding" else 0
    return Upstream(
        deployment=deployment,
        operation=served_by[0].operation if served_by else CHAT,
        adapters=adapters(served_by, dialect, binding, provider.api_version),
        served_at=served_by[0].paths[0] if served_by else "",
        pool=reach.pool,
        path=dialect.path_of(deployment.upstream_model, provider.api_version),
        headers=JSON_BODY + reach.headers + dialect.headers,
        bare_headers=reach.headers,
        credentials=reach.credentials,
        secrets=_secrets(provider),
        answer_headers=b"x-fairlead-deployment: %b\r\n" % quote(deployment.id, safe="/:@._-").encode(),
        costs=costs,
        forward_sessions=provider.forward_sessions,
        bills_cut=costs and (_bills_cut(dialect, model) if provider.bills_cut is None else provider.bills_cut),
        family=family_of(deployment.upstream_model) or family_of(model.id),
        gate=reach.engine,
        translate=None if reach.engine is None else _engine_error,
        measured=measured,
        probed=probed,
        probe=deployment.probe or provider.probe or ("list" if costs else "call"),
        list_path=dialect.list_path_of(provider.api_version),
        model_id=model.id,
        lacks=_lacks(dialect, model, deployment) | (BATCH if most_inputs else 0),
        most_inputs=most_inputs,
        context=context,
        output=_own_output(model, deployment),
        unit_price=unit_price(deployment.sheet),
        supports_prefill=_supports_prefill(dialect, model, deployment) is True,
        translated=VENDORS[dialect.speaks].translated(dialect),
        most_prompt=MOST_CONTEXT_TOKENS if context is None else context + TEMPLATE_TOKENS,
        most_output=MOST_CONTEXT_TOKENS if context is None else context,
    )


def adapters(rows: Iterable[DoorRow], dialect: Dialect, binding: Binding, api_version: str = "") -> dict[str, Adapter]:
    """Of one deployment: for the API of each of these doors, as far as its provider has the operation."""
    found: dict[str, Adapter] = {}
    for row in rows:
        name, door = row.operation.name, row.door
        offered = VENDORS[dialect.speaks].operations.get(name)
        if offered is None or (dialect.operations is not None and name not in dialect.operations):
            continue
        path = dialect.operation_path(name, offered.path, binding.upstream_model, api_version)
        adapter = offered.adapter(replace(binding, api=door.api, new_writer=door.new_writer, path=path))
        if adapter is not None:
            found[door.api] = adapter
    return found


def _secrets(provider: Provider) -> tuple[str, ...]:
    """The keys of a provider that stay as they are: they are taken out of what it says."""
    return (*(key.value for key in provider.keys if key.source is None), *(provider.aws_keys or ()))


def _binding(dialect: Dialect, model: Model, deployment: Deployment, provider: Provider) -> Binding:
    return Binding(
        dialect,
        model.id,
        deployment.upstream_model,
        model.defaults,
        time.time,
        most_output=limits(model, deployment)[1],
        base_url=provider.base_url,
        region=provider.region,
        aws_keys=provider.aws_keys,
    )


def spoken(provider: Provider, deployment: Deployment) -> Dialect:
    """The dialect of a deployment, less the parameters that the operator says it does not take."""
    dialect = DIALECTS[provider.dialect]
    taken = deployment.parameters
    if taken is None:
        return priced(dialect, deployment.sheet, deployment.allow_parameters)
    if taken & OUTPUT_CAPS:
        taken |= OUTPUT_CAPS
    if dialect.carries is None:
        carries = taken - dialect.lacks
    else:
        carries = frozenset(
            name for name in taken if name in dialect.carries or (dialect.passes_unknown and name not in PARAMETERS)
        )
    return replace(dialect, carries=carries, passes_unknown=False)


def _bills_cut(dialect: Dialect, model: Model) -> bool:
    """Only a model that writes can stop in between: what others do is done at once, and a provider bills it. Engines of
    one's own are spared the work."""
    return dialect.bills_cut or (model.mode != "chat" and not dialect.always_streams)


def _lacks(dialect: Dialect, model: Model, deployment: Deployment) -> int:
    carries, passes_unknown = dialect.carries, dialect.passes_unknown
    if carries is None and dialect.lacks:
        carries, passes_unknown = PARAMETERS - dialect.lacks, True
    bits = lacks_of(model, deployment, carries, passes_unknown)
    for name in dialect.incapable:
        bits |= CAPABILITY_BITS[name]
    if _supports_prefill(dialect, model, deployment) is False:
        bits |= PREFILL
    return bits


def _supports_prefill(dialect: Dialect, model: Model, deployment: Deployment) -> bool | None:
    """Whether a deployment continues a prefill: what the operator says, then the catalogue, then its dialect."""
    if "prefill" in deployment.lacks:
        return False
    if deployment.supports_prefill is not None:
        return deployment.supports_prefill
    if model.facts.get("capability.prefill").value is False:
        return False
    return supports_prefill(dialect, deployment.upstream_model)


def _own_output(model: Model, deployment: Deployment) -> int | None:
    """A deployment's own limit of an answer, where its context is not the tighter one."""
    context, own = deployment.context_length or model.context_length, deployment.max_output_tokens
    return own if own is not None and (context is None or own < context) else None


def _engine_error(error: FairleadError) -> FairleadError:
    """A connection to our own engine that breaks means that it crashed."""
    if isinstance(error, UpstreamCut | UpstreamUnreachable):
        return EngineCrashed("The engine crashed; it is being restarted.", retry_after_seconds=1)
    return error
