"""/account/activity: what calls came to over time, and the calls themselves. All filters are in the address."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from urllib.parse import quote_plus

from starlette.responses import JSONResponse, Response

from fairlead.accounts.keys import KeyFilter
from fairlead.admin import activity as figures
from fairlead.admin import keys
from fairlead.admin.activity import (
    LONGEST_FILTER,
    YEAR,
    Activity,
    CallFilter,
    Happening,
    window_before,
    window_of,
)
from fairlead.console import charts
from fairlead.console.charts import Beside, Figure, Series, Words
from fairlead.console.developer.confined import member_of
from fairlead.console.exports import download
from fairlead.console.page import ConsolePage, ConsoleVisit
from fairlead.errors import NotFound
from fairlead.ledger.export import csv_head, csv_row
from fairlead.ledger.rollups import DAY_SECONDS, HOUR, HOUR_SECONDS, Sums, catch_up
from fairlead.money import Picodollars
from fairlead.settings import PUBLIC
from fairlead.site.language import Language
from fairlead.store import Store


def _(message: str) -> str:
    return message


DEFAULT: Final = "7d"
CALLS_PER_PAGE: Final = 50
# Models with a colour of their own; the others are one.
COLOURED: Final = charts.COLOURS - 1
TIMES: Final = (
    ("24h", _("24 hours")), ("7d", _("7 days")), ("30d", _("30 days")), ("90d", _("90 days")), (YEAR, _("12 months")),
)  # fmt: skip
NAMES: Final = ("model", "key", "project", "session", "user")
TITLES: Final = (
    ("model", _("Model")), ("key", _("Key")), ("project", _("Project")), ("session", _("Session")),
    ("user", _("End user")),
)  # fmt: skip
# Those that take what was typed as it is.
TYPED: Final = ("session", "user")
KEY_ID: Final = "key_"
# Values of each dimension that the menu offers; of keys the newest, the others are found by their names.
MOST_OFFERED: Final = 12
MOST_NAMED: Final = 100
DAY_LENGTH: Final = len("2027-01-01")
HOUR_LENGTH: Final = len("2027-01-01T12")
EXPORTED_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Address:
    """The filters of a page as its address has them: "" for those that are not there."""

    time: str
    model: str = ""
    key: str = ""
    project: str = ""
    session: str = ""
    user: str = ""
    compare: bool = False  # with the period before

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Address:
        given = {name: query.get(name, "").strip()[:LONGEST_FILTER] for name in NAMES}
        first, last = query.get("from", "")[:10], query.get("to", "")[:10]
        time = f"{first}..{last or first}" if first else query.get("time", DEFAULT)[:32]
        return cls(time, **given, compare=query.get("compare") == "1")

    def filter(self, account_id: str, member_id: str | None) -> CallFilter:
        return CallFilter(
            account_id, self.model or None, self.key or None, self.project or None, member_id, self.session or None,
            self.user or None,
        )  # fmt: skip

    def query(self, **changed: str) -> str:
        """The same with other filters, as the query of an address."""
        # Not urlencode: a page has some hundred of these, of plain words.
        return "?" + "&".join([f"{name}={quote_plus(value)}" for name, value in self.kept(**changed).items()])

    def kept(self, *but: str, **changed: str) -> dict[str, str]:
        """What an address or a form has of it: nothing that is the default, and nothing of `but`."""
        values = {
            "time": self.time, "model": self.model, "key": self.key, "project": self.project, "session": self.session,
            "user": self.user, "compare": "1" if self.compare else "", **changed,
        }  # fmt: skip
        if values["time"] == DEFAULT:
            values["time"] = ""
        return {name: value for name, value in values.items() if value and name not in but}

    @property
    def cleared(self) -> str:
        """The same without its filters, besides the time."""
        return self.query(**dict.fromkeys(NAMES, ""))

    @property
    def narrowed(self) -> dict[str, str]:
        """The filters that are set, besides the time."""
        return {name: getattr(self, name) for name in NAMES if getattr(self, name)}

    @property
    def days(self) -> tuple[str, str]:
        """The first and the last day of a time of one's own."""
        first, dots, last = self.time.partition("..")
        return (first[:10], last[:10]) if dots else ("", "")

    @property
    def own(self) -> str:
        """A time of one's own as it is shown, "" for one of those that the page offers."""
        first, dots, last = self.time.replace("T", " ").partition("..")
        hours = ":00", ":59 UTC"
        ends = (first + hours[0], last + hours[1]) if len(first) > DAY_LENGTH else (first, last)
        return "" if not dots else ends[0] if first == last and len(first) <= DAY_LENGTH else " – ".join(ends)


