"""Entries of one `model_name` as one model: limits, weights, prices, wildcards, aliases and fallbacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from fairlead.admin.importing.document import (
    Document,
    Model,
    Table,
    as_model_id,
    catalogue_models,
    is_model_id,
    known_model,
    list_price,
    needed_lacks,
)
from fairlead.admin.importing.litellm.deployments import Entry
from fairlead.admin.importing.report import Report
from fairlead.catalogue.facts import ModelFacts
from fairlead.providers.dialects import DIALECTS
from fairlead.toml.names import quoted
from fairlead.wire.vocabulary import OUTPUT_CAPS, PARAMETERS


def expanded(entries: Iterable[Entry], report: Report) -> Iterator[Entry]:
    """Each wildcard as one entry per model of the catalogue that it stands for, behind all others."""
    wildcards = []
    exact = set()
    for entry in entries:
        if entry.is_wildcard:
            wildcards.append(entry)
        else:
            exact.add(entry.public)
            yield entry
    for entry in wildcards:
        found = [(public, upstream) for public, upstream in _meant(entry) if public not in exact]
        if not found:
            report.not_mapped(entry.path, "the catalogue has no models for this wildcard: list those that you use")
            continue
        place = (*entry.path, "model_name")
        report.mapped(place, f"{len(found)} models of the catalogue; add others that you use")
        report.note(
            f"{entry.prefix}/*: a model needs a price, so the wildcard became the {len(found)} models of the catalogue."
        )
        for public, upstream in found:
            names = [upstream, f"{entry.prefix}/{upstream}"]
            yield Entry(
                entry.path, public, entry.vendor, entry.prefix, upstream, entry.provider, dict(entry.deployment),
                dict(entry.model), dict(entry.limits), dict(entry.sampling), names,
            )  # fmt: skip


def _meant(entry: Entry) -> Iterator[tuple[str, str]]:
    """What callers ask for, and the provider's name, of each model that a wildcard stands for."""
    if entry.upstream != "*" or entry.public.count("*") > 1:
        return
    for facts in catalogue_models().values():
        upstream = _upstream(entry, facts)
        if upstream is not None:
            yield entry.public.replace("*", upstream), upstream


def _upstream(entry: Entry, facts: ModelFacts) -> str | None:
    if entry.vendor.link:
        link = facts.get(f"link.{entry.vendor.link}").value
        return urlsplit(link).path.strip("/") if isinstance(link, str) else None
    vendor = entry.vendor.catalogue
    if facts.vendor != vendor or not vendor or facts.demonstration:
        return None
    return None if entry.vendor.closed and facts.get("open_weights").value is True else facts.id


