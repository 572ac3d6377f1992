"""Deployments bound to what they are called by: dialect, adapter, connections, headers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote, urlsplit

from fairlead import __version__
from fairlead.catalogue.snapshot import Deployment, Model, Provider
from fairlead.catalogue.views import limits
from fairlead.catalogue.vocabulary import OUTPUT_CAPS
from fairlead.engines.shared import SharedEngine
from fairlead.engines.supervisor import Engine
from fairlead.errors import (
    ConfigurationError,
    EngineCrashed,
    FairleadError,
    UpstreamCut,
    UpstreamUnreachable,
)
from fairlead.http.client import Pool, PoolLimits, Timeouts
from fairlead.http.connect import Proxy
from fairlead.operations.chat.operation import CHAT
from fairlead.providers.anthropic.request import AnthropicMessages
from fairlead.providers.bedrock.request import BedrockConverse
from fairlead.providers.bedrock.sigv4 import Signer
from fairlead.providers.billed_parameters import priced
from fairlead.providers.dialects import DIALECTS, Dialect
from fairlead.providers.gemini.request import Gemini
from fairlead.providers.openai.request import OpenAIChat
from fairlead.providers.prefill import goes_on
from fairlead.routing.needs import CAPABILITY_BITS, PREFILL, lacks_of
from fairlead.routing.prompt import TEMPLATE_TOKENS
from fairlead.routing.protocols import Adapter, Measured
from fairlead.routing.upstream import MOST_CONTEXT_TOKENS, Upstream, unit_price
from fairlead.settings import Settings
from fairlead.tokens import family_of
from fairlead.wire.chat import PARAMETERS

# The last dated version that is no preview: https://learn.microsoft.com/en-us/azure/ai-foundry/openai/api-version-lifecycle
AZURE_API_VERSION = "2024-10-21"

AnyEngine = Engine | SharedEngine


@dataclass(frozen=True, slots=True)
class Reach:
    """How a provider is reached: its pool, and the engine behind it when it is one of ours."""

    pool: Pool
    headers: bytes
    engine: AnyEngine | None = None


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


def upstream(
    model: Model, deployment: Deployment, provider: Provider, reach: Reach, *, measured: Measured, probed: Measured
) -> Upstream:
    """A deployment as it is called. `measured`, `probed`: where its attempts and probes are counted."""
    dialect = spoken(provider, deployment)
    costs = not deployment.sheet.free or deployment.sheet.cost is not None
    context = deployment.context_length or model.context_length
    return Upstream(
        deployment=deployment,
        operation=CHAT,
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
        measured=measured,
        probed=probed,
        probe=deployment.probe or provider.probe or ("list" if costs else "call"),
        list_path=_list_path(dialect, provider),
        model_id=model.id,
        lacks=_lacks(dialect, model, deployment),
        context=context,
        output=_own_output(model, deployment),
        unit_price=unit_price(deployment.sheet),
        continues=_goes_on(dialect, model, deployment) is True,
        translated=_translated(dialect),
        most_prompt=MOST_CONTEXT_TOKENS if context is None else context + TEMPLATE_TOKENS,
        most_output=MOST_CONTEXT_TOKENS if context is None else context,
    )


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