class Chip(NamedTuple):
    """A filter that is set: its name in the address, and what the page shows for it."""

    name: str
    title: str
    text: str


class Dimension(NamedTuple):
    """What calls can be filtered by. `values`: as the address has them, each with what is shown; `free`: what can be
    typed where any value will do, "" where it is one of `values`."""

    name: str
    title: str
    values: tuple[tuple[str, str], ...]
    free: str = ""


async def activity(visit: ConsoleVisit) -> Response:
    """Figures, charts and calls."""
    await visit.services.flush()
    address = await _with_key(visit, Address.of(visit.query))
    window = window_of(address.time)
    wanted = address.filter(visit.account_id, member_of(visit))
    before = _before(visit.query.get("before", ""))
    everything = visit.can("operate")
    public = visit.services.settings().server.status == PUBLIC
    models = visit.services.snapshot().models

    def read(store: Store) -> dict[str, Any]:
        counted = catch_up(store)
        found = figures.activity(store, wanted, window)
        served = [one.id for model, _ in found.models if model in models for one in models[model].deployments]
        known = served if public or everything else ()
        lines = figures.list_calls(store, wanted, window, CALLS_PER_PAGE + 1, before)
        shown = lines[:CALLS_PER_PAGE]
        named = {line.key_id for line in shown} | ({wanted.key_id} if wanted.key_id else set())
        recent = keys.newest_keys(store, KeyFilter(visit.account_id, member_of(visit), state="all"), MOST_OFFERED)
        return {
            "found": found,
            "counted": counted,
            "former": figures.activity(store, wanted, window_before(window)) if address.compare else None,
            "happenings": figures.happenings(store, window, known, configuration=everything),
            "calls": shown,
            "more": f"{shown[-1].at}.{shown[-1].number}" if len(lines) > CALLS_PER_PAGE else None,
            "keys": figures.names_of_keys(store, named),
            "projects": figures.names_of_projects(store, visit.account_id),
            "has_keys": bool(recent),
            "recent": [(one.id, one.name) for one in recent],
        }

    values = await visit.run(read)
    found, former = values["found"], values["former"]
    spans = spans_of(found)
    beside = BesideAll(
        former, notes_of(found, values["happenings"], visit.language), [address.query(time=one) for one in spans]
    )
    return visit.render(
        "account/activity.html",
        **values,
        address=address,
        chips=_chips(address, values, visit.language),
        offered=_offered(address, values, visit.language),
        kinds={name: visit.gettext(title) for name, title in TITLES if name in TYPED and not getattr(address, name)},
        times=TIMES,
        window=window,
        latency=figures.latency_of(found.total),
        changes=changes(found.total, former.total, visit.language) if former is not None else {},
        spans=spans,
        charts=charts_of(found, visit.language, beside) if found.total.requests else (),
        newest=values["calls"][0].number if values["calls"] and not before else 0,
        before=before,
        share=share,
    )


async def _with_key(visit: ConsoleVisit, address: Address) -> Address:
    """A key can be written by its name: the newest that has it, else the newest that has it as a part."""
    if not address.key or address.key.startswith(KEY_ID):
        return address
    wanted = KeyFilter(visit.account_id, member_of(visit), text=address.key, state="all")
    fit = await visit.run(keys.newest_keys, wanted, MOST_NAMED)
    if not fit:
        raise NotFound("There is no such key.", param="key")
    return replace(address, key=next((one.id for one in fit if one.name == address.key), fit[0].id))


