"""What can be served, as immutable values. A change makes a new snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import Raw

from fairlead.prices import PriceSheet


@dataclass(frozen=True, slots=True)
class Provider:
    """Who serves models, and how it is reached. Times in seconds. `bills_cut`: see `Dialect`; None: as its dialect.
    `aws_keys`: what its requests are signed with, where they are."""

    id: str
    base_url: str
    dialect: str
    api_key: str = field(repr=False, default="")
    connect_seconds: float = 5
    first_byte_seconds: float = 120
    idle_seconds: float = 120
    total_seconds: float = 3600
    connections: int = 10_000
    queue: int = 1_000
    queue_seconds: float = 30
    bills_cut: bool | None = None
    region: str = ""
    api_version: str = ""
    aws_keys: tuple[str, str, str] | None = field(repr=False, default=None)


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model as one provider serves it. `id` is `provider/upstream model`; `sheet` says what a call costs."""

    id: str
    provider: str
    upstream_model: str
    sheet: PriceSheet


@dataclass(frozen=True, slots=True)
class Model:
    """`defaults` are values, as JSON, for parameters that a caller leaves out. None: not known."""

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


@dataclass(frozen=True, slots=True)
class Snapshot:
    models: Mapping[str, Model]
    providers: Mapping[str, Provider]
