"""Builds the snapshot from the catalogue's own files and the operator's settings."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw

from fairlead.catalogue.built import load_catalogue
from fairlead.catalogue.facts import Claim, Fact, ModelFacts, Value, Vendor, same
from fairlead.catalogue.facts import Source as FactSource
from fairlead.catalogue.lint import Spoken, against_dialect
from fairlead.catalogue.snapshot import Deployment, Model, Provider, Snapshot
from fairlead.catalogue.vocabulary import CAPABILITIES, PARAMETERS
from fairlead.clock import utc_now
from fairlead.errors import ConfigurationError
from fairlead.http.limits import Timeouts
from fairlead.prices import FREE, PriceSheet, Schedule, Tier, rates_from
from fairlead.settings import (
    DeploymentSettings,
    ModelSettings,
    PriceSettings,
    ProviderKey,
    ProviderSettings,
    RateSettings,
    Secrets,
    Settings,
    aws_keys,
    provider_keys,
)
from fairlead.toml import Source
from fairlead.wire.usage import CLASSES, TokenClasses

OPERATOR = "operator"
Dialect = TypeVar("Dialect", bound=Spoken)
GoesOn = Callable[[Dialect, str], bool | None]
# The settings of a model that are facts of it.
# What models of these modes take and give in any case, where no source says more; others: text.
TAKES: Mapping[str, tuple[str, ...]] = {"transcription": ("audio",)}
GIVES: Mapping[str, tuple[str, ...]] = {"image": ("image",), "speech": ("audio",)}
STATED = ("name", "description", "context_length", "max_output_tokens", "input_modalities", "mode")


class Known(NamedTuple):
    """The models of a catalogue, without deployments, and their vendors."""

    models: Mapping[str, Model]
    vendors: Mapping[str, Vendor]


def known_models(settings: Settings) -> Known:
    """The bundled model files and the operator's own. Raises ConfigurationError."""
    directory = catalogue_directory(settings)
    if directory is not None and not directory.is_dir():
        raise settings.error("catalogue.directory", f"the catalogue {directory} is not a directory.")
    catalogue = load_catalogue(directory)
    return Known({name: model_of(facts) for name, facts in catalogue.models.items()}, catalogue.vendors)


def build(
    settings: Settings,
    dialects: Mapping[str, Dialect],
    supports_prefill: GoesOn[Dialect],
    secrets: Secrets | None = None,
    known: Known | None = None,
) -> Snapshot:
    """Checks providers and models against each other. Raises ConfigurationError with file and line.

    `secrets`: what reads the keys of providers; None: only environment and files. `supports_prefill`: whether an
    upstream's model continues a prefill; None: nobody knows. `known`: the models of
    the catalogue, where they have been read already."""
    source = settings.source
    secrets = Secrets() if secrets is None else secrets
    providers: dict[str, Provider] = {}
    for at, provider in enumerate(settings.providers):
        providers[provider.id] = _provider(provider, f"providers[{at}]", providers, dialects, source, secrets)
    known = known_models(settings) if known is None else known
    models = dict(known.models)
    seen: set[str] = set()
    for at, model in enumerate(settings.models):
        path = f"models[{at}]"
        if model.id in seen:
            raise _error(
                source,
                f"{path}.id",
                f"the model {model.id!r} is defined twice; list all its deployments in one [[models]] table.",
            )
        seen.add(model.id)
        models[model.id] = _configured(model, models.get(model.id), path, providers, dialects, supports_prefill, source)
    aliases = {alias: model.id for model in models.values() for alias in model.aliases if alias not in models}
    return Snapshot(models, providers, known.vendors, aliases)


def catalogue_directory(settings: Settings) -> Path | None:
    """The operator's own catalogue; a relative path is taken from the configuration file. Raises ConfigurationError."""
    named = settings.catalogue.directory
    if named is None:
        return None
    beside = Path(settings.source.name).parent if settings.source is not None else Path()
    try:
        return beside / Path(named).expanduser()
    except RuntimeError:
        raise settings.error("catalogue.directory", f"no home directory found for {named!r}.") from None


def model_of(facts: ModelFacts) -> Model:
    """What calls need of a model's facts."""
    released = facts.text("released")
    families = facts.families()
    mode = facts.text("mode") or "chat"
    return Model(
        id=facts.id,
        name=facts.text("name") or facts.id,
        vendor=facts.vendor,
        description=facts.text("description") or "",
        created=_seconds(released) if released else 0,
        context_length=facts.whole("context_length"),
        max_output_tokens=facts.whole("max_output_tokens"),
        input_modalities=facts.words("input_modalities") or TAKES.get(mode, ("text",)),
        inputs_known=bool(facts.words("input_modalities")),
        output_modalities=facts.words("output_modalities") or GIVES.get(mode, ("text",)),
        mode=mode,
        capabilities=tuple(name for name, fact in families.get("capability", {}).items() if fact.value is True),
        parameters=tuple(sorted(name for name, fact in families.get("parameter", {}).items() if fact.value is True)),
        defaults={
            name: Raw(msgspec.json.encode(fact.value))
            for name, fact in families.get("default", {}).items()
            if fact.value is not None and name in facts.sent
        },
        demonstration=facts.demonstration,
        aliases=facts.aliases,
        facts=facts,
    )


