"""The pages as one readable list of routes. A page is a function in a file of its own; what it needs is in its
`PageContext`."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from fairlead.site import compare, finding, forms, guides, models, playground, rankings, status
from fairlead.site.budget import RETRY_AFTER_SECONDS, Busy, PageBudget
from fairlead.site.forms import form_of
from fairlead.site.front import front
from fairlead.site.language import Remember, chosen, languages
from fairlead.site.model.page import model, new_key, picture
from fairlead.site.page_cache import PageCache
from fairlead.site.page_context import PageContext
from fairlead.site.records import Unreadable
from fairlead.site.sharing import pages as sharing
from fairlead.site.sources import Sources


def _(message: str) -> str:
    """Marks a word for translation; it is translated where it is shown."""
    return message


# What every page leads to. A page that does not exist is not in it.
NAVIGATION: tuple[tuple[str, str], ...] = (
    ("/models", _("Models")),
    ("/compare", _("Compare")),
    ("/rankings", _("Rankings")),
    ("/status", _("Status")),
    ("/playground", _("Playground")),
    ("/docs", _("Docs")),
)

# Statuses of errors, with their code in JSON and their sentence on a page.
PROBLEMS: Mapping[int, tuple[str, str]] = {
    404: ("not_found", _("There is no page at this address.")),
    405: ("method_not_allowed", _("This page is read-only.")),
    500: ("internal_error", _("This page cannot be shown.")),
    503: ("overloaded", _("Records are unavailable at the moment. Try again in a few seconds.")),
}
BUSY = "overloaded", _("Too many page requests at once. Try again in a few seconds.")

ROUTES = [
    Route("/", front),
    Route("/index.json", front),
    Route("/index.md", front),
    *forms.routes("/models", models.models),
    Route("/search.json", models.index),
    *forms.routes("/models/{vendor}", models.vendor),
    Route("/models.atom", sharing.feed),
    Route("/models.rss", sharing.feed),
    Route("/models/{vendor}/{model:path}/badge.svg", sharing.model_badge),
    Route("/models/{vendor}/{model:path}/card.svg", sharing.model_card),
    Route("/models/{vendor}/{model:path}.atom", sharing.model_feed),
    Route("/models/{vendor}/{model:path}.rss", sharing.model_feed),
    Route("/models/{vendor}/{model:path}.png", picture),
    Route("/models/{vendor}/{model:path}", model),
    Route("/keys/new", new_key),
    Route("/playground", playground.playground),
    Route("/playground/models.json", playground.models),
    Route("/playground/models/{model:path}.json", playground.model),
    *forms.routes("/compare", compare.choose),
    *forms.routes("/compare/{models:path}", compare.compare),
    *forms.routes("/rankings", rankings.rankings),
    Route("/docs/search.json", guides.search),
    *forms.routes("/docs", guides.docs),
    *forms.routes("/docs/{name:path}", guides.docs),
    Route("/sitemap.xml", finding.sitemap),
    Route("/robots.txt", finding.robots),
    Route("/llms.txt", finding.llms),
    Route("/llms-full.txt", sharing.full),
    Route("/api/catalogue.json", sharing.catalogue),
]
STATUS_ROUTES = [*forms.routes("/status", status.status), Route("/status.atom", status.feed)]


def site(
    sources: Sources,
    public_url: str | None = None,
    budget: PageBudget | None = None,
    *,
    with_status: bool = True,
    docs_edit_url: str | None = None,
    with_console: bool = False,
) -> Starlette:
    """The web app. `public_url`: where visitors find it, when that is not the address they ask with. `budget`: what
    making pages may take of the event loop's time. Without a status page nothing leads to one.
    `docs_edit_url`: where a page of the documentation can be edited; `{path}` stands for its file below docs/.
    `with_console`: pages lead to the sign-in."""
    app = Starlette(
        routes=[
            *ROUTES,
            *(STATUS_ROUTES if with_status else ()),
            Route("/static/{name}", static),
            Route("/favicon.svg", static),
        ],
        exception_handlers={HTTPException: error, Unreadable: error, Busy: error, Exception: error},
    )
    app.router.redirect_slashes = False
    known = languages()
    navigation = tuple(one for one in NAVIGATION if with_status or one[0] != "/status")
    words = {**models.globals_for_templates(), "with_status": with_status, "with_console": with_console}
    cache = PageCache(navigation, public_url, words=words, languages=known)
    if budget is not None:
        cache.budget = budget
    app.state.context = PageContext(sources, cache, known)
    app.state.guides = guides.Guides()
    app.state.with_status = with_status
    app.state.docs_edit_url = docs_edit_url
    app.add_middleware(Remember, codes=[language.code for language in known])
    return app


async def static(request: Request) -> Response:
    name = request.path_params.get("name", "favicon.svg")
    found = PageContext.of(request).cache.static_files.answer(request, name)
    if found is None:
        raise HTTPException(404)
    return found


async def error(request: Request, problem: Exception) -> Response:
    path: str = request.scope["path"]
    if getattr(problem, "status_code", 500) == 404 and path.endswith("/") and path.strip("/"):
        # Starlette's own redirect leads to the host that the visitor named.
        context = PageContext.of(request)
        target = "/" + context.visit(request).path.strip("/")
        query = request.scope["query_string"].decode("latin-1")
        return RedirectResponse(context.cache.address(f"{target}?{query}" if query else target), 307)
    status = 503 if isinstance(problem, Unreadable | Busy) else getattr(problem, "status_code", 500)
    code, sentence = BUSY if isinstance(problem, Busy) else PROBLEMS.get(status, PROBLEMS[500])
    if "text/html" in request.headers.get("accept", "") and not form_of(request):
        context = PageContext.of(request)
        answer = context.cache.error(request, chosen(request, context.languages), status, sentence)
    else:
        kind = "invalid_request_error" if status < 500 else "api_error"
        answer = JSONResponse({"error": {"message": sentence, "type": kind, "param": None, "code": code}}, status)
        answer.headers["x-content-type-options"] = "nosniff"
    if status == 503:
        answer.headers["retry-after"] = str(RETRY_AFTER_SECONDS if isinstance(problem, Busy) else 5)
    if status == 405:
        answer.headers["allow"] = "GET, HEAD"
    return answer
