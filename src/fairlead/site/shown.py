"""How values are written: token counts, prices, times, dates. Unknown is a word, never a blank."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from markupsafe import Markup, escape

from fairlead.catalogue.similar import Reason
from fairlead.money import Picodollars
from fairlead.site.bands import filled, share_rows, shares_at
from fairlead.site.charts import bars
from fairlead.site.language import Language
from fairlead.site.model.courses import cells, drawn, said_at, written
from fairlead.site.model.serving import figures_of
from fairlead.site.model.usage import used_at, used_bars, used_rows
from fairlead.site.words import CAPABILITY_TITLES

KIBI = 1024
MOST_KEPT = 500
PICODOLLARS_PER_DOLLAR_A_MILLION = 1_000_000


def filters(language: Language) -> dict[str, Callable[..., Any]]:
    """What the templates use, in one language."""

    def day(value: date | None) -> str | Markup:
        if value is None:
            return language.gettext("unknown")
        return Markup('<time datetime="{0}">{0}</time>').format(value.isoformat())

    def moment(value: datetime | None, now: datetime | None = None) -> str | Markup:
        if value is None:
            return language.gettext("unknown")
        title = "" if now is None else ago(now, value, language)
        value = value.astimezone(UTC)
        return Markup('<time datetime="{}" title="{}">{}</time>').format(
            value.astimezone(UTC).isoformat(timespec="seconds"),
            title,
            value.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        )

    able: dict[tuple[str, ...], Markup] = {}

    def can(names: tuple[str, ...]) -> Markup:
        if names not in able:
            if len(able) >= MOST_KEPT:
                able.clear()
            able[names] = abilities(names, language)
        return able[names]

    return {
        "can": can,
        "priced": lambda here, listed: priced(here, listed, language),
        "count": lambda value: language.gettext("unknown") if value is None else language.number(value),
        "tokens": lambda value: tokens(value, language),
        "price": lambda value: price(value, language),
        "day": day,
        "moment": moment,
        "number": language.number,
        "drawn": drawn,
        "written": lambda chart: written(chart, language),
        "said_at": lambda chart, texts: said_at(chart, texts, language),
        "cells": cells,
        "figures_of": figures_of,
        "bars": lambda history: bars(history, language),
        "filled": filled,
        "shares_at": lambda chart: shares_at(chart, language),
        "share_rows": lambda chart: share_rows(chart, language),
        "used_bars": used_bars,
        "used_at": lambda usage: used_at(usage, language),
        "used_rows": lambda usage: used_rows(usage, language),
        "tall": lambda usage, share: usage.axis(share, language),
        "plain": lambda value: plain(value, language),
        "per_request": lambda row: per_request(row.least, row.most),
        "listed": lambda rate: listed(rate, language),
        "reason": lambda reason: said(reason, language),
        "web_address": web_address,
    }


def abilities(names: tuple[str, ...], language: Language) -> Markup:
    """The icons of capabilities, each with its name: symbols of list.html."""
    icons = "".join(
        f'<svg class="icon" width="18" height="18" role="img"><title>'
        f'{escape(language.gettext(CAPABILITY_TITLES.get(name, name)))}</title><use href="#a-{escape(name)}"/></svg>'
        for name in names
    )
    return Markup(f'<span class="abilities-of">{icons}</span>')  # noqa: S704 - escaped above


def priced(here: int | None, listed_: int | None, language: Language) -> Markup:
    """The cell of a price: here, or what others list where the model is not deployed, which it says."""
    if here is not None or listed_ is None:
        return Markup(f'<td class="n">{"–" if here is None else price(here, language)}</td>')  # noqa: S704 - a number
    elsewhere = escape(language.gettext("elsewhere"))
    return Markup(f'<td class="n elsewhere">{price(listed_, language)}<small>{elsewhere}</small></td>')  # noqa: S704


def web_address(value: object) -> str | None:
    """What a page may lead to, from a catalogue or the configuration: no `javascript:` and no `data:`."""
    return value if isinstance(value, str) and value.startswith("https://") else None


def plain(value: object, language: Language) -> object:
    """0.3, 2 and −2 for 0.3, 2.0 and -2.0; what is no number as it is."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    text = f"{value:g}" if abs(value) < 1_000_000 else f"{value:.0f}"
    return text.replace("-", "−").replace(".", language.point)


def listed(dollars_per_million: str | None, language: Language) -> str:
    """A price of the catalogue as ours are written; "–" when the source has none."""
    if dollars_per_million is None:
        return "–"
    picodollars = Decimal(dollars_per_million) * PICODOLLARS_PER_DOLLAR_A_MILLION
    return price(int(picodollars), language) if picodollars == int(picodollars) else f"${dollars_per_million}"


def per_request(least: int, most: int) -> str:
    """Dollars for each request, the least and the most of them."""
    one, other = (f"${Picodollars(value).dollars()}" for value in (least, most))
    return one if least == most else f"{one} – {other}"


def said(reason: Reason, language: Language) -> str:
    """Why a model is like another one, in a language."""
    number = "" if reason.number is None else language.number(reason.number, 1).removesuffix(f"{language.point}0")
    things = ", ".join(language.gettext(thing) for thing in reason.things)
    return language.gettext(reason.words) % {"number": number, "things": things}


def short_tokens(value: int) -> str:
    """ "128K" or "1M" when that is exactly so in binary, else "". A number that is round as it is needs none, and 125K
    for 128,000 would only confuse."""
    if value % 1_000 == 0:
        return ""
    for unit, name in ((KIBI * KIBI, "M"), (KIBI, "K")):
        if value >= unit and value % unit == 0:
            return f"{value // unit}{name}"
    return ""


def tokens(value: int | None, language: Language) -> str:
    """131,072 (128K): the short form only when it is exact, in binary."""
    if value is None:
        return language.gettext("unknown")
    short = short_tokens(value)
    return f"{language.number(value)} ({short})" if short else language.number(value)


def price(picodollars_per_token: int | None, language: Language) -> str:
    """ "$0.10", dollars per million tokens with all its digits; "free"; "unknown"."""
    if picodollars_per_token is None:
        return language.gettext("unknown")
    if picodollars_per_token == 0:
        return language.gettext("free")
    return f"${Picodollars(picodollars_per_token).per_million()}"


def ago(now: datetime, then: datetime, language: Language) -> str:
    """ "5 minutes ago"."""
    seconds = max(0, int((now - then).total_seconds()))
    if seconds < 60:
        return language.gettext("less than a minute ago")
    for length, one, many in (
        (31_557_600, "%(num)s year ago", "%(num)s years ago"),
        (2_629_800, "%(num)s month ago", "%(num)s months ago"),
        (86_400, "%(num)s day ago", "%(num)s days ago"),
        (3_600, "%(num)s hour ago", "%(num)s hours ago"),
    ):
        if seconds >= length:
            count = seconds // length
            return language.ngettext(one, many, count) % {"num": count}
    return language.ngettext("%(num)s minute ago", "%(num)s minutes ago", seconds // 60) % {"num": seconds // 60}
