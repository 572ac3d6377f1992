"""The list of models as /models shows it: what can be asked for, what matches, in which order. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from urllib.parse import urlencode

from fairlead.catalogue.snapshot import Model, Snapshot
from fairlead.catalogue.views import paid_otherwise
from fairlead.site.shown import PICODOLLARS_PER_DOLLAR_A_MILLION
from fairlead.site.states import NOT_DEPLOYED, Kind, State

PAGE_ROWS = 100
MOST_QUERY_LETTERS = 200
FACETS = ("input", "output", "capability", "provider", "parameter", "vendor")
CONTEXTS = (8_192, 32_768, 131_072, 262_144, 1_000_000)
PRICES = ("0.10", "0.50", "1", "3", "10")
VIEWS = ("table", "cards", "chart")


@dataclass(frozen=True, slots=True)
class Entry:
    """A model in the list. Prices: the lowest of its deployments, in picodollars per token; None: not deployed.
    `price_other`: class and lowest price of what is charged where tokens of input and output cost nothing.
    `price_listed`, `price_listed_out`: what the first source of the catalogue lists elsewhere."""

    id: str
    name: str
    vendor: str
    vendor_name: str
    description: str
    path: str
    created: int
    context: int | None
    max_output: int | None
    input: tuple[str, ...]
    output: tuple[str, ...]
    capability: tuple[str, ...]
    parameter: tuple[str, ...]
    provider: tuple[str, ...]
    price_in: int | None
    price_out: int | None
    state: Kind
    obstacle: str | None
    demonstration: bool = False
    price_listed: int | None = None
    price_listed_out: int | None = None
    mode: str = "chat"
    price_other: tuple[str, int] | None = None

    @property
    def callable(self) -> bool:
        return self.state in ("up", "degraded")

    @property
    def haystack(self) -> str:
        mode = "" if self.mode == "chat" else self.mode
        return f"{self.id} {self.name} {self.vendor_name} {self.description} {mode}".lower()

    @property
    def free(self) -> bool:
        return self.price_in == 0 and self.price_out == 0 and self.price_other is None


# A key's figure, None where it is not known; what is not known comes last in both directions.
SORTS: Mapping[str, Callable[[Entry], int | str | None]] = {
    "name": lambda entry: entry.name.lower(),
    "released": lambda entry: entry.created or None,
    "context": lambda entry: entry.context,
    "output": lambda entry: entry.max_output,
    # What is charged otherwise cannot be compared with prices of tokens, and is not free.
    "price": lambda entry: None if entry.price_other else entry.price_in,
    "output_price": lambda entry: None if entry.price_other else entry.price_out,
}
DEFAULT_SORT = ("-released",)


@dataclass(frozen=True, slots=True)
class Query:
    """What a visitor asks for; the address of the page is made of it and of nothing else. `price`: the most that input
    may cost, in dollars per million tokens. `sort`: keys in order; one that begins with "-" goes down."""

    words: str = ""
    wanted: Mapping[str, tuple[str, ...]] | None = None
    context: int | None = None
    price: str | None = None
    free: bool = False
    available: bool = False
    sort: tuple[str, ...] = ()
    view: str = "table"
    page: int = 1

    def has(self, facet: str, value: str) -> bool:
        return value in (self.wanted or {}).get(facet, ())

    @property
    def filters(self) -> int:
        """How many filters are on, besides the words."""
        chosen = sum(len(values) for values in (self.wanted or {}).values())
        return chosen + (self.context is not None) + (self.price is not None) + self.free + self.available

    def address(self, path: str = "/models", *, page: int = 1, view: str | None = None) -> str:
        """The path with its query string, in one spelling for one question."""
        query = replace(self, page=page, view=view or self.view)
        pairs: list[tuple[str, str]] = []
        if query.words:
            pairs.append(("q", query.words))
        for facet in FACETS:
            pairs += [(facet, value) for value in (query.wanted or {}).get(facet, ())]
        if query.context is not None:
            pairs.append(("context", str(query.context)))
        if query.price is not None:
            pairs.append(("price", query.price))
        pairs += [(name, "1") for name in ("free", "available") if getattr(query, name)]
        pairs += [("sort", key) for key in query.sort]
        if query.view != "table":
            pairs.append(("view", query.view))
        if query.page > 1:
            pairs.append(("page", str(query.page)))
        return f"{path}?{urlencode(pairs)}" if pairs else path


def parse(pairs: Iterable[tuple[str, str]]) -> Query:
    """A query from the pairs of an address. What is not understood is left out: an old link still shows a list."""
    wanted: dict[str, tuple[str, ...]] = {}
    found = Query()
    for name, value in pairs:
        value = value.strip()
        if not value or len(value) > MOST_QUERY_LETTERS:
            continue
        if name == "q":
            found = replace(found, words=value)
        elif name in FACETS:
            if value not in wanted.get(name, ()):
                wanted[name] = (*wanted.get(name, ()), value)
        elif name == "context" and value.isdecimal() and value.isascii():
            found = replace(found, context=min(int(value[:12]), 10**12) or None)
        elif name == "price" and _dollars(value) is not None:
            found = replace(found, price=value)
        elif name in ("free", "available"):
            found = replace(found, **{name: value == "1"})  # type: ignore[arg-type]
        elif name == "sort" and value.removeprefix("-") in SORTS and not _sorted_by(found.sort, value):
            found = replace(found, sort=(*found.sort, value))
        elif name == "view" and value in VIEWS:
            found = replace(found, view=value)
        elif name == "page" and value.isdecimal() and value.isascii():
            found = replace(found, page=max(1, int(value[:6])))
    return replace(found, wanted=wanted)


def _sorted_by(sort: tuple[str, ...], key: str) -> bool:
    return any(key.removeprefix("-") == other.removeprefix("-") for other in sort)


def _dollars(text: str) -> Decimal | None:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() and 0 <= value <= 1_000_000 else None


def select(entries: Iterable[Entry], query: Query) -> list[Entry]:
    """The entries that match, in the order that was asked for."""
    words = query.words.lower().split()
    most = _dollars(query.price) if query.price is not None else None
    limit = None if most is None else int(most * PICODOLLARS_PER_DOLLAR_A_MILLION)

    def matches(entry: Entry) -> bool:
        if (query.free and not entry.free) or (query.available and not entry.callable):
            return False
        if query.context is not None and (entry.context or 0) < query.context:
            return False
        if limit is not None and (entry.price_in is None or entry.price_other or entry.price_in > limit):
            return False
        if not _has_facets(entry, query.wanted or {}):
            return False
        if not words:
            return True
        haystack = entry.haystack
        return all(word in haystack for word in words)

    return ordered([entry for entry in entries if matches(entry)], query.sort)


def _has_facets(entry: Entry, wanted: Mapping[str, tuple[str, ...]]) -> bool:
    """Vendor and provider: any of those named. All else: every one."""
    for facet, values in wanted.items():
        if facet == "vendor":
            if entry.vendor not in values:
                return False
            continue
        own: tuple[str, ...] = getattr(entry, facet)
        found = any(value in own for value in values) if facet == "provider" else all(value in own for value in values)
        if not found:
            return False
    return True


def ordered(entries: list[Entry], sort: Sequence[str]) -> list[Entry]:
    """Sorted by the keys, the first counts most; without keys what can be called comes first, then the newest."""
    entries = sorted(entries, key=lambda entry: entry.id)
    for key in reversed(tuple(sort) or DEFAULT_SORT):
        figure = SORTS[key.removeprefix("-")]
        known = [entry for entry in entries if figure(entry) is not None]
        unknown = [entry for entry in entries if figure(entry) is None]
        known.sort(key=figure, reverse=key.startswith("-"))  # type: ignore[arg-type]
        entries = known + unknown
    if not sort:
        entries.sort(key=lambda entry: (entry.state == "none", entry.demonstration))
    return entries


def entries_of(snapshot: Snapshot, states: Mapping[str, State]) -> tuple[Entry, ...]:
    """`states`: of the models that are deployed."""
    names = vendor_names(snapshot)
    return tuple(_entry(model, names, states.get(model.id, NOT_DEPLOYED)) for model in snapshot.models.values())


def vendor_names(snapshot: Snapshot) -> Mapping[str, str]:
    """The names of those who make models, by the word that stands in addresses."""
    vendors = {model.vendor for model in snapshot.models.values()}
    return {vendor: vendor_name(snapshot, vendor) for vendor in sorted(vendors)}


def vendor_name(snapshot: Snapshot, vendor: str) -> str:
    known = snapshot.vendors.get(vendor)
    return vendor if known is None else known.name


def _entry(model: Model, names: Mapping[str, str], state: State) -> Entry:
    rates = [deployment.sheet.price.rates for deployment in model.deployments]
    listed = listed_prices(model)
    other = paid_otherwise(model)
    return Entry(
        id=model.id,
        name=model.name,
        vendor=model.vendor,
        vendor_name=names[model.vendor],
        description=model.description,
        path=f"/models/{model.vendor}/{model.id}",
        created=model.created,
        context=model.context_length,
        max_output=model.max_output_tokens,
        input=tuple(model.input_modalities),
        output=tuple(model.output_modalities),
        capability=tuple(model.capabilities),
        parameter=tuple(model.parameters),
        provider=tuple(dict.fromkeys(deployment.provider for deployment in model.deployments)),
        price_in=min((rate.input for rate in rates), default=None),
        price_out=min((rate.output for rate in rates), default=None),
        state=state.kind,
        obstacle=state.obstacle,
        demonstration=model.demonstration,
        price_listed=listed.input if listed else None,
        price_listed_out=listed.output if listed else None,
        mode=model.mode,
        price_other=None if other is None else (other.name, other.least),
    )


@dataclass(frozen=True, slots=True)
class Listed:
    """What the first source of the catalogue that lists a price asks elsewhere, in picodollars per token."""

    input: int
    output: int | None
    source: str
    title: str
    read: str


def listed_prices(model: Model) -> Listed | None:
    facts = model.facts
    for row in facts.prices:
        if "input" in row.rates:
            source = facts.sources[row.source]
            output = row.rates.get("output")
            return Listed(_picodollars(row.rates["input"]), None if output is None else _picodollars(output),
                          row.source, source.title, source.read)  # fmt: skip
    return None


def _picodollars(dollars_per_million: str) -> int:
    return int(Decimal(dollars_per_million) * PICODOLLARS_PER_DOLLAR_A_MILLION)


def facets_of(entries: Iterable[Entry]) -> dict[str, list[tuple[str, int]]]:
    """The values of each facet with the number of models that have them, the most frequent first."""
    counts: dict[str, dict[str, int]] = {facet: {} for facet in FACETS}
    for entry in entries:
        for facet in FACETS:
            own = getattr(entry, facet)
            for value in (own,) if isinstance(own, str) else own:
                counts[facet][value] = counts[facet].get(value, 0) + 1
    return {facet: sorted(found.items(), key=lambda item: (-item[1], item[0])) for facet, found in counts.items()}
