"""Numbers that a description tells, which must be facts of the model too: whatever has no source is not told. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fairlead.catalogue.facts import ModelFacts

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
SCALES = {"thousand": "K", "million": "M", "billion": "B", "trillion": "T"}
_DIGITS = r"\d+(?:,\d{3})*(?:\.\d+)?"
_NUMBER = re.compile(_DIGITS)
_TOLD = re.compile(rf"(?:\b(?P<month>{'|'.join(MONTHS)}) )?(?P<number>{_DIGITS})(?:[ -](?P<scale>{'|'.join(SCALES)}))?")
_IN_WORDS = re.compile(rf"(?<![\d ])[ -]?\b[A-Za-z]+[ -](?:{'|'.join(SCALES)})s?\b|\b(?:{'|'.join(SCALES)})s of\b")


def unsourced_numbers(description: str, model: ModelFacts) -> Iterator[str]:
    """What the description tells in numbers and no other fact of the model holds, in its own words."""
    values = [str(part) for name, fact in model.facts.items() if name != "description" for part in _parts(fact.value)]
    values += [model.id, *model.aliases]
    held = {number.replace(",", "") for value in values for number in _NUMBER.findall(value)}
    for found in _TOLD.finditer(description):
        number, month, scale = found["number"].replace(",", ""), found["month"], found["scale"]
        if scale is not None:
            sure = any(re.search(rf"(?<![\d.]){re.escape(number)}{SCALES[scale]}", value) for value in values)
        elif month is not None:
            sure = any(value.startswith(f"{number}-{MONTHS.index(month) + 1:02}") for value in values)
        else:
            sure = number in held
        if not sure:
            yield found[0]
    for found in _IN_WORDS.finditer(description):
        yield found[0].strip()


def _parts(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else () if value is None else (value,)
