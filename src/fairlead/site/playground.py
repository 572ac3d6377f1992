"""/playground: calls of this server's API from the browser. The page is the same for everybody; its scripts call the
public API with the visitor's key, and read here what models there are and which parameters they take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fairlead.catalogue.snapshot import Model
from fairlead.catalogue.views import Carries, ParameterRow, limits, parameter_rows, price_ranges
from fairlead.catalogue.vocabulary import PARAMETERS
from fairlead.site.language import Language
from fairlead.site.listing import vendor_name
from fairlead.site.models import listed
from fairlead.site.page_cache import JSON
from fairlead.site.page_context import PageContext
from fairlead.site.shown import price
from fairlead.site.visit import Visit

MODE = "chat"
# Parameters that the page has editors of its own for.
ELSEWHERE = frozenset({"tools", "tool_choice", "response_format"})
# Those that nearly every model takes, first.
ORDER = ("temperature", "top_p", "max_tokens", "reasoning_effort", "stop", "seed")
# Values that providers document, for parameters that are text.
CHOICES: Mapping[str, tuple[str, ...]] = {
    "reasoning_effort": ("none", "minimal", "low", "medium", "high", "xhigh"),
    "verbosity": ("low", "medium", "high"),
}


def _(message: str) -> str:
    """Marks a word for translation."""
    return message


# What the scripts say.
WORDS: Mapping[str, str] = {
    "model": _("Model"),
    "add": _("Add a model beside"),
    "remove": _("Remove this model"),
    "unknown_model": _("There is no such model here. Choose one of the list."),
    "no_models": _("No chat model is deployed on this server."),
    "empty": _("Write a message below. The same message goes to every model here."),
    "you": _("You"),
    "tool": _("Tool result"),
    "thinking": _("Reasoning"),
    "calls": _("Calls {name}"),
    "result": _("Result of {name}"),
    "send_results": _("Send results"),
    "stopped": _("Stopped"),
    "failed": _("Failed"),
    "retry": _("Try again"),
    "edit": _("Edit"),
    "save": _("Send edited message"),
    "cancel": _("Cancel"),
    "again": _("Answer again"),
    "copy": _("Copy"),
    "copied": _("Copied"),
    "delete": _("Delete"),
    "previous": _("Previous version"),
    "next": _("Next version"),
    "version": _("Version {at} of {all}"),
    "waiting": _("Waiting for the first token"),
    "first": _("first token {ms} ms"),
    "speed": _("{rate} tokens/s"),
    "characters": _("{count} characters"),
    "tokens": _("{input} + {output} tokens"),
    "cached": _("{count} cached"),
    "cost_pending": _("cost pending"),
    "free": _("free"),
    "receipt": _("Receipt"),
    "dropped": _("not sent on: {names}"),
    "complete": _("Answer of {model} complete"),
    "finish": _("ended: {reason}"),
    "answer": _("Answer {at}"),
    "guest": _("as guest"),
    "as_person": _("as {name}"),
    "with_key": _("with key {key}"),
    "no_key": _("An API key is needed. Paste one in the settings."),
    "guest_free": _("Guests call free models only. Choose one, or paste an API key."),
    "bad_json": _("This is not a JSON object."),
    "tool_name": _("Name"),
    "tool_description": _("Description"),
    "tool_parameters": _("Parameters (JSON schema)"),
    "tool_result": _("Result to answer with"),
    "default": _("default"),
    "yes": _("true"),
    "no": _("false"),
    "range": _("{least} to {most}"),
    "one_per_line": _("one per line"),
    "not_in_door": _("not in this API"),
    "not_in_model": _("Not known to be supported by {models}"),
    "no_parameters": _("Choose a model to see its parameters."),
    "file_not_taken": _("{name}: this API takes no {kind}."),
    "too_large": _("Files may have 20 MB together."),
    "account": _("Account"),
    "record": _("Record"),
    "record_stop": _("Stop recording, {seconds} s"),
    "recording": _("Recording"),
    "recorded": _("The recording is attached."),
    "mic_denied": _("The browser does not let this page use the microphone. Allow it in the settings of this page."),
    "mic_none": _("No microphone was found. Connect one, or attach an audio file."),
    "mic_insecure": _("Browsers record on https and localhost only. Attach an audio file instead."),
    "mic_failed": _("Recording failed. Attach an audio file instead."),
    "rename": _("Rename"),
    "export": _("Export as JSON"),
    "none_kept": _("None yet."),
    "deleted": _("Conversation deleted"),
    "all_deleted": _("All conversations deleted"),
    "undo": _("Undo"),
    "code_title": _("Copy as code"),
    "code_note": _("Reads the key from FAIRLEAD_API_KEY."),
    "code_files": _("Replace BASE64_OF_… by the files' content."),
    "share_title": _("Share settings"),
    "share_note": _(
        "The link holds models, API and parameters. It holds no prompt, message, tool, schema or key, and the part "
        "behind # is never sent to a server."
    ),
    "rounds": _("Stopped after {count} rounds of tool calls."),
    "too_many": _("Too many files."),
}


async def playground(request: Request) -> Response:
    context = PageContext.of(request)
    visit = context.visit(request)
    guests = context.sources.guests()

    def values() -> dict[str, Any]:
        return {"words": {name: visit.language.gettext(text) for name, text in WORDS.items()}, "guests": guests}

    return await context.cache.page(request, visit, "playground.html", guests, values)


async def models(request: Request) -> Response:
    """/playground/models.json: the models that can be chatted with."""
    context = PageContext.of(request)
    entries = await listed(context)
    visit = context.visit(request)
    snapshot = context.sources.snapshot()

    def body() -> bytes:
        found = [
            {"id": entry.id, "name": entry.name, "vendor": entry.vendor_name, "free": _is_free(model)}
            for entry in entries
            if (model := snapshot.models[entry.id]).deployments and model.mode == MODE
        ]
        return msgspec.json.encode({"models": sorted(found, key=lambda one: one["id"])})

    return await context.cache.data(
        request, visit, "playground/models", JSON, context.listed and context.listed[0], body
    )


async def model(request: Request) -> Response:
    """/playground/models/{model}.json: what the playground shows of one model."""
    context = PageContext.of(request)
    snapshot = context.sources.snapshot()
    name = request.path_params["model"]
    found = snapshot.models.get(snapshot.aliases.get(name, name))
    if found is None or found.mode != MODE or not found.deployments:
        raise HTTPException(404)
    visit = context.visit(request)

    def body() -> bytes:
        return msgspec.json.encode(facts_of(found, vendor_name(snapshot, found.vendor), visit, context.sources.carries))

    return await context.cache.data(request, visit, "playground/model", JSON, (context.version(), found.id), body)


def facts_of(model: Model, vendor: str, visit: Visit, carries: Carries) -> dict[str, Any]:
    """A model as the script reads it. `context`, `output`: the most tokens, of its deployments."""
    language = visit.language
    bounds = [limits(model, deployment) for deployment in model.deployments]
    prices = {row.name: price(row.least, language) for row in price_ranges(model) if row.name in ("input", "output")}
    return {
        "id": model.id,
        "name": model.name,
        "vendor": vendor,
        "page": visit.href(model.path),
        "free": _is_free(model),
        "prices": prices,
        "context": max((one[0] or 0 for one in bounds), default=0) or None,
        "output": max((one[1] or 0 for one in bounds), default=0) or None,
        "inputs": model.input_modalities if model.inputs_known else None,
        "parameters": parameters_of(model, carries, language),
    }


def parameters_of(model: Model, carries: Carries, language: Language) -> list[dict[str, Any]]:
    """The parameters that some deployment takes, or of which it is not known that none does: kind, range, default and
    meaning. A range is the model's own, else the API's."""
    rows = {row.name: row for row in parameter_rows(model, carries)}
    known = [
        name
        for name in PARAMETERS
        if name not in ELSEWHERE and (_is_taken(rows[name]) if name in rows else not model.parameters)
    ]
    known.sort(key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    return [_parameter(name, rows.get(name), language) for name in known]


def _is_taken(row: ParameterRow) -> bool:
    return row.where in ("everywhere", "somewhere")


def _parameter(name: str, row: ParameterRow | None, language: Language) -> dict[str, Any]:
    about = PARAMETERS[name]
    own: Any = row.range.value if row is not None else None
    least, most = own if own is not None else (about.least, about.most)
    return {
        "name": name,
        "kind": about.kind,
        "meaning": language.gettext(about.meaning),
        "least": least,
        "most": most,
        "default": row.default.value if row is not None else None,
        "choices": CHOICES.get(name, ()),
    }


def _is_free(model: Model) -> bool:
    return all(deployment.sheet.free for deployment in model.deployments)
