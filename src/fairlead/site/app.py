"""The pages as one readable list of routes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from fairlead.catalogue.snapshot import Model
from fairlead.money import Picodollars

# No scripts, no frames, nothing from elsewhere: the pages are HTML and one style sheet.
SECURITY_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A model as the front page shows it."""

    id: str
    name: str
    vendor: str
    context: str
    state: str  # "up" | "down" | "none"
    state_text: str
    input_price: str
    output_price: str


def site(models: Iterable[Model], obstacle: Callable[[str], str | None]) -> Starlette:
    """`obstacle(model id)`: why that model cannot be called now, or None."""
    pages = Pages(tuple(models), obstacle)
    return Starlette(
        routes=[
            Route("/", pages.front),
            Route("/style.css", pages.style),
            Route("/favicon.svg", pages.icon),
            Route("/robots.txt", pages.robots),
        ],
        exception_handlers={HTTPException: pages.error},
    )


class Pages:
    def __init__(self, models: tuple[Model, ...], obstacle: Callable[[str], str | None]) -> None:
        self._models = models
        self._obstacle = obstacle
        self._templates = Environment(
            loader=PackageLoader("fairlead.site"),
            autoescape=select_autoescape(),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        static = files("fairlead.site") / "static"
        self._style = (static / "style.css").read_text("utf-8")
        self._icon = (static / "favicon.svg").read_text("utf-8")

    async def front(self, request: Request) -> Response:
        rows = [self._row(model) for model in self._models]
        example = next((row.id for row in rows if row.state == "up"), "fairlead-demo")
        base_url = f"{request.url.scheme}://{request.headers.get('host', 'localhost:8080')}"
        return self._page("front.html", rows=rows, example=example, base_url=base_url)

    async def style(self, _request: Request) -> Response:
        return Response(self._style, media_type="text/css", headers={"cache-control": "public, max-age=300"})

    async def icon(self, _request: Request) -> Response:
        return Response(self._icon, media_type="image/svg+xml", headers={"cache-control": "public, max-age=86400"})

    async def robots(self, _request: Request) -> Response:
        return Response("User-agent: *\nDisallow: /v1/\n", media_type="text/plain")

    async def error(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        sentence = "There is no page at this address." if status == 404 else "This page cannot be shown."
        if "text/html" in request.headers.get("accept", ""):
            return self._page("error.html", status=status, sentence=sentence)
        code = {404: "not_found", 405: "method_not_allowed"}.get(status, "internal_error")
        body = {"error": {"message": sentence, "type": "invalid_request_error", "param": None, "code": code}}
        return JSONResponse(body, status)

    def _page(self, template: str, status: int = 200, **values: object) -> Response:
        html = self._templates.get_template(template).render(status=status, **values)
        return HTMLResponse(html, status, headers=SECURITY_HEADERS)

    def _row(self, model: Model) -> Row:
        obstacle = self._obstacle(model.id)
        rates = model.deployments[0].sheet.price.rates if model.deployments else None
        return Row(
            id=model.id,
            name=model.name,
            vendor=model.vendor,
            context=f"{model.context_length:,}" if model.context_length else "unknown",
            state="none" if not model.deployments else "down" if obstacle else "up",
            state_text=obstacle or "can be called",
            input_price=f"${Picodollars(rates.input).per_million()}" if rates else "–",
            output_price=f"${Picodollars(rates.output).per_million()}" if rates else "–",
        )
