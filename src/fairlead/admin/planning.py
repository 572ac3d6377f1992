"""The difference of two configurations, as a list of changes with a sentence each. Pure: what the database knows of
running calls and keys is given."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Raw

from fairlead.catalogue.snapshot import Deployment, Model, Snapshot
from fairlead.money import Picodollars
from fairlead.prices import PriceSheet, Schedule
from fairlead.prices.sheet import FALLBACKS
from fairlead.settings import (
    EngineSettings,
    EnvironmentKey,
    ProviderSettings,
    SecretSource,
    Settings,
    restart_needed,
    secret_settings,
)
from fairlead.wire.usage import CLASSES

# When a change counts: for calls that begin after it, at the next start, or it is only something to know.
Effect = Literal["now", "restart", "warning"]
HIDDEN: Final = "(hidden)"
# Sections whose settings are compared one by one and count for the next call.
LIVE_SECTIONS: Final = ("configuration", "routing", "catalogue", "shadow", "alerts", "content")
MODEL_FIELDS: Final = (
    "name", "vendor", "description", "mode", "context_length", "max_output_tokens", "input_modalities", "defaults",
)  # fmt: skip
# The class of a deployment compares its prices by themselves, and names are its identity.
NOT_COMPARED: Final = frozenset({"id", "provider", "upstream_model", "sheet"})
MOST_NAMED = 3


class Described(NamedTuple):
    """A configuration: its settings with presets completed, and what they make."""

    settings: Settings
    snapshot: Snapshot


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """msgspec reads the annotations of a class again each time."""
    return msgspec.structs.fields(kind)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known besides. `in_flight`: calls under way by deployment; `named`: by model, how many lists of allowed
    models name it, by whose they are ("key", "project", "member", "account"); `continued`: how many budgets go on with
    it, in the same way."""

    in_flight: Mapping[str, int] = field(default_factory=dict)
    named: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    continued: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """`kind`: such as "deployment.removed"; `subject`: a setting, or the id of what changes; `before` and `after`:
    values as JSON, secrets hidden."""

    kind: str
    subject: str
    words: str
    effect: Effect = "now"
    before: Any = None
    after: Any = None


def gone_models(before: Snapshot, after: Snapshot) -> list[str]:
    """Models that can be called before and not after."""
    return [name for name in _callable(before) if name not in _callable(after)]


def changes(before: Described, after: Described, known: Known) -> list[Change]:
    """Everything that differs, in the order in which an operator wants to read it: first what goes away."""
    return [
        *_providers(before, after, known),
        *_engines(before.settings, after.settings),
        *_models(before.snapshot, after.snapshot, known),
        *_prices(before.snapshot, after.snapshot),
        *_limits(before.settings, after.settings),
        *_sections(before.settings, after.settings),
        *_restarts(before.settings, after.settings),
    ]


def _callable(snapshot: Snapshot) -> dict[str, Model]:
    return {name: model for name, model in snapshot.models.items() if model.deployments}


# --- providers


def _providers(before: Described, after: Described, known: Known) -> Iterator[Change]:
    old = {one.id: one for one in before.settings.providers}
    new = {one.id: one for one in after.settings.providers}
    for name, provider in old.items():
        if name not in new:
            calls = sum(known.in_flight.get(one.id, 0) for one in _deployments(before.snapshot) if one.provider == name)
            yield Change("provider.removed", name, f"{name} is drained: {_under_way(calls)}", before=_entry(provider))
    for name, provider in new.items():
        if name not in old:
            at = ", ".join(filter(None, (provider.base_url, provider.dialect)))
            what = f"provider {name} is added ({at})"
            yield Change("provider.added", name, what, after=_entry(provider))
        else:
            yield from _provider(name, old[name], provider)


def _provider(name: str, old: ProviderSettings, new: ProviderSettings) -> Iterator[Change]:
    for one in _fields(ProviderSettings):
        was, becomes = getattr(old, one.name), getattr(new, one.name)
        if was == becomes:
            continue
        secret = ("providers", one.name) in secret_settings()
        shown = _arrow(shown_value(was, secret=secret), shown_value(becomes, secret=secret))
        yield Change(
            "provider.changed", f"{name}.{one.name}", f"{one.name} of provider {name}: {shown}", "now",
            shown_value(was, secret=secret), shown_value(becomes, secret=secret),
        )  # fmt: skip


