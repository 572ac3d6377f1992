"""/compare/a/b[/c[/d]]: models side by side, what differs marked, and price against measured speed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil, log10
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fairlead.catalogue.similar import Reason, similar
from fairlead.catalogue.snapshot import Model
from fairlead.money import Picodollars
from fairlead.site.forms import Link, Values, give, plain, segments, table
from fairlead.site.listing import Entry, Query, select
from fairlead.site.models import listed, released_day
from fairlead.site.page_context import PageContext
from fairlead.site.scatter import Label, spread
from fairlead.site.words import CAPABILITY_TITLES, STATE_TITLES
from fairlead.telemetry.figures import Performance

MOST_MODELS = 4
MOST_SUGGESTIONS = 9
WINDOW = "7d"
FRESH_SECONDS = 30.0
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 320, 52, 24, 16, 44


def _(message: str) -> str:
    """Marks a word for translation."""
    return message


@dataclass(frozen=True, slots=True)
class Row:
    """A fact of each model; None: unknown. `kind` says how it is written."""

    title: str
    kind: str  # "text" | "tokens" | "price" | "yes" | "ms" | "speed"
    values: tuple[str | int | float | bool | None, ...]

    better: str = ""  # "low" or "high": where one of two figures is better

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1

    @property
    def best(self) -> float | None:
        """The value that is better than the others; None where all are alike, or one is not known."""
        known = [value for value in self.values if isinstance(value, int | float)]
        if not self.better or not self.differs or len(known) < len(self.values):
            return None
        return min(known) if self.better == "low" else max(known)


@dataclass(frozen=True, slots=True)
class Group:
    """Facts of one kind. `differing`: how many of them differ."""

    title: str
    rows: tuple[Row, ...]

    @property
    def differing(self) -> int:
        return sum(row.differs for row in self.rows)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Two models that somebody may want to see side by side, and why."""

    one: Entry
    other: Entry
    reasons: tuple[Reason, ...]

    @property
    def path(self) -> str:
        return address((self.one.id, self.other.id))


@dataclass(frozen=True, slots=True)
class Dot:
    """One deployment in the chart, in the chart's own coordinates."""

    x: float
    y: float
    model: str
    deployment: str
    price: int
    speed: float
    samples: int
    series: int
    label: Label | None = None

    @property
    def dollars(self) -> str:
        return Picodollars(self.price).per_million()


@dataclass(frozen=True, slots=True)
class Scatter:
    dots: tuple[Dot, ...]
    x_marks: tuple[tuple[float, str], ...]
    y_marks: tuple[tuple[float, str], ...]


async def choose(request: Request) -> Response:
    """/compare: asks which models; the form's answer is sent on to the address of the comparison."""
    chosen = [name for name in dict.fromkeys(request.query_params.getlist("model")) if name][:MOST_MODELS]
    context = PageContext.of(request)
    models = context.sources.snapshot().models
    unknown = tuple(name for name in chosen if name not in models)
    if len(chosen) >= 2 and not unknown:
        language = request.query_params.get("lang")
        query = f"?lang={quote(language, safe='')}" if language else ""
        return RedirectResponse(context.cache.address(address(chosen) + query), 303)
    entries = await listed(context)

    def values() -> Values:
        return {"entries": entries, "chosen": chosen, "unknown": unknown, "models": (),
                "suggestions": suggestions(context, entries, chosen)}  # fmt: skip

    depends = (context.version(), context.listed and context.listed[0], tuple(chosen))
    return await give(request, "compare.html", depends, values,
                lambda values: {
                    "models": [entry.id for entry in values["entries"]],
                    "suggestions": [[one.one.id, one.other.id] for one in values["suggestions"]],
                },
                lambda values: _choices(values["suggestions"]))  # fmt: skip


def _choices(found: Sequence[Suggestion]) -> str:
    lines = (f"- {Link(f'{one.one.name} and {one.other.name}', one.path)}" for one in found)
    return "\n".join(["# Compare models\n\nGET /compare/a/b with the ids of two to four models.\n", *lines, ""])


