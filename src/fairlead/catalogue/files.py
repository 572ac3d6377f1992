"""A model's file: what each source says, in the order in which they are believed, and decisions where they differ.

`docs/reference/model-files.md` describes the form. `resolve` makes of it what the pages show.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

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
from fairlead.settings import ModelId
from fairlead.toml import Source as TomlSource
from fairlead.toml import read, read_text

OURS = "ours"
# Folders in folders of a catalogue.
MOST_LEVELS = 4
PartialDate = Annotated[
    str, Meta(pattern=r"^\d{4}(-\d{2}(-\d{2})?)?\Z", description='a day, month or year in quotes, such as "2026-01"')
]
Count = Annotated[int, Meta(ge=1)]
Key = Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,40}\Z", description="up to 40 lower-case letters, digits and _")]
Slug = Annotated[
    str, Meta(pattern=r"^[a-z0-9][a-z0-9\-]{0,63}\Z", description="up to 64 lower-case letters, digits and -")
]
Id = ModelId
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


class VendorRow(Struct, frozen=True, forbid_unknown_fields=True):
    """A vendor in vendors.toml, under its slug."""

    name: str
    url: str | None = None


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
    """Raises ConfigurationError, beginning with `name` and a line, for a file that has not the form."""
    return read(TomlSource(name, text), text, ModelFile)


def read_vendors(text: str, name: str) -> dict[str, Vendor]:
    """Raises ConfigurationError, beginning with `name` and a line, for a file that has not the form."""
    rows = read(TomlSource(name, text), text, dict[str, VendorRow])
    return {slug: Vendor(slug, row.name, row.url) for slug, row in rows.items()}


def built_in() -> Traversable:
    return files("fairlead.catalogue")


def model_files(directory: Path | Traversable, levels: int = MOST_LEVELS) -> Iterator[tuple[str, str]]:
    """(path below the directory, text) of every model's file, by path. Files may lie in a folder per vendor; hidden
    entries are skipped. Raises ConfigurationError when one cannot be read."""
    try:
        entries = sorted(directory.iterdir(), key=lambda item: item.name)
    except OSError as error:
        raise ConfigurationError(f"The catalogue {directory} cannot be read: {error.strerror}.") from None
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            # A link to a folder above would never end.
            if levels > 1:
                for name, text in model_files(entry, levels - 1):
                    yield f"{entry.name}/{name}", text
        elif entry.name.endswith(".toml") and entry.name != "vendors.toml":
            yield entry.name, text_of(entry)


def text_of(file: Path | Traversable) -> str:
    """The text of one of the operator's or bundled files. Raises ConfigurationError."""
    return read_text(file) if isinstance(file, Path) else file.read_text("utf-8")


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