class Pools:
    """Puts entries into a document."""

    def __init__(self, document: Document, report: Report, timeouts: Table) -> None:
        self._document, self._report, self._timeouts = document, report, timeouts
        self.ids: dict[str, str] = {}  # by model_name
        self._taken: set[str] = set()
        self._aliases: dict[str, str] = {}  # ids of models by those of their aliases
        self._listed: list[str] = []
        self._unpriced: list[str] = []

    def add(self, entries: Sequence[Entry]) -> None:
        pools: dict[str, list[Entry]] = {}
        for entry in entries:
            pools.setdefault(entry.public, []).append(entry)
        for public, pool in pools.items():
            self._add_pool(public, pool)

    def _add_pool(self, public: str, pool: list[Entry]) -> None:
        id_ = self.id_for(public)
        model = self._document.model(id_)
        shared = len(pool) > 1
        for entry in pool:
            place = (*entry.path, "model_name")
            to = f"a deployment of the model {id_!r}" if shared else f"the model {id_!r}"
            self._report.mapped(place, to if id_ == public else f"{to}: this name cannot be an id, tell the callers")
            if id_ != public:
                self._report.note(f"{quoted(public)} cannot be the id of a model: callers must ask for {id_!r}.")
            for name, value in entry.model.items():
                model.settings.setdefault(name, value)
        self._limits(model, pool)
        self._sampling(model, pool)
        for entry in pool:
            self._deployment(model, entry)

    def id_for(self, public: str) -> str:
        if public not in self.ids:
            id_, at = public if is_model_id(public) else as_model_id(public), 1
            name = id_
            while name in self._taken:
                at += 1
                name = f"{id_[:120]}-{at}"
            self._taken.add(name)
            self.ids[public] = name
        return self.ids[public]

    def _limits(self, model: Model, pool: list[Entry]) -> None:
        for setting in ("requests_per_minute", "tokens_per_minute"):
            given = [entry.limits[setting] for entry in pool if setting in entry.limits]
            if not given:
                continue
            if len(given) < len(pool):
                for _, place in given:
                    self._report.not_mapped(place, "limits are of a whole model, and other deployments of it have none")
                continue
            total = sum(count for count, _ in given)
            model.settings.setdefault("limits", {})[setting] = total
            weigh = setting == "requests_per_minute" and len(pool) > 1
            weigh = weigh and not any("weight" in entry.deployment for entry in pool)
            for entry in pool:
                count, place = entry.limits[setting]
                to = f"`limits.{setting}` of the model" + (", summed up over its deployments" if len(pool) > 1 else "")
                if weigh:
                    entry.deployment["weight"] = min(count, 1_000_000)
                    to += ", and `weight` of this one"
                self._report.mapped(place, to)

    def _sampling(self, model: Model, pool: list[Entry]) -> None:
        defaults = model.settings.get("defaults", {})
        for entry in pool:
            for name, (value, place) in entry.sampling.items():
                if defaults.setdefault(name, value) == value:
                    self._report.mapped(place, f"`defaults.{name}` of the model")
                else:
                    self._report.not_mapped(place, "defaults are of a whole model, and another deployment has its own")
        if defaults:
            model.settings["defaults"] = defaults

    def _deployment(self, model: Model, entry: Entry) -> None:
        settings = {**self._timeouts, **entry.provider}
        provider = self._document.provider(_word(entry), settings)
        for known in model.deployments:
            if (known["provider"], known["upstream_model"]) == (provider.id, entry.upstream):
                known["weight"] = known.get("weight", 1) + entry.deployment.get("weight", 1)
                return
        deployment: Table = {"provider": provider.id, "upstream_model": entry.upstream}
        rates, drops = entry.deployment.pop("rates", {}), entry.deployment.pop("drops", ())
        deployment |= self._cost(model, entry, rates)
        deployment |= entry.deployment
        _fit(deployment, self._report)
        if drops:
            dialect = DIALECTS[provider.dialect]
            taken = (PARAMETERS if dialect.carries is None else dialect.carries & PARAMETERS) - dialect.lacks
            caps = OUTPUT_CAPS if OUTPUT_CAPS & set(drops) else frozenset()
            deployment["parameters"] = sorted(taken - set(drops) - caps)
        if lacks := sorted({*deployment.get("lacks", ()), *needed_lacks(model.id, provider, entry.upstream)}):
            deployment["lacks"] = lacks
        model.deployments.append(deployment)

    def _cost(self, model: Model, entry: Entry, rates: Mapping[tuple[str, int | None], str]) -> Table:
        """`cost` from the file, else the catalogue's list price, else free."""
        if rates:
            base = {class_: text for (class_, above), text in rates.items() if above is None}
            cost: Table = {"input": base.pop("input", "0"), "output": base.pop("output", "0"), **base}
            tiers = sorted({above for _, above in rates if above is not None})
            found = [_tier(cost, rates, above) for above in tiers]
            return {"cost": {**cost, **({"tiers": found} if found else {})}}
        facts = None if entry.vendor.local else known_model(*entry.mentioned)
        price = list_price(facts) if facts is not None else None
        if price is not None and facts is not None:
            self._listed.append(model.id)
            return {"cost": price}
        if not entry.vendor.local:
            self._unpriced.append(f"{model.id} at {_word(entry)}")
        return {"price": "free"}

    # --- other names, and what serves when a model cannot

    def alias(self, name: str, of: str) -> bool:
        """Another name of a model, with the same deployments; False when there is no such model."""
        source = self._document.models.get(self.ids.get(of, ""))
        if source is None:
            return False
        id_ = self.id_for(name)
        model = self._document.model(id_)
        if not model.deployments:
            model.settings = {**source.settings, **model.settings}
            model.deployments = [dict(one) for one in source.deployments]
            self._aliases[id_] = source.id
        return True

    def is_alias(self, name: str) -> bool:
        """Whether a name has what another model has, its fallbacks included."""
        return self.ids.get(name) in self._aliases

    def fall_back(self, name: str, to: str) -> bool:
        """The deployments of one model serve another one, when its own cannot; False when one of them is not there."""
        model = self._document.models.get(self.ids.get(name, ""))
        other = self._document.models.get(self.ids.get(to, ""))
        if model is None or other is None:
            return False
        self._aliases.pop(model.id, None)  # it has fallbacks of its own now
        own = [one for one in other.deployments if not one.get("fallback")]
        behind = 1 + max((one.get("priority", 0) for one in model.deployments), default=0)
        known = {(one["provider"], one["upstream_model"]) for one in model.deployments}
        for one in own:
            if (one["provider"], one["upstream_model"]) not in known:
                priority = min(behind + one.get("priority", 0), 1_000_000)
                model.deployments.append({**one, "priority": priority, "fallback": True})
        return True

    def finish(self) -> None:
        for alias, id_ in self._aliases.items():  # with the fallbacks that the model has got since
            self._document.models[alias].deployments = [dict(one) for one in self._document.models[id_].deployments]
        for model in self._document.models.values():
            for deployment in model.deployments:
                deployment.pop("fallback", None)
        if names := ", ".join(dict.fromkeys(self._listed)):
            self._report.note(
                f"The file has no price of {names} (LiteLLM brings a list of its own): their cost is the list price of "
                "this catalogue."
            )
        if names := ", ".join(dict.fromkeys(self._unpriced)):
            self._report.note(f'No price was found of {names}: written as "free". Set `cost` before you apply.')
        self._document.drop_unused_providers()


def _tier(cost: Table, rates: Mapping[tuple[str, int | None], str], above: int) -> dict[str, Any]:
    own = {class_: text for (class_, of), text in rates.items() if of == above}
    classes = {name: text for name, text in cost.items() if name != "request"}
    return {"above_prompt_tokens": above, **classes, **own}


def _fit(deployment: Table, report: Report) -> None:
    """An answer cannot be longer than the context."""
    context, output = deployment.get("context_length"), deployment.get("max_output_tokens")
    if context and output and output > context:
        deployment["max_output_tokens"] = context
        report.note(f"{deployment['upstream_model']!r}: max_output_tokens is lowered to its context of {context}.")


def _word(entry: Entry) -> str:
    return str(entry.provider.get("preset") or entry.prefix.replace("_", "-"))
