"""A provider with some of its models, added to a configuration document; and keys in place of variables. Pure: nothing
is stored or applied here."""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from fairlead.admin.importing.document import (
    Document,
    Provider,
    Table,
    as_model_id,
    check_base_url,
    known_model,
    list_price,
    needed_lacks,
)
from fairlead.errors import InvalidRequest
from fairlead.providers.presets import PRESETS
from fairlead.toml import unknown

MOST_PICKS: Final = 90
NOT_ADDED: Final = (
    "The configuration in force is written in a way that nothing can be added to. Change the document itself."
)
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")
_AMOUNT: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
_MODELS: Final = re.compile(r"^[ \t]*\[\[[ \t]*models[ \t]*\]\]", re.MULTILINE)
_TABLE: Final = re.compile(r"^[ \t]*\[", re.MULTILINE)
_OF_MODEL: Final = re.compile(r"[ \t]*\[+[ \t]*models[ \t]*\.")


class NewProvider(NamedTuple):
    """`preset`: "" for one's own address and dialect; `credential`: the name of a sealed key, "": none."""

    id: str
    preset: str = ""
    base_url: str = ""
    dialect: str = ""
    region: str = ""
    credential: str = ""

    def settings(self) -> Table:
        found: Table = {"preset": self.preset} if self.preset else {}
        if self.base_url:
            found["base_url"] = self.base_url
        if not self.preset and self.dialect:
            found["dialect"] = self.dialect
        if self.region:
            found["region"] = self.region
        if self.credential:
            found["api_key"] = {"sealed": self.credential}
        return found


class Pick(NamedTuple):
    """A model of a provider. `upstream`: its name there; `model`: here; `input`, `output`: dollars per million tokens,
    as text."""

    upstream: str
    model: str
    input: str
    output: str


class Offer(NamedTuple):
    """A model that a provider lists, and what the catalogue knows of it. Prices are "" where none is listed."""

    upstream: str
    model: str
    known: bool
    input: str
    output: str


def checked_provider(given: NewProvider, taken: Sequence[str]) -> dict[str, str]:
    """What is wrong with it, by field; empty when nothing is. `taken`: the ids of other providers."""
    problems = {}
    if not _ID.fullmatch(given.id):
        problems["id"] = "Up to 48 letters, digits and . _ - without spaces, a letter or digit first."
    elif given.id in taken:
        problems["id"] = "There is a provider of this name."
    preset = PRESETS.get(given.preset)
    if given.preset and preset is None:
        problems["preset"] = unknown("preset", given.preset[:64], PRESETS)
    elif preset is None and not given.base_url:
        problems["base_url"] = "Write the address of its API, such as https://gpu1.example.org/v1."
    elif preset is not None and not preset.base_url and not given.base_url:
        problems["base_url"] = f"This preset needs the address: {preset.note}."
    elif preset is not None and "{region}" in preset.base_url and not given.region and not given.base_url:
        problems["region"] = "This preset needs a region, such as us-east-1."
    if given.base_url and (wrong := check_base_url(given.base_url)) is not None:
        problems["base_url"] = wrong[0].upper() + wrong[1:] + "."
    return problems


def offers(upstreams: Sequence[str]) -> list[Offer]:
    """What can be picked, models of the catalogue first, each once."""
    found = []
    for name in dict.fromkeys(upstreams):
        facts = known_model(name)
        price = None if facts is None else list_price(facts)
        rates = ("", "") if price is None else (_cents(price["input"]), _cents(price["output"]))
        found.append(Offer(name, as_model_id(name) if facts is None else facts.id, facts is not None, *rates))
    return sorted(found, key=lambda one: (not one.known, one.model))


def checked_picks(picks: Sequence[Pick]) -> str | None:
    """What is wrong with them, or None."""
    if not picks:
        return "Choose at least one model."
    if len(picks) > MOST_PICKS:
        return f"Choose at most {MOST_PICKS} models at once."
    for one in picks:
        if not one.upstream or len(one.upstream) > 256 or not one.upstream.isprintable():
            return "Write the name that the provider has for the model."
        if not one.model or as_model_id(one.model) != one.model:
            return f"{one.model[:100]!r} cannot be the id of a model: letters, digits and . _ - : / without spaces."
        for amount in (one.input, one.output):
            if not _AMOUNT.fullmatch(amount):
                return f"Write both prices of {one.model[:100]} in dollars per million tokens, such as 0.10; 0 is free."
    return None