def _entry(provider: ProviderSettings) -> dict[str, Any]:
    return {
        one.name: shown_value(value, secret=("providers", one.name) in secret_settings())
        for one in _fields(ProviderSettings)
        if (value := getattr(provider, one.name)) != one.default
    }


def _under_way(calls: int) -> str:
    if not calls:
        return "no calls are under way"
    return f"{calls} {'call is' if calls == 1 else 'calls are'} under way, which end as they began"


# --- engines


def _engines(before: Settings, after: Settings) -> Iterator[Change]:
    old, new = ({one.id: one for one in each.engines} for each in (before, after))
    for name, engine in old.items():
        if name not in new:
            what = f"engine {name} is ended, and {engine.model or name} is not served by it any more"
            yield Change("engine.removed", name, what, before=shown_value(engine))
    for name, engine in new.items():
        if name not in old:
            what = f"engine {name} is started: model {engine.model or name} from {engine.file}, {_sizes(engine)}"
            yield Change("engine.added", name, what, after=shown_value(engine))
            continue
        for one in _fields(EngineSettings):
            was, becomes = getattr(old[name], one.name), getattr(engine, one.name)
            if was == becomes:
                continue
            if one.name == "enabled":
                what = f"engine {name} is {'started' if becomes else 'ended; it stays in the configuration'}"
            else:
                what = f"{one.name} of engine {name}: {_arrow(was, becomes)}; it is started again"
            yield Change("engine.changed", f"{name}.{one.name}", what, "now", was, becomes)


def _sizes(engine: EngineSettings) -> str:
    context = "" if engine.context_length is None else f"{engine.context_length} tokens of context, "
    return f"{context}{engine.slots} {'call' if engine.slots == 1 else 'calls'} at once"


# --- models and their deployments


def _models(before: Snapshot, after: Snapshot, known: Known) -> Iterator[Change]:
    old, new = _callable(before), _callable(after)
    for name in gone_models(before, after):
        calls = sum(known.in_flight.get(one.id, 0) for one in old[name].deployments)
        words = f"model {name} goes away: further calls of it are refused with 404; {_under_way(calls)}"
        yield Change("model.removed", name, words, before=[one.id for one in old[name].deployments])
        if counts := known.named.get(name):
            yield Change("keys.model_removed", name, _naming(name, counts), "warning", before=dict(counts))
        if counts := known.continued.get(name):
            words = (
                f"budgets of {_whose(counts)} go on with model {name} when they are used up; it goes away, and calls "
                "are refused then"
            )
            yield Change("budgets.model_removed", name, words, "warning", before=dict(counts))
    for name, model in new.items():
        if name not in old:
            served = ", ".join(f"{one.id} ({_price_of(one.sheet)})" for one in model.deployments)
            words = f"model {name} can be called: {served}"
            yield Change("model.added", name, words, after=[one.id for one in model.deployments])
        else:
            yield from _model(before, after, name, known)


def _whose(counts: Mapping[str, int]) -> str:
    *first, last = [f"{count} {kind if count == 1 else kind + 's'}" for kind, count in counts.items()]
    return f"{', '.join(first)} and {last}" if first else last


def _naming(model: str, counts: Mapping[str, int]) -> str:
    who = _whose(counts)
    return f"{who} {'names' if sum(counts.values()) == 1 else 'name'} model {model}, which goes away"


