"""Contradictions in what is known of a model, each named with the sources that it comes from. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Protocol

from msgspec import Struct

from fairlead.catalogue.facts import Fact, ModelFacts, Value, Vendor
from fairlead.catalogue.numbers import unsourced_numbers
from fairlead.catalogue.vocabulary import CAPABILITIES, MODALITIES, MODES, PARAMETERS, STATES
from fairlead.money import Picodollars
from fairlead.wire.usage import CLASSES
from fairlead.wire.vocabulary import OUTPUT_CAPS

KNOWN_FACTS = frozenset({
    "name", "description", "family", "released", "knowledge_cutoff", "licence", "weights", "open_weights", "size",
    "context_length", "max_output_tokens", "input_modalities", "output_modalities", "tokenizer", "quantization",
    "mode", "status", "retires", "successor",
})  # fmt: skip
REASONING_PARAMETERS = ("reasoning", "include_reasoning", "reasoning_effort")


class Spoken(Protocol):
    """What a dialect has words for: `carries`: parameters, None: every one but those that it `lacks`; `incapable`:
    capabilities that it has no word for."""

    @property
    def name(self) -> str: ...

    @property
    def carries(self) -> frozenset[str] | None: ...

    @property
    def lacks(self) -> frozenset[str]: ...

    @property
    def incapable(self) -> frozenset[str]: ...

    @property
    def passes_unknown(self) -> bool: ...


class Problem(Struct, frozen=True):
    """A contradiction in one model. `sources` are the titles of those who say the parts of it."""

    model: str
    rule: str
    sentence: str
    sources: tuple[str, ...] = ()

    def __str__(self) -> str:
        by = f" (sources: {' and '.join(self.sources)})" if self.sources else ""
        return f"{self.model}: {self.sentence}{by}"


Rule = Callable[[ModelFacts], Iterator[tuple[str, tuple[Fact, ...]]]]


def lint(models: Iterable[ModelFacts], vendors: Mapping[str, Vendor]) -> list[Problem]:
    """All contradictions, model by model; empty when there is none."""
    found: list[Problem] = []
    names: dict[str, str] = {}
    models = list(models)
    for model in models:
        names[model.id] = model.id
    for model in models:
        for rule in RULES:
            for sentence, facts in rule(model):
                titles = dict.fromkeys(source.title for fact in facts if (source := model.source_of(fact)))
                found.append(Problem(model.id, rule.__name__.strip("_"), sentence, tuple(titles)))
        if model.vendor not in vendors:
            found.append(Problem(model.id, "vendor", f"there is no vendor {model.vendor!r} in vendors.toml."))
        for alias in model.aliases:
            if (other := names.setdefault(alias, model.id)) != model.id or alias == model.id:
                found.append(Problem(model.id, "alias", f"the alias {alias!r} is taken by {other}."))
    return found


def against_dialect(
    model: ModelFacts, parameters: Collection[str], incapable: Collection[str], dialect: Spoken
) -> Iterator[Problem]:
    """What a deployment claims and cannot have over its dialect: capabilities of its model that are `incapable`, and
    `parameters` that it is said to take."""
    dialects = f"the dialect {dialect.name}"
    for name in sorted(incapable):
        fact = model.get(f"capability.{name}")
        if fact.value is True:
            said = model.source_of(fact)
            yield Problem(
                model.id,
                "capability_of_dialect",
                f"it has the capability {name!r}, which this deployment cannot have over the dialect {dialect.name!r}; "
                f'set lacks = ["{name}"] at the deployment.',
                (*((said.title,) if said else ()), dialects),
            )
    for name in parameters:
        if dialect.carries is None:
            carried = name not in dialect.lacks
        else:
            carried = name in dialect.carries or (name in OUTPUT_CAPS and bool(dialect.carries & OUTPUT_CAPS))
            carried = carried or (dialect.passes_unknown and name not in PARAMETERS)
        if not carried:
            yield Problem(
                model.id,
                "parameter_of_dialect",
                f"the deployment lists the parameter {name!r}, which the dialect {dialect.name!r} does not support.",
                ("the configuration", dialects),
            )


def _output_within_context(model: ModelFacts) -> Iterator[tuple[str, tuple[Fact, ...]]]:
    output, context = model.get("max_output_tokens"), model.get("context_length")
    if _number(output.value) is not None and _number(context.value) is not None and output.value > context.value:  # type: ignore[operator]
        yield f"the output limit {output.value} is above the context {context.value}.", (output, context)


def _modalities_and_capabilities(model: ModelFacts) -> Iterator[tuple[str, tuple[Fact, ...]]]:
    for kind in ("input_modalities", "output_modalities"):
        modalities = model.get(kind)
        for word in model.words(kind):
            if word not in MODALITIES:
                yield f"{kind} has {word!r}, which is no modality ({', '.join(MODALITIES)}).", (modalities,)
        for row in CAPABILITIES.values():
            needed = row.takes if kind == "input_modalities" else row.gives
            capability = model.get(f"capability.{row.name}")
            if needed is None or modalities.value is None:
                continue
            has = needed in model.words(kind)
            if has and capability.value is not True:
                said = "does not have" if capability.value is False else "is not said to have"
                yield (
                    f"{kind} has {needed!r}, but the model {said} the capability {row.name!r}.",
                    (modalities, capability),
                )
            elif not has and capability.value is True:
                yield (
                    f"the model has the capability {row.name!r}, but {kind} lacks {needed!r}.",
                    (capability, modalities),
                )


def _capability_without_support(model: ModelFacts) -> Iterator[tuple[str, tuple[Fact, ...]]]:
    """A badge that some source denies must have been decided upon with open eyes: a decision gives its reason."""
    for name, fact in model.family("capability").items():
        if name not in CAPABILITIES:
            yield f"there is no capability {name!r}.", (fact,)
        elif fact.value is True:
            denied = tuple(claim for claim in fact.others if claim.value is False)
            if denied and fact.why.endswith("comes first among the sources of this model."):
                yield (
                    f"the capability {name!r} is claimed by one source and denied by another; decide which is right.",
                    (fact, *(Fact(False, claim.source) for claim in denied)),
                )
    for name in REASONING_PARAMETERS:
        parameter, reasoning = model.get(f"parameter.{name}"), model.get("capability.reasoning")
        if parameter.value is True and reasoning.value is False:
            yield f"the parameter {name!r} is supported by a model that does not reason.", (parameter, reasoning)
    tools, parallel = model.get("capability.tools"), model.get("capability.parallel_tools")
    if parallel.value is True and tools.value is False:
        yield "it calls functions in parallel, although it calls no functions.", (parallel, tools)


def _parameters_fit_capabilities(model: ModelFacts) -> Iterator[tuple[str, tuple[Fact, ...]]]:
    for name, fact in model.family("parameter").items():
        row = PARAMETERS.get(name)
        if row is None:
            yield f"there is no parameter {name!r}.", (fact,)
        elif row.capability and fact.value is True:
            capability = model.get(f"capability.{row.capability}")
            if capability.value is False and name not in REASONING_PARAMETERS:
                yield f"it takes {name!r} and lacks the capability {row.capability!r}.", (fact, capability)


def _defaults_and_ranges(model: ModelFacts) -> Iterator[tuple[str, tuple[Fact, ...]]]:
    supported = model.family("parameter")
    for name, fact in model.family("default").items():
        if fact.value is None:
            continue
        if name not in supported or supported[name].value is not True:
            yield f"{name!r} has a default and is not supported.", (fact, *filter(None, (supported.get(name),)))
        for least, most, other in _ranges(model, name):
            value = _number(fact.value)
            if value is not None and not (least is None or value >= least) & (most is None or value <= most):
                yield f"the default {fact.value} of {name!r} is outside its range {least} to {most}.", (fact, other)
    for name, fact in model.family("range").items():
        if isinstance(fact.value, tuple) and fact.value[0] > fact.value[1]:  # type: ignore[operator]
            yield f"the range of {name!r} begins above its end.", (fact,)


def _ranges(model: ModelFacts, name: str) -> Iterator[tuple[float | None, float | None, Fact]]:
    fact = model.get(f"range.{name}")
    if isinstance(fact.value, tuple):
        least, most = (_number(bound) for bound in fact.value)
        yield least, most, fact
    if row := PARAMETERS.get(name):
        yield row.least, row.most, fact


def _days(model: ModelFacts) -> Iterator[tuple[str, tuple[Fact, ...]]]:
    released = model.get("released")
    for name, sentence in (
        ("knowledge_cutoff", "the knowledge cutoff {} is after the release {}."),
        ("retires", "it retires on {}, before its release {}."),
    ):
        fact = model.get(name)
        if isinstance(fact.value, str) and isinstance(released.value, str):
            length = min(len(fact.value), len(released.value))
            one, other = fact.value[:length], released.value[:length]
            if (one > other) if name == "knowledge_cutoff" else (one < other):
                yield sentence.format(fact.value, released.value), (fact, released)


def _words(model: ModelFacts) -> Iterator[tuple[str, tuple[Fact, ...]]]:
    for name, known in (("mode", MODES), ("status", STATES)):
        fact = model.get(name)
        if fact.value is not None and fact.value not in known:
            yield f"{name} is {fact.value!r}; known: {', '.join(known)}.", (fact,)
    for name, fact in model.facts.items():
        if "." not in name and name not in KNOWN_FACTS:
            yield f"there is no fact {name!r}.", (fact,)
        if fact.value is not None and fact.source not in model.sources:
            yield f"the fact {name!r} has no source.", (fact,)


def _description(model: ModelFacts) -> Iterator[tuple[str, tuple[Fact, ...]]]:
    text = model.text("description")
    for told in unsourced_numbers(text, model) if text else ():
        yield f"the description has the number {told!r}, which is not a fact of the model.", (model.get("description"),)


def _prices(model: ModelFacts) -> Iterator[tuple[str, tuple[Fact, ...]]]:
    for price in model.prices:
        said = (Fact(None, price.source),)
        for name, text in price.rates.items():
            if name not in CLASSES:
                yield f"the list price has {name!r}, which is no class ({', '.join(CLASSES)}).", said
                continue
            try:
                negative = Decimal(text) < 0
                if not negative:
                    (Picodollars.parse if name == "request" else Picodollars.parse_per_million)(text)
            except (InvalidOperation, ValueError) as error:
                yield f"the list price of {name!r} is {text!r}: {error}.", said
                continue
            if negative:
                yield f"the list price of {name!r} is negative: {text}.", said


def _number(value: Value | None) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


RULES: tuple[Rule, ...] = (
    _output_within_context,
    _modalities_and_capabilities,
    _capability_without_support,
    _parameters_fit_capabilities,
    _defaults_and_ranges,
    _days,
    _words,
    _description,
    _prices,
)
