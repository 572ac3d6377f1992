"""Charts of an account's activity, as SVG with the table behind: stacked bars, and lines with a band. Pure; axes begin
at zero.

Each step is a group with a title, which browsers show and `site/static/charts.js` reads out by pointer and arrow keys.
The picture is stretched to its box, so words stand beside it and not in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

from markupsafe import Markup, escape

WIDTH: Final = 720.0
HEIGHT: Final = 160.0
# Of a bar and the gap behind it.
BAR_SHARE: Final = 0.78
# Colours there are (console.css, `.s0` to `.s6`). The last is for all that have none of their own.
COLOURS: Final = 7


class Series(NamedTuple):
    """A part of stacked bars: `values` by step; `colour`: a class of console.css."""

    name: str
    values: Sequence[float]
    colour: str


class Beside(NamedTuple):
    """What a chart has besides its own values. `before`: of the period before, by step, with `before_name`; `notes`:
    what happened in a step, with `notes_name`; `links`: where a step leads to, which the table offers."""

    before: Sequence[float | None] = ()
    before_name: str = ""
    notes_name: str = ""
    notes: Mapping[int, str] = MappingProxyType({})
    links: Sequence[str] = ()

    def value(self, at: int) -> float | None:
        return self.before[at] if at < len(self.before) else None


NOTHING: Final = Beside()


class Figure(NamedTuple):
    """A chart as templates show it. `ticks`: what its top and its middle stand for; `ends`: its first, middle and last
    step; `legend`: colour and name; `columns` and `rows`: the table, figures already written."""

    svg: Markup
    ticks: tuple[str, str]
    ends: tuple[str, str, str]
    legend: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    rows: Markup


class Words(NamedTuple):
    """How a chart writes: `number` a value, `tick` one at the axis; `summary` stands for it where it is not seen."""

    number: Callable[[float], str]
    tick: Callable[[float], str]
    summary: str
    time: str  # the head of the first column


def bars(
    steps: Sequence[str],
    series: Sequence[Series],
    words: Words,
    total: str | None = None,
    beside: Beside = NOTHING,
) -> Figure:
    """Stacked bars. `steps`: when each begins, as it is shown; `total`: the head of a column with the sum."""
    values = list(zip(*(one.values for one in series), strict=True))
    sums = list(map(sum, values))
    top = nice(max((*sums, *(one or 0 for one in beside.before)), default=0))
    places = _places(len(steps))
    number = cache(words.number)  # most figures of an empty step, and many others, are the same
    parts, cells = [], []
    for at, when in enumerate(steps):
        written = [number(value) for value in values[at]]
        whole = number(sums[at])
        shown = [f"{one.name} {text}" for one, text, value in zip(series, written, values[at], strict=True) if value]
        if len(shown) > 1:
            shown.insert(0, whole)
        shown += _said_beside(at, words, beside)
        said = ", ".join(shown) or whole
        parts.append(f"<g><title>{escape(f'{when}: {said}')}</title>{places.hits[at]}")
        below = 0.0
        for one, value in zip(series, values[at], strict=True):
            if not value:
                continue
            low, high = _up(below, top), _up(below + value, top)
            parts.append(
                f'<rect class="{one.colour}" {places.bars[at]} y="{_short(high)}" '
                f'height="{_short(max(0.5, low - high))}"/>'
            )
            below += value
        parts.append("</g>")
        if total:
            written.append(whole)
        cells.append(written)
    columns = (words.time, *(one.name for one in series), *((total,) if total else ()))
    rows = _rows(steps, cells, words, beside)
    return _figure(parts, steps, top, words, tuple((one.colour, one.name) for one in series), columns, rows, beside)


def line(
    steps: Sequence[str],
    values: Sequence[float | None],
    edges: Sequence[float | None],
    names: tuple[str, str],
    words: Words,
    most: float | None = None,
    beside: Beside = NOTHING,
) -> Figure:
    """A line, and a band from it to `edges` where they are known. `names`: of the line and of the edge ("": there is no
    band); `most`: where the axis ends, when that is not made of the values."""
    known = [one for one in (*values, *edges, *beside.before) if one is not None]
    top = most or nice(max(known, default=0))
    places = _places(len(steps))
    across = places.middles
    parts = []
    for run in _runs(values):
        near = "L".join(f"{across[at]} {_short(_up(values[at] or 0, top))}" for at in run)
        sure = [at for at in run if edges[at] is not None]
        if len(sure) > 1:
            far = "L".join(f"{across[at]} {_short(_up(edges[at] or 0, top))}" for at in sure)
            back = "L".join(f"{across[at]} {_short(_up(values[at] or 0, top))}" for at in reversed(sure))
            parts.append(f'<path class="band" d="M{far}L{back}Z"/>')
        parts.append(f'<path class="line" d="M{near}"/>')
    table = []
    for at, when in enumerate(steps):
        value, edge = values[at], edges[at]
        cells = ["–" if one is None else words.number(one) for one in (value, edge)][: 2 if names[1] else 1]
        table.append(cells)
        if value is None:
            continue
        told = [f"{name} {cell}" for name, cell in zip(names, cells, strict=False) if name]
        said = ", ".join((*told, *_said_beside(at, words, beside)))
        parts.append(
            f"<g><title>{escape(f'{when}: {said}')}</title>{places.hits[at]}"
            f'<path class="dot" d="M{across[at]} {_short(_up(value, top))}h0"/></g>'
        )
    columns = (words.time, *(name for name in names if name))
    legend = (("line", names[0]), *((("band", names[1]),) if names[1] else ()))
    rows = _rows(steps, table, words, beside)
    return _figure(parts, steps, top, words, legend, columns, rows, beside)


class Stretch(NamedTuple):
    """A bar of a course: milliseconds from its beginning. `state`: a class of console.css. `first`: when its first
    token came; None: not known."""

    begin: int
    end: int
    state: str
    first: int | None = None


def course(bars_: Sequence[Stretch], whole: int) -> list[Markup]:
    """A picture for each line of a waterfall, all on one scale of `whole` milliseconds."""
    scale = WIDTH / max(1, whole)
    return [
        Markup(  # noqa: S704 - numbers, and classes of ours
            f'<svg class="stretch" viewBox="0 0 {WIDTH:g} 16" preserveAspectRatio="none" aria-hidden="true">'
            f'<rect class="{one.state}" x="{_short(min(one.begin, whole) * scale)}" y="2" '
            f'width="{_short(max(2.0, (min(one.end, whole) - min(one.begin, whole)) * scale))}" height="12"/>'
            + (
                f'<rect class="waiting" x="{_short(one.begin * scale)}" y="2" '
                f'width="{_short(max(0.0, (min(one.first, whole) - one.begin) * scale))}" height="12"/>'
                if one.first is not None
                else ""
            )
            + "</svg>"
        )
        for one in bars_
    ]


def nice(value: float) -> float:
    """The next round figure that is not below."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if factor * power >= value * 0.999999)


