"""The pages as one readable list of routes. A page is a function in a file of its own; what it needs is on the desk."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fairlead.site import compare, finding, forms, guides, models, rankings, status
from fairlead.site.desk import Desk
from fairlead.site.front import front
from fairlead.site.language import Remember, languages
from fairlead.site.model.page import model, new_key
from fairlead.site.press import Press
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
    ("/docs", _("Documentation")),
)

ROUTES = [
    Route("/", front),
    Route("/index.json", front),
    Route("/index.md", front),
    *forms.routes("/models", models.models),
    Route("/search.json", models.index),
    *forms.routes("/models/{vendor}", models.vendor),
    Route("/models/{vendor}/{model:path}", model),
    Route("/keys/new", new_key),
    *forms.routes("/compare", compare.choose),
    *forms.routes("/compare/{models:path}", compare.compare),
    *forms.routes("/rankings", rankings.rankings),
    *forms.routes("/status", status.status),
    Route("/status.atom", status.feed),
    *forms.routes("/docs", guides.docs),
    *forms.routes("/docs/{name:path}", guides.docs),
    Route("/sitemap.xml", finding.sitemap),
    Route("/robots.txt", finding.robots),
    Route("/llms.txt", finding.llms),
]


def site(sources: Sources, public_url: str | None = None) -> Starlette:
    """The web app. `public_url`: where visitors find it, when that is not the address they ask with."""
    app = Starlette(
        routes=[
            *ROUTES,
            Route("/static/{name}", static),
            Route("/favicon.svg", static),
        ],
        exception_handlers={HTTPException: error, Exception: error},
    )
    known = languages()
    press = Press(NAVIGATION, public_url, words=models.globals_for_templates(), languages=known)
    app.state.desk = Desk(sources, press, known)
    app.state.guides = guides.Guides()
    app.add_middleware(Remember, codes=[language.code for language in known])
    return app


async def static(request: Request) -> Response:
    name = request.path_params.get("name", "favicon.svg")
    found = Desk.of(request).press.static_answer(request, name)
    if found is None:
        raise HTTPException(404)
    return found


async def error(request: Request, problem: Exception) -> Response:
    status = problem.status_code if isinstance(problem, HTTPException) else 500
    sentence = _("There is no page at this address.") if status == 404 else _("This page cannot be shown.")
    if "text/html" in request.headers.get("accept", ""):
        desk = Desk.of(request)
        values = {"status": status, "sentence": sentence}
        return desk.press.page(request, desk.visit(request), "error.html", (status, sentence), lambda: values, status)
    code = {404: "not_found", 405: "method_not_allowed"}.get(status, "internal_error")
    body = {"error": {"message": sentence, "type": "invalid_request_error", "param": None, "code": code}}
    return JSONResponse(body, status)
