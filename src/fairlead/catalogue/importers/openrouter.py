"""OpenRouter's `/api/v1/models`: {"data": [...]}. Ids are OpenRouter's own (`vendor/model`)."""

from __future__ import annotations

from datetime import UTC, date, datetime

import msgspec
from msgspec import Struct

from fairlead.catalogue.facts import Scalar
from fairlead.catalogue.files import Statements
from fairlead.catalogue.importers.reading import Reading, day, from_modalities, modalities, per_million

KEY = "openrouter"
URL = "https://openrouter.ai/api/v1/models"
PARAMETER_CAPABILITIES = {"reasoning": "reasoning", "tools": "tools", "structured_outputs": "structured_outputs"}
RATES = {
    "prompt": "input", "completion": "output", "input_cache_read": "cached_input",
    "input_cache_write": "cache_write_5m", "internal_reasoning": "reasoning", "audio": "audio_input",
}  # fmt: skip


class _Architecture(Struct, frozen=True):
    input_modalities: list[str] = []
    output_modalities: list[str] = []
    tokenizer: str | None = None


class _Top(Struct, frozen=True):
    max_completion_tokens: int | None = None


class _Model(Struct, frozen=True):
    id: str
    name: str
    created: int = 0
    context_length: int | None = None
    architecture: _Architecture = _Architecture()
    hugging_face_id: str | None = None
    pricing: dict[str, object] = {}
    top_provider: _Top = _Top()
    supported_parameters: list[str] = []
    default_parameters: dict[str, Scalar | None] | None = None
    knowledge_cutoff: str | None = None
    expiration_date: str | None = None


class _List(Struct, frozen=True):
    data: list[_Model]


def read(body: bytes, read_on: date) -> Reading:
    """Raises msgspec.DecodeError for anything else."""
    found = msgspec.json.decode(body, type=_List).data
    newest = max((model.created for model in found), default=0)
    edition = datetime.fromtimestamp(newest, UTC).date() if newest else None
    models: dict[str, Statements] = {}
    dropped: dict[str, tuple[str, ...]] = {}
    for model in found:
        models[model.id], notes = _statements(model, read_on, edition)
        if notes:
            dropped[model.id] = notes
    return Reading(KEY, models, dropped)


def _statements(model: _Model, read_on: date, edition: date | None) -> tuple[Statements, tuple[str, ...]]:
    taken, given = modalities(model.architecture.input_modalities), modalities(model.architecture.output_modalities)
    can, cannot = from_modalities(taken, given)
    # A parameter that is not listed is offered by none of its providers today: that denies nothing of the model.
    parameters = set(model.supported_parameters)
    can += [capability for name, capability in PARAMETER_CAPABILITIES.items() if name in parameters]
    notes = []
    context, output = model.context_length or None, model.top_provider.max_completion_tokens
    if context and output and output > context:
        notes.append(f"max_output_tokens {output} is above its own context_length {context}: it is not taken over")
        output = None
    defaults = {}
    for name, value in sorted((model.default_parameters or {}).items()):
        if value is not None and name in parameters:
            defaults[name] = value
        elif value is not None:
            notes.append(f"a default of {name}, which it does not list as supported: it is not taken over")
    tokenizer = model.architecture.tokenizer
    statements = Statements(
        title="OpenRouter",
        kind="collection",
        read=read_on,
        url=URL,
        edition=edition,
        id=model.id,
        name=model.name.partition(": ")[2] or model.name,
        mode="chat" if "text" in taken and "text" in given else None,
        knowledge_cutoff=day(model.knowledge_cutoff),
        retires=day(model.expiration_date),
        weights=f"https://huggingface.co/{model.hugging_face_id}" if model.hugging_face_id else None,
        context_length=context,
        max_output_tokens=output or None,
        input_modalities=taken or None,
        output_modalities=given or None,
        tokenizer=None if tokenizer in (None, "Other", "Router") else tokenizer,
        can=tuple(sorted(can)),
        cannot=tuple(sorted(cannot)),
        parameters=tuple(sorted(parameters)),
        defaults=defaults,
        price=_rates(model.pricing),
        links={"openrouter": f"https://openrouter.ai/{model.id}"},
    )
    return statements, tuple(notes)


def _rates(pricing: dict[str, object]) -> dict[str, str]:
    found = {}
    for theirs, ours in RATES.items():
        amount = pricing.get(theirs)
        if isinstance(amount, str) and (text := per_million(amount, 1_000_000)) is not None:
            found[ours] = text
    if isinstance(request := pricing.get("request"), str) and (text := per_million(request)) and text != "0":
        found["request"] = text
    return found if "input" in found and "output" in found else {}