def suggestions(context: PageContext, entries: Sequence[Entry], chosen: Sequence[str]) -> list[Suggestion]:
    """Those that are most like what was chosen. Without a choice each deployed model with the most similar one of
    another vendor that is deployed too, then with the most similar of all; no pair twice."""
    by_id = {entry.id: entry for entry in entries}
    facts = {model.id: model.facts for model in context.sources.snapshot().models.values() if model.facts.id}
    first = [entry for name in chosen if (entry := by_id.get(name)) is not None and name in facts]
    known = [entry for entry in select(entries, Query()) if entry.id in facts and not entry.demonstration]
    here = [entry for entry in known if entry.callable][:MOST_SUGGESTIONS]
    pairs = []
    if first:
        pairs = [(one, row) for one in first for row in context.similar(facts[one.id])]
    else:
        for one in here:
            others = [facts[other.id] for other in here if other.vendor != one.vendor]
            pairs += [(one, row) for row in similar(facts[one.id], others, 1)]
        pairs += [(one, row) for one in here or known[:MOST_SUGGESTIONS] for row in context.similar(facts[one.id])[:1]]
    found: dict[frozenset[str], Suggestion] = {}
    for one, row in pairs:
        other = by_id.get(row.model.id)
        if other is not None:
            found.setdefault(frozenset((one.id, other.id)), Suggestion(one, other, row.reasons))
    return list(found.values())[:MOST_SUGGESTIONS]


def address(names: Sequence[str]) -> str:
    return "/compare/" + "/".join(quote(name, safe="") for name in names)


async def compare(request: Request) -> Response:
    context = PageContext.of(request)
    names = segments(request)[1:]
    by_id = {entry.id: entry for entry in await listed(context)}
    snapshot = context.sources.snapshot()
    names = [snapshot.aliases.get(name, name) for name in names]
    if not 2 <= len(names) <= MOST_MODELS or any(name not in by_id for name in names):
        raise HTTPException(404)
    if len(set(names)) < len(names):
        rest = list(dict.fromkeys(names))
        path = address(rest) if len(rest) > 1 else f"/compare?model={quote(rest[0], safe='')}"
        return RedirectResponse(context.cache.address(path), 303)
    measured, numbers = [], []
    for name in names:
        number, found = await _measured(context, name)
        measured.append(found)
        numbers.append(number)
    entries = [by_id[name] for name in names]
    models = [snapshot.models[name] for name in names]

    def values() -> Values:
        return {
            "models": entries,
            "entries": tuple(by_id.values()),
            "chosen": names,
            "unknown": (),
            "groups": groups(models, entries, measured),
            "suggestions": (),
            "scatter": scatter(models, measured),
        }

    return await give(
        request,
        "compare.html",
        (context.listed and context.listed[0], tuple(names), tuple(numbers)),
        values,
        _data,
        _text,
    )


async def _measured(context: PageContext, name: str) -> tuple[int, Performance | None]:
    return await context.fresh.get_or(
        ("performance", name), FRESH_SECONDS, lambda: context.sources.records.performance(name, WINDOW), None
    )


def groups(
    models: Sequence[Model], entries: Sequence[Entry], measured: Sequence[Performance | None]
) -> tuple[Group, ...]:
    def row(title: str, kind: str, values: Iterable[str | int | float | bool | None], better: str = "") -> Row:
        return Row(title, kind, tuple(values), better)

    def fact(title: str, name: str) -> Row:
        return row(title, "text", (model.facts.text(name) for model in models))

    about = (
        row(_("Vendor"), "text", (entry.vendor_name for entry in entries)),
        row(_("State"), "state", (entry.state for entry in entries)),
        row(_("Providers"), "text", (", ".join(entry.provider) or None for entry in entries)),
        row(_("Released"), "text", (released_day(entry) for entry in entries)),
        fact(_("Knowledge cutoff"), "knowledge_cutoff"),
        fact(_("Licence"), "licence"),
        fact(_("Tokenizer"), "tokenizer"),
        fact(_("Quantisation"), "quantization"),
    )
    figures = [
        row(_("Context, tokens"), "tokens", (entry.context for entry in entries), "high"),
        row(_("Longest answer, tokens"), "tokens", (entry.max_output for entry in entries), "high"),
        row(_("Lowest input price, per million tokens"), "price", (entry.price_in for entry in entries), "low"),
        row(_("Lowest output price, per million tokens"), "price", (entry.price_out for entry in entries), "low"),
        row(_("First token, median of 7 days"), "ms", (_first_token(one) for one in measured), "low"),
        row(_("Speed, median of 7 days"), "speed", (_speed(one) for one in measured), "high"),
    ]
    if any(entry.price_in is None for entry in entries):
        figures[4:4] = [
            row(_("Input price listed elsewhere"), "price", (entry.price_listed for entry in entries)),
            row(_("Output price listed elsewhere"), "price", (entry.price_listed_out for entry in entries)),
        ]
    can = [
        row(_("Input"), "words", (", ".join(sorted(entry.input)) or None for entry in entries)),
        row(_("Output"), "words", (", ".join(sorted(entry.output)) or None for entry in entries)),
    ]
    for name, title in CAPABILITY_TITLES.items():
        values = tuple(_can(model, entry, name) for model, entry in zip(models, entries, strict=True))
        if any(value is not None for value in values):
            can.append(Row(title, "yes", values))
    names = sorted({name for entry in entries for name in entry.parameter})
    parameters = (Row(name, "code", tuple(name in entry.parameter for entry in entries)) for name in names)
    found = (
        Group(_("About"), about), Group(_("Limits, prices, speed"), tuple(figures)),
        Group(_("Capabilities"), tuple(can)), Group(_("Parameters"), tuple(parameters)),
    )  # fmt: skip
    return tuple(group for group in found if group.rows)


