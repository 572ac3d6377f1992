"""What can be served, as immutable values. A change makes a new snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import Raw

from fairlead.catalogue.facts import ModelFacts, Vendor
from fairlead.http.limits import Timeouts
from fairlead.prices import PriceSheet
from fairlead.settings import ProviderKey

NO_FACTS = ModelFacts(id="", vendor="unknown", sources={}, facts={})


@dataclass(frozen=True, slots=True)
class Provider:
    """Who serves models, and how it is reached. Times in seconds. `bills_cut`: see `Dialect`; None: as its dialect.
    `keys`: what its calls are sent with, in turns; `aws_keys`: what its requests are signed with, where they are.
    `probe`: see `Upstream`."""

    id: str
    base_url: str
    dialect: str
    timeouts: Timeouts
    connections: int
    queue: int
    queue_seconds: float
    keys: tuple[ProviderKey, ...] = field(repr=False, default=())
    bills_cut: bool | None = None
    forward_sessions: bool = False
    region: str = ""
    api_version: str = ""
    aws_keys: tuple[str, str, str] | None = field(repr=False, default=None)
    probe: str | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model as one provider serves it. `id` is `provider/upstream model`; `sheet` says what a call costs.

    What routing goes by: `weight` and `priority` (lower goes first) are the operator's; `keeps_data` says whether the
    provider keeps or trains on what it is sent; `parameters` is what it takes beside the messages, `lacks` names
    capabilities that it has not; `supports_prefill`: it continues the beginning of an answer. None: not known.
    `context_length` and `max_output_tokens` are this deployment's own limits; None: the model's. `max_inputs`: of
    embeddings in one request; None: its dialect's.
    """

    id: str
    provider: str
    upstream_model: str
    sheet: PriceSheet
    weight: float
    priority: int
    region: str | None = None
    quantization: str | None = None
    keeps_data: bool | None = None
    max_concurrent: int | None = None
    context_length: int | None = None
    parameters: frozenset[str] | None = None
    allow_parameters: frozenset[str] = frozenset()
    lacks: tuple[str, ...] = ()
    max_output_tokens: int | None = None
    probe: str | None = None
    supports_prefill: bool | None = None
    max_inputs: int | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """What calls need of a model, and `facts`: all that is known of it, for the pages.

    `defaults` are values, as JSON, for parameters that a caller leaves out. None: not known. `aliases` are other exact
    ids by which it is known elsewhere; it is called by its `id`. `inputs_known`: `input_modalities` is all that it
    takes; otherwise it is only what is certain. `mode`: what it is for (`wire/vocabulary.py`)."""

    id: str
    name: str
    vendor: str
    description: str
    created: int
    context_length: int | None
    max_output_tokens: int | None
    input_modalities: tuple[str, ...] = ("text",)
    output_modalities: tuple[str, ...] = ("text",)
    capabilities: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    defaults: Mapping[str, Raw] = field(default_factory=dict)
    deployments: tuple[Deployment, ...] = ()
    demonstration: bool = False
    aliases: tuple[str, ...] = ()
    facts: ModelFacts = NO_FACTS
    inputs_known: bool = False
    mode: str = "chat"

    def may_take(self, modality: str) -> bool:
        """False only for what the model is known not to take."""
        return modality in self.input_modalities or not self.inputs_known

    @property
    def path(self) -> str:
        """Where its page is: /models/{vendor}/{id}. An id may have slashes of its own."""
        return f"/models/{self.vendor}/{self.id}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`vendors` by slug; `aliases`: ids by which models are known elsewhere, and the model that each means."""

    models: Mapping[str, Model]
    providers: Mapping[str, Provider]
    vendors: Mapping[str, Vendor] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
