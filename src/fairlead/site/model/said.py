"""Who says a fact: a number beside it that leads to the source, and says it when it is pointed at."""

from __future__ import annotations

from markupsafe import Markup, escape

from fairlead.catalogue.facts import ModelFacts, Source, Value
from fairlead.site.language import Language


class Said:
    """Writes the facts of one model in one language. Each source has the number of its place in the list of sources,
    and a page has some sixty such numbers: the part that they share is made once."""

    def __init__(self, facts: ModelFacts, language: Language) -> None:
        self._facts = facts
        self._language = language
        self._starts = {
            key: (self._start(source), Markup('">{}</a>').format(number))
            for number, (key, source) in enumerate(facts.sources.items(), 1)
        }

    def __call__(self, name: str) -> Markup:
        """The number for a fact; nothing where no source says anything."""
        fact = self._facts.get(name)
        known = self._starts.get(fact.source)
        if known is None:
            return Markup("")
        start, end = known
        if not fact.others:
            return start + end
        others = "".join(f" · {self._facts.sources[one.source].title}: {self.told(one.value)}" for one in fact.others)
        return start + escape(others) + end

    def told(self, value: Value | None) -> str:
        """A value in words."""
        if value is None:
            return self._language.gettext("unknown")
        if isinstance(value, bool):
            return self._language.gettext("yes") if value else self._language.gettext("no")
        if isinstance(value, int):
            return self._language.number(value)
        return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)

    def _start(self, source: Source) -> Markup:
        label = self._language.gettext("Source: %(title)s, read %(day)s") % {"title": source.title, "day": source.read}
        return Markup('<a class="src" href="#s-{}" aria-label="{}" data-tip="{}, {}').format(
            source.key, escape(label), source.title, source.read
        )
