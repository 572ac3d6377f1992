"""`GET /v1/models`: OpenAI's fields, and beside them what a caller wants to know before choosing.

The extra fields follow OpenRouter's names where it has them (`context_length`, `architecture`, `pricing`,
`supported_parameters`), so that existing clients read them.
"""

from __future__ import annotations

import msgspec


class Architecture(msgspec.Struct, frozen=True):
    """`modality`: both lists as OpenRouter writes them, such as "text+image->text"."""

    input_modalities: tuple[str, ...]
    output_modalities: tuple[str, ...]
    modality: str
    instruct_type: None = None


class Pricing(msgspec.Struct, frozen=True):
    """US dollars as exact decimal strings: per token under OpenRouter's names, per million under ours.
    None: not known."""

    prompt: str | None
    completion: str | None
    input_per_million: str | None
    output_per_million: str | None


class Links(msgspec.Struct, frozen=True):
    details: str


class TopProvider(msgspec.Struct, frozen=True):
    context_length: int | None
    max_completion_tokens: int | None
    is_moderated: bool = False


class ModelEntry(msgspec.Struct, frozen=True):
    """The members from `canonical_slug` on are those that OpenRouter's clients require."""

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
    canonical_slug: str
    links: Links
    top_provider: TopProvider
    per_request_limits: None = None
    supported_voices: None = None
    mode: str = "chat"
    aliases: tuple[str, ...] = ()
    knowledge_cutoff: str | None = None
    object: str = "model"


class Pages(msgspec.Struct, frozen=True):
    """All models are on one page."""

    next: None = None


class ModelList(msgspec.Struct, frozen=True):
    """`links` and `total_count` are OpenRouter's."""

    data: tuple[ModelEntry, ...]
    total_count: int
    links: Pages = Pages()
    object: str = "list"
