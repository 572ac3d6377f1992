"""`GET /v1/models`: OpenAI's fields, and beside them what a caller wants to know before choosing.

The extra fields follow OpenRouter's names where it has them (`context_length`, `architecture`, `pricing`,
`supported_parameters`), so that existing clients read them.
"""

from __future__ import annotations

import msgspec


class Architecture(msgspec.Struct, frozen=True):
    input_modalities: tuple[str, ...]
    output_modalities: tuple[str, ...]


class Pricing(msgspec.Struct, frozen=True):
    """US dollars as exact decimal strings: per token under OpenRouter's names, per million under ours.
    None: not known."""

    prompt: str | None
    completion: str | None
    input_per_million: str | None
    output_per_million: str | None


class ModelEntry(msgspec.Struct, frozen=True):
    id: str
    created: int
    owned_by: str
    name: str
    description: str
    context_length: int | None
    max_output_tokens: int | None
    architecture: Architecture
    capabilities: tuple[str, ...]
    supported_parameters: tuple[str, ...]
    default_parameters: dict[str, msgspec.Raw]
    pricing: Pricing | None
    deployments: int
    demonstration: bool
    mode: str = "chat"
    aliases: tuple[str, ...] = ()
    knowledge_cutoff: str | None = None
    object: str = "model"


class ModelList(msgspec.Struct, frozen=True):
    data: tuple[ModelEntry, ...]
    object: str = "list"
