"""The picture of a model that networks show beside a link to its page: 1200 by 630, facts that do not change by the
hour, in English."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.catalogue.snapshot import Model
from fairlead.catalogue.views import PriceRange, paid_otherwise
from fairlead.money import Picodollars
from fairlead.site.language import ENGLISH, Language
from fairlead.site.picture import HEIGHT, WIDTH, Canvas, Letters
from fairlead.site.shown import otherwise, price, tokens

MARGIN = 72
INNER = WIDTH - 2 * MARGIN
FIGURES_TOP = 420


def card(model: Model, vendor: str, ranges: Sequence[PriceRange]) -> bytes:
    """A PNG. A name in letters that we have none of gives way to the id, which is ASCII."""
    letters = Letters()
    canvas = Canvas(letters)
    canvas.area(0, 0, 16, HEIGHT, "accent")
    canvas.text(MARGIN, 56, "label", letters.cut("label", vendor, INNER - 200), "quiet")
    end = letters.width("label", "Fairlead")
    canvas.text(WIDTH - MARGIN - end, 56, "label", "Fairlead", "accent")
    name = model.name if letters.knows(model.name) else model.id
    size = "title" if letters.width("title", name) <= INNER else "smaller"
    y = 104
    for line in letters.lines(size, name, INNER, 2):
        canvas.text(MARGIN, y, size, line, "ink")
        y += letters.height(size)
    y += 12
    room = (FIGURES_TOP - 28 - y) // 44
    if letters.knows(model.description):
        for line in letters.lines("text", model.description, INNER, max(1, min(3, room))):
            canvas.text(MARGIN, y, "text", line, "quiet")
            y += 44
    canvas.area(MARGIN, FIGURES_TOP, INNER, 2, "line")
    found = figures(model, ranges)
    for at, (title, value, unit) in enumerate(found):
        x = MARGIN + at * INNER // len(found)
        canvas.text(x, FIGURES_TOP + 28, "label", title, "quiet")
        canvas.text(x, FIGURES_TOP + 66, "figure", value, "ink")
        canvas.text(x, FIGURES_TOP + 126, "label", unit, "quiet")
    return canvas.png()


def figures(model: Model, ranges: Sequence[PriceRange]) -> list[tuple[str, str, str]]:
    """(title, value, unit) of three figures; what is not known is said."""
    context = model.context_length
    found = [("Context", ENGLISH.number(context) if context else "unknown", "tokens")]
    by_name = {row.name: row for row in ranges}
    other = paid_otherwise(model)
    if other is not None:
        by_name.clear()
        each = other.name == "request"
        text = f"${Picodollars(other.least).dollars()}" if each else price(other.least, ENGLISH)
        found.append(("Price", text, "each request" if each else "per million"))
    for name, title in (("input", "Input"), ("output", "Output")):
        row = by_name.get(name)
        if row is not None:
            value = price(row.least, ENGLISH)
            if row.least != row.most:
                value = f"from {value}" if row.least else f"{value} – {price(row.most, ENGLISH)}"
            found.append((title, value, "per million tokens"))
    if not ranges:
        output = model.max_output_tokens
        found.append(("Max output", ENGLISH.number(output) if output else "unknown", "tokens"))
        found.append(("Released", model.facts.text("released") or "unknown", ""))
    return found


def card_words(model: Model, vendor: str, ranges: Sequence[PriceRange], language: Language) -> str:
    """The picture in words."""
    words = [f"{model.name}, {vendor}"]
    if model.context_length is not None:
        count = tokens(model.context_length, language)
        words.append(language.gettext("%(count)s tokens of context") % {"count": count})
    by_name = {row.name: row for row in ranges}
    other = paid_otherwise(model)
    if other is not None:
        words.append(otherwise(other.name, other.least, language))
    elif "input" in by_name:
        words.append(
            language.gettext("from %(input)s for input and %(output)s for output per million tokens")
            % {"input": price(by_name["input"].least, language), "output": price(by_name["output"].least, language)}
        )
    return "; ".join(words)
