"""Points in a plane with marks on both axes: price against context, price against speed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, log2, log10

from fairlead.site.listing import Entry
from fairlead.site.shown import PICODOLLARS_PER_DOLLAR_A_MILLION, short_tokens

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 960, 480, 64, 24, 24, 52
# Where those that cost nothing are: a logarithmic axis has no place for them.
FREE_BAND = 40
# More are a cloud that nobody reads, and a page that takes long to come.
MOST_DOTS = 400
LETTER_WIDTH, LINE_HEIGHT = 6.6, 14.0


@dataclass(frozen=True, slots=True)
class Dot:
    """A model of the list; those that are deployed are drawn last, over the others. `deployed` False: the price is
    what others list. `label` for some: all would overlap."""

    entry: Entry
    x: float
    y: float
    price: int
    deployed: bool
    shown: bool
    label: Label | None = None


@dataclass(frozen=True, slots=True)
class Label:
    text: str
    x: float
    y: float
    end: bool  # it ends at x


@dataclass(frozen=True, slots=True)
class Plane:
    """`left_out`: models without a known context or price. `more`: what there are beyond the most that are drawn."""

    dots: tuple[Dot, ...]
    x_marks: tuple[tuple[float, str], ...]
    y_marks: tuple[tuple[float, str], ...]
    free_y: float
    left_out: int
    more: int


def plane(entries: Sequence[Entry], shown: frozenset[str]) -> Plane | None:
    """Input price against context, both axes logarithmic; None without two models to compare. `shown`: the ids that the
    visitor's filters let through; the others keep their place."""
    placed = [
        (entry, price, deployed)
        for entry in entries
        for price, deployed in [(entry.price_in, True) if entry.price_in is not None else (entry.price_listed, False)]
        if price is not None and entry.context
    ]
    if len(placed) < 2:
        return None
    left_out, more = len(entries) - len(placed), max(0, len(placed) - MOST_DOTS)
    placed = placed[:MOST_DOTS]
    contexts = [log2(entry.context or 1) for entry, _, _ in placed]
    dollars = [log10(price / PICODOLLARS_PER_DOLLAR_A_MILLION) for _, price, _ in placed if price]
    x_least, x_most = floor(min(contexts)), max(ceil(max(contexts)), floor(min(contexts)) + 1)
    y_least, y_most = (floor(min(dollars)), max(ceil(max(dollars)), floor(min(dollars)) + 1)) if dollars else (-1, 1)
    across, up = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM - FREE_BAND

    def x_of(power: float) -> float:
        return round(LEFT + across * (power - x_least) / (x_most - x_least), 1)

    def y_of(power: float) -> float:
        return round(TOP + up * (1 - (power - y_least) / (y_most - y_least)), 1)

    free_y = float(HEIGHT - BOTTOM - FREE_BAND // 3)
    dots = [
        Dot(entry, x_of(log2(entry.context or 1)),
            y_of(log10(price / PICODOLLARS_PER_DOLLAR_A_MILLION)) if price else free_y, price, deployed,
            entry.id in shown)
        for entry, price, deployed in placed
    ]  # fmt: skip
    named = [dot for dot in dots if dot.deployed and dot.shown]
    labels = spread([(dot.x, dot.y, dot.entry.name) for dot in named], WIDTH)
    by_id = {dot.entry.id: label for dot, label in zip(named, labels, strict=True)}
    step = 1 if x_most - x_least < 9 else 2
    return Plane(
        tuple(replace(dot, label=by_id.get(dot.entry.id)) for dot in sorted(dots, key=lambda dot: dot.deployed)),
        tuple((x_of(power), short_tokens(2**power) or str(2**power)) for power in range(x_least, x_most + 1, step)),
        tuple(
            (y_of(power), f"${10.0**power:.2f}" if power in (-1, -2) else f"${10.0**power:g}")
            for power in range(y_least, y_most + 1)
        ),
        free_y,
        left_out,
        more,
    )


def spread(points: Sequence[tuple[float, float, str]], width: float) -> list[Label | None]:
    """A place for each label beside its point, none over another one; None where there is none near enough."""
    taken: list[tuple[float, float, float]] = []  # from, to, at
    found: list[Label | None] = []
    for x, y, text in points:
        length = len(text) * LETTER_WIDTH
        end = x + 10 + length > width - 4
        start = x - 10 - length if end else x + 10
        places = (y + 4 + shift for shift in (0, LINE_HEIGHT, -LINE_HEIGHT, 2 * LINE_HEIGHT, -2 * LINE_HEIGHT))
        at = next((place for place in places if not _hits(taken, start, start + length, place)), None)
        if at is None:
            found.append(None)
            continue
        taken.append((start, start + length, at))
        found.append(Label(text, round(x - 10 if end else x + 10, 1), round(at, 1), end))
    return found


def _hits(taken: Sequence[tuple[float, float, float]], start: float, end: float, at: float) -> bool:
    return any(start < to and since < end and abs(at - line) < LINE_HEIGHT for since, to, line in taken)
