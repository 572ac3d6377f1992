"""OpenRouter's list of models, and what was spent there, as a configuration that calls the same models."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import msgspec

from fairlead.admin.importing.document import Document, Table, checked, is_model_id, needed_lacks
from fairlead.admin.importing.report import Report
from fairlead.catalogue.files import Statements
from fairlead.catalogue.importers import openrouter
from fairlead.errors import ConfigurationError
from fairlead.money import Picodollars, dollars
from fairlead.toml.names import quoted

TITLE = "Proposed by `fairlead import openrouter`. Nothing of it is in force yet."
PRESET = openrouter.KEY
MOST_ROWS = 1_000_000
MOST_TOKENS = 10**15
# The columns of an export, and the members of GET /api/v1/activity.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "model": ("model", "model_permaslug", "slug"),
    "requests": ("requests", "request_count"),
    "prompt": ("prompt_tokens", "tokens_prompt"),
    "completion": ("completion_tokens", "tokens_completion"),
    "reasoning": ("reasoning_tokens", "tokens_reasoning"),
    "cached": ("cached_tokens", "tokens_cached"),
    "usage": ("usage", "cost_total", "cost"),
}
# Rates of OpenRouter that a price here does not have, and why.
NOT_PRICED: Mapping[str, str] = {
    "web_search": "web searches are not priced: `allow_parameters` of a deployment lets callers use them",
    "image": "OpenRouter's price per image; images are counted as tokens here",
    "discount": "a discount is in the prices already",
}


@dataclass
class Spent:
    """What a model was used for; amounts in US dollars. `requests` are rows where the export has one a call."""

    requests: int = 0
    prompt: int = 0
    completion: int = 0
    reasoning: int = 0
    cached: int = 0
    usage: Decimal = Decimal(0)


class Compared(NamedTuple):
    """A model's traffic: what OpenRouter charged, and what it costs by the sheet of the document; None: not in it."""

    model: str
    spent: Spent
    ours: Picodollars | None

    def entry(self) -> dict[str, Any]:
        """As JSON documents show it."""
        return {
            "model": self.model,
            "requests": self.spent.requests,
            "prompt_tokens": self.spent.prompt,
            "completion_tokens": self.spent.completion,
            "openrouter_usd": f"{self.spent.usage:f}",
            "ours_usd": None if self.ours is None else dollars(self.ours.value),
        }


class Imported(NamedTuple):
    text: str
    report: Report
    variables: list[str]
    compared: list[Compared]


def import_openrouter(
    models: bytes, read_on: date, activity: bytes | None, wanted: tuple[str, ...], name: str
) -> Imported:
    """`models`: the list, from GET /api/v1/models. `activity`: an export (CSV), or GET /api/v1/activity (JSON).
    `wanted`: ids of models beside those that were used; without both, every model of the list.

    Raises ConfigurationError for what is no such file."""
    try:
        listed = openrouter.read(models, read_on)
        raw = {one["id"]: one for one in json.loads(models)["data"]}
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{name} is no list of models of OpenRouter: {error}.") from None
    # Variants such as `:free` have the name of the model itself.
    slugs = {str(one.get("canonical_slug")): id_ for id_, one in raw.items() if ":" not in id_}
    spent = _by_id(_spent(activity), listed.models, slugs) if activity is not None else {}
    chosen = list(dict.fromkeys([*spent, *wanted])) or list(listed.models)
    report, document = Report(None), Document()
    for id_ in chosen:
        _add(document, id_, listed.models.get(id_), raw.get(id_, {}), report)
    for id_, notes in listed.dropped.items():
        if id_ in document.models:
            for note in notes:
                report.add("not_mapped", quoted(id_), note)
    text = document.text(TITLE)
    checked(text)
    compared = [Compared(id_, one, _ours(document, id_, one)) for id_, one in spent.items()]
    compared.sort(key=lambda one: one.spent.usage, reverse=True)
    return Imported(text, report, document.variables, compared)


def _add(document: Document, id_: str, said: Statements | None, raw: Mapping[str, Any], report: Report) -> None:
    if said is None:
        report.add("not_mapped", quoted(id_), "it is not in the list: it was retired, or has another name now")
        return
    if not is_model_id(id_):
        report.add("not_mapped", quoted(id_), "the name cannot be the id of a model")
        return
    if not said.price:
        report.add("not_mapped", quoted(id_), "its price varies: callers name the model, or several in `models`")
        return
    provider = document.provider(PRESET, {"preset": PRESET})
    model = document.model(id_)
    for setting in ("context_length", "max_output_tokens"):
        if (value := getattr(said, setting)) is not None:
            model.settings[setting] = value
    if said.input_modalities:
        model.settings["input_modalities"] = list(said.input_modalities)
    if said.mode is None:
        report.add("not_mapped", f"{quoted(id_)}: modalities", "written as a chat model: set `mode` if it is none")
    deployment: Table = {"provider": provider.id, "upstream_model": id_, "cost": dict(said.price)}
    if lacks := needed_lacks(id_, provider, id_):
        deployment["lacks"] = lacks
    model.deployments.append(deployment)
    report.add("mapped", quoted(id_), f"a model that is called at OpenRouter, with {len(said.price)} rates as `cost`")
    pricing = raw.get("pricing")
    for rate in sorted(pricing if isinstance(pricing, dict) else ()):
        if rate not in openrouter.RATES and rate != "request":
            why = NOT_PRICED.get(rate, "no class of a price here is charged by it")
            report.add("not_mapped", f"{quoted(id_)}: {quoted(rate)}", why)


