"""A model's deployments seen together: who supports a parameter, what prices and limits there are. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from fairlead.catalogue.facts import NOT_KNOWN, Fact
from fairlead.catalogue.snapshot import Deployment, Model
from fairlead.wire.usage import CLASSES

# The parameters that a deployment carries; None: every one.
Carries = Callable[[Deployment], frozenset[str] | None]


class ParameterRow(Struct, frozen=True):
    """`supported` by the model; `by`: the deployments that carry it; `where`: how many of them or `none` there are."""

    name: str
    supported: Fact
    default: Fact
    range: Fact
    sent: bool
    by: tuple[str, ...]
    where: Literal["everywhere", "somewhere", "nowhere", "none"]


class PriceRange(Struct, frozen=True):
    """What callers pay for a token class over all deployments, in picodollars per token (`request`: per request)."""

    name: str
    least: int
    most: int


def parameter_rows(model: Model, carries: Carries) -> list[ParameterRow]:
    """Every parameter of which anything is known, by name."""
    facts = model.facts
    supported, defaults, ranges = (facts.family(kind) for kind in ("parameter", "default", "range"))
    rows = []
    for name in sorted({*supported, *defaults}):
        fact = supported.get(name, NOT_KNOWN)
        by = tuple(
            deployment.id
            for deployment in model.deployments
            if fact.value is True and ((known := carries(deployment)) is None or name in known)
        )
        where: Literal["everywhere", "somewhere", "nowhere", "none"] = (
            "none"
            if not model.deployments
            else "everywhere"
            if len(by) == len(model.deployments)
            else "somewhere"
            if by
            else "nowhere"
        )
        rows.append(
            ParameterRow(
                name, fact, defaults.get(name, NOT_KNOWN), ranges.get(name, NOT_KNOWN), name in facts.sent, by, where
            )
        )
    return rows


def price_ranges(model: Model) -> list[PriceRange]:
    """Each token class that costs something somewhere, with input and output in any case; [] without deployments."""
    if not model.deployments:
        return []
    rates = [deployment.sheet.price.rates for deployment in model.deployments]
    columns = zip(CLASSES, zip(*rates, strict=True), strict=True)
    return [
        PriceRange(name, min(column), max(column))
        for name, column in columns
        if any(column) or name in ("input", "output")
    ]


def paid_otherwise(model: Model) -> PriceRange | None:
    """What is charged for a model whose tokens of input and output cost nothing: each request before other classes.
    None: those cost something, or nothing does."""
    rows = [row for row in price_ranges(model) if row.most]
    if not rows or any(row.name in ("input", "output") for row in rows):
        return None
    return next((row for row in rows if row.name == "request"), rows[0])


def limits(model: Model, deployment: Deployment) -> tuple[int | None, int | None]:
    """(context, output) of a deployment: its own, else the model's, and never an output above the context."""
    context = deployment.context_length or model.context_length
    output = deployment.max_output_tokens or model.max_output_tokens
    return context, min(output, context) if output and context else output