def _seconds(day: str) -> int:
    """The first second of a day, month or year."""
    year, month, first = (int(part) for part in (day + "-01-01")[:10].split("-"))
    return int(datetime(year, month, first, tzinfo=UTC).timestamp())


def _provider(
    given: ProviderSettings,
    path: str,
    others: Mapping[str, Provider],
    dialects: Mapping[str, Spoken],
    source: Source | None,
    secrets: Secrets,
) -> Provider:
    if given.id in others:
        raise _error(source, f"{path}.id", f"the provider {given.id!r} is defined twice.")
    dialect, base_url = given.dialect or "generic", given.base_url or ""
    if dialect not in dialects:
        near = difflib.get_close_matches(dialect, dialects, 1, 0.4)
        help_ = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(dialects))}."
        raise _error(source, f"{path}.dialect", f"there is no dialect {dialect!r}; {help_}")
    _check_url(base_url, f"{path}.base_url", source)
    try:
        keys = provider_keys(given, secrets)
        aws = aws_keys(given, secrets)
    except ConfigurationError as error:
        raise _error(source, f"{path}.api_key", error.message) from None
    if aws is not None and not given.region:
        raise _error(source, path, 'requests signed with access_key_id need a region, such as "us-east-1".')
    return provider_of(given, base_url.rstrip("/"), dialect, keys, aws)


def provider_of(
    given: ProviderSettings,
    base_url: str,
    dialect: str,
    keys: tuple[ProviderKey, ...],
    aws: tuple[str, str, str] | None = None,
) -> Provider:
    """A provider by its settings. What may come from elsewhere, such as a preset, is given besides."""
    return Provider(
        id=given.id,
        base_url=base_url,
        dialect=dialect,
        keys=keys,
        region=given.region or "",
        api_version=given.api_version or "",
        aws_keys=aws,
        timeouts=Timeouts(
            given.connect_timeout_seconds,
            given.first_byte_timeout_seconds,
            given.idle_timeout_seconds,
            given.total_timeout_seconds,
        ),
        connections=given.max_connections,
        queue=given.max_queue,
        queue_seconds=given.queue_timeout_seconds,
        forward_sessions=given.forward_sessions,
        bills_cut=None if given.disconnect is None else given.disconnect == "drain",
        probe=given.probe,
    )


def _check_url(url: str, path: str, source: Source | None) -> None:
    if url.startswith("unix:"):
        if not url.startswith("unix:/"):
            raise _error(source, path, "the path after unix: must begin with '/'.")
        return
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or any(ord(letter) < 33 for letter in url):
        raise _error(
            source, path, "this is not a valid URL: use http://host:port/v1, https://host/v1 or unix:/path.sock."
        )
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise _error(source, path, "base_url must not contain a user, query or fragment; set the key with api_key.")


def _configured(
    given: ModelSettings,
    known: Model | None,
    path: str,
    providers: Mapping[str, Provider],
    dialects: Mapping[str, Dialect],
    supports_prefill: GoesOn[Dialect],
    source: Source | None,
) -> Model:
    facts = _stated(given, known.facts if known else ModelFacts(given.id, given.vendor or "unknown", {}, {}), source)
    model = model_of(facts)
    deployments: list[Deployment] = []
    for at, wanted in enumerate(given.deployments):
        here = f"{path}.deployments[{at}]"
        if wanted.provider not in providers:
            near = difflib.get_close_matches(wanted.provider, providers, 1, 0.4)
            help_ = f"did you mean {near[0]!r}?" if near else "add it under [[providers]]."
            raise _error(source, f"{here}.provider", f"there is no provider {wanted.provider!r}; {help_}")
        name = f"{wanted.provider}/{wanted.upstream_model}"
        if any(name == other.id for other in deployments):
            raise _error(source, here, f"the deployment {name!r} is defined twice.")
        sheet = _sheet(name, wanted, given.markup, here, source)
        if wanted.context_length and wanted.max_output_tokens and wanted.max_output_tokens > wanted.context_length:
            raise _error(source, f"{here}.max_output_tokens", "max_output_tokens is larger than context_length.")
        dialect = dialects[providers[wanted.provider].dialect]
        incapable = dialect.incapable - frozenset(wanted.lacks)
        if "prefill" not in wanted.lacks and wanted.supports_prefill is None:
            incapable |= {"prefill"} if supports_prefill(dialect, wanted.upstream_model) is False else frozenset()
        for word in wanted.parameters or ():
            # A word that nobody knows may be the provider's own; one that is nearly ours is a typo.
            if word not in PARAMETERS and (near := difflib.get_close_matches(word, PARAMETERS, 1, 0.8)):
                raise _error(source, f"{here}.parameters", f"there is no parameter {word!r}; did you mean {near[0]!r}?")
        for problem in against_dialect(facts, wanted.parameters or (), incapable, dialect):
            raise _error(source, here, str(problem))
        deployments.append(
            Deployment(
                name,
                wanted.provider,
                wanted.upstream_model,
                sheet,
                weight=wanted.weight,
                priority=wanted.priority,
                region=wanted.region,
                quantization=wanted.quantization,
                keeps_data=wanted.keeps_data,
                max_concurrent=wanted.max_concurrent,
                max_inputs=wanted.max_inputs,
                context_length=wanted.context_length,
                max_output_tokens=wanted.max_output_tokens,
                parameters=None if wanted.parameters is None else frozenset(wanted.parameters),
                allow_parameters=frozenset(wanted.allow_parameters),
                lacks=wanted.lacks,
                probe=wanted.probe,
                supports_prefill=wanted.supports_prefill,
            )
        )
    defaults: dict[str, Raw] = {name: Raw(msgspec.json.encode(value)) for name, value in given.defaults.items()}
    model = replace(model, deployments=tuple(deployments), defaults={**model.defaults, **defaults})
    if model.context_length and model.max_output_tokens and model.max_output_tokens > model.context_length:
        raise _error(source, path, "max_output_tokens is larger than context_length.")
    return model


