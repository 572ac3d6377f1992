"""The first page: what this gateway is, a search, a curl to copy, and the models that can be called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from fairlead.site.forms import Values, give
from fairlead.site.listing import Entry, Query, select
from fairlead.site.model.code import endpoints
from fairlead.site.models import MOST_MARKS, data_of, listed, text_of
from fairlead.site.page_context import PageContext

MOST_ROWS = 10


async def front(request: Request) -> Response:
    context = PageContext.of(request)
    entries = await listed(context)
    api = context.visit(request).api

    def values() -> Values:
        found = select(entries, Query())
        deployed = [entry for entry in found if entry.state != "none"]
        ready = [entry for entry in deployed if entry.callable]
        chats = [entry for entry in ready if entry.mode == "chat"]
        example = min(chats or ready, key=lambda entry: (entry.demonstration, entry.price_out or 0), default=None)
        return {
            "entries": (deployed or found)[:MOST_ROWS],
            "endpoints": endpoints(api, example.id, example.mode) if example else endpoints(api, "fairlead-demo"),
            "vendors": _vendors(found),
            "shown_vendors": [(entry.vendor, entry.vendor_name) for entry in (deployed or found)[:MOST_ROWS]],
            "total": len(found),
            "ready": len(ready),
            "deployed": len(deployed),
            "providers": len({name for entry in deployed for name in entry.provider}),
        }

    return await give(
        request,
        "front.html",
        context.listed and context.listed[0],
        values,
        lambda values: _data(values, api),
        lambda values: _text(values, api),
    )


def _vendors(entries: Sequence[Entry]) -> list[tuple[str, str, int]]:
    """(slug, name, number of models), by name."""
    numbers = Counter((entry.vendor, entry.vendor_name) for entry in entries)
    return sorted(((slug, name, number) for (slug, name), number in numbers.items()), key=_by_name)[:MOST_MARKS]


def _by_name(row: tuple[str, str, int]) -> str:
    return row[1].lower()


def _data(values: Values, api: str) -> object:
    return {
        "api": api,
        "models": values["total"],
        "models_ready": values["ready"],
        "providers": values["providers"],
        "shown": data_of(values["entries"]),
    }


def _text(values: Values, api: str) -> str:
    return (
        f"# Fairlead\n\nOne OpenAI-compatible API for many models, at {api}. {values['total']} models are in the "
        f"catalogue, {values['ready']} can be called now.\n\n#{text_of('Models', values['entries'])}"
    )
