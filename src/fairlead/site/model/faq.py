"""Questions that people ask of a model, answered from its facts. What is not known is said."""

from __future__ import annotations

from dataclasses import dataclass

from fairlead.catalogue.snapshot import Model
from fairlead.catalogue.views import PriceRange, paid_otherwise
from fairlead.site.language import Language
from fairlead.site.model.code import path_of
from fairlead.site.shown import otherwise, price, tokens


@dataclass(frozen=True, slots=True)
class Question:
    question: str
    answer: str


def questions(model: Model, ranges: list[PriceRange], api: str, language: Language) -> tuple[Question, ...]:
    _ = language.gettext
    facts = model.facts
    found = [
        Question(_("What does %(name)s cost?") % {"name": model.name}, _cost(model, ranges, language)),
        Question(
            _("How do I call %(name)s?") % {"name": model.name},
            _calling(model, api, language),
        ),
    ]
    if model.mode == "chat" or model.context_length is not None:
        found.append(Question(_("What is its context window?"), _context(model, language)))
    if model.mode != "chat":  # what follows is asked of chats
        return tuple(found)
    for name, question in (
        ("tools", _("Can it call tools?")),
        ("reasoning", _("Does it reason before it answers?")),
        ("vision", _("Does it read images?")),
        ("structured_outputs", _("Can it answer in a JSON schema?")),
    ):
        value = facts.get(f"capability.{name}").value
        answer = _("Yes.") if value is True else _("No.") if value is False else _("Not known.")
        found.append(Question(question, answer))
    cutoff = facts.text("knowledge_cutoff")
    found.append(Question(_("What is its knowledge cutoff?"),
                          _("Until %(date)s.") % {"date": cutoff} if cutoff else _("Not known.")))  # fmt: skip
    return tuple(found)


def _calling(model: Model, api: str, language: Language) -> str:
    _ = language.gettext
    text = _("Send requests to %(address)s with model set to %(id)s and a key of this server.") % {
        "address": api + path_of(model.mode),
        "id": model.id,
    }
    # OpenAI has no rerank.
    return text if model.mode == "rerank" else text + " " + _("Any client of OpenAI's API works.")


def _cost(model: Model, ranges: list[PriceRange], language: Language) -> str:
    _ = language.gettext
    if not ranges:
        return _("It is not deployed on this server, so it has no price here.")
    by_name = {row.name: row for row in ranges}
    taken, given = by_name["input"], by_name["output"]
    if not any(row.most for row in ranges):
        return _("Nothing. It is free on this server.")
    other = paid_otherwise(model)
    if other is not None:
        return _("%(price)s. Charges are exact to a picodollar; nothing is rounded.") % {
            "price": otherwise(other.name, other.least, language)
        }
    if not given.most:
        return _("Input costs %(input)s per million. Charges are exact to a picodollar; nothing is rounded.") % {
            "input": _range(taken, language)
        }
    return _(
        "Input costs %(input)s and output %(output)s per million tokens. "
        "Charges are exact to a picodollar; nothing is rounded."
    ) % {
        "input": _range(taken, language),
        "output": _range(given, language),
    }


def _range(row: PriceRange, language: Language) -> str:
    least, most = price(row.least, language), price(row.most, language)
    return least if least == most else f"{least} – {most}"


def _context(model: Model, language: Language) -> str:
    _ = language.gettext
    if model.context_length is None:
        return _("Not known.")
    count = {"count": tokens(model.context_length, language)}
    if model.mode != "chat":
        return _("%(count)s tokens for each input.") % count
    text = _("%(count)s tokens for prompt and answer together.") % count
    if model.max_output_tokens is not None:
        text += " " + _("An answer has at most %(count)s tokens.") % {
            "count": tokens(model.max_output_tokens, language)
        }
    return text
