"""The local engine as a provider and as a deployment of its model."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from fairlead.catalogue.facts import ModelFacts, Source, Value
from fairlead.catalogue.load import model_of, with_statements
from fairlead.catalogue.snapshot import Deployment, Provider, Snapshot
from fairlead.compose.upstreams import AnyEngine
from fairlead.engines.spec import EngineSpec
from fairlead.errors import (
    ConfigurationError,
)
from fairlead.prices import FREE, PriceSheet

ENGINE_PROVIDER = "engine"
ENGINE_QUEUE = 256
ENGINE_PRIORITY = 1_000  # the last deployment of its model, unless an operator put others behind it


def with_engine(snapshot: Snapshot, engine: AnyEngine) -> Snapshot:
    """The snapshot with the local engine as a provider, and as the last deployment of its model."""
    spec = engine.spec
    if ENGINE_PROVIDER in snapshot.providers:
        raise ConfigurationError(
            f"The provider id {ENGINE_PROVIDER!r} is reserved for the embedded engine; choose another."
        )
    provider = Provider(
        id=ENGINE_PROVIDER,
        base_url=engine.base_url,
        dialect="llamacpp",
        api_key=engine.api_key,
        connect_seconds=2,
        connections=engine.slots,
        queue=ENGINE_QUEUE,
        queue_seconds=60,
    )
    known = snapshot.models.get(spec.model_id)
    model = known if known is not None else model_of(_facts_of_file(spec))
    name = f"{ENGINE_PROVIDER}/{spec.gguf.name}"
    deployment = Deployment(
        name, ENGINE_PROVIDER, spec.model_id, PriceSheet(name, FREE), priority=ENGINE_PRIORITY,
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
    said = Source("engine", f"{spec.gguf.name} in the embedded engine", "measurement", str(datetime.now(UTC).date()))
    stated: dict[str, Value] = {
        "name": spec.model_id,
        "description": f"Served from {spec.gguf.name} by the embedded engine.",
        "context_length": spec.context_tokens,
        "max_output_tokens": spec.context_tokens,
        "input_modalities": ("text", "image") if spec.images else ("text",),
        "output_modalities": ("text",),
        "capability.vision": bool(spec.images),
        "mode": "chat",
    }
    return with_statements(ModelFacts(spec.model_id, "unknown", {}, {}), said, stated)