def with_provider(document: str, given: NewProvider, picks: Sequence[Pick]) -> str:
    """The document with this provider and deployments of these models added; all else stays as it is written. Raises
    InvalidRequest where that cannot be done by adding text."""
    try:
        before = tomllib.loads(document)
    except tomllib.TOMLDecodeError:
        raise InvalidRequest("The configuration in force cannot be read here. Change it as a whole.") from None
    wanted = copy.deepcopy(before)
    new = Document()
    provider = Provider(given.id, given.settings())
    new.providers[given.id] = provider
    wanted.setdefault("providers", []).append({"id": given.id, **provider.settings})
    there = {one["id"]: at for at, one in enumerate(before.get("models", []))}
    text = document if not document or document.endswith("\n") else document + "\n"
    for one in picks:
        deployment = _deployment(provider, one)
        if one.model in there:
            text = _inserted(text, there[one.model], deployment)
            wanted["models"][there[one.model]].setdefault("deployments", []).append(deployment)
        else:
            new.model(one.model).deployments.append(deployment)
    for model in new.models.values():
        wanted.setdefault("models", []).append({"id": model.id, "deployments": model.deployments})
    text += new.text(f"Added with the provider {given.id}.")
    try:
        same = tomllib.loads(text) == wanted
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        raise InvalidRequest(NOT_ADDED)
    return text


def _deployment(provider: Provider, one: Pick) -> Table:
    facts = known_model(one.model, one.upstream)
    listed = None if facts is None else list_price(facts)
    found: Table = {"provider": provider.id, "upstream_model": one.upstream}
    given = {"input": one.input, "output": one.output}
    if listed is not None and all(Decimal(str(listed[name])) == Decimal(amount) for name, amount in given.items()):
        found["price"] = _plain(listed)
    elif not any(map(Decimal, given.values())):
        found["price"] = "free"
    else:
        found["price"] = given
    if listed is not None and provider.settings.get("preset"):
        found["cost"] = _plain(listed)
    if lacks := needed_lacks(one.model, provider, one.upstream):
        found["lacks"] = lacks
    return found


def _cents(rate: object) -> str:
    """With two decimals at least, as prices are written."""
    whole, _, part = f"{Decimal(str(rate)):f}".partition(".")
    return f"{whole}.{part.ljust(2, '0')}"


def _plain(value: Any) -> Any:
    """As TOML reads it again."""
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, int) else str(value)


def _inserted(text: str, at: int, deployment: Table) -> str:
    """With a deployment behind all that belongs to the model at this place."""
    heads = [found.start() for found in _MODELS.finditer(text)]
    if at >= len(heads):
        raise InvalidRequest(NOT_ADDED)
    begin = heads[at]
    end = next(
        (
            found.start()
            for found in _TABLE.finditer(text, text.index("\n", begin) + 1 if "\n" in text[begin:] else len(text))
            if not _OF_MODEL.match(text, found.start())
        ),
        len(text),
    )
    document = Document()
    document.model("x").deployments.append(deployment)
    block = document.text("x").partition("[[models.deployments]]")[2]
    before = text[:end].rstrip("\n")
    return f"{before}\n\n[[models.deployments]]{block}\n{text[end:]}"


def with_sealed(document: str, names: Mapping[str, str]) -> str:
    """A document of an importer with sealed keys in place of variables. `names`: of a variable that of its key."""
    for variable, name in names.items():
        document = document.replace(f'{{ env = "{variable}" }}', f'{{ sealed = "{name}" }}')
        for preset in PRESETS.values():
            if preset.key_variable == variable:
                document = _with_key(document, preset.id, name)
    return document


def _with_key(document: str, preset: str, name: str) -> str:
    """In every provider of a preset that names no key."""
    head, *blocks = re.split(r"(?m)^(?=\[)", document)
    line = f'preset = "{preset}"\n'
    changed = [
        block.replace(line, f'{line}api_key = {{ sealed = "{name}" }}\n')
        if block.startswith("[[providers]]") and line in block and "\napi_key" not in block
        else block
        for block in blocks
    ]
    return "".join((head, *changed))
