"""/account/calls/ID: one call, its charge line by line and made again, how it was routed, when each attempt began."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.responses import Response

from fairlead.admin.calls import Bar, call_detail
from fairlead.console import charts
from fairlead.console.charts import Stretch
from fairlead.console.developer.confined import member_of
from fairlead.console.page import ConsolePage, ConsoleVisit


def _(message: str) -> str:
    return message


# What a parameter became on its way, in the order in which it is shown.
PARAMETERS: Final = (
    ("forwarded", _("sent as given")),
    ("translated", _("sent in other words")),
    ("clamped", _("sent within the model's range")),
    ("emulated", _("done here")),
    ("dropped", _("left out")),
)
CLASSES: Final = {
    "input": _("Prompt"), "cached_input": _("Prompt, from cache"), "cache_write_5m": _("Prompt, written to cache"),
    "cache_write_1h": _("Prompt, written to cache for an hour"), "image": _("Images"), "audio": _("Audio"),
    "output": _("Completion"), "reasoning": _("Reasoning"), "request": _("Request"),
}  # fmt: skip
GOOD: Final = frozenset({"served", "empty"})


async def call(visit: ConsoleVisit) -> Response:
    """Receipt, attempts, plan and parameters of a call."""
    await visit.services.flush()
    show_cost = visit.services.settings().ledger.receipts_show_cost
    found = await visit.run(
        call_detail, visit.account_id, visit.path_params["call"], member_of(visit), show_cost=show_cost
    )
    whole = max(1, found.record.done - found.record.at, *(bar.end for bar in found.course))
    stretches = [_stretch(bar) for bar in found.course]
    return visit.render(
        "account/call.html",
        found=found,
        record=found.record,
        receipt=found.receipt,
        attempts=list(zip(found.course, found.receipt["attempts"], charts.course(stretches, whole), strict=True)),
        whole=whole,
        classes=CLASSES,
        parameters=_parameters(found.routed),
        good=GOOD,
        as_json=msgspec.json.format(msgspec.json.encode(found.receipt), indent=2).decode(),
    )


def _stretch(bar: Bar) -> Stretch:
    state = "s0" if bar.outcome in GOOD else "quiet" if bar.outcome == "caller_gone" else "bad"
    return Stretch(bar.begin, bar.end, state, bar.first_token)


def _parameters(routed: dict[str, Any] | None) -> list[tuple[str, list[str]]]:
    given = (routed or {}).get("parameters") or {}
    return [(title, given[name]) for name, title in PARAMETERS if given.get(name)]


PAGES: Final = (ConsolePage("/account/calls/{call}", call, "view"),)
