"""A model's file: what each source says, in the order in which they are believed, and decisions where they differ.

`docs/catalogue.md` describes the form. `resolve` makes of it what the pages show.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from fairlead.catalogue.facts import (
    Change,
    Claim,
    Fact,
    ListPrice,
    ModelFacts,
    Scalar,
    Source,
    SourceKind,
    Value,
    Vendor,
    same,
)
from fairlead.errors import ConfigurationError

OURS = "ours"
PartialDate = Annotated[str, Meta(pattern=r"^\d{4}(-\d{2}(-\d{2})?)?$")]
Count = Annotated[int, Meta(ge=1)]
Key = Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,40}$")]
Slug = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9\-]{0,63}$")]
Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/\-]{0,127}$")]
Words = tuple[str, ...]
SCALARS = (
    "name", "family", "released", "knowledge_cutoff", "licence", "weights", "open_weights", "size",
    "context_length", "max_output_tokens", "input_modalities", "output_modalities", "tokenizer", "quantization",
    "mode", "status", "retires", "successor",
)  # fmt: skip
UNKNOWN = "unknown"


class Statements(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One source and what it says. A word that is not there is not said; `cannot` says that something is not so.

    `id`: what the source calls the model, by which an importer finds it again."""

    title: str
    kind: SourceKind
    read: date
    url: str | None = None
    edition: date | None = None
    id: str | None = None
    name: str | None = None
    family: str | None = None
    released: PartialDate | None = None
    knowledge_cutoff: PartialDate | None = None
    licence: str | None = None
    weights: str | None = None
    open_weights: bool | None = None
    size: str | None = None
    context_length: Count | None = None
    max_output_tokens: Count | None = None
    input_modalities: Words | None = None
    output_modalities: Words | None = None
    tokenizer: str | None = None
    quantization: str | None = None
    mode: str | None = None
    status: str | None = None
    retires: PartialDate | None = None
    successor: str | None = None
    can: Words = ()
    cannot: Words = ()
    parameters: Words = ()
    no_parameters: Words = ()
    defaults: dict[str, Scalar] = {}
    ranges: dict[str, tuple[float, float]] = {}
    links: dict[str, str] = {}
    price: dict[str, str] = {}
    long_price: dict[str, str] = {}
    long_price_above: Count | None = None

    def facts(self) -> Iterator[tuple[str, Value]]:
        for name in SCALARS:
            if (value := getattr(self, name)) is not None:
                yield name, value
        for answer, words in ((True, self.can), (False, self.cannot)):
            for word in words:
                yield f"capability.{word}", answer
        for answer, words in ((True, self.parameters), (False, self.no_parameters)):
            for word in words:
                yield f"parameter.{word}", answer
        for word, default in self.defaults.items():
            yield f"default.{word}", default
        for word, (least, most) in self.ranges.items():
            yield f"range.{word}", (least, most)
        for word, url in self.links.items():
            yield f"link.{word}", url


class Decision(Struct, frozen=True, forbid_unknown_fields=True):
    """Which source is believed for a fact, or "unknown", and why."""

    use: str
    why: Annotated[str, Meta(min_length=10)]


class Changed(Struct, frozen=True, forbid_unknown_fields=True):
    on: date
    fact: str
    source: str
    before: Scalar | Words | UnsetType = UNSET
    after: Scalar | Words | UnsetType = UNSET


class ModelFile(Struct, frozen=True, forbid_unknown_fields=True):
    id: Id
    vendor: Slug
    added: date
    sources: dict[Key, Statements]
    description: str | None = None
    described: date | None = None
    aliases: tuple[Id, ...] = ()
    sent: Words = ()
    demonstration: bool = False
    decisions: dict[str, Decision] = {}
    history: tuple[Changed, ...] = ()


def read_model(text: str, name: str) -> ModelFile:
    """Raises ConfigurationError, beginning with `name`, for a file that has not the form."""
    try:
        return msgspec.convert(tomllib.loads(text), ModelFile)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{name}: this is not valid TOML: {error}.") from None
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{name}: {error}.") from None


def read_vendors(text: str, name: str) -> dict[str, Vendor]:
    try:
        return {slug: msgspec.convert({"slug": slug, **row}, Vendor) for slug, row in tomllib.loads(text).items()}
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, TypeError) as error:
        raise ConfigurationError(f"{name}: {error}.") from None


def built_in() -> Traversable:
    return files("fairlead.catalogue")


def model_files(directory: Path | Traversable) -> Iterator[tuple[str, str]]:
    """(path below the directory, text) of every model's file, by path. Files may lie in a folder per vendor."""
    for entry in sorted(directory.iterdir(), key=lambda item: item.name):
        if entry.is_dir():
            for name, text in model_files(entry):
                yield f"{entry.name}/{name}", text
        elif entry.name.endswith(".toml") and entry.name != "vendors.toml":
            yield entry.name, entry.read_text("utf-8")


def resolve(file: ModelFile) -> ModelFacts:
    """Every fact with its source: the first that says something, or the one that a decision names."""
    claims: dict[str, list[Claim]] = {}
    for key, statements in file.sources.items():
        for name, value in statements.facts():
            claims.setdefault(name, []).append(Claim(key, value))
    sources = {key: _source(key, statements) for key, statements in file.sources.items()}
    facts = {}
    if file.description:
        read = file.described or file.added
        sources[OURS] = Source(OURS, "In our own words, from the sources of this page", "ours", str(read))
        facts["description"] = Fact(file.description, OURS)
    facts |= {name: decide(said, file.sources, file.decisions.get(name)) for name, said in sorted(claims.items())}
    return ModelFacts(
        id=file.id,
        vendor=file.vendor,
        sources=sources,
        facts=facts,
        aliases=file.aliases,
        prices=tuple(
            ListPrice(key, said.price, said.long_price, said.long_price_above)
            for key, said in file.sources.items()
            if said.price
        ),
        history=tuple(_change(entry) for entry in file.history),
        added=str(file.added),
        sent=file.sent,
        demonstration=file.demonstration,
    )


def decide(said: list[Claim], sources: Mapping[str, Statements], decision: Decision | None) -> Fact:
    """The fact that several claims make. Pure."""
    if decision is not None and decision.use == UNKNOWN:
        return Fact(None, "", decision.why, tuple(said))
    chosen = next((claim for claim in said if decision is not None and claim.source == decision.use), said[0])
    others = tuple(claim for claim in said if claim is not chosen and not same(claim.value, chosen.value))
    if not others:
        return Fact(chosen.value, chosen.source)
    why = decision.why if decision is not None else _by_rank(sources[chosen.source])
    return Fact(chosen.value, chosen.source, why, others)


def _by_rank(source: Statements) -> str:
    return f"{source.title} comes first among the sources of this model."


def _source(key: str, said: Statements) -> Source:
    # What we read on a day may be older: both dates are told wherever a source is named.
    title = f"{said.title} (edition {said.edition})" if said.edition else said.title
    return Source(key, title, said.kind, str(said.read), said.url, str(said.edition) if said.edition else None)


def _change(entry: Changed) -> Change:
    before, after = (None if value is UNSET else value for value in (entry.before, entry.after))
    return Change(str(entry.on), entry.fact, before, after, entry.source)
