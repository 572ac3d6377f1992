"""Who says a fact: a number beside it that leads to the source, and says it when it is pointed at."""

from __future__ import annotations

from markupsafe import Markup, escape

from fairlead.catalogue.facts import ModelFacts, Source, Value
from fairlead.site.language import Language

NOTHING = Markup("")


class Citations:
    """Writes the facts of one model in one language. Each source has the number of its place in the list of sources,
    and a page has some sixty such numbers: the part that they share is made once."""

    def __init__(self, facts: ModelFacts, language: Language) -> None:
        self._facts = facts
        self._language = language
        self._starts = {key: self._start(source) for key, source in facts.sources.items()}
        self._ends = {key: _end(number) for number, key in enumerate(facts.sources, 1)}
        self._whole = {key: start + self._ends[key] for key, start in self._starts.items()}

    def __call__(self, name: str) -> Markup:
        """The number for a fact; nothing where no source says anything."""
        fact = self._facts.get(name)
        whole = self._whole.get(fact.source)
        if whole is None:
            return NOTHING
        if not fact.others:
            return whole
        others = "".join(f" · {self._facts.sources[one.source].title}: {self.told(one.value)}" for one in fact.others)
        return self._starts[fact.source] + escape(others) + self._ends[fact.source]

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
        return Markup(  # noqa: S704 - escaped; format() of a Markup takes four times as long
            f'<a class="src" href="#s-{escape(source.key)}" aria-label="{escape(label)}" '
            f'data-tip="{escape(source.title)}, {escape(source.read)}'
        )


def _end(number: int) -> Markup:
    return Markup(f'">{number}</a>')  # noqa: S704 - a number
