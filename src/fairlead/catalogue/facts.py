"""What is known of a model: every fact with the source that says it, and what other sources say instead.

The names of facts are these words, and a dotted word for each member of a family: `name`, `description`, `family`,
`released`, `knowledge_cutoff`, `licence`, `weights`, `open_weights`, `size`, `context_length`, `max_output_tokens`,
`input_modalities`, `output_modalities`, `tokenizer`, `quantization`, `mode`, `status`, `retires`, `successor`,
`capability.NAME`, `parameter.NAME`, `default.NAME`, `range.NAME`, `link.NAME`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Struct

# A date is "2025", "2025-06" or "2025-06-20". None: unknown.
Scalar = str | int | float | bool
Value = Scalar | tuple[Scalar, ...]

SourceKind = Literal["vendor", "card", "provider", "collection", "measurement", "operator", "ours"]


class Vendor(Struct, frozen=True, forbid_unknown_fields=True):
    """Who made a model. `slug` is the first part of the page's path."""

    slug: str
    name: str
    url: str | None = None


class Source(Struct, frozen=True):
    """Who says something. `read`: the day on which we read it; `edition`: the newest date in what we read, which is a
    part of the title too.

    `kind`: `vendor` (the maker's documentation or own API), `card` (the model card beside the weights), `provider` (who
    serves it), `collection` (who collects what others say), `measurement` (we tried it), `operator` (this server's
    configuration), `ours` (a description in our own words).
    """

    key: str
    title: str
    kind: SourceKind
    read: str
    url: str | None = None
    edition: str | None = None


class Claim(Struct, frozen=True):
    """What one source says, where another one is believed."""

    source: str
    value: Value


class Fact(Struct, frozen=True):
    """`value` None: unknown. `source` is a key of the model's `sources`; "" when nobody says anything that we believe.

    `others` are the sources that say something else, and then `why` says why this one is believed."""

    value: Value | None
    source: str
    why: str = ""
    others: tuple[Claim, ...] = ()


class ListPrice(Struct, frozen=True):
    """What a source lists, in US dollars per million tokens as decimal strings (`request`: per request).

    For reference only: nothing is billed by it. Classes are named as in a price sheet. `long_rates` hold for the whole
    call when its prompt is above `long_above` tokens."""

    source: str
    rates: dict[str, str]
    long_rates: dict[str, str] = {}
    long_above: int | None = None


class Change(Struct, frozen=True):
    """A fact that became another one on a day. `before` None: it was not known."""

    on: str
    fact: str
    before: Value | None
    after: Value | None
    source: str


class ModelFacts(Struct, frozen=True):
    """A model's file, resolved. Sources stand in the order in which they are believed. `sent`: the parameters whose
    default this server sends where a caller leaves them out; other defaults are what happens then anyway."""

    id: str
    vendor: str
    sources: dict[str, Source]
    facts: dict[str, Fact]
    aliases: tuple[str, ...] = ()
    prices: tuple[ListPrice, ...] = ()
    history: tuple[Change, ...] = ()
    added: str = ""
    sent: tuple[str, ...] = ()
    demonstration: bool = False

    def get(self, name: str) -> Fact:
        """The fact of that name; an unknown one when no source says anything."""
        return self.facts.get(name, NOT_KNOWN)

    def text(self, name: str) -> str | None:
        value = self.get(name).value
        return value if isinstance(value, str) else None

    def whole(self, name: str) -> int | None:
        value = self.get(name).value
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def words(self, name: str) -> tuple[str, ...]:
        value = self.get(name).value
        return tuple(str(word) for word in value) if isinstance(value, tuple) else ()

    def family(self, kind: str) -> dict[str, Fact]:
        """The facts below a word: `family("capability")` is {"reasoning": Fact, ...}."""
        start = f"{kind}."
        return {name.removeprefix(start): fact for name, fact in self.facts.items() if name.startswith(start)}

    def families(self) -> dict[str, dict[str, Fact]]:
        """All of them by their word: to look for each in turn takes as long for each."""
        found: dict[str, dict[str, Fact]] = {}
        for name, fact in self.facts.items():
            word, dot, member = name.partition(".")
            if dot:
                found.setdefault(word, {})[member] = fact
        return found

    def source_of(self, fact: Fact) -> Source | None:
        return self.sources.get(fact.source)

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What the model can do; what it cannot do and what is unknown are in `family("capability")`."""
        return tuple(name for name, fact in self.family("capability").items() if fact.value is True)

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(sorted(name for name, fact in self.family("parameter").items() if fact.value is True))

    @property
    def changed(self) -> str:
        """The day of the last change of a fact, or the day on which the model was added."""
        return max((change.on for change in self.history), default=self.added)


NOT_KNOWN = Fact(None, "")
_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?$")

encode = msgspec.json.Encoder(order="deterministic").encode
decode = msgspec.json.Decoder(ModelFacts).decode


def same(one: Value | None, other: Value | None) -> bool:
    """Whether two sources say the same: the order of words in a list says nothing, a shorter date not another one."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        if all(isinstance(word, str) for word in (*one, *other)):
            return set(one) == set(other)
        return one == other
    if isinstance(one, str) and isinstance(other, str) and _DATE.match(one) and _DATE.match(other):
        return one.startswith(other) or other.startswith(one)
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def by_source(facts: ModelFacts) -> Mapping[str, tuple[str, ...]]:
    """Which facts each source stands for, for a table of sources."""
    found: dict[str, list[str]] = {key: [] for key in facts.sources}
    for name, fact in facts.facts.items():
        if fact.source in found:
            found[fact.source].append(name)
    for price in facts.prices:
        found[price.source].append("list price")
    return {key: tuple(names) for key, names in found.items()}
