"""How values are written: token counts, prices, times, dates. Unknown is a word, never a blank."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from markupsafe import Markup

from fairlead.catalogue.similar import Reason
from fairlead.money import Picodollars
from fairlead.site.bands import filled, share_rows, shares_at
from fairlead.site.charts import bars
from fairlead.site.language import Language
from fairlead.site.model.courses import cells, drawn, said_at

KIBI = 1024
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

    return {
        "count": lambda value: language.gettext("unknown") if value is None else language.number(value),
        "tokens": lambda value: tokens(value, language),
        "price": lambda value: price(value, language),
        "day": day,
        "moment": moment,
        "number": language.number,
        "drawn": drawn,
        "said_at": lambda chart: said_at(chart, language),
        "cells": lambda chart: cells(chart, language),
        "bars": lambda history: bars(history, language),
        "filled": filled,
        "shares_at": lambda chart: shares_at(chart, language),
        "share_rows": lambda chart: share_rows(chart, language),
        "plain": lambda value: plain(value, language),
        "per_request": lambda row: per_request(row.least, row.most),
        "listed": lambda rate: listed(rate, language),
        "reason": lambda reason: said(reason, language),
        "web_address": web_address,
    }


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
