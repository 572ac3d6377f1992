"""A proposed configuration: providers, models and other tables, written as TOML and checked as `serve` checks it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec

from fairlead.catalogue.built import load_catalogue
from fairlead.catalogue.facts import ModelFacts
from fairlead.catalogue.load import Known, build
from fairlead.catalogue.snapshot import Snapshot
from fairlead.catalogue.writing import shown
from fairlead.errors import ConfigurationError
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.prefill import supports_prefill
from fairlead.providers.presets import PRESETS, with_presets
from fairlead.settings import Unread, parse_settings
from fairlead.settings.sections import MODEL_ID

Table = dict[str, Any]
PLACEHOLDER = "placeholder"
LONGEST_ID, LONGEST_MODEL_ID = 64, 128
# A price per million tokens has at most these decimals: more would be less than a picodollar per token.
PRICE_DECIMALS = 6
DEFAULT_DIALECT = next(iter(DIALECTS))
TOKENS_PER_PRICE = 10**6
_ID = re.compile(MODEL_ID)
_PRICE = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")


@dataclass
class Provider:
    """`settings` without its id. Two deployments whose settings are equal share one provider."""

    id: str
    settings: Table

    @property
    def dialect(self) -> str:
        named = self.settings.get("dialect")
        preset = PRESETS.get(self.settings.get("preset", ""))
        return str(named or (preset.dialect if preset else DEFAULT_DIALECT))


@dataclass
class Model:
    id: str
    settings: Table = field(default_factory=dict)
    deployments: list[Table] = field(default_factory=list)


@dataclass
class Document:
    """`tables`: single ones, such as `routing`. Providers and models by id, in the order of the file."""

    tables: dict[str, Table] = field(default_factory=dict)
    providers: dict[str, Provider] = field(default_factory=dict)
    models: dict[str, Model] = field(default_factory=dict)
    _by_settings: dict[bytes, Provider] = field(default_factory=dict, repr=False)
    _names: dict[str, int] = field(default_factory=dict, repr=False)  # how often each was wanted

    def set(self, table: str, name: str, value: object) -> None:
        self.tables.setdefault(table, {})[name] = value

    def provider(self, wanted: str, settings: Table) -> Provider:
        """The provider with these settings; a new one is named `wanted`, or `wanted-2` and so on."""
        same = msgspec.json.encode(settings, order="deterministic")
        if (known := self._by_settings.get(same)) is not None:
            return known
        id_ = name = as_id(wanted, LONGEST_ID - 8)
        while name in self.providers:
            self._names[id_] = self._names.get(id_, 1) + 1
            name = f"{id_}-{self._names[id_]}"
        self.providers[name] = self._by_settings[same] = Provider(name, settings)
        return self.providers[name]

    def model(self, id_: str) -> Model:
        return self.models.setdefault(id_, Model(id_))

    def drop_unused_providers(self) -> None:
        used = {deployment["provider"] for model in self.models.values() for deployment in model.deployments}
        self.providers = {id_: one for id_, one in self.providers.items() if id_ in used}

    @property
    def variables(self) -> list[str]:
        """The environment variables that providers read, each once."""
        named = [
            secret["env"]
            for one in self.providers.values()
            for value in one.settings.values()
            for secret in (value if isinstance(value, list) else [value])
            if isinstance(secret, dict) and "env" in secret
        ]
        implied = [
            preset.key_variable
            for one in self.providers.values()
            if not {"api_key", "api_keys", "access_key_id", "profile"} & set(one.settings)
            and (preset := PRESETS.get(one.settings.get("preset", "")))
        ]
        return list(dict.fromkeys([*named, *implied]))

    def text(self, title: str) -> str:
        """As TOML. `title`: one line of our own, without anything of the imported file."""
        return "\n".join([f"# {title}", *self._lines()]) + "\n"

    def _lines(self) -> Iterator[str]:
        for name, table in self.tables.items():
            yield from ("", f"[{name}]", *_pairs(table))
        for provider in self.providers.values():
            yield from ("", "[[providers]]", *_pairs({"id": provider.id, **provider.settings}))
        for model in self.models.values():
            yield from ("", "[[models]]", *_pairs({"id": model.id, **model.settings}))
            for deployment in model.deployments:
                yield from ("", "[[models.deployments]]", *_pairs(deployment))


def _pairs(table: Table) -> Iterator[str]:
    for name, value in table.items():
        yield f"{name} = {_written(value)}"


def _written(value: Any) -> str:
    """A value in TOML. Text is always a quoted string, so that it cannot become a setting."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, dict):
        pairs = (f"{_written_key(name)} = {_written(one)}" for name, one in value.items())
        return "{ " + ", ".join(pairs) + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_written, value))}]"
    return shown(value)