def _chips(address: Address, values: Mapping[str, Any], language: Language) -> list[Chip]:
    """The filters that are set, in the order of the page."""
    shown = {"key": values["keys"], "project": values["projects"]}
    return [
        Chip(name, language.gettext(title), shown.get(name, {}).get(value, value))
        for name, title in TITLES
        if (value := getattr(address, name))
    ]


def _offered(address: Address, values: Mapping[str, Any], language: Language) -> list[Dimension]:
    """What can be added: dimensions that have no filter yet, with values that the window has."""
    calls, said = values["calls"], language.gettext
    models = [(model, model) for model, _sums in values["found"].models if model]
    of = {
        "model": Dimension("model", "", tuple(models[:MOST_OFFERED])),
        "key": Dimension("key", "", tuple(values["recent"]), said(_("Name of a key"))),
        "project": Dimension("project", "", tuple(values["projects"].items())),
        "session": Dimension("session", "", _seen(call.session for call in calls), said(_("Id of a session"))),
        "user": Dimension("user", "", _seen(call.user for call in calls), said(_("Id of an end user"))),
    }
    return [
        of[name]._replace(title=said(title))
        for name, title in TITLES
        if not getattr(address, name) and (of[name].values or of[name].free)
    ]


def _seen(found: Iterable[str | None]) -> tuple[tuple[str, str], ...]:
    """Each once, the newest first."""
    return tuple((one, one) for one in dict.fromkeys(one for one in found if one))[:MOST_OFFERED]


def share(part: int, whole: int) -> float | None:
    """Per cent; None of nothing."""
    return part * 100 / whole if whole else None


def _before(text: str) -> tuple[int, int] | None:
    at, _dot, number = text.partition(".")
    right = at.isdecimal() and number.isdecimal() and len(text) < 40
    return (int(at), int(number)) if right else None


async def newest(visit: ConsoleVisit) -> Response:
    """Whether there are calls that the page does not show: asked by its script every few seconds."""
    await visit.services.flush()
    address = Address.of(visit.query)
    wanted = address.filter(visit.account_id, member_of(visit))
    found = await visit.run(figures.newest_call, wanted, window_of(address.time))
    return JSONResponse({"newest": found})


async def export(visit: ConsoleVisit) -> Response:
    """The calls as CSV, oldest first, with the columns of `fairlead usage export`."""
    await visit.services.flush()
    address = Address.of(visit.query)
    window, wanted = window_of(address.time), address.filter(visit.account_id, member_of(visit))
    first, place = await visit.run(figures.export_page, wanted, window, EXPORTED_AT_ONCE)

    async def parts() -> AsyncIterator[bytes]:
        yield csv_head()
        rows, at = first, place
        while rows:
            yield b"".join(map(csv_row, rows))
            rows, at = await visit.run(figures.export_page, wanted, window, EXPORTED_AT_ONCE, at)

    return download(parts(), "text/csv; charset=utf-8", f"calls-{address.time}.csv")


# --- against the period before


def changes(now: Sums, former: Sums, language: Language) -> dict[str, tuple[str, str]]:
    """By the name of a figure: how much it has changed, with its sign, and what it was. Shares change by percentage
    points."""
    number = language.number

    def relative(value: float, before: float, shown: str) -> tuple[str, str]:
        return ("–" if not before else f"{_signed((value - before) * 100 / before, language)} %"), shown

    def points(value: float | None, before: float | None) -> tuple[str, str]:
        if value is None or before is None:
            return "–", "–" if before is None else f"{number(before, 1)} %"
        return f"{_signed(value - before, language)} {language.gettext(_('points'))}", f"{number(before, 1)} %"

    latencies = figures.latency_of(now), figures.latency_of(former)
    found = {
        "spend": relative(now.charged, former.charged, f"${former.charged / 1e12:,.2f}"),
        "calls": relative(now.requests, former.requests, number(former.requests)),
        "failed": points(share(now.failed, now.requests), share(former.failed, former.requests)),
        "tokens": relative(
            now.prompt_tokens + now.completion_tokens,
            former.prompt_tokens + former.completion_tokens,
            number(former.prompt_tokens + former.completion_tokens),
        ),
        "cached": points(
            share(now.cached_tokens, now.prompt_tokens), share(former.cached_tokens, former.prompt_tokens)
        ),
    }
    if latencies[0] is not None and latencies[1] is not None:
        found["latency"] = relative(latencies[0][0], latencies[1][0], f"{number(latencies[1][0] / 1000, 2)} s")
    return found


