"""The local engine as a provider and as a deployment of its model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fairlead.catalogue.facts import ModelFacts, Source, Value
from fairlead.catalogue.load import model_of, provider_of, with_statements
from fairlead.catalogue.snapshot import Deployment, Snapshot
from fairlead.clock import utc_now
from fairlead.compose.upstreams import AnyEngine
from fairlead.engines.spec import EngineSpec
from fairlead.errors import (
    ConfigurationError,
)
from fairlead.prices import FREE, PriceSheet
from fairlead.settings import OF_THE_START, ProviderKey, ProviderSettings

ENGINE_PROVIDER = "engine"
ENGINE_CONNECT_SECONDS = 2
ENGINE_QUEUE = 256
ENGINE_QUEUE_SECONDS = 60
ENGINE_WEIGHT = 1.0
ENGINE_PRIORITY = 1_000  # the last deployment of its model, unless an operator put others behind it


def with_engines(
    snapshot: Snapshot, engines: Sequence[AnyEngine], configured: Mapping[str, AnyEngine] | None = None
) -> Snapshot:
    """The snapshot with the local engines as providers, each as the last deployment of its model. `configured`: those
    of the configuration, by id."""
    for reserved in filter(OF_THE_START.fullmatch, snapshot.providers if engines else ()):
        raise ConfigurationError(f"The provider id {reserved!r} is reserved for the embedded engine; choose another.")
    for at, engine in enumerate(engines):
        snapshot = _with_engine(snapshot, engine, engine_provider(at))
    for name, engine in (configured or {}).items():
        snapshot = _with_engine(snapshot, engine, name)
    return snapshot


def engine_provider(at: int) -> str:
    """The id of the provider that the engine at this place is."""
    return f"{ENGINE_PROVIDER}-{at + 1}" if at else ENGINE_PROVIDER


def _with_engine(snapshot: Snapshot, engine: AnyEngine, provider_id: str) -> Snapshot:
    spec = engine.spec
    given = ProviderSettings(
        provider_id,
        connect_timeout_seconds=ENGINE_CONNECT_SECONDS,
        max_connections=engine.slots,
        max_queue=ENGINE_QUEUE,
        queue_timeout_seconds=ENGINE_QUEUE_SECONDS,
    )
    provider = provider_of(given, engine.base_url, "llamacpp", (ProviderKey("own engine", engine.api_key),))
    known = snapshot.models.get(spec.model_id)
    model = known if known is not None else model_of(_facts_of_file(spec))
    name = f"{provider_id}/{spec.gguf.name}"
    deployment = Deployment(
        name, provider_id, spec.model_id, PriceSheet(name, FREE), ENGINE_WEIGHT, ENGINE_PRIORITY,
        # Where others serve it too, these are limits of its own.
        context_length=spec.context_tokens if model.deployments else None,
    )  # fmt: skip
    if not model.deployments:  # nobody else serves it: it holds and takes what the engine does
        model = replace(
            model,
            context_length=spec.context_tokens,
            max_output_tokens=spec.context_tokens,
            input_modalities=("text", "image") if spec.images else ("text",),
            inputs_known=True,
        )
    elif spec.images:
        model = replace(model, input_modalities=("text", "image"))
    model = replace(model, deployments=(*model.deployments, deployment))
    return replace(
        snapshot,
        models={**snapshot.models, model.id: model},
        providers={**snapshot.providers, provider.id: provider},
    )


def _facts_of_file(spec: EngineSpec) -> ModelFacts:
    """What is known of a model of which there is only its file."""
    said = Source("engine", f"{spec.gguf.name} in the embedded engine", "measurement", str(utc_now().date()))
    stated: dict[str, Value] = {
        "name": spec.model_id,
        "description": f"Served from {spec.gguf.name} by the embedded engine.",
        "context_length": spec.context_tokens,
        "max_output_tokens": spec.context_tokens,
        "input_modalities": ("text", "image") if spec.images else ("text",),
        "output_modalities": ("text",),
        "capability.vision": bool(spec.images),
        "mode": spec.mode,
    }
    return with_statements(ModelFacts(spec.model_id, "unknown", {}, {}), said, stated)