@lru_cache(maxsize=512)  # each chart of a page has the same
def moment(seconds: int, step_seconds: int) -> str:
    """A step's beginning as it is shown: a day, or an hour of it."""
    at = datetime.fromtimestamp(seconds, UTC)
    return f"{at:%Y-%m-%d}" if step_seconds % 86_400 == 0 else f"{at:%Y-%m-%d %H:%M} UTC"


def _figure(
    parts: Sequence[str],
    steps: Sequence[str],
    top: float,
    words: Words,
    legend: tuple[tuple[str, str], ...],
    columns: tuple[str, ...],
    rows: Sequence[str],
    beside: Beside,
) -> Figure:
    across = _places(len(steps)).middles
    for run in _runs(beside.before[: len(steps)]):
        course = "L".join(f"{across[at]} {_short(_up(beside.value(at) or 0, top))}" for at in run)
        parts = [*parts, f'<path class="before" d="M{course}"/>']
    marks = "".join(f"M{across[at]} 0V{HEIGHT:g}" for at in sorted(beside.notes))
    if marks:
        parts = [*parts, f'<path class="happening" d="{marks}"/>']
        legend = (*legend, ("happening", beside.notes_name))
    if any(one is not None for one in beside.before):
        legend, columns = (*legend, ("before", beside.before_name)), (*columns, beside.before_name)
    grid = f"M0 .5H{WIDTH:g}M0 {HEIGHT / 2:g}H{WIDTH:g}M0 {HEIGHT - 0.5:g}H{WIDTH:g}"
    svg = Markup(  # noqa: S704 - escaped where it is made
        f'<svg data-read viewBox="0 0 {WIDTH:g} {HEIGHT:g}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(words.summary)}"><path class="axis" d="{grid}"/>{"".join(parts)}</svg>'
    )
    ends = (steps[0], steps[len(steps) // 2], steps[-1]) if steps else ("", "", "")
    return Figure(svg, (words.tick(top), words.tick(top / 2)), ends, legend, columns, Markup("\n".join(rows)))  # noqa: S704


def _said_beside(at: int, words: Words, beside: Beside) -> list[str]:
    value, note = beside.value(at), beside.notes.get(at)
    before = [] if value is None else [f"{beside.before_name} {words.number(value)}"]
    return before if note is None else [*before, note]


def _rows(steps: Sequence[str], cells: Sequence[Sequence[str]], words: Words, beside: Beside) -> list[str]:
    """The table behind a chart, figures already written. A chart of 90 days has a thousand cells, so a row is escaped
    as one text."""
    compared = any(one is not None for one in beside.before)
    rows = []
    for at, when in enumerate(steps):
        texts = [beside.links[at] if at < len(beside.links) else "", when, *cells[at]]
        if compared:
            value = beside.value(at)
            texts.append("–" if value is None else words.number(value))
        link, shown, figures = str(escape("\0".join(texts))).split("\0", 2)
        if link:
            shown = f'<a href="{link}">{shown}</a>'
        if (note := beside.notes.get(at)) is not None:
            shown += f"<small>{escape(note)}</small>"
        figures = figures.replace("\0", '</td><td class="n">')
        rows.append(f'<tr><td class="when">{shown}</td><td class="n">{figures}</td></tr>')
    return rows


class _Places(NamedTuple):
    """Where the steps of a chart of so many stand: `hits`: where they can be pointed at, `bars`: attributes of their
    bars, `middles`."""

    hits: tuple[str, ...]
    bars: tuple[str, ...]
    middles: tuple[str, ...]


@lru_cache(maxsize=16)  # the charts of a page have the same steps
def _places(count: int) -> _Places:
    width = WIDTH / max(1, count)
    bar, gap = _short(width * BAR_SHARE), width * (1 - BAR_SHARE) / 2
    return _Places(
        tuple(
            f'<rect class="hit" x="{_short(at * width)}" width="{_short(width)}" height="{HEIGHT:g}"/>'
            for at in range(count)
        ),
        tuple(f'x="{_short(at * width + gap)}" width="{bar}"' for at in range(count)),
        tuple(_short((at + 0.5) * width) for at in range(count)),
    )


def _runs(values: Sequence[float | None]) -> list[list[int]]:
    """Steps that follow one another: a line does not cross a time without calls."""
    runs: list[list[int]] = []
    for at, value in enumerate(values):
        if value is None:
            continue
        if not runs or runs[-1][-1] != at - 1:
            runs.append([])
        runs[-1].append(at)
    return runs


def _up(value: float, top: float) -> float:
    return HEIGHT - min(value, top) / top * HEIGHT


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
