"""Which models are like another one, by what they take, can, hold and cost, with the reason in words. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal

from msgspec import Struct

from fairlead.catalogue.facts import ModelFacts

# What counts how much; the sum of all is 1. A fact that one of the two lacks counts as half a difference.
MODALITY, CAPABILITY, CONTEXT, PRICE, FAMILY, VENDOR = 0.2, 0.2, 0.15, 0.2, 0.15, 0.1
# Contexts and prices that differ by this factor or more are as different as can be.
WIDEST = math.log(64)
# Of models that only the configuration names; to have it in common says nothing.
UNKNOWN_VENDOR = "unknown"


class Reason(Struct, frozen=True):
    """`words` with places: %(number)s for `number`, %(things)s for `things`, so that it can be said in any language;
    str() says it in English."""

    words: str
    number: float | None = None
    things: tuple[str, ...] = ()

    def __str__(self) -> str:
        number = "" if self.number is None else f"{self.number:.1f}".removesuffix(".0")
        return self.words % {"number": number, "things": ", ".join(self.things)}


# Every sentence that a reason may be, and the things that it may name.
WORDS = (
    "same family", "same vendor", "listed as free", "half the price", "about the same price",
    "%(number)s %% cheaper", "%(number)s times the price", "reasons before it answers", "answers without reasoning",
    "%(number)s times the context", "a shorter context", "open weights", "also takes %(things)s", "takes no %(things)s",
    "the same abilities",
)  # fmt: skip
THINGS = {"image": "images", "audio": "audio", "video": "video", "file": "files", "text": "text"}


class Similar(Struct, frozen=True):
    """`distance` from 0 (the same) to 1. `reasons` begin with what tells the two apart or binds them most."""

    model: ModelFacts
    distance: float
    reasons: tuple[Reason, ...]


def similar(model: ModelFacts, others: Iterable[ModelFacts], most: int = 6) -> list[Similar]:
    """The nearest ones first; equally near ones by release, the newest first. Demonstrations are like nothing else, and
    what is for embeddings is not like what is for chats."""
    found = [
        Similar(other, distance(model, other), reasons(model, other))
        for other in others
        if other.id != model.id and not other.demonstration and _mode(other) == _mode(model)
    ]
    found.sort(key=lambda row: row.model.text("released") or "", reverse=True)
    found.sort(key=lambda row: row.distance)
    return found[:most]


def distance(one: ModelFacts, other: ModelFacts) -> float:
    return (
        MODALITY * _sets(_modalities(one), _modalities(other))
        + CAPABILITY * _capabilities(one, other)
        + CONTEXT * _scale(one.whole("context_length"), other.whole("context_length"))
        + PRICE * _scale(list_price(one), list_price(other))
        + FAMILY * (one.text("family") is None or one.text("family") != other.text("family"))
        + VENDOR * (one.vendor != other.vendor or one.vendor == UNKNOWN_VENDOR)
    )


def list_price(model: ModelFacts) -> float | None:
    """Dollars per million tokens, three of input to one of output, as the first source lists it."""
    for price in model.prices:
        if "input" in price.rates and "output" in price.rates:
            return float((3 * Decimal(price.rates["input"]) + Decimal(price.rates["output"])) / 4)
    return None


def reasons(model: ModelFacts, other: ModelFacts) -> tuple[Reason, ...]:
    """Why somebody who looks at `model` may want `other`."""
    found = []
    if model.text("family") is not None and model.text("family") == other.text("family"):
        found.append(Reason("same family"))
    elif model.vendor == other.vendor != UNKNOWN_VENDOR:
        found.append(Reason("same vendor"))
    found += _price_words(list_price(model), list_price(other))
    found += _more(model.words("input_modalities"), other.words("input_modalities"))
    mine, theirs = set(model.capabilities), set(other.capabilities)
    if "reasoning" in theirs - mine:
        found.append(Reason("reasons before it answers"))
    elif "reasoning" in mine - theirs:
        found.append(Reason("answers without reasoning"))
    found += _context_words(model.whole("context_length"), other.whole("context_length"))
    if model.get("open_weights").value is False and other.get("open_weights").value is True:
        found.append(Reason("open weights"))
    return tuple(found) or (Reason("the same abilities"),)


def _mode(model: ModelFacts) -> str:
    return model.text("mode") or "chat"


def _modalities(model: ModelFacts) -> set[str]:
    return {f"in {word}" for word in model.words("input_modalities")} | {
        f"out {word}" for word in model.words("output_modalities")
    }


def _sets(one: set[str], other: set[str]) -> float:
    return 0.5 if not one or not other else 1 - len(one & other) / len(one | other)


def _capabilities(one: ModelFacts, other: ModelFacts) -> float:
    """Over the capabilities that are known of either."""
    mine, theirs = one.family("capability"), other.family("capability")
    names = {*mine, *theirs}
    if not names:
        return 0.5
    total = 0.0
    for name in names:
        a, b = (row[name].value if name in row else None for row in (mine, theirs))
        total += 0.5 if a is None or b is None else float(a != b)
    return total / len(names)


def _scale(one: float | None, other: float | None) -> float:
    if one is None or other is None:
        return 0.5
    if one <= 0 or other <= 0:
        return 0.0 if one == other else 1.0
    return min(1.0, abs(math.log(one / other)) / WIDEST)


def _price_words(mine: float | None, theirs: float | None) -> list[Reason]:
    if mine is None or theirs is None or mine == theirs:
        return []
    if theirs == 0:
        return [Reason("listed as free")]
    if mine == 0:
        return []
    ratio = theirs / mine
    if 0.45 <= ratio <= 0.55:
        return [Reason("half the price")]
    if ratio < 0.9:
        return [Reason("%(number)s %% cheaper", round(100 * (1 - ratio)))]
    if ratio <= 1.1:
        return [Reason("about the same price")]
    return [Reason("%(number)s times the price", round(ratio, 1) if ratio < 10 else round(ratio))]


def _context_words(mine: int | None, theirs: int | None) -> list[Reason]:
    if mine is None or theirs is None:
        return []
    if theirs >= 1.5 * mine:
        return [Reason("%(number)s times the context", round(theirs / mine, 1))]
    return [Reason("a shorter context")] if theirs * 1.5 <= mine else []


def _more(mine: tuple[str, ...], theirs: tuple[str, ...]) -> list[Reason]:
    if not mine or not theirs:
        return []
    more = tuple(THINGS.get(word, word) for word in theirs if word not in mine)
    less = tuple(THINGS.get(word, word) for word in mine if word not in theirs)
    return ([Reason("also takes %(things)s", None, more)] if more else []) + (
        [Reason("takes no %(things)s", None, less)] if less else []
    )
