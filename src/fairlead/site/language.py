"""The languages of the pages: which one a visitor gets, its words, and how it writes numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from gettext import NullTranslations


@dataclass(frozen=True, slots=True)
class Language:
    """`prefix` stands before every path of a page in this language: "" for the default, or "/de"."""

    code: str
    name: str
    prefix: str = ""
    group: str = ","
    point: str = "."
    translations: NullTranslations = field(default_factory=NullTranslations, compare=False)

    def gettext(self, message: str) -> str:
        return self.translations.gettext(message)

    def ngettext(self, one: str, many: str, count: int) -> str:
        return self.translations.ngettext(one, many, count)

    def number(self, value: float, decimals: int = 0) -> str:
        """131,072 or 12.5, as this language writes it."""
        text = f"{value:,.{decimals}f}"
        return text.replace(",", "\0").replace(".", self.point).replace("\0", self.group)


ENGLISH = Language("en", "English")
