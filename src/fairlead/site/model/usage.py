"""What this server's callers used of a model in the last 30 days, by day, and what an input token cost on average after
caching. Pure.

The bars are written in Python, see `charts.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from markupsafe import Markup

from fairlead.site.charts import nice
from fairlead.site.language import Language
from fairlead.site.records import Used
from fairlead.wire.usage import TokenClasses

DAYS = 30
WIDTH, HEIGHT = 1000, 200
# Of a day's width; the rest is the gap to the next one.
BAR = 0.78
# Two bars are no course.
LEAST_DAYS = 3
TICKS = 5
# From 1e6 and 1e3 on the axis is written in millions and thousands.
UNITS = ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k"))
# A share below says nothing about a price.
LEAST_TOKENS = 10_000
DIGITS = 3


@dataclass(frozen=True, slots=True)
class Day:
    """Tokens: `fresh` and `cached` make up the prompts, `output` the answers, reasoning among them."""

    on: str
    calls: int
    fresh: int
    cached: int
    output: int

    @property
    def tokens(self) -> int:
        return self.fresh + self.cached + self.output


@dataclass(frozen=True, slots=True)
class Usage:
    """`days`: all of them, the oldest first, those without calls too. `top`: of the axis, in tokens."""

    days: tuple[Day, ...]
    top: float

    @property
    def total(self) -> Day:
        return Day(
            "", *(sum(getattr(day, name) for day in self.days) for name in ("calls", "fresh", "cached", "output"))
        )

    @property
    def ticks(self) -> tuple[str, ...]:
        last = len(self.days) - 1
        return tuple(self.days[round(last * at / (TICKS - 1))].on[5:] for at in range(TICKS))

    def axis(self, share: float, language: Language) -> str:
        """The axis at a share of its height: 1.5 M."""
        value = self.top * share
        for size, letter in UNITS:
            if self.top >= size:
                text = value / size
                return f"{language.number(text, 0 if text == int(text) else 1)} {letter}"
        return language.number(value)


@dataclass(frozen=True, slots=True)
class Effective:
    """What an input token of a deployment cost on average, in picodollars, with the share of prompts that was read from
    the provider's cache."""

    input: int
    cached: float


def usage_of(used: Sequence[Used], today: date) -> Usage | None:
    """None when fewer than three days have any."""
    days = [(today - timedelta(back)).isoformat() for back in reversed(range(DAYS))]
    sums = {on: [0, 0, 0, 0] for on in days}
    for one in used:
        row = sums.get(one.date)
        if row is not None:
            for at, count in enumerate((one.calls, one.prompt - one.cached, one.cached, one.output)):
                row[at] += count
    found = tuple(Day(on, *row) for on, row in sums.items())
    if sum(day.tokens > 0 for day in found) < LEAST_DAYS:
        return None
    return Usage(found, nice(max(day.tokens for day in found)))


def effective(used: Sequence[Used], rates: Mapping[str, TokenClasses]) -> dict[str, Effective]:
    """By deployment, at today's `rates`; only where callers saved something by a cache."""
    prompts: dict[str, int] = {}
    cached: dict[str, int] = {}
    for one in used:
        prompts[one.deployment] = prompts.get(one.deployment, 0) + one.prompt
        cached[one.deployment] = cached.get(one.deployment, 0) + one.cached
    found = {}
    for name, rate in rates.items():
        prompt, read = prompts.get(name, 0), cached.get(name, 0)
        if prompt >= LEAST_TOKENS and read and rate.cached_input < rate.input:
            average = (rate.input * (prompt - read) + rate.cached_input * read) // prompt
            found[name] = Effective(_short(average), read / prompt)
    return found


def _short(value: int) -> int:
    """With three digits: more of an average would say nothing."""
    return round(value, DIGITS - len(str(value))) if value > 0 else value


def used_bars(one: Usage) -> Markup:
    """Answers on top, what was read from a cache at the bottom."""
    width = WIDTH / len(one.days)
    found = []
    for at, day in enumerate(one.days):
        below = 0.0
        for number, count in ((2, day.cached), (0, day.fresh), (1, day.output)):
            height = HEIGHT * count / one.top
            if count:
                found.append(
                    f'<rect class="used c{number}" x="{(at + (1 - BAR) / 2) * width:.1f}" width="{BAR * width:.1f}" '
                    f'y="{HEIGHT - below - height:.1f}" height="{height:.1f}"/>'
                )
            below += height
    return Markup("".join(found))  # noqa: S704 - numbers


def used_at(one: Usage, language: Language) -> Markup:
    """A place for the pointer on every day, with its figures."""
    width, number, word = WIDTH / len(one.days), language.number, language.gettext
    found = []
    for at, day in enumerate(one.days):
        text = word("no traffic")
        if day.calls:
            text = " · ".join(
                (
                    f"{number(day.calls)} {word('calls')}",
                    f"{word('prompts')} {number(day.fresh + day.cached)}",
                    f"{word('from a cache')} {number(day.cached)}",
                    f"{word('answers')} {number(day.output)}",
                )
            )
        found.append(
            f'<rect x="{at * width:.1f}" width="{width:.1f}" height="{HEIGHT}"><title>{day.on}: {text}</title></rect>'
        )
    return Markup("".join(found))  # noqa: S704 - dates, numbers and words of ours


def used_rows(one: Usage, language: Language) -> Markup:
    """The same as rows of a table, the newest first; days without calls are left out."""
    number = language.number
    return Markup(  # noqa: S704 - dates and numbers
        "\n".join(
            f'<tr><th scope="row" class="when">{day.on}</th>'
            + "".join(f'<td class="n">{number(value)}</td>' for value in (day.calls, day.fresh, day.cached, day.output))
            + "</tr>"
            for day in reversed(one.days)
            if day.calls
        )
    )
