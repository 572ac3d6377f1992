"""/rankings: which models this server's own callers used, in tokens, by day, week and month."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from starlette.requests import Request
from starlette.responses import Response

from fairlead.site.bands import MOST_NAMED, bands
from fairlead.site.forms import Values, give, table
from fairlead.site.listing import vendor_name
from fairlead.site.page_context import PageContext
from fairlead.telemetry.figures import ModelDay

PERIODS = {"day": 1, "week": 7, "month": 30}
FRESH_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Ranked:
    """`before`: its place in the period before; None: it had no calls then. `growth`: of tokens, 1.0 is twice; None: it
    is new, or nothing can be compared. Both are of whole days (`compared_days`)."""

    place: int
    model: str
    vendor: str | None
    calls: int
    prompt_tokens: int
    output_tokens: int
    share: float
    before: int | None
    growth: float | None

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.output_tokens


async def rankings(request: Request) -> Response:
    context = PageContext.of(request)
    period = request.query_params.get("period", "week")
    if period not in PERIODS:
        period = "week"
    number, days = await context.fresh.get(
        "model days", FRESH_SECONDS, lambda: context.sources.records.model_days(2 * PERIODS["month"] + 1)
    )
    today = context.sources.now().date()
    snapshot = context.sources.snapshot()
    vendors = {model.id: model.vendor for model in snapshot.models.values()}

    def values() -> Values:
        ranked = rank(days, today, PERIODS[period], vendors)
        # One day is no course: it is shown in its week.
        begin = today - timedelta(max(PERIODS[period], PERIODS["week"]) - 1)
        makers = by_vendor(ranked)
        return {
            "period": period,
            "ranked": ranked,
            "names": {one.model: snapshot.models[one.model].name for one in ranked if one.model in snapshot.models},
            "makers": makers,
            "vendor_names": {slug: vendor_name(snapshot, slug) for slug, _ in makers if slug},
            "bands": bands(days, [one.model for one in ranked], begin, today),
            "most_named": MOST_NAMED,
            "compared": compared_days(days, today, PERIODS[period]),
            "start": today - timedelta(PERIODS[period] - 1),
            "end": today,
            "total": sum(one.tokens for one in ranked),
        }

    return await give(request, "rankings.html", (context.version(), number, period, today), values, _data, _text)


def rank(days: Sequence[ModelDay], today: date, length: int, vendors: dict[str, str]) -> list[Ranked]:
    """The models by tokens of the last `length` days, today's among them; compared as `compared_days` says. Pure."""
    now = _sums(days, today - timedelta(length - 1), today)
    compared = compared_days(days, today, length)
    then = {} if compared is None else _sums(days, *compared[1])
    whole = {} if compared is None else _sums(days, *compared[0])
    begun = _first_days(days)
    places = {name: place for place, name in enumerate(_order(then), 1)}
    total = sum(prompt + output for _, prompt, output in now.values())
    found = []
    for place, name in enumerate(_order(now), 1):
        calls, prompt, output = now[name]
        past, recent = (sum(sums.get(name, (0, 0, 0))[1:]) for sums in (then, whole))
        # Of a model that began in the middle of the period before, a growth would say nothing.
        known = compared is not None and begun[name] <= (compared[1][0] + timedelta(length // 7)).isoformat()
        found.append(
            Ranked(
                place, name, vendors.get(name), calls, prompt, output,
                (prompt + output) / total if total else 0.0,
                places.get(name),
                recent / past - 1 if past and known else None,
            )
        )  # fmt: skip
    return found


Days = tuple[date, date]


def compared_days(days: Iterable[ModelDay], today: date, length: int) -> tuple[Days, Days] | None:
    """The last `length` whole days, and as many before them: the first and the last day of each. None where this server
    has not counted tokens for so long, so that nothing can be compared."""
    last = today - timedelta(1)
    now, then = (last - timedelta(length - 1), last), (last - timedelta(2 * length - 1), last - timedelta(length))
    first = min(_first_days(days).values(), default=None)
    return None if first is None or first > then[0].isoformat() else (now, then)


def _first_days(days: Iterable[ModelDay]) -> dict[str, str]:
    """On which each model had tokens."""
    found: dict[str, str] = {}
    for day in days:
        if day.prompt_tokens + day.output_tokens:
            found[day.model] = min(day.date, found.get(day.model, day.date))
    return found


def by_vendor(ranked: Iterable[Ranked]) -> list[tuple[str | None, float]]:
    """The share of each vendor, the largest first; None: of models that are not in the catalogue any more."""
    shares: dict[str | None, float] = {}
    for one in ranked:
        shares[one.vendor] = shares.get(one.vendor, 0.0) + one.share
    return sorted(shares.items(), key=lambda row: (-row[1], row[0] or ""))


def _sums(days: Iterable[ModelDay], first: date, last: date) -> dict[str, tuple[int, int, int]]:
    found: dict[str, tuple[int, int, int]] = {}
    for day in days:
        if first.isoformat() <= day.date <= last.isoformat() and day.prompt_tokens + day.output_tokens:
            calls, prompt, output = found.get(day.model, (0, 0, 0))
            found[day.model] = (calls + day.calls, prompt + day.prompt_tokens, output + day.output_tokens)
    return found


def _order(sums: dict[str, tuple[int, int, int]]) -> Sequence[str]:
    return sorted(sums, key=lambda name: (-sums[name][1] - sums[name][2], name))


def _data(values: Values) -> object:
    return {
        "period": values["period"],
        "start": values["start"].isoformat(),
        "end": values["end"].isoformat(),
        "total_tokens": values["total"],
        "models": [
            {"place": one.place, "model": one.model, "calls": one.calls, "prompt_tokens": one.prompt_tokens,
             "output_tokens": one.output_tokens, "share": round(one.share, 6), "place_before": one.before,
             "growth": None if one.growth is None else round(one.growth, 4)}
            for one in values["ranked"]
        ],
        "vendors": [{"vendor": slug, "share": round(share, 6)} for slug, share in values["makers"]],
        "days": [] if values["bands"] is None else [
            {"date": day.on, "shares": None if day.shares is None else {
                band.name or "others": round(share, 6)
                for band, share in zip(values["bands"].bands, day.shares, strict=True)
            }}
            for day in values["bands"].days
        ],
    }  # fmt: skip


def _text(values: Values) -> str:
    title = f"# Rankings, {values['start']} to {values['end']}\n\n"
    if not values["ranked"]:
        return title + "No tokens were counted in this time.\n"
    rows = [
        (one.place, one.model, one.prompt_tokens, one.output_tokens, f"{one.share:.1%}", one.calls)
        for one in values["ranked"]
    ]
    return title + table(("Place", "Model", "Prompt tokens", "Output tokens", "Share", "Calls"), rows)