def _can(model: Model, entry: Entry, name: str) -> bool | None:
    if name in entry.capability:
        return True
    fact = model.facts.family("capability").get(name)
    return fact.value if fact is not None and isinstance(fact.value, bool) else None


def _first_token(one: Performance | None) -> float | None:
    return None if one is None else one.total.traffic.first_token.p50


def _speed(one: Performance | None) -> float | None:
    return None if one is None else one.total.traffic.speed.p50


def scatter(models: Sequence[Model], measured: Sequence[Performance | None]) -> Scatter | None:
    """Output price of each deployment against its measured speed; None when nothing was measured."""
    points = []
    for series, (model, performance) in enumerate(zip(models, measured, strict=True)):
        prices = {deployment.id: deployment.sheet.price.rates.output for deployment in model.deployments}
        for served in performance.deployments if performance is not None else ():
            speed = served.traffic.speed
            if speed.p50 is not None and served.deployment in prices:
                points.append(
                    (model.id, served.deployment, prices[served.deployment], speed.p50, speed.samples, series)
                )
    if not points:
        return None
    most_price, most_speed = _round_up(max(point[2] / 1e6 for point in points)), _round_up(max(p[3] for p in points))
    across, up = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    dots = tuple(
        Dot(LEFT + across * price / 1e6 / most_price, TOP + up * (1 - speed / most_speed), model, deployment, price,
            speed, samples, series)
        for model, deployment, price, speed, samples, series in points
    )  # fmt: skip
    labels = spread([(dot.x, dot.y, dot.model) for dot in dots], WIDTH)
    return Scatter(
        tuple(replace(dot, label=label) for dot, label in zip(dots, labels, strict=True)),
        tuple((LEFT + across * step / 4, _dollars(most_price * step / 4)) for step in range(5)),
        tuple((TOP + up * (1 - step / 4), f"{most_speed * step / 4:g}") for step in range(5)),
    )


def _dollars(value: float) -> str:
    return f"${value:g}" if value == int(value) else f"${value:.2f}" if value >= 0.01 else f"${value:g}"


def _round_up(value: float) -> float:
    """The next 1, 2, 4 or 8 times a power of ten: an axis that begins at zero and has round quarters."""
    if value <= 0:
        return 1.0
    power = 10.0 ** (ceil(log10(value)) - 1)
    return next(step * power for step in (1, 2, 4, 8, 10, 20) if step * power >= value * 0.999999)


def _plain(row: Row) -> list[object]:
    if row.kind == "price":
        return [None if value is None else f"${Picodollars(int(value)).per_million()}" for value in row.values]
    if row.kind in ("yes", "code"):
        return [{True: "yes", False: "no", None: None}[value] for value in row.values]  # type: ignore[index]
    if row.kind == "state":
        return [STATE_TITLES[str(value)] for value in row.values]
    return list(row.values)


def _data(values: Values) -> object:
    return {
        "models": [entry.id for entry in values["models"]],
        "facts": [
            {"name": row.title, "differs": row.differs, "values": _plain(row)}
            for group in values["groups"]
            for row in group.rows
        ],
    }


def _text(values: Values) -> str:
    names = [entry.id for entry in values["models"]]
    text = f"# {plain(' and '.join(names))}\n"
    for group in values["groups"]:
        lines = [(row.title + (" ≠" if row.differs else ""), *_plain(row)) for row in group.rows]
        text += f"\n## {group.title}\n\n{table(('Fact', *names), lines)}"
    return text