def _model(before: Snapshot, after: Snapshot, name: str, known: Known) -> Iterator[Change]:
    old, new = before.models[name], after.models[name]
    for attribute in MODEL_FIELDS:
        was, becomes = getattr(old, attribute), getattr(new, attribute)
        if was != becomes:
            words = f"{attribute} of model {name}: {_arrow(shown_value(was), shown_value(becomes))}"
            yield Change("model.changed", f"{name}.{attribute}", words, "now", shown_value(was), shown_value(becomes))
    were = {one.id: one for one in old.deployments}
    are = {one.id: one for one in new.deployments}
    for gone in were.keys() - are.keys():
        if were[gone].provider in after.providers:  # else the provider is drained as a whole
            words = f"deployment {gone} of model {name} is drained: {_under_way(known.in_flight.get(gone, 0))}"
            yield Change("deployment.removed", gone, words, before=name)
    for one in new.deployments:
        if one.id in were:
            yield from _deployment(name, were[one.id], one)
        else:
            words = f"deployment {one.id} is added to model {name} ({_price_of(one.sheet)})"
            yield Change("deployment.added", one.id, words, after=name)
    if list(were) != list(are) and sorted(were) == sorted(are):
        words = f"deployments of model {name} are tried in another order: {', '.join(are)}"
        yield Change("deployment.order", name, words, "now", list(were), list(are))


def _deployment(model: str, old: Deployment, new: Deployment) -> Iterator[Change]:
    for one in fields(Deployment):
        was, becomes = getattr(old, one.name), getattr(new, one.name)
        if one.name in NOT_COMPARED or was == becomes:
            continue
        words = f"{one.name} of deployment {new.id} of model {model}: {_arrow(shown_value(was), shown_value(becomes))}"
        yield Change("deployment.changed", f"{new.id}.{one.name}", words, "now", shown_value(was), shown_value(becomes))


def _deployments(snapshot: Snapshot) -> Iterable[Deployment]:
    return (one for model in snapshot.models.values() for one in model.deployments)


# --- prices


class _Move(NamedTuple):
    what: str  # "price" or "cost"
    classes: tuple[str, ...]
    before: str
    after: str


def _prices(before: Snapshot, after: Snapshot) -> Iterator[Change]:
    for name, model in _callable(after).items():
        old = before.models.get(name)
        were = {one.id: one.sheet for one in old.deployments} if old is not None else {}
        common = [one for one in model.deployments if one.id in were]
        moved: dict[_Move, list[str]] = defaultdict(list)
        for one in common:
            for move in _moves(were[one.id], one.sheet):
                moved[move].append(one.id)
        for move, where in moved.items():
            at = "" if len(where) == len(model.deployments) else f" at {_some(where)}"
            of = " ".join(filter(None, (f"{move.what} of {name}{at}", ", ".join(move.classes))))
            words = f"{of} {move.before} -> {move.after} from now on"
            yield Change(f"{move.what}.changed", name, words, "now", move.before, move.after)


def _moves(old: PriceSheet, new: PriceSheet) -> Iterator[_Move]:
    yield from _of_schedule("price", old.price, new.price)
    yield from _of_schedule("cost", old.cost, new.cost)


def _of_schedule(what: str, old: Schedule | None, new: Schedule | None) -> Iterator[_Move]:
    if old is None or new is None:
        if old is not new:
            yield _Move(what, (), "unknown" if old is None else "known", "unknown" if new is None else "known")
        return
    moved: dict[tuple[str, str], list[str]] = defaultdict(list)
    was, becomes = old.rates._asdict(), new.rates._asdict()
    for name in CLASSES:
        around = FALLBACKS.get(name)
        follows = around is not None and (was[name], becomes[name]) == (was[around], becomes[around])
        if was[name] != becomes[name] and not follows:
            moved[_rate(name, was[name]), _rate(name, becomes[name])].append(name)
    for (before, after), names in moved.items():
        yield _Move(what, tuple(names), before, after)
    if old.tiers != new.tiers:
        yield _Move(what, ("tiers",), _tiers(old), _tiers(new))


def _rate(name: str, picodollars: int) -> str:
    amount = Picodollars(picodollars)
    return amount.dollars() if name == "request" else amount.per_million()


def _tiers(schedule: Schedule) -> str:
    shown = [
        f"above {tier.above_prompt_tokens}: input {_rate('input', tier.rates.input)}, "
        f"output {_rate('output', tier.rates.output)}"
        for tier in schedule.tiers
    ]
    return "; ".join(shown) or "none"


