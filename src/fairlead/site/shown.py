"""How values are written: token counts, prices, times, dates. Unknown is a word, never a blank."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

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

if TYPE_CHECKING:
    from fairlead.wire.usage import TokenClasses

KIBI = 1024
MOST_KEPT = 500


def _(message: str) -> str:
    """Marks a word for translation."""
    return message


# Prices of what is charged where tokens of input and output cost nothing.
OTHERWISE = {
    "request": _("%(price)s each"),
    "image": _("%(price)s for images"),
    "audio_input": _("%(price)s for audio"),
    "audio_output": _("%(price)s for audio"),
}
PICODOLLARS_PER_DOLLAR_A_MILLION = 1_000_000


class Asked(Protocol):
    """The prices of a model in the list, see `listing.Entry`."""

    @property
    def mode(self) -> str: ...

    @property
    def price_in(self) -> int | None: ...

    @property
    def price_out(self) -> int | None: ...

    @property
    def price_listed(self) -> int | None: ...

    @property
    def price_listed_out(self) -> int | None: ...

    @property
    def price_other(self) -> tuple[str, int] | None: ...


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
        "priced": lambda entry: priced(entry, language),
        "asked": lambda entry: asked(entry, language),
        "paid": lambda rates, mode: paid(rates, mode, language),
        "otherwise": lambda row: otherwise(row.name, row.least, language),
        "count": lambda value: language.gettext("unknown") if value is None else language.number(value),
        "whole": lambda value: _known(None if value is None else language.number(value), language),
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


def _known(text: str | None, language: Language) -> str | Markup:
    return Markup('<span class="quiet">{}</span>').format(language.gettext("unknown")) if text is None else text


def abilities(names: tuple[str, ...], language: Language) -> Markup:
    """The icons of capabilities, each with its name: symbols of list.html."""
    icons = "".join(
        f'<svg class="icon" width="18" height="18" role="img"><title>'
        f'{escape(language.gettext(CAPABILITY_TITLES.get(name, name)))}</title><use href="#a-{escape(name)}"/></svg>'
        for name in names
    )
    return Markup(f'<span class="abilities-of">{icons}</span>')  # noqa: S704 - escaped above


def priced(entry: Asked, language: Language) -> Markup:
    """The cells of a model's prices: here, or what others list where it is not deployed, which they say."""
    here, said_there = entry.price_in is not None, f"<small>{escape(language.gettext('elsewhere'))}</small>"
    return Markup(  # noqa: S704 - numbers and words of ours
        "".join(
            f'<td class="n">{text}</td>' if here or text == "–" else f'<td class="n elsewhere">{text}{said_there}</td>'
            for text in asked(entry, language)
        )
    )


def asked(entry: Asked, language: Language) -> tuple[str, str]:
    """What a model's input and output cost at least, here or elsewhere; "–": not known, or not charged."""
    if entry.price_other is not None:
        return otherwise(*entry.price_other, language), "–"
    here = entry.price_in is not None
    prices = (entry.price_in, entry.price_out) if here else (entry.price_listed, entry.price_listed_out)
    if entry.mode != "chat" and not prices[1]:  # it gives no tokens that could be free
        prices = prices[0], None
    one, other = ("–" if value is None else price(value, language) for value in prices)
    return one, other


def paid(rates: TokenClasses, mode: str, language: Language) -> tuple[str, str]:
    """The same of one deployment."""
    other = next((name for name in OTHERWISE if getattr(rates, name)), None)
    if rates.input or rates.output or other is None:
        given = "–" if mode != "chat" and not rates.output else price(rates.output, language)
        return price(rates.input, language), given
    return otherwise(other, getattr(rates, other), language), "–"


def otherwise(name: str, picodollars: int, language: Language) -> str:
    """The price of another class than tokens of input and output: $0.04 each."""
    text = f"${Picodollars(picodollars).dollars()}" if name == "request" else price(picodollars, language)
    return language.gettext(OTHERWISE.get(name, "%(price)s")) % {"price": text}


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
