"""Shares over time as bands that lie on one another: the whole height is all of a day's tokens. Pure.

What there are many of on a page is written here and not in templates, see `charts.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from markupsafe import Markup, escape

from fairlead.site.language import Language
from fairlead.telemetry.figures import ModelDay

WIDTH, HEIGHT = 1000, 200
# The others are one band together, with the last colour.
MOST_NAMED = 7
# Of fewer days nobody reads a course.
LEAST_DAYS = 2


@dataclass(frozen=True, slots=True)
class Band:
    """`name` "": all the others. `number`: of its colour."""

    name: str
    number: int
    path: str


@dataclass(frozen=True, slots=True)
class Day:
    """`shares`: by band; None: no tokens on that day."""

    on: str
    x: float
    width: float
    shares: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class Bands:
    bands: tuple[Band, ...]
    days: tuple[Day, ...]
    ticks: tuple[str, ...]


def bands(days: Iterable[ModelDay], names: Sequence[str], first: date, last: date) -> Bands | None:
    """`names`: of the models, those with the most tokens first. None when fewer than two days have any."""
    dates = [(first + timedelta(at)).isoformat() for at in range((last - first).days + 1)]
    by_day: dict[str, dict[str, int]] = {on: {} for on in dates}
    for one in days:
        if one.date in by_day:
            row = by_day[one.date]
            row[one.model] = row.get(one.model, 0) + one.prompt_tokens + one.output_tokens
    named = list(names[:MOST_NAMED])
    titles = [*named, ""] if len(names) > MOST_NAMED else named
    width = WIDTH / len(dates)
    found = tuple(
        Day(on, round(at * width, 1), round(width, 1), _shares(by_day[on], named, titles))
        for at, on in enumerate(dates)
    )
    if sum(day.shares is not None for day in found) < LEAST_DAYS:
        return None
    drawn = tuple(Band(title, place, _path(found, place)) for place, title in enumerate(titles))
    step = max(1, (len(dates) - 1) // 4)
    return Bands(drawn, found, tuple(on[5:] for on in dates[::step]))


def _shares(tokens: Mapping[str, int], named: Sequence[str], titles: Sequence[str]) -> tuple[float, ...] | None:
    total = sum(tokens.values())
    if not total:
        return None
    shares = [tokens.get(name, 0) / total for name in named]
    if len(titles) > len(named):
        shares.append(max(0.0, 1 - sum(shares)))
    return tuple(shares)


def _path(days: Sequence[Day], place: int) -> str:
    """From edge to edge of days that follow one another; a day without tokens is a gap."""
    path, run = "", []
    for day in (*days, None):
        if day is not None and day.shares is not None:
            run.append(day)
            continue
        if run:
            path += _run(run, place)
            run = []
    return path


def _run(days: Sequence[Day], place: int) -> str:
    points = []
    for day in days:
        shares = day.shares or ()
        below, above = sum(shares[:place]), sum(shares[: place + 1])
        points.append((day.x + day.width / 2, HEIGHT * below, HEIGHT * above))
    points = [(days[0].x, *points[0][1:]), *points, (days[-1].x + days[-1].width, *points[-1][1:])]
    upper = "L".join(f"{x:.1f} {top:.1f}" for x, top, _ in points)
    lower = "L".join(f"{x:.1f} {bottom:.1f}" for x, _, bottom in reversed(points))
    return f"M{upper}L{lower}Z"


def filled(one: Bands) -> Markup:
    return Markup("".join(f'<path class="share c{band.number}" d="{band.path}"/>' for band in one.bands))  # noqa: S704


def shares_at(one: Bands, language: Language) -> Markup:
    """A place for the pointer on every day, with the shares of all."""
    others, quiet, number = language.gettext("others"), language.gettext("no traffic"), language.number
    found = []
    for day in one.days:
        text = quiet
        if day.shares is not None:
            text = " · ".join(
                f"{escape(band.name) or others} {number(share * 100, 1)} %"
                for band, share in zip(one.bands, day.shares, strict=True)
                if share
            )
        found.append(f'<rect x="{day.x}" width="{day.width}" height="{HEIGHT}"><title>{day.on}: {text}</title></rect>')
    return Markup("".join(found))  # noqa: S704 - names are escaped, the rest is numbers and words of ours


def share_rows(one: Bands, language: Language) -> Markup:
    """The same as rows of a table."""
    rows = []
    for day in one.days:
        cells = "".join(
            f'<td class="n">{"–" if day.shares is None else f"{language.number(day.shares[at] * 100, 1)} %"}</td>'
            for at in range(len(one.bands))
        )
        rows.append(f'<tr><th scope="row" class="when">{day.on}</th>{cells}</tr>')
    return Markup("\n".join(rows))  # noqa: S704 - dates and numbers
