"""/admin/engines: GGUF files as models of this server, from the file to its first call and to its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from starlette.responses import Response

from fairlead.admin import configuration as versions
from fairlead.admin import engines as use_cases
from fairlead.admin.configuration import Current, Plan, Submission, digest_of
from fairlead.admin.engines import Found, Sized
from fairlead.console.operating.configuration import in_force
from fairlead.console.page import ConsolePage, ConsoleVisit, Undo
from fairlead.engines.spec import DEFAULT_SLOTS, MODES, id_of_file
from fairlead.errors import CallerError, ConfigurationError, InvalidRequest
from fairlead.settings import EngineSettings, parse_settings
from fairlead.store import Store
from fairlead.store.configuration import StoredVersion

PATH: Final = "/admin/engines"
NEW: Final = "/admin/start/gguf"
DOCUMENT: Final = "document"
FIELDS: Final = ("file", "model", "mode", "context", "slots", "vision")


def _(message: str) -> str:
    return message


async def list_(visit: ConsoleVisit) -> Response:
    settings = visit.services.settings()
    running = visit.services.live.engines()
    there = {one["id"] for one in running}
    stopped = [one for one in settings.engines if not one.enabled and one.id not in there]
    return visit.render("admin/engines.html", engines=running, stopped=stopped)


async def form(visit: ConsoleVisit) -> Response:
    """The files that are there, and, where one was chosen, what to run it with."""
    return await _form(visit, {"file": visit.query.get("file", "")[:4096].strip()}, {})


async def _form(visit: ConsoleVisit, given: Mapping[str, str], problems: Mapping[str, str]) -> Response:
    found: Found = await visit.run(use_cases.files_there, visit.services.settings())
    chosen = next((one for one in found.files if given["file"] in (one.name, str(one.path))), None)
    values = dict(given)
    if chosen is not None and chosen.info is not None:
        purpose = use_cases.purpose(chosen)
        defaults = {
            "model": id_of_file(chosen.path),
            "mode": purpose if purpose in MODES else "chat",
            "context": str(use_cases.default_context(chosen)),
            "slots": str(DEFAULT_SLOTS),
        }
        values = {**defaults, **values}
    return visit.render(
        "admin/gguf.html",
        found=found,
        files=[(one, use_cases.purpose(one)) for one in found.files],
        chosen=chosen,
        modes=[(one, one) for one in MODES],
        parts=[("", visit.gettext("none")), *((one.name, one.name) for one in found.files if _sees(one))],
        values={name: values.get(name, "") for name in FIELDS},
        problems=problems,
    )


def _sees(file: Any) -> bool:
    return use_cases.purpose(file) == "vision part"


def _given(visit: ConsoleVisit) -> tuple[EngineSettings, dict[str, str]]:
    """The engine of a form, and what is wrong with its fields."""
    values = {name: visit.text(name).strip()[:4096] for name in FIELDS}
    problems = {}
    numbers: dict[str, int] = {}
    for name, least, most in (("context", 256, 1_048_576), ("slots", 1, 64)):
        text = values[name].replace(",", "")
        if text.isascii() and text.isdigit() and least <= int(text[:9]) <= most:
            numbers[name] = int(text)
        else:
            problems[name] = _("Write a whole number in the range that stands below the name of the field.")
    if values["mode"] not in MODES:
        problems["mode"] = _("Choose what the model is for.")
    if not values["file"]:
        problems["file"] = _("Choose a file, or write its path.")
    model = values["model"]
    made = EngineSettings(
        id=model.replace("/", "-").replace(":", "-")[:64],
        file=values["file"],
        model=model,
        mode=cast("Any", values["mode"]),
        context_length=numbers.get("context"),
        slots=numbers.get("slots", DEFAULT_SLOTS),
        vision_file=values["vision"] or None,
    )
    return made, problems


async def plan(visit: ConsoleVisit) -> Response:
    """What the engine would need and change."""
    given, problems = _given(visit)
    values = {name: visit.text(name)[:4096] for name in FIELDS}
    if problems:
        return await _form(visit, values, problems)
    current: Current = await visit.run(in_force)
    try:
        text = use_cases.with_engine(current.text, given)
        parse_settings(text, DOCUMENT)
        found: Sized = await visit.run(use_cases.sized, visit.services.settings(), given)
        planned: Plan = await visit.run(_plan, text)
    except (CallerError, ConfigurationError) as error:
        return await _form(visit, values, {_field(error.message): error.message})
    return visit.render(
        "admin/gguf-plan.html",
        engine=found,
        plan=planned,
        values=values,
        seen=digest_of(text),
        comment=visit.gettext("engine %(name)s") % {"name": given.id},
    )


def _field(sentence: str) -> str:
    """Beside which field a sentence of a use-case stands."""
    if "context" in sentence.lower() and "must be" in sentence:
        return "context"
    return "model" if ".id" in sentence or " id " in sentence or "already" in sentence else "file"


def _plan(store: Store, text: str) -> Plan:
    return versions.plan(store, text, DOCUMENT, versions.file_of_node(store))


async def apply(visit: ConsoleVisit) -> Response:
    """What was seen is applied, or nothing."""
    given, problems = _given(visit)
    current: Current = await visit.run(in_force)
    text = "" if problems else use_cases.with_engine(current.text, given)
    if problems or digest_of(text) != visit.text("seen") or visit.text("expected") != str(current.number):
        raise InvalidRequest("The configuration has changed since the plan. Choose the file again.")
    await _apply(visit, text, current, visit.text("comment") or f"engine {given.id}")
    return visit.redirect(PATH, notice=_("Applied. The engine is starting."))


async def _apply(visit: ConsoleVisit, text: str, current: Current, comment: str) -> StoredVersion:
    author = visit.person.name if visit.person.name.isprintable() else visit.person.email
    by = Submission(visit.actor, author, comment, current.number, on_server=False)
    try:
        return await visit.run(versions.apply, text, DOCUMENT, by)
    except ConfigurationError as error:
        raise InvalidRequest(error.message) from None


async def stop(visit: ConsoleVisit) -> Response:
    return await _switch(visit, enabled=False)


async def start(visit: ConsoleVisit) -> Response:
    return await _switch(visit, enabled=True)


async def _switch(visit: ConsoleVisit, *, enabled: bool) -> Response:
    name = visit.text("engine")[:64]
    current: Current = await visit.run(in_force)
    text = use_cases.with_engine_enabled(current.text, name, enabled=enabled)
    await _apply(visit, text, current, f"{'start' if enabled else 'stop'} engine {name}")
    notice = _("The engine is starting.") if enabled else _("The engine ends when its calls have ended.")
    return visit.redirect(PATH, notice=notice, undo=Undo(f"{PATH}/{'stop' if enabled else 'start'}", {"engine": name}))


async def remove(visit: ConsoleVisit) -> Response:
    """Its undo is a rollback to the version before, as long as none has followed."""
    name = visit.text("engine")[:64]
    current: Current = await visit.run(in_force)
    made = await _apply(visit, use_cases.without_engine(current.text, name), current, f"remove engine {name}")
    undo = None
    if current.source == "database":
        fields = {"version": str(current.number), "expected": str(made.number), "comment": f"engine {name} again"}
        undo = Undo("/admin/configuration/rollback", fields)
    return visit.redirect(PATH, notice=_("The engine is removed. Its file stays."), undo=undo)


PAGES: Final = (
    ConsolePage(PATH, list_, "operate"),
    ConsolePage(NEW, form, "operate", step_up=True),
    ConsolePage(NEW, plan, "operate", ("POST",), step_up=True),
    ConsolePage(f"{NEW}/apply", apply, "operate", ("POST",), step_up=True),
    ConsolePage(f"{PATH}/stop", stop, "operate", ("POST",), step_up=True),
    ConsolePage(f"{PATH}/start", start, "operate", ("POST",), step_up=True),
    ConsolePage(f"{PATH}/remove", remove, "operate", ("POST",), step_up=True),
)
