"""Templates of the console in one language, around those of the public pages."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from jinja2 import ChoiceLoader, Environment
from markupsafe import Markup, escape

from fairlead.console import colours
from fairlead.money import Picodollars
from fairlead.site import shown
from fairlead.site.language import Language
from fairlead.site.page_cache import STATIC_PREFIX as SITE_PREFIX
from fairlead.site.static_files import StaticFiles
from fairlead.site.translated import Translated, environment

STATIC_PREFIX: Final = "/console/static/"
# What browsers call themselves, the more special ones first: each pretends to be those below it.
BROWSERS: Final = {"Edg/": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "Chrome/": "Chrome", "Safari/": "Safari"}
SYSTEMS: Final = {
    "iPhone": "iPhone", "iPad": "iPad", "Android": "Android", "Windows": "Windows", "Mac OS": "macOS", "Linux": "Linux",
}  # fmt: skip


class Rendering:
    """`words`: what every template can use. Usable from several threads: environments are made beforehand."""

    def __init__(self, languages: tuple[Language, ...], words: Mapping[str, Any]) -> None:
        self.static_files = StaticFiles("fairlead.console", STATIC_PREFIX)
        self._site = StaticFiles("fairlead.site", SITE_PREFIX)  # for the addresses of the public pages' files
        given = {**words, "languages": languages, "with_console": True}
        self._environments = {one.code: self._environment(one, given) for one in languages}

    def text(self, language: Language, template: str, values: Mapping[str, Any]) -> str:
        return self._environments[language.code].get_template(template).render(values)

    def _environment(self, language: Language, words: Mapping[str, Any]) -> Environment:
        made = environment(language, ChoiceLoader([Translated(language, "fairlead.console"), Translated(language)]))
        made.globals.update(static=self._site.address, console_static=self.static_files.address, **words)
        made.filters.update(filters(language))
        return made


def filters(language: Language) -> dict[str, Callable[..., Any]]:
    """What the templates of the console use besides those of the public pages."""

    def when(seconds: float | None) -> str | Markup:
        """A time since 1970 as "5 minutes ago" or "in 3 days", with the absolute one in the title."""
        if seconds is None:
            return language.gettext("never")
        then, now = datetime.fromtimestamp(seconds, UTC), datetime.fromtimestamp(time.time(), UTC)
        words = shown.ago(now, then, language) if then <= now else ahead(now, then, language)
        written = then.isoformat()
        title = f"{written[:10]} {written[11:19]} UTC"  # as `exact`
        # Not Markup.format, which takes as long as the rest of a row.
        return Markup(f'<time datetime="{written}" title="{title}">{escape(words)}</time>')  # noqa: S704

    def amount(picodollars: int | Picodollars | None, decimals: int | None = None) -> str:
        """Dollars, exact: $0.0000123; with `decimals`, rounded to so many. None: a dash."""
        if picodollars is None:
            return "–"
        value = picodollars if isinstance(picodollars, Picodollars) else Picodollars(picodollars)
        text = value.dollars() if decimals is None else f"{Decimal(value.value).scaleb(-12):,.{decimals}f}"
        sign = "−" if text.startswith("-") else ""
        return f"{sign}${text.removeprefix('-')}"

    def aligned(text: str, decimals: int) -> str | Markup:
        """An exact number of a column: what it lacks to `decimals` is there unseen, so that points stand below each
        other."""
        missing = decimals - decimals_of(text)
        if missing <= 0:
            return text
        unseen = "0" * missing if "." in text else "." + "0" * missing
        return Markup(f'{escape(text)}<span class="pad" aria-hidden="true">{unseen}</span>')  # noqa: S704

    def exact(seconds: float) -> str:
        """The time itself, for where nobody can point at the relative one."""
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

    def day_of(seconds: int) -> str:
        """The day (UTC) of a time since 1970."""
        return datetime.fromtimestamp(seconds, UTC).date().isoformat()

    return {
        "when": when,
        "amount": amount,
        "aligned": aligned,
        "decimals": decimals_of,
        "day_of": day_of,
        "exact": exact,
        "toml": colours.coloured,
        "toml_difference": colours.difference,
        "browser": lambda agent: browser(agent) or language.gettext("unknown"),
    }


def decimals_of(text: str) -> int:
    """How many decimals a number as text has."""
    return len(text.partition(".")[2])


def browser(agent: str) -> str:
    """ "Firefox on Linux", as far as the browser says it; else what it says."""
    name = next((shown for mark, shown in BROWSERS.items() if mark in agent), "")
    system = next((shown for mark, shown in SYSTEMS.items() if mark in agent), "")
    return f"{name} on {system}" if name and system else name or agent[:60]


def ahead(now: datetime, then: datetime, language: Language) -> str:
    """ "in 5 minutes"."""
    seconds = int((then - now).total_seconds())
    for length, one, many in (
        (86_400, "in %(num)s day", "in %(num)s days"),
        (3_600, "in %(num)s hour", "in %(num)s hours"),
        (60, "in %(num)s minute", "in %(num)s minutes"),
    ):
        if seconds >= length:
            count = seconds // length
            return language.ngettext(one, many, count) % {"num": count}
    return language.gettext("in less than a minute")