def _stated(given: ModelSettings, facts: ModelFacts, source: Source | None) -> ModelFacts:
    """The facts with what the operator's configuration says, which is believed before everything else."""
    stated: dict[str, Value] = {name: value for name in STATED if (value := getattr(given, name)) is not None}
    if given.input_modalities is not None:
        for row in CAPABILITIES.values():
            if row.takes is not None:
                stated[f"capability.{row.name}"] = row.takes in given.input_modalities
    output = facts.whole("max_output_tokens")
    if given.context_length is not None and given.max_output_tokens is None and output is not None:
        stated["max_output_tokens"] = min(output, given.context_length)
    if given.vendor is not None:
        facts = msgspec.structs.replace(facts, vendor=given.vendor)
    title = f"Configuration of this server ({Path(source.name).name})" if source else "Configuration of this server"
    return with_statements(facts, FactSource(OPERATOR, title, "operator", str(utc_now().date())), stated)


def with_statements(facts: ModelFacts, said: FactSource, stated: Mapping[str, Value]) -> ModelFacts:
    """The facts with what one more source says, which is believed before all others."""
    if not stated:
        return facts
    changed = {name: _overruled(facts.get(name), said, value) for name, value in stated.items()}
    return msgspec.structs.replace(
        facts, sources={said.key: said, **facts.sources}, facts={**facts.facts, **changed}
    )  # fmt: skip


def _overruled(before: Fact, said: FactSource, value: Value) -> Fact:
    claims = before.others if before.value is None else (Claim(before.source, before.value), *before.others)
    others = tuple(claim for claim in claims if not same(claim.value, value))
    return Fact(value, said.key, f"{said.title} comes before all other sources here." if others else "", others)


def _sheet(name: str, given: DeploymentSettings, markup: str, path: str, source: Source | None) -> PriceSheet:
    """What a deployment costs. One without a price is refused: it would be served and never billed."""
    cost = _schedule(given.cost, f"{path}.cost", source)
    price = _schedule(given.price, f"{path}.price", source)
    if price is None:
        if cost is None:
            raise _error(
                source, path,
                f'the deployment {name!r} has no price. Give it price = {{ input = "0.10", output = "0.30" }} '
                '(dollars per million tokens), or price = "free".',
            )  # fmt: skip
        try:
            price = cost.scaled(markup)
        except ValueError as error:
            raise _error(source, f"{path}.cost", f"{error}.") from None
    return PriceSheet(name, price, cost)


def _schedule(given: PriceSettings | Literal["free"] | None, path: str, source: Source | None) -> Schedule | None:
    if given is None:
        return None
    if given == "free":
        return FREE
    assert isinstance(given, PriceSettings)
    tiers = sorted(given.tiers, key=lambda tier: tier.above_prompt_tokens)
    if len({tier.above_prompt_tokens for tier in tiers}) < len(tiers):
        raise _error(source, path, "two tiers have the same above_prompt_tokens.")
    try:
        return Schedule(_rates(given), tuple(Tier(tier.above_prompt_tokens, _rates(tier)) for tier in tiers))
    except ValueError as error:
        raise _error(source, path, f"{error}.") from None


def _rates(given: RateSettings) -> TokenClasses:
    named = {name: getattr(given, name) for name in CLASSES}
    return rates_from({name: text for name, text in named.items() if text is not None})


def _error(source: Source | None, path: str, sentence: str) -> ConfigurationError:
    return ConfigurationError(sentence) if source is None else source.error(path, sentence)
