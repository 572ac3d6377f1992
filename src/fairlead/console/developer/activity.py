"""/account/activity: what calls came to over time, and the calls themselves. All filters are in the address."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import JSONResponse, Response, StreamingResponse

from fairlead.accounts.keys import KeyFilter
from fairlead.admin import activity as figures
from fairlead.admin import groups, keys
from fairlead.admin.activity import LONGEST_FILTER, YEAR, Activity, CallFilter, window_of
from fairlead.console import charts
from fairlead.console.charts import Figure, Series, Words
from fairlead.console.developer.confined import member_of
from fairlead.console.page import ConsolePage, ConsoleVisit
from fairlead.errors import Overloaded
from fairlead.ledger.export import csv_head, csv_row
from fairlead.ledger.rollups import Sums
from fairlead.money import Picodollars
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
EXPORTED_AT_ONCE: Final = 500
# Exports that are written at the same time, so that they leave threads and connections to others.
MOST_EXPORTS: Final = 2
_running: Final[set[object]] = set()


@dataclass(frozen=True, slots=True)
class Address:
    """The filters of a page as its address has them: "" for those that are not there."""

    time: str
    model: str = ""
    key: str = ""
    project: str = ""
    session: str = ""
    user: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Address:
        given = {name: query.get(name, "").strip()[:LONGEST_FILTER] for name in NAMES}
        first, last = query.get("from", "")[:10], query.get("to", "")[:10]
        time = f"{first}..{last or first}" if first else query.get("time", DEFAULT)[:32]
        return cls(time, **given)

    def filter(self, account_id: str, member_id: str | None) -> CallFilter:
        return CallFilter(
            account_id, self.model or None, self.key or None, self.project or None, member_id, self.session or None,
            self.user or None,
        )  # fmt: skip

    def query(self, **changed: str) -> str:
        """The same with other filters, as the query of an address."""
        values = {"time": self.time, **{name: getattr(self, name) for name in NAMES}, **changed}
        kept = {name: value for name, value in values.items() if value and (name, value) != ("time", DEFAULT)}
        return "?" + urlencode(kept)

    @property
    def narrowed(self) -> dict[str, str]:
        """The filters that are set, besides the time."""
        return {name: getattr(self, name) for name in NAMES if getattr(self, name)}

    @property
    def days(self) -> tuple[str, str]:
        """The first and the last day of a time of one's own."""
        first, dots, last = self.time.partition("..")
        return (first, last) if dots else ("", "")


async def activity(visit: ConsoleVisit) -> Response:
    """Figures, charts and calls."""
    await visit.services.flush()
    address = Address.of(visit.query)
    window = window_of(address.time)
    wanted = address.filter(visit.account_id, member_of(visit))
    before = _before(visit.query.get("before", ""))

    def read(store: Store) -> dict[str, Any]:
        found = figures.activity(store, wanted, window)
        lines = figures.list_calls(store, wanted, window, CALLS_PER_PAGE + 1, before)
        shown = lines[:CALLS_PER_PAGE]
        named = {line.key_id for line in shown} | ({wanted.key_id} if wanted.key_id else set())
        return {
            "found": found,
            "calls": shown,
            "more": f"{shown[-1].at}.{shown[-1].number}" if len(lines) > CALLS_PER_PAGE else None,
            "keys": figures.names_of_keys(store, named),
            "projects": {one.id: one.name for one in groups.list_groups(store, "project", visit.account_id)},
            "has_keys": bool(keys.newest_keys(store, KeyFilter(visit.account_id, state="all"), 1)),
        }

    values = await visit.run(read)
    found = values["found"]
    return visit.render(
        "account/activity.html",
        **values,
        address=address,
        times=TIMES,
        window=window,
        latency=figures.latency_of(found.total),
        charts=charts_of(found, visit.language) if found.total.requests else (),
        newest=values["calls"][0].number if values["calls"] and not before else 0,
        before=before,
        share=share,
    )


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
    if len(_running) >= MOST_EXPORTS:
        raise Overloaded("Too many exports are being written at the moment. Try again soon.", retry_after_seconds=5)

    async def parts() -> AsyncIterator[bytes]:
        mark = object()
        _running.add(mark)
        try:
            yield csv_head()
            rows, at = first, place
            while rows:
                yield b"".join(map(csv_row, rows))
                rows, at = await visit.run(figures.export_page, wanted, window, EXPORTED_AT_ONCE, at)
        finally:
            _running.discard(mark)

    answer = StreamingResponse(parts(), media_type="text/csv; charset=utf-8")
    answer.headers["content-disposition"] = f'attachment; filename="calls-{address.time}.csv"'
    return answer


# --- charts


def charts_of(found: Activity, language: Language) -> tuple[tuple[str, Figure], ...]:
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
    )
    latencies = [figures.latency_of(one) for one in totals]
    latency = charts.line(
        steps,
        [None if one is None else one[0] for one in latencies],
        [None if one is None else one[1] for one in latencies],
        ("p50", "p95"),
        Words(seconds, whole_seconds, said(_("Latency")), time),
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
    )
    cache = charts.line(
        steps,
        [share(one.cached_tokens, one.prompt_tokens) for one in totals],
        [None] * len(totals),
        (said(_("Cache share")), ""),
        Words(per_cent, per_cent, said(_("Cache share")), time),
        most=100.0,
    )
    return (
        (said(_("Spend by model")), spend_chart(found, language)),
        (said(_("Calls and errors")), calls),
        (said(_("Latency, to the end of the answer")), latency),
        (said(_("Tokens")), tokens),
        (said(_("Share of prompt tokens from cache")), cache),
    )


def spend_chart(found: Activity, language: Language) -> Figure:
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
    )


def _steps(found: Activity) -> list[str]:
    starts = found.window.steps
    size = starts[1] - starts[0] if len(starts) > 1 else 86_400
    return [charts.moment(one, size) for one in starts]


def _by_model(found: Activity, said: Any) -> list[Series]:
    """The models that cost the most, each a colour, and all others together."""
    named = [model for model, sums in found.models if sums.charged][:COLOURED]
    series = [
        Series(model or said(_("unknown")), [_charged(step.models.get(model)) for step in found.steps], f"s{at}")
        for at, model in enumerate(named)
    ]
    rest = [step.total.charged - sum(one.values[at] for one in series) for at, step in enumerate(found.steps)]
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