# --- what was spent


def _spent(body: bytes) -> dict[str, Spent]:
    """By the name that the export has for a model."""
    found: dict[str, Spent] = {}
    for at, row in enumerate(_rows(body)):
        if at >= MOST_ROWS:
            raise ConfigurationError(f"The activity has more than {MOST_ROWS} rows: export a shorter time.")
        values = {name: next((row[one] for one in names if one in row), None) for name, names in COLUMNS.items()}
        if not isinstance(values["model"], str):
            raise ConfigurationError(f"Row {at + 1} of the activity names no model.")
        one = found.setdefault(values["model"], Spent())
        one.requests += 1 if values["requests"] is None else _count(values["requests"], at)
        one.prompt += _count(values["prompt"], at)
        one.completion += _count(values["completion"], at)
        one.reasoning += _count(values["reasoning"], at)
        one.cached += _count(values["cached"], at)
        one.usage += _amount(values["usage"], at)
    return found


def _rows(body: bytes) -> Iterator[Mapping[str, Any]]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError("The activity is not UTF-8 text.") from None
    if text.lstrip()[:1] in ("{", "["):
        yield from _json_rows(text)
        return
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""))
        if not set(reader.fieldnames or ()) & set(COLUMNS["model"]):
            raise ConfigurationError(f"The activity has no column {' or '.join(COLUMNS['model'])}.")
        yield from reader
    except csv.Error as error:
        raise ConfigurationError(f"The activity is not valid CSV: {error}.") from None


def _json_rows(text: str) -> Iterable[Mapping[str, Any]]:
    try:
        found = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        raise ConfigurationError("The activity is not valid JSON.") from None
    rows = found.get("data") if isinstance(found, dict) else found
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ConfigurationError('The activity must be a list of rows, or {"data": [...]}.')
    return rows


def _count(value: Any, at: int) -> int:
    number = _amount(value, at)
    if number != int(number) or number > MOST_TOKENS:
        raise ConfigurationError(f"Row {at + 1} of the activity has a count that is no whole number.")
    return int(number)


def _amount(value: Any, at: int) -> Decimal:
    if value in (None, ""):
        return Decimal(0)
    try:
        number = Decimal(str(value)) if not isinstance(value, bool) else Decimal("nan")
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite() or not 0 <= number <= MOST_TOKENS:
        raise ConfigurationError(f"Row {at + 1} of the activity has a number that is none.")
    return number


def _by_id(spent: Mapping[str, Spent], models: Mapping[str, Statements], slugs: Mapping[str, str]) -> dict[str, Spent]:
    """By the id of the list: an export may have a dated name, with the variant behind it."""
    found: dict[str, Spent] = {}
    for name, one in spent.items():
        base, colon, variant = name.partition(":")
        words = (name, slugs.get(name, ""), f"{slugs.get(base, base)}{colon}{variant}", slugs.get(base, ""), base)
        id_ = next((word for word in words if word in models), name)
        into = found.setdefault(id_, Spent())
        into.requests += one.requests
        into.prompt += one.prompt
        into.completion += one.completion
        into.reasoning += one.reasoning
        into.cached += one.cached
        into.usage += one.usage
    return found


def _ours(document: Document, id_: str, spent: Spent) -> Picodollars | None:
    """What the same tokens cost by the document's sheet. Reasoning is a part of the completion."""
    model = document.models.get(id_)
    if model is None:
        return None
    cost = model.deployments[0]["cost"]
    rate = {name: Picodollars.parse_per_million(text) for name, text in cost.items() if name != "request"}
    cached, reasoning = min(spent.cached, spent.prompt), min(spent.reasoning, spent.completion)
    total = rate["input"].times(spent.prompt - cached) + rate["output"].times(spent.completion - reasoning)
    total += rate.get("cached_input", rate["input"]).times(cached)
    total += rate.get("reasoning", rate["output"]).times(reasoning)
    return total + Picodollars.parse(cost.get("request", "0")).times(spent.requests)
