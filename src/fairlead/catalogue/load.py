"""Builds the snapshot from the catalogue's own files and the operator's settings."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time
from importlib.resources import files
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Raw, Struct

from fairlead.catalogue.snapshot import Deployment, Model, Provider, Snapshot
from fairlead.errors import ConfigurationError
from fairlead.prices import FREE, PriceSheet, Schedule, Tier, rates_from
from fairlead.settings import (
    DeploymentSettings,
    ModelSettings,
    PriceSettings,
    ProviderSettings,
    RateSettings,
    Settings,
    Source,
    api_key,
    aws_keys,
)
from fairlead.wire.usage import CLASSES, TokenClasses


class Fact(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the facts of a file come from, and when they were read."""

    source: str
    read: date


class ModelFile(Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    name: str
    vendor: str
    description: str
    released: date
    facts: Fact
    context_length: Annotated[int, Meta(ge=1)] | None = None
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    input_modalities: tuple[str, ...] = ("text",)
    output_modalities: tuple[str, ...] = ("text",)
    capabilities: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    defaults: dict[str, Any] = {}
    demonstration: bool = False


def catalogue_models() -> dict[str, Model]:
    """The models that this version knows, without deployments."""
    found = {}
    for entry in sorted((files("fairlead.catalogue") / "models").iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".toml"):
            file = msgspec.convert(tomllib.loads(entry.read_text("utf-8")), ModelFile)
            found[file.id] = _model(file)
    return found


def build(settings: Settings, dialects: frozenset[str], environment: Mapping[str, str] | None = None) -> Snapshot:
    """Checks providers and models against each other. Raises ConfigurationError with file and line."""
    source = settings.source
    providers: dict[str, Provider] = {}
    for at, provider in enumerate(settings.providers):
        providers[provider.id] = _provider(provider, f"providers[{at}]", providers, dialects, source, environment)
    models = catalogue_models()
    seen: set[str] = set()
    for at, model in enumerate(settings.models):
        path = f"models[{at}]"
        if model.id in seen:
            raise _error(
                source, f"{path}.id", f"the model {model.id!r} is there twice; give it all its deployments once."
            )
        seen.add(model.id)
        models[model.id] = _configured(model, models.get(model.id), path, providers, source)
    return Snapshot(models, providers)


def _model(file: ModelFile) -> Model:
    return Model(
        id=file.id,
        name=file.name,
        vendor=file.vendor,
        description=file.description,
        created=int(datetime.combine(file.released, time(), UTC).timestamp()),
        context_length=file.context_length,
        max_output_tokens=file.max_output_tokens,
        input_modalities=file.input_modalities,
        output_modalities=file.output_modalities,
        capabilities=file.capabilities,
        parameters=file.parameters,
        defaults={name: Raw(msgspec.json.encode(value)) for name, value in file.defaults.items()},
        demonstration=file.demonstration,
    )


def _provider(
    given: ProviderSettings,
    path: str,
    others: Mapping[str, Provider],
    dialects: frozenset[str],
    source: Source | None,
    environment: Mapping[str, str] | None,
) -> Provider:
    if given.id in others:
        raise _error(source, f"{path}.id", f"the provider {given.id!r} is there twice.")
    dialect, base_url = given.dialect or "generic", given.base_url or ""
    if dialect not in dialects:
        near = difflib.get_close_matches(dialect, dialects, 1, 0.4)
        help_ = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(dialects))}."
        raise _error(source, f"{path}.dialect", f"there is no dialect {dialect!r}; {help_}")
    _check_url(base_url, f"{path}.base_url", source)
    try:
        key = api_key(given, environment)
        aws = aws_keys(given, environment)
    except ConfigurationError as error:
        raise _error(source, f"{path}.api_key", error.message) from None
    if aws is not None and not given.region:
        raise _error(source, path, 'requests signed with access_key_id need a region, such as "us-east-1".')
    return Provider(
        id=given.id,
        base_url=base_url.rstrip("/"),
        dialect=dialect,
        api_key=key,
        region=given.region or "",
        api_version=given.api_version or "",
        aws_keys=aws,
        connect_seconds=given.connect_timeout_seconds,
        first_byte_seconds=given.first_byte_timeout_seconds,
        idle_seconds=given.idle_timeout_seconds,
        total_seconds=given.total_timeout_seconds,
        connections=given.max_connections,
        queue=given.max_queue,
        queue_seconds=given.queue_timeout_seconds,
        bills_cut=None if given.hang_up is None else given.hang_up == "drain",
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
        raise _error(source, path, "this is no address: http://host:port/v1, https://host/v1 or unix:/path.sock.")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise _error(source, path, "base_url takes no user, query or fragment; a key goes into api_key.")


def _configured(
    given: ModelSettings, known: Model | None, path: str, providers: Mapping[str, Provider], source: Source | None
) -> Model:
    model = known or Model(
        id=given.id,
        name=given.id,
        vendor="unknown",
        description="",
        created=0,
        context_length=None,
        max_output_tokens=None,
    )
    deployments: list[Deployment] = []
    for at, wanted in enumerate(given.deployments):
        here = f"{path}.deployments[{at}]"
        if wanted.provider not in providers:
            near = difflib.get_close_matches(wanted.provider, providers, 1, 0.4)
            help_ = f"did you mean {near[0]!r}?" if near else "add it under [[providers]]."
            raise _error(source, f"{here}.provider", f"there is no provider {wanted.provider!r}; {help_}")
        name = f"{wanted.provider}/{wanted.upstream_model}"
        if any(name == other.id for other in deployments):
            raise _error(source, here, f"the deployment {name!r} is there twice.")
        sheet = _sheet(name, wanted, given.markup, here, source)
        deployments.append(Deployment(name, wanted.provider, wanted.upstream_model, sheet))
    changes: dict[str, Any] = {
        name: getattr(given, name)
        for name in ("name", "vendor", "description", "context_length", "max_output_tokens", "input_modalities")
        if getattr(given, name) is not None
    }
    model = replace(model, deployments=tuple(deployments), **changes)
    if model.context_length and model.max_output_tokens and model.max_output_tokens > model.context_length:
        raise _error(source, path, "max_output_tokens is larger than context_length.")
    return model


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
        raise _error(source, path, "two tiers begin at the same number of tokens.")
    try:
        return Schedule(_rates(given), tuple(Tier(tier.above_prompt_tokens, _rates(tier)) for tier in tiers))
    except ValueError as error:
        raise _error(source, path, f"{error}.") from None


def _rates(given: RateSettings) -> TokenClasses:
    named = {name: getattr(given, name) for name in CLASSES}
    return rates_from({name: text for name, text in named.items() if text is not None})


def _error(source: Source | None, path: str, sentence: str) -> ConfigurationError:
    return ConfigurationError(sentence) if source is None else source.error(path, sentence)
