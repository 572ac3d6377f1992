"""The endpoints of what is shared. All may be loaded from pages of other origins, and none depends on who asks."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fairlead.catalogue.snapshot import Model
from fairlead.catalogue.views import PriceRange, paid_otherwise, price_ranges
from fairlead.money import Picodollars
from fairlead.site.charts import History, history
from fairlead.site.finding import TEXT
from fairlead.site.forms import segments
from fairlead.site.guides import Guides
from fairlead.site.language import ENGLISH
from fairlead.site.listing import vendor_name
from fairlead.site.page_cache import JSON
from fairlead.site.page_context import PageContext
from fairlead.site.records import Priced
from fairlead.site.sharing.catalogue import PAGE_MODELS, catalogue_page, full_text
from fairlead.site.sharing.drawing import THEMES, Card, Figure, Theme, badge, card
from fairlead.site.sharing.feeds import Known, News, atom, news_of, rss
from fairlead.site.shown import otherwise, price
from fairlead.site.states import State
from fairlead.site.status import ATOM
from fairlead.site.words import CLASS_TITLES, STATE_TITLES
from fairlead.telemetry.figures import Performance

FIGURES: Final = ("status", "price", "latency", "speed", "uptime")
SVG: Final = "image/svg+xml"
RSS: Final = "application/rss+xml; charset=utf-8"
# By the ending of their address: who writes a feed, and what it is.
FEEDS: Final[Mapping[str, tuple[Callable[[Sequence[News], str, str, str, str], str], str]]] = {
    ".atom": (atom, ATOM), ".rss": (rss, RSS),
}  # fmt: skip
FRESH_SECONDS: Final = 60.0
CARD_DAYS: Final = 40
_encode: Final = msgspec.json.Encoder(order="deterministic").encode
# Sections of the documentation that a language model gets whole.
FULL_SECTIONS: Final = ("get-started/", "guides/")


async def model_badge(request: Request) -> Response:
    """/models/{vendor}/{model}/badge.svg: one figure (`show`), in a theme (`theme`)."""
    context = PageContext.of(request)
    model = _model(context, request, "/badge.svg")
    if isinstance(model, Response):
        return model
    show = request.query_params.get("show", "")
    show = show if show in FIGURES else FIGURES[0]
    theme = _theme(request)
    state = (await context.judge())(model)
    message, kind = await _message(context, model, state, show)
    depends = ("badge", model.name, message, kind, theme)
    return await context.cache.shared(request, SVG, depends, lambda: badge(model.name, message, kind, theme).encode())


async def model_card(request: Request) -> Response:
    """/models/{vendor}/{model}/card.svg."""
    context = PageContext.of(request)
    model = _model(context, request, "/card.svg")
    if isinstance(model, Response):
        return model
    theme = _theme(request)
    state = (await context.judge())(model)
    performance, bars = await _measured(context, model)
    given = Card(
        vendor_name(context.sources.snapshot(), model.vendor),
        model.name,
        state.kind,
        STATE_TITLES[state.kind],
        _figures(model, performance, bars),
        tuple(bar.uptime for bar in bars.bars[-CARD_DAYS:]) if model.deployments else (),
        f"uptime of {CARD_DAYS} days" if model.deployments else "",
    )
    return await context.cache.shared(request, SVG, ("card", given, theme), lambda: card(given, theme).encode())


def _theme(request: Request) -> Theme:
    given = request.query_params.get("theme", "")
    return next((one for one in THEMES if one == given), THEMES[0])


def _model(context: PageContext, request: Request, ending: str) -> Model | Response:
    """The model of the path, or a redirect to its canonical one. Raises HTTPException."""
    snapshot = context.sources.snapshot()
    raw = request.path_params["model"]
    found = snapshot.models.get(snapshot.aliases.get(raw, raw))
    if found is None:
        raise HTTPException(404)
    if f"/models/{segments(request)[1]}/{raw}" == found.path:
        return found
    query = request.scope["query_string"].decode("latin-1")
    return RedirectResponse(context.cache.address(found.path + ending + (f"?{query}" if query else "")), 301)


async def _measured(context: PageContext, model: Model) -> tuple[Performance | None, History]:
    """24 hours of a model, and its days. Nothing of them where records cannot be read."""
    if not model.deployments:
        return None, history("", ())
    records = context.sources.records
    # With one deployment the model's own days are not kept apart.
    one = model.deployments[0].id if len(model.deployments) == 1 else ""

    async def read() -> tuple[Performance | None, History]:
        return await records.performance(model.id, "24h"), history(one, await records.day_bars(model.id, one))

    nothing: tuple[Performance | None, History] = (None, history("", ()))
    return (await context.fresh.get_or(("share", context.version(), model.id), FRESH_SECONDS, read, nothing))[1]


def _least(model: Model) -> dict[str, str]:
    """The lowest prices in dollars per million tokens, "from" or "free to" where deployments differ."""
    found = {}
    for row in price_ranges(model):
        least, most = (_price(row.name, rate) for rate in (row.least, row.most))
        found[row.name] = least if least == most else f"from {least}" if row.least else f"free to {most}"
    return found


def _price(name: str, picodollars: int) -> str:
    amount = Picodollars(picodollars)
    if not picodollars:
        return "free"
    return f"${amount.dollars() if name == 'request' else amount.per_million()}"


def _share(value: float | None) -> str:
    """A share as a percentage that never says 100 where it is less."""
    if value is None:
        return "no data"
    return "100 %" if value == 1 else f"{min(99.99, int(value * 10_000) / 100):g} %"


def _milliseconds(value: float | None) -> str:
    return "no data" if value is None else f"{value / 1000:.1f} s" if value >= 10_000 else f"{value:.0f} ms"


async def _message(context: PageContext, model: Model, state: State, show: str) -> tuple[str, str]:
    """What a badge says, and the kind whose colour it has."""
    if show == "status" or not model.deployments:
        return STATE_TITLES[state.kind].lower(), state.kind
    if show == "price":
        prices = _least(model)
        other = paid_otherwise(model)
        if other is not None:
            return otherwise(other.name, other.least, ENGLISH), "plain"
        return f"{prices['input']} in, {prices['output']} out per million tokens", "plain"
    performance, bars = await _measured(context, model)
    if show == "uptime":
        share = bars.uptime
        return f"{_share(share)} uptime", "none" if share is None else "up" if share >= 0.99 else "degraded"
    traffic = performance.total.traffic if performance else None
    if show == "latency":
        value = traffic.first_token.p50 if traffic else None
        return f"{_milliseconds(value)} to first token" if value is not None else "no data", "plain"
    speed = traffic.speed.p50 if traffic else None
    return f"{speed:.0f} tokens/s" if speed is not None else "no data", "plain"


def _figures(model: Model, performance: Performance | None, bars: History) -> tuple[Figure, ...]:
    prices = _least(model)
    if not prices:
        context, output = (
            "unknown" if value is None else f"{value:,}" for value in (model.context_length, model.max_output_tokens)
        )
        return (Figure("Context", context, "tokens"), Figure("Max output", output, "tokens"))
    traffic = performance.total.traffic if performance else None
    first = traffic.first_token.p50 if traffic else None
    other = paid_otherwise(model)
    costs = (
        (
            Figure("Input", prices["input"], "per million tokens"),
            Figure("Output", prices["output"], "per million tokens"),
        )
        if other is None
        else (Figure("Price", *_other(other)),)
    )
    return (
        *costs,
        Figure("First token", _milliseconds(first), "p50, 24 hours"),
        Figure("Uptime", _share(bars.uptime), "minutes with traffic"),
    )


def _other(row: PriceRange) -> tuple[str, str]:
    """A price that is not one of tokens of input and output, and what it is for."""
    if row.name == "request":
        return f"${Picodollars(row.least).dollars()}", "each request"
    return price(row.least, ENGLISH), f"{CLASS_TITLES.get(row.name, row.name).lower()}, per million"


# --- feeds


async def feed(request: Request) -> Response:
    """/models.atom, /models.rss: new models, and prices that have changed."""
    context = PageContext.of(request)
    number, found = await _prices(context, None)
    return await _feed(request, context, None, "Models and prices of this gateway", number, found)


async def model_feed(request: Request) -> Response:
    """/models/{vendor}/{model}.atom, .rss: the same of one model."""
    context = PageContext.of(request)
    model = _model(context, request, _ending(request))
    if isinstance(model, Response):
        return model
    number, found = await _prices(context, model)
    return await _feed(request, context, model, f"{model.name}: deployments and prices", number, found)


async def _feed(
    request: Request, context: PageContext, model: Model | None, title: str, number: int, found: Sequence[Priced]
) -> Response:
    visit, ending = context.visit(request), _ending(request)
    known = _known(context.sources.snapshot().models if model is None else {model.id: model})
    page = "/models" if model is None else model.path
    write, media_type = FEEDS[ending]

    def body() -> bytes:
        return write(news_of(found, known), title, visit.origin, page + ending, page).encode()

    depends = ("feed", ending, model and model.id, visit.origin, context.version(), number)
    return await context.cache.shared(request, media_type, depends, body)


def _ending(request: Request) -> str:
    path: str = request.scope["path"]
    return path[path.rindex(".") :]


def _known(models: Mapping[str, Model]) -> dict[str, Known]:
    return {
        deployment.id: Known(model.id, model.name, model.vendor, model.path, model.description)
        for model in models.values()
        for deployment in model.deployments
    }


async def _prices(context: PageContext, model: Model | None) -> tuple[int, tuple[Priced, ...]]:
    """Raises Unreadable."""
    snapshot = context.sources.snapshot()
    models = snapshot.models.values() if model is None else (model,)
    names = [one.id for each in models for one in each.deployments]
    key: Hashable = ("feed", context.version(), model and model.id)
    return await context.fresh.get(key, FRESH_SECONDS, lambda: context.sources.records.prices(names))


# --- the whole catalogue


async def catalogue(request: Request) -> Response:
    """/api/catalogue.json?page=: every model with its facts, deployments and prices."""
    context = PageContext.of(request)
    snapshot = context.sources.snapshot()
    number, states = await context.states()
    models = sorted(snapshot.models.values(), key=lambda one: one.id)
    page = _page(request.query_params.get("page", "1"), len(models))
    visit = context.visit(request)
    kinds = {name: state.kind for name, state in states.items()}

    def body() -> bytes:
        return _encode(catalogue_page(models, kinds, snapshot, visit.origin, page))

    answer = await context.cache.shared(
        request, JSON, ("catalogue", visit.origin, context.version(), number, page), body
    )
    if page * PAGE_MODELS < len(models):
        answer.headers["link"] = f'<{visit.origin}/api/catalogue.json?page={page + 1}>; rel="next"'
    return answer


def _page(text: str, models: int) -> int:
    """What is no number is the first one. Raises HTTPException for a page that there is not."""
    if not (text.isascii() and text.isdecimal()):
        return 1
    pages = max(1, -(-models // PAGE_MODELS))
    if len(text) > 6 or not 1 <= int(text) <= pages:
        raise HTTPException(404)
    return int(text)


async def full(request: Request) -> Response:
    """/llms-full.txt: the models and the guides in one text."""
    context = PageContext.of(request)
    snapshot = context.sources.snapshot()
    visit = context.visit(request)
    guides: Guides = request.app.state.guides

    def body() -> bytes:
        texts = [guides.sources[name] for name in guides.titles if name.startswith(FULL_SECTIONS)]
        return full_text(list(snapshot.models.values()), snapshot, visit.origin, texts).encode()

    return await context.cache.shared(request, TEXT, ("llms-full", visit.origin, context.version()), body)
