"""The deployments of a model as rows of a table that can be sorted by each of its columns. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from fairlead.catalogue.snapshot import Deployment, Model
from fairlead.site.charts import History
from fairlead.telemetry.figures import Figures
from fairlead.wire.usage import TokenClasses


def _(message: str) -> str:
    """Marks a word for translation."""
    return message


DATA_POLICIES: Mapping[bool | None, str] = {False: _("not kept"), True: _("may be kept"), None: _("unknown")}


@dataclass(frozen=True, slots=True)
class Serving:
    """A deployment as the page shows it: what is declared, and what was measured (None: no calls in the window).
    `name`: of its provider, or its id where that is not enough; `number`: its place, and of its colour in charts;
    `broken`: it is out of use."""

    deployment: Deployment
    name: str
    number: int
    broken: bool
    context: int | None
    output: int | None
    figures: Figures | None
    days: History

    @property
    def rates(self) -> TokenClasses:
        return self.deployment.sheet.price.rates

    @property
    def first_token(self) -> float | None:
        return self.figures.first_token.p50 if self.figures else None

    @property
    def speed(self) -> float | None:
        return self.figures.speed.p50 if self.figures else None

    @property
    def latency(self) -> float | None:
        return self.figures.latency.p50 if self.figures else None

    @property
    def success(self) -> float | None:
        return self.figures.success.value if self.figures else None

    @property
    def quantization(self) -> str | None:
        return self.deployment.quantization

    @property
    def data_policy(self) -> str:
        """In words: what its provider does with what it is sent."""
        return DATA_POLICIES[self.deployment.keeps_data]


Figure = float | int | str | None
# A column's figure, None where it is not known: that comes last in both directions.
SORTS: Mapping[str, Callable[[Serving], Figure]] = {
    "name": lambda one: one.name.lower(),
    "input": lambda one: one.rates.input,
    "output": lambda one: one.rates.output,
    "first_token": lambda one: one.first_token,
    "speed": lambda one: one.speed,
    "latency": lambda one: one.latency,
    "success": lambda one: one.success,
    "uptime": lambda one: one.days.uptime,
    "context": lambda one: one.context,
    "quantization": lambda one: one.quantization,
    "data": lambda one: None if one.deployment.keeps_data is None else int(one.deployment.keeps_data),
}
# Where more is better the first choice of a column goes down.
DOWN_FIRST = frozenset({"speed", "success", "uptime", "context"})


def figures_of(one: Serving) -> Markup:
    """The figures by which a script sorts a row, as attributes."""
    texts = ((key, figure(one)) for key, figure in SORTS.items())
    return Markup(  # noqa: S704 - escaped
        "".join(f' data-{key}="{"" if value is None else escape(value)}"' for key, value in texts)
    )


def ordered(rows: Sequence[Serving], sort: str) -> tuple[Serving, ...]:
    """`sort`: a key of SORTS, "-" before it: down. Without one as they are configured."""
    if not sort:
        return tuple(rows)
    figure = SORTS[sort.removeprefix("-")]
    known = [row for row in rows if figure(row) is not None]
    known.sort(key=figure, reverse=sort.startswith("-"))  # type: ignore[arg-type]
    return (*known, *(row for row in rows if figure(row) is None))


def next_sort(column: str, sort: str) -> str:
    """What the head of a column leads to: sorted by it, or the other way round where it is already."""
    if sort.removeprefix("-") == column:
        return column if sort.startswith("-") else f"-{column}"
    return f"-{column}" if column in DOWN_FIRST else column


def short_names(model: Model) -> dict[str, str]:
    """By id of each deployment its provider, or the whole id where a provider has several."""
    several = Counter(one.provider for one in model.deployments)
    return {one.id: one.provider if several[one.provider] == 1 else one.id for one in model.deployments}
