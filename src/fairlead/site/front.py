"""The first page: the models with their state, and a curl to copy."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from fairlead.catalogue.snapshot import Model
from fairlead.site.desk import Desk


@dataclass(frozen=True, slots=True)
class Row:
    """A model as the front page shows it. Prices in picodollars per token."""

    model: Model
    path: str
    state: str  # "up" | "down" | "none"
    state_text: str
    input: int | None
    output: int | None


async def front(request: Request) -> Response:
    desk = Desk.of(request)
    visit = desk.visit(request)
    models = tuple(desk.sources.snapshot().models.values())
    obstacles = tuple(desk.sources.obstacle(model.id) for model in models)

    def values() -> dict[str, object]:
        rows = [_row(model, obstacle) for model, obstacle in zip(models, obstacles, strict=True)]
        return {"rows": rows, "example": next((row.model.id for row in rows if row.state == "up"), "fairlead-demo")}

    return desk.press.page(request, visit, "front.html", (desk.version(), obstacles), values)


def _row(model: Model, obstacle: str | None) -> Row:
    rates = model.deployments[0].sheet.price.rates if model.deployments else None
    return Row(
        model=model,
        path=f"/models/{model.vendor}/{model.id}",
        state="none" if not model.deployments else "down" if obstacle else "up",
        state_text=obstacle or "can be called",
        input=rates.input if rates else None,
        output=rates.output if rates else None,
    )