def _signed(value: float, language: Language) -> str:
    text = language.number(abs(value), 1)
    zero = language.number(0, 1)
    return text if text == zero else f"{'+' if value > 0 else '−'}{text}"


class BesideAll(NamedTuple):
    """Of all charts of the page: the period before, what happened, and where steps lead to."""

    former: Activity | None = None
    notes: Mapping[int, str] = MappingProxyType({})
    links: Sequence[str] = ()

    def of(self, value: Callable[[Sums], float | None], said: Callable[[str], str]) -> Beside:
        former = () if self.former is None else [value(step.total) for step in self.former.steps]
        return Beside(former, said(_("Period before")), said(_("Event")), self.notes, self.links)


def spans_of(found: Activity) -> list[str]:
    """Each step as a time of its own, as the address has it."""
    ends = [*found.window.steps[1:], found.window.until]
    hours = found.window.span == HOUR
    unit = HOUR_SECONDS if hours else DAY_SECONDS
    return [
        f"{_begin(one, hours)}..{_begin(end - unit, hours)}" for one, end in zip(found.window.steps, ends, strict=True)
    ]


@lru_cache(maxsize=512)
def _begin(seconds: int, hours: bool) -> str:
    """An hour or a day as an address has it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()[: HOUR_LENGTH if hours else DAY_LENGTH]


def notes_of(found: Activity, happened: Sequence[Happening], language: Language) -> dict[int, str]:
    """By step, what happened in it."""
    told: dict[int, dict[str, None]] = {}
    for one in happened:
        at = bisect_right(found.window.steps, one.at) - 1
        words = _("%(name)s out of use") if one.kind == "down" else _("configuration %(name)s applied")
        told.setdefault(at, {})[language.gettext(words) % {"name": one.subject}] = None
    return {at: "; ".join(words) for at, words in told.items()}


# --- charts


def charts_of(
    found: Activity,
    language: Language,
    beside: BesideAll = BesideAll(),  # noqa: B008 - a constant
) -> tuple[tuple[str, Figure], ...]:
    """Spend, calls, latency, tokens, cache share: each with its title."""
    said = language.gettext
    time, steps = said(_("From")), _steps(found)
    totals = [step.total for step in found.steps]

    def count(value: float) -> str:
        return language.number(value)

    def per_cent(value: float) -> str:
        return f"{language.number(value, 1)} %"

    def seconds(value: float) -> str:
        return f"{language.number(value / 1000, 2)} s"

    def whole_seconds(value: float) -> str:
        return f"{language.number(value / 1000, 0 if value >= 10_000 else 1)} s"

    failed = [one.failed for one in totals]
    answered = [one.requests - one.failed for one in totals]
    rate = share(found.total.failed, found.total.requests) or 0
    calls = charts.bars(
        steps,
        [Series(said(_("Answered")), answered, "s0"), Series(said(_("Failed")), failed, "bad")],
        Words(
            count, _short_count(language), f"{said(_('Calls'))}: {count(found.total.requests)}, {per_cent(rate)}", time
        ),
        beside=beside.of(lambda one: one.requests, said),
    )
    latencies = [figures.latency_of(one) for one in totals]
    latency = charts.line(
        steps,
        [None if one is None else one[0] for one in latencies],
        [None if one is None else one[1] for one in latencies],
        ("p50", "p95"),
        Words(seconds, whole_seconds, said(_("Latency")), time),
        beside=beside.of(lambda one: (figures.latency_of(one) or (None,))[0], said),
    )
    tokens = charts.bars(
        steps,
        [
            Series(said(_("Prompt, from cache")), [one.cached_tokens for one in totals], "s2"),
            Series(said(_("Prompt, other")), [one.prompt_tokens - one.cached_tokens for one in totals], "s0"),
            Series(said(_("Completion")), [one.completion_tokens for one in totals], "s1"),
        ],
        Words(count, _short_count(language), said(_("Tokens")), time),
        said(_("Total")),
        beside.of(lambda one: one.prompt_tokens + one.completion_tokens, said),
    )
    cache = charts.line(
        steps,
        [share(one.cached_tokens, one.prompt_tokens) for one in totals],
        [None] * len(totals),
        (said(_("Cache share")), ""),
        Words(per_cent, per_cent, said(_("Cache share")), time),
        most=100.0,
        beside=beside.of(lambda one: share(one.cached_tokens, one.prompt_tokens), said),
    )
    return (
        (said(_("Spend by model")), spend_chart(found, language, beside)),
        (said(_("Calls and errors")), calls),
        (said(_("Latency, to the end of the answer")), latency),
        (said(_("Tokens")), tokens),
        (said(_("Share of prompt tokens from cache")), cache),
    )


def spend_chart(
    found: Activity,
    language: Language,
    beside: BesideAll = BesideAll(),  # noqa: B008 - a constant
) -> Figure:
    """What calls were charged, by model."""
    said = language.gettext

    def dollars(value: float) -> str:
        return f"${Picodollars(int(value)).dollars()}"

    def round_dollars(value: float) -> str:
        amount = value / 1e12
        return f"${language.number(amount, 0 if amount >= 10 else 2)}" if amount >= 0.01 else f"${amount:g}"

    return charts.bars(
        _steps(found),
        _by_model(found, said),
        Words(dollars, round_dollars, _spend_summary(found, language), said(_("From"))),
        said(_("Total")),
        beside.of(lambda one: one.charged, said),
    )


def _steps(found: Activity) -> list[str]:
    starts = found.window.steps
    size = (starts[1] if len(starts) > 1 else found.window.until) - starts[0]
    return [charts.moment(one, size) for one in starts]


def _by_model(found: Activity, said: Any) -> list[Series]:
    """The models that cost the most, each a colour, and all others together."""
    named = [model for model, sums in found.models if sums.charged][:COLOURED]
    series = [
        Series(
            model or said(_("unknown")),
            [_charged(step.models.get(model)) for step in found.steps],
            f"s{at}",
        )
        for at, model in enumerate(named)
    ]
    if len(found.models) > len(series):
        sums = zip(*(one.values for one in series), strict=True) if series else [()] * len(found.steps)
        rest = [step.total.charged - sum(charged) for step, charged in zip(found.steps, sums, strict=True)]
        if any(rest):
            series.append(Series(said(_("Other models")), rest, f"s{COLOURED}"))
    return series or [Series(said(_("Spend")), [0] * len(found.steps), "s0")]


def _charged(sums: Sums | None) -> int:
    return 0 if sums is None else sums.charged


def _spend_summary(found: Activity, language: Language) -> str:
    return f"{language.gettext(_('Spend by model'))}: ${Picodollars(found.total.charged).dollars()}"


def _short_count(language: Language) -> Any:
    def written(value: float) -> str:
        for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
            if value >= size:
                return f"{language.number(value / size, 0 if value % size == 0 else 1)}{unit}"
        return language.number(value, 0 if value == int(value) else 1)

    return written


PAGES: Final = (
    ConsolePage("/account/activity", activity, "view"),
    ConsolePage("/account/activity/newest", newest, "view"),
    ConsolePage("/account/activity/calls.csv", export, "view"),
)
