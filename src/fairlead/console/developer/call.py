"""/account/calls/ID: one call, its charge line by line and made again, how it was routed, when each attempt began."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

import msgspec
from markupsafe import Markup, escape
from starlette.responses import Response

from fairlead.admin.calls import Bar, call_detail
from fairlead.admin.content import CallContent, call_content
from fairlead.console import charts
from fairlead.console.charts import Stretch
from fairlead.console.developer.confined import member_of
from fairlead.console.developer.content import FOUND
from fairlead.console.page import ConsolePage, ConsoleVisit
from fairlead.content.conversation import Part
from fairlead.content.redaction import MARK
from fairlead.errors import NotFound


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
SPEAKERS: Final = {
    "system": _("Instructions"), "developer": _("Instructions"), "user": _("User"), "assistant": _("Model"),
    "model": _("Model"), "tool": _("Tool"),
}  # fmt: skip
KINDS: Final = {
    "reasoning": _("Reasoning"), "refusal": _("Refusal"), "call": _("Calls the tool"),
    "result": _("Result of the tool"),
}  # fmt: skip
# Why the request or the answer is not there.
MISSING: Final = {
    "asked": _("Not kept: the request asked for that."), "long": _("Not kept: it is longer than 4 MiB."),
    "memory": _("Not kept: too much was waiting to be stored at that moment."),
    "upload": _("Not kept: it was an upload."),
}  # fmt: skip
PICTURES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}")
GOOD: Final = frozenset({"served", "empty"})


async def call(visit: ConsoleVisit) -> Response:
    """Receipt, attempts, plan, parameters and, where it is kept, the content of a call."""
    await visit.services.flush()
    show_cost = visit.services.settings().ledger.receipts_show_cost
    found = await visit.run(
        call_detail, visit.account_id, visit.path_params["call"], member_of(visit), show_cost=show_cost
    )
    whole = max(1, found.record.done - found.record.at, *(bar.end for bar in found.course))
    stretches = [_stretch(bar) for bar in found.course]
    kept: CallContent | None = None
    if visit.can("keys"):
        with suppress(NotFound):
            kept = await visit.run(
                call_content, visit.actor, visit.account_id, visit.path_params["call"], member_of(visit)
            )
    return visit.render(
        "account/call.html",
        kept=kept,
        conversation=None if kept is None else kept.conversation,
        marked=partial(_marked, visit.language.gettext),
        names_of_marks=FOUND,
        missing=MISSING,
        kinds=KINDS,
        roles=SPEAKERS,
        may_delete=visit.can("manage"),
        picture=_picture,
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


def _marked(gettext: Callable[[str], str], text: str) -> Markup:
    """A text that was kept, with its marks; all of it may be hostile."""

    def mark(found: re.Match[str]) -> str:
        name = found[1]
        title = gettext(FOUND[name]) if name in FOUND else name
        return f'<mark title="{escape(gettext(_("redacted")))}">{escape(title)}</mark>'

    return Markup(MARK.sub(mark, str(escape(text))))  # noqa: S704 - escaped, then marks of ours


def _picture(part: Part) -> str:
    """The address of a picture that was kept, which runs no script; "": it is none."""
    data = bool(_BASE64.fullmatch(part.data)) and part.media in PICTURES
    return f"data:{part.media};base64,{part.data}" if data else ""


def _stretch(bar: Bar) -> Stretch:
    state = "s0" if bar.outcome in GOOD else "quiet" if bar.outcome == "caller_gone" else "bad"
    return Stretch(bar.begin, bar.end, state, bar.first_token)


def _parameters(routed: dict[str, Any] | None) -> list[tuple[str, list[str]]]:
    given = (routed or {}).get("parameters") or {}
    return [(title, given[name]) for name, title in PARAMETERS if given.get(name)]


PAGES: Final = (ConsolePage("/account/calls/{call}", call, "view"),)
