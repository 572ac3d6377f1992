"""The charts of a model: all its deployments in one, each a line of medians with a band. Pure; axes begin at zero.

A chart is as wide as its place and has no words inside, so that it keeps its proportions on every screen: words stand
around it. The lines are written in Python, see `charts.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from markupsafe import Markup, escape

from fairlead.site.charts import minute, nice, runs
from fairlead.site.language import Language
from fairlead.telemetry.figures import Band, Point

WIDTH, HEIGHT = 1000, 200
# More lines are a tangle; the table has all. Each has a colour and a pattern of its own.
MOST_LINES = 8
TICKS = 5


@dataclass(frozen=True, slots=True)
class Value:
    """What one line has at one step. `edge`: the 5th (speed) or 95th (times) percentile, if known."""

    p50: float
    edge: float | None
    samples: int


@dataclass(frozen=True, slots=True)
class Line:
    """`number`: that of its colour, the same in every chart of the page. `dots`: steps without a neighbour."""

    name: str
    number: int
    line: str
    band: str
    dots: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """`values`: by line, None where there were too few calls."""

    at: str
    x: float
    width: float
    values: tuple[Value | None, ...]


@dataclass(frozen=True, slots=True)
class Courses:
    unit: str
    edge: str
    decimals: int
    top: float
    lines: tuple[Line, ...]
    steps: tuple[Step, ...]
    ticks: tuple[str, ...]


Measure = Callable[[Point], Band]


def courses(
    series: Mapping[str, Sequence[Point]], end: int, unit: str, measure: Measure, edge: str, decimals: int = 0
) -> Courses | None:
    """`series`: the points of each line, by name. `edge`: "p95" for times, "p5" for speeds. None when no step has a
    median."""
    first = next((points for points in series.values() if points), ())
    if not first:
        return None
    start, step = first[0].at, (first[1].at - first[0].at if len(first) > 1 else 1)
    number = max(1, (end - start) // step)
    known: dict[str, dict[int, Value]] = {
        name: {
            point.at: Value(band.p50, getattr(band, edge), band.samples)
            for point in points
            if (band := measure(point)).p50 is not None
        }
        for name, points in series.items()
    }
    all_ = [value for row in known.values() for value in row.values()]
    if not all_:
        return None
    top = nice(max(max(value.p50, value.edge or 0) for value in all_))

    def across(at: int) -> float:
        return round((at + step / 2 - start) / step / number * WIDTH, 1)

    def up(value: float) -> float:
        return round(HEIGHT - value / top * HEIGHT, 1)

    lines = []
    for place, (name, row) in enumerate(known.items()):
        strokes: list[str] = []
        fills: list[str] = []
        dots: list[str] = []
        for run in runs(list(row), step):
            inside = [(across(at), row[at]) for at in sorted(run)]
            if len(inside) == 1:  # a stroke of no length with round ends
                dots.append(f"M{inside[0][0]} {up(inside[0][1].p50)}h0")
            else:
                strokes.append("M" + "L".join(f"{x} {up(value.p50)}" for x, value in inside))
            sure = [(x, value) for x, value in inside if value.edge is not None]
            if len(sure) > 1:
                far = "L".join(f"{x} {up(value.edge or 0)}" for x, value in sure)
                near = "L".join(f"{x} {up(value.p50)}" for x, value in reversed(sure))
                fills.append(f"M{far}L{near}Z")
        lines.append(Line(name, place, "".join(strokes), "".join(fills), "".join(dots)))
    width = WIDTH / number
    steps = tuple(
        Step(minute(at), round((at - start) / step * width, 1), round(width, 1), found)
        for at in sorted({at for row in known.values() for at in row})
        if (found := tuple(row.get(at) for row in known.values()))
    )
    return Courses(unit, edge, decimals, top, tuple(lines), steps, ticks(start, end))


def ticks(start: int, end: int) -> tuple[str, ...]:
    """Times at equal distances: the hour within two days, else the day."""
    form = "%H:%M" if end - start <= 172_800 else "%m-%d"
    times = [datetime.fromtimestamp(start + (end - start) * at / (TICKS - 1), UTC) for at in range(TICKS)]
    return tuple(time.strftime(form) for time in times)


def drawn(one: Courses) -> Markup:
    """Bands first, so that no line is below one."""
    bands = "".join(f'<path class="band c{line.number}" d="{line.band}"/>' for line in one.lines if line.band)
    lines = "".join(f'<path class="line c{line.number}" d="{line.line}"/>' for line in one.lines if line.line)
    dots = "".join(f'<path class="line dot c{line.number}" d="{line.dots}"/>' for line in one.lines if line.dots)
    return Markup(bands + lines + dots)  # noqa: S704 - numbers


# What a line has at a step, as a language writes it: median, edge ("" where it is not known), number of calls.
Texts = tuple[str, str, str] | None


def written(one: Courses, language: Language) -> list[list[Texts]]:
    """The values of all steps as texts: once for the points and the table."""
    number, whole = language.writer(one.decimals), language.writer()
    return [
        [
            None
            if value is None
            else (
                number(value.p50),
                "" if value.edge is None else f"{one.edge} {number(value.edge)}",
                whole(value.samples),
            )
            for value in step.values
        ]
        for step in one.steps
    ]


def said_at(one: Courses, texts: Sequence[Sequence[Texts]], language: Language) -> Markup:
    """A place for the pointer at every step, with what all lines have there."""
    unit = escape(language.gettext(one.unit))
    names = [str(escape(line.name)) or language.gettext("All calls") for line in one.lines]
    found = []
    for step, row in zip(one.steps, texts, strict=True):
        shown = " · ".join(
            f"{name} {text[0]} ({text[1]})" if text[1] else f"{name} {text[0]}"
            for name, text in zip(names, row, strict=True)
            if text is not None
        )
        place = f'<rect x="{step.x}" width="{step.width}" height="{HEIGHT}">'
        found.append(f"{place}<title>{step.at}, {unit}: {shown}</title></rect>")
    return Markup("".join(found))  # noqa: S704 - names are escaped, the rest is numbers and words of ours


def cells(one: Courses, texts: Sequence[Sequence[Texts]]) -> Markup:
    """The same as rows of a table."""
    rows = []
    for step, row in zip(one.steps, texts, strict=True):
        shown = "".join(
            "<td>–"
            if text is None
            else f"<td>{text[0]}<small>{text[1]}, n = {text[2]}</small>"
            if text[1]
            else f"<td>{text[0]}<small>n = {text[2]}</small>"
            for text in row
        )
        rows.append(f'<tr><th scope="row" class="when">{step.at}</th>{shown}</tr>')
    return Markup("\n".join(rows))  # noqa: S704 - numbers


@dataclass(frozen=True, slots=True)
class Staged:
    """Prices over time, as lines of steps. `names`: of the lines."""

    top: float
    lines: tuple[tuple[str, int, str], ...]
    ticks: tuple[str, ...]


def staged(changes: Mapping[str, Sequence[tuple[int, float]]], start: int, end: int) -> Staged | None:
    """`changes`: by line, the times (seconds since 1970) and the value from then on, in order. None without any."""
    values = [value for row in changes.values() for _, value in row]
    if not values or end <= start:
        return None
    top = nice(max(values)) if any(values) else 1.0
    lines = []
    for place, (name, row) in enumerate(changes.items()):
        path, before = "", None
        for at, value in row:
            x = round(max(0, at - start) / (end - start) * WIDTH, 1)
            y = round(HEIGHT - value / top * HEIGHT, 1)
            path += f"M{x} {y}" if before is None else f"H{x}V{y}"
            before = y
        lines.append((name, place, f"{path}H{WIDTH}" if path else ""))
    return Staged(top, tuple(lines), ticks(start, end))