def _price_of(sheet: PriceSheet) -> str:
    if sheet.free:
        return "free"
    rates = sheet.price.rates
    shown = f"input {_rate('input', rates.input)}, output {_rate('output', rates.output)}"
    return shown + (f", request {_rate('request', rates.request)}" if rates.request else "")


# --- limits, routing and what the process is made of


def _limits(before: Settings, after: Settings) -> Iterator[Change]:
    yield from _limit("limits", before.limits, after.limits)
    yield from _limit("limits.free", before.limits.free, after.limits.free)
    old = {model.id: model.limits for model in before.models}
    new = {model.id: model.limits for model in after.models}
    for name in old.keys() & new.keys():
        yield from _limit(f"limits of model {name}", old[name], new[name])


def _limit(where: str, old: msgspec.Struct, new: msgspec.Struct) -> Iterator[Change]:
    for one in _fields(type(old)):
        was, becomes = getattr(old, one.name), getattr(new, one.name)
        if one.name != "free" and was != becomes:
            words = f"{where}: {one.name} {_arrow(shown_value(was), shown_value(becomes))}"
            yield Change("limit.changed", f"{where}.{one.name}", words, "now", was, becomes)


def _sections(before: Settings, after: Settings) -> Iterator[Change]:
    late = set(restart_needed(before, after))
    for section in LIVE_SECTIONS:
        old, new = getattr(before, section), getattr(after, section)
        kind: type[msgspec.Struct] = type(old)
        for one in _fields(kind):
            was, becomes = getattr(old, one.name), getattr(new, one.name)
            if was != becomes and (section, one.name) not in late:
                secret = (section, one.name) in secret_settings()
                was, becomes = shown_value(was, secret=secret), shown_value(becomes, secret=secret)
                words = f"[{section}] {one.name}: {_arrow(was, becomes)}"
                yield Change("setting.changed", f"{section}.{one.name}", words, "now", was, becomes)


def _restarts(before: Settings, after: Settings) -> Iterator[Change]:
    for section, name in restart_needed(before, after):
        secret = (section, name) in secret_settings()
        was = shown_value(getattr(getattr(before, section), name), secret=secret)
        becomes = shown_value(getattr(getattr(after, section), name), secret=secret)
        words = f"[{section}] {name}: {_arrow(was, becomes)}: needs a restart"
        yield Change("restart.needed", f"{section}.{name}", words, "restart", was, becomes)


# --- values in sentences


def shown_value(value: Any, *, secret: bool = False) -> Any:
    """A value of a setting as JSON. Of a secret only where it comes from."""
    if isinstance(value, EnvironmentKey):
        return {"env": value.env}
    if isinstance(value, SecretSource):  # the arguments of a command may hold a secret
        kind = value.kinds[0]
        return {kind: value.command[0] if value.command is not None else getattr(value, kind)}
    if secret and isinstance(value, tuple):
        return [shown_value(one, secret=True) for one in value]
    if isinstance(value, Raw):
        return msgspec.json.decode(value)
    if isinstance(value, Mapping):
        return {name: shown_value(one, secret=secret) for name, one in value.items()}
    if secret and value is not None:
        return HIDDEN
    if isinstance(value, msgspec.Struct):
        shown = ((one, getattr(value, one.name)) for one in _fields(type(value)))
        return {one.name: shown_value(found) for one, found in shown if found != one.default}
    if isinstance(value, frozenset):
        return sorted(value)
    return list(value) if isinstance(value, tuple) else value


def _arrow(was: Any, becomes: Any) -> str:
    if was == becomes:
        return "another secret value"
    return f"{_in_words(was)} -> {_in_words(becomes)}"


def _in_words(value: Any) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:.15g}"
        case list():
            return ", ".join(map(str, value)) or "none"
        case {"env": str(name)} if len(value) == 1:
            return f"${name}"
        case dict():
            return ", ".join(f"{name}: {_in_words(one)}" for name, one in value.items()) or "none"
    return str(value)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_NAMED])
    return shown if len(names) <= MOST_NAMED else f"{shown} and {len(names) - MOST_NAMED} more"
