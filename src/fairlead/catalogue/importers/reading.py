"""What every importer makes: the statements of one source, by its own exact ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation

from fairlead.catalogue.files import Statements
from fairlead.catalogue.vocabulary import CAPABILITIES

# How a source's word for a modality is called here.
MODALITY_WORDS: Mapping[str, str] = {"pdf": "file"}
KNOWN_MODALITIES = frozenset({"text", "image", "audio", "video", "file"})


@dataclass(frozen=True, slots=True)
class Reading:
    """`key`: the source's word in our files. `dropped`: what it says and contradicts itself, by id, with the reason."""

    key: str
    models: Mapping[str, Statements]
    dropped: Mapping[str, tuple[str, ...]]


def modalities(given: Iterable[str]) -> tuple[str, ...]:
    words = {MODALITY_WORDS.get(word, word) for word in given} & KNOWN_MODALITIES
    return tuple(sorted(words, key=lambda word: (word != "text", word)))


def from_modalities(taken: tuple[str, ...], given: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """The capabilities that follow from what goes in and comes out: (has, has not)."""
    can: list[str] = []
    cannot: list[str] = []
    for row in CAPABILITIES.values():
        if row.takes is not None or row.gives is not None:
            (can if row.takes in taken or row.gives in given else cannot).append(row.name)
    return can, cannot


def per_million(amount: float | str, times: int = 1) -> str | None:
    """A price as a decimal string without needless zeros; None when it is none (some sources write -1 for "varies")."""
    try:
        value = Decimal(str(amount)) * times
    except InvalidOperation:
        return None
    if not value.is_finite() or value < 0:
        return None
    text = f"{value.normalize():f}"
    return text if -value.normalize().as_tuple().exponent <= 6 else None  # type: ignore[operator]


def day(text: str | None) -> str | None:
    """A date of a source when it is one: "2025", "2025-06" or "2025-06-20"."""
    if not text:
        return None
    try:
        date.fromisoformat((text + "-01-01")[:10])
    except ValueError:
        return None
    return text
