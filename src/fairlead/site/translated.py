"""Templates in one language."""

from __future__ import annotations

import re
from collections.abc import Callable

from jinja2 import BaseLoader, Environment, PackageLoader, StrictUndefined, select_autoescape

from fairlead import __version__
from fairlead.site import shown
from fairlead.site.cards import cards
from fairlead.site.language import Language
from fairlead.site.templating import QuickEnvironment


class Translated(PackageLoader):
    """Templates with their sentences and words in one language already. What has places to fill in is left to be
    translated when it is shown; there are a tenth as many of those."""

    _SENTENCE = re.compile(r"{% trans %}([^{}]*){% endtrans %}")
    _WORD = re.compile(r'\b_\("([^"\\]*)"\)')

    def __init__(self, language: Language, package: str = "fairlead.site") -> None:
        super().__init__(package)
        self._language = language

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool] | None]:
        source, name, fresh = super().get_source(environment, template)
        return self._WORD.sub(self._word, self._SENTENCE.sub(self._translated, source)), name, fresh

    def _translated(self, found: re.Match[str]) -> str:
        # As Jinja's extension does it: one line, and % doubled in what is translated.
        message = " ".join(found[1].split()).replace("%", "%%")
        return self._language.gettext(message).replace("%%", "%")

    def _word(self, found: re.Match[str]) -> str:
        word = self._language.gettext(found[1]).replace("\\", "\\\\").replace('"', '\\"')
        return f'("{word}")'


def environment(language: Language, loader: BaseLoader) -> Environment:
    """What renders templates in a language, with the filters that all pages have."""
    made = QuickEnvironment(
        loader=loader,
        autoescape=select_autoescape(("html", "xml")),
        undefined=StrictUndefined,
        # Templates come with the package: nobody asks the disk for each of them whether it has changed.
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.policies["ext.i18n.trimmed"] = True
    made.install(language)
    # Plain text, escaped where it is shown: templates also translate what comes from catalogues and settings.
    made.globals["_"] = language.gettext
    made.globals["fairlead_version"] = __version__
    made.filters.update(shown.filters(language))
    made.filters["cards"] = cards
    return made
