"""models.dev's `api.json`: {provider: {models: {id: facts}}}. Our id for one is `provider/id`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import msgspec
from msgspec import Struct

from fairlead.catalogue.files import Statements
from fairlead.catalogue.importers.reading import Reading, day, from_modalities, modalities, per_million
from fairlead.wire.vocabulary import Mode

KEY = "models_dev"
URL = "https://models.dev/api.json"
RATES = {
    "input": "input", "output": "output", "cache_read": "cached_input", "cache_write": "cache_write_5m",
    "reasoning": "reasoning", "input_audio": "audio_input", "output_audio": "audio_output",
}  # fmt: skip


# Parts of ids and families. Where a model is for chat too, no such part is in its name.
MARKS: Mapping[Mode, tuple[str, ...]] = {
    "rerank": ("rerank",),
    "embedding": ("embed", "bge-", "e5-mistral", "gte-"),
    "moderation": ("moderation",),
    "transcription": ("whisper", "transcribe"),
    "image": ("gpt-image", "dall-e", "imagen-"),
    "speech": ("-tts",),
}


class _Limit(Struct, frozen=True):
    context: int = 0
    output: int = 0


class _Modalities(Struct, frozen=True):
    input: list[str] = []
    output: list[str] = []


class _Model(Struct, frozen=True):
    id: str
    name: str
    limit: _Limit
    modalities: _Modalities
    family: str | None = None
    release_date: str | None = None
    last_updated: str | None = None
    knowledge: str | None = None
    reasoning: bool | None = None
    tool_call: bool | None = None
    structured_output: bool | None = None
    temperature: bool | None = None
    open_weights: bool | None = None
    status: str | None = None
    cost: dict[str, object] = {}


class _Provider(Struct, frozen=True):
    models: dict[str, _Model]


def read(body: bytes, read_on: date) -> Reading:
    """Raises msgspec.DecodeError for anything else."""
    providers = msgspec.json.decode(body, type=dict[str, _Provider])
    edition = max(
        (model.last_updated for row in providers.values() for model in row.models.values() if model.last_updated),
        default=None,
    )
    models: dict[str, Statements] = {}
    dropped: dict[str, tuple[str, ...]] = {}
    for provider, row in providers.items():
        for name, model in row.models.items():
            id_ = f"{provider}/{name}"
            models[id_], notes = _statements(
                id_, model, read_on, date.fromisoformat((edition + "-01")[:10]) if edition else None
            )
            if notes:
                dropped[id_] = notes
    return Reading(KEY, models, dropped)


def _statements(id_: str, model: _Model, read_on: date, edition: date | None) -> tuple[Statements, tuple[str, ...]]:
    taken, given = modalities(model.modalities.input), modalities(model.modalities.output)
    can, cannot = from_modalities(taken, given)
    for name, flag in (
        ("reasoning", model.reasoning),
        ("tools", model.tool_call),
        ("structured_outputs", model.structured_output),
        ("prompt_caching", True if "cache_read" in model.cost else None),
    ):
        if flag is not None:
            (can if flag else cannot).append(name)
    notes = []
    context, output = model.limit.context or None, model.limit.output or None
    if context and output and output > context:
        notes.append(f"max_output_tokens {output} is above its own context_length {context}: neither is taken over")
        context = output = None
    cutoff, released = day(model.knowledge), day(model.release_date)
    if cutoff and released and cutoff[:7] > released[:7]:
        notes.append(f"knowledge_cutoff {cutoff} is after its own release {released}: it is not taken over")
        cutoff = None
    long = _long(model.cost.get("tiers"))
    statements = Statements(
        title="models.dev",
        kind="collection",
        read=read_on,
        url=URL,
        edition=edition,
        id=id_,
        name=model.name.removesuffix(" (latest)").strip(),
        family=model.family,
        released=released,
        knowledge_cutoff=cutoff,
        open_weights=model.open_weights,
        context_length=context,
        max_output_tokens=output,
        input_modalities=taken or None,
        output_modalities=given or None,
        mode=_mode(model, taken, given)
        or ("chat" if "text" in taken and "text" in given and context and output else None),
        status="deprecated"
        if model.status == "deprecated"
        else "preview"
        if model.status in ("beta", "alpha")
        else None,
        can=tuple(sorted(can)),
        cannot=tuple(sorted(cannot)),
        parameters=("temperature",) if model.temperature else (),
        no_parameters=("temperature",) if model.temperature is False else (),
        price=_rates(model.cost),
        long_price=long[1] if long else {},
        long_price_above=long[0] if long else None,
    )
    return statements, tuple(notes)


def _mode(model: _Model, taken: tuple[str, ...], given: tuple[str, ...]) -> Mode | None:
    """What a model is for that is not for chat: models.dev has no word for it, but names and families of its own."""
    words = f"{model.family} {model.id}".lower()
    for mode, marks in MARKS.items():
        if any(mark in words for mark in marks):
            return mode
    if given == ("image",):
        return "image"
    return "speech" if given == ("audio",) and taken == ("text",) else None


def _rates(cost: dict[str, object]) -> dict[str, str]:
    found = {}
    for theirs, ours in RATES.items():
        amount = cost.get(theirs)
        if isinstance(amount, int | float) and (text := per_million(amount)) is not None:
            found[ours] = text
    return found if "input" in found and "output" in found else {}


def _long(tiers: object) -> tuple[int, dict[str, str]] | None:
    """The rates of the first tier above a size of the prompt."""
    if not isinstance(tiers, list) or not tiers or not isinstance(tiers[0], dict):
        return None
    size = tiers[0].get("tier", {}).get("size")
    rates = _rates(tiers[0])
    return (size, rates) if isinstance(size, int) and size > 0 and rates else None