def _written_key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_\-]+", name) else shown(name)


def checked(text: str, name: str = "the imported configuration") -> Snapshot:
    """Reads and builds the document as a server would, without reading any secret. Raises ConfigurationError."""
    settings = parse_settings(text, name, {})
    # Without a variable of Amazon's, a preset would look for its shared file on this machine.
    environment = {preset.key_variable: PLACEHOLDER for preset in PRESETS.values()}
    # A profile is in a file of the machine that will serve.
    providers = tuple(
        msgspec.structs.replace(one, profile=None, access_key_id=PLACEHOLDER, secret_access_key=PLACEHOLDER)
        if one.profile is not None
        else one
        for one in settings.providers
    )
    settings = msgspec.structs.replace(settings, providers=providers)
    return build(with_presets(settings, environment), DIALECTS, supports_prefill, Unread(environment))


def as_id(text: str, longest: int = LONGEST_MODEL_ID) -> str:
    """The nearest text that may be an id."""
    word = re.sub(r"[^A-Za-z0-9._\-]+", "-", text).strip("-._")[:longest]
    return word or "imported"


def is_model_id(text: str) -> bool:
    return _ID.match(text) is not None


def as_model_id(text: str) -> str:
    """The nearest text that may be the id of a model."""
    word = re.sub(r"[^A-Za-z0-9._:/\-]+", "-", text)
    word = re.sub(r"^[^A-Za-z0-9]+", "", word)[:LONGEST_MODEL_ID]
    return word or "imported"


def price_text(per_token: Decimal, times: int = TOKENS_PER_PRICE) -> str | None:
    """A price per million tokens as a decimal string, exactly; None when a picodollar per token is too coarse for it,
    or when it is no price."""
    if per_token < 0:
        return None
    text = f"{(per_token * times).normalize():f}"
    _, _, fraction = text.partition(".")
    return text if _PRICE.fullmatch(text) and len(fraction) <= PRICE_DECIMALS else None


@cache
def _catalogue() -> tuple[Mapping[str, ModelFacts], Mapping[str, str]]:
    models = load_catalogue().models
    return models, {alias: id_ for id_, facts in models.items() for alias in facts.aliases if alias not in models}


def catalogue_models() -> Mapping[str, ModelFacts]:
    """The bundled catalogue."""
    return _catalogue()[0]


def known_model(*names: str) -> ModelFacts | None:
    """The first of these that the catalogue has, by exact id or alias, with or without what stands before a slash."""
    models, aliases = _catalogue()
    for name in names:
        for word in (name, name.partition("/")[2]):
            if found := models.get(word) or models.get(aliases.get(word, "")):
                return found
    return None


def list_price(facts: ModelFacts) -> Table | None:
    """What the catalogue lists for a model, as a `price`; None when it lists none."""
    for one in facts.prices:
        price: Table = dict(one.rates)
        if not {"input", "output"} <= set(price):
            continue
        if one.long_rates and one.long_above and {"input", "output"} <= set(one.long_rates):
            price["tiers"] = [{"above_prompt_tokens": one.long_above, **one.long_rates}]
        return price
    return None


def needed_lacks(model: str, provider: Provider, upstream: str) -> list[str]:
    """Capabilities of a model of the catalogue that a deployment cannot have over its dialect."""
    facts, dialect = known_model(model), DIALECTS.get(provider.dialect)
    if facts is None or dialect is None or facts.id != model:
        return []
    names = set(dialect.incapable)
    if supports_prefill(dialect, upstream) is False:
        names.add("prefill")
    return sorted(name for name in names if facts.get(f"capability.{name}").value is True)


def check_base_url(url: str) -> str | None:
    """What is wrong with the address of a provider, or None."""
    if not re.fullmatch(r"https?://[^\s/?#@\x00-\x20\x7f-\U0010ffff]+(/[^\s?#\x00-\x20\x7f]*)?", url):
        return "this is no address such as https://host/v1"
    text = f'[[providers]]\nid = "x"\nbase_url = {shown(url)}\n'
    try:
        build(parse_settings(text, "x", {}), DIALECTS, supports_prefill, Unread(), Known({}, {}))
    except ConfigurationError:
        return "this is no address such as https://host/v1"
    return None
