"""/admin/configuration: versions, what differs between them, and a plan before each apply."""

from __future__ import annotations

from typing import Any, Final

from starlette.datastructures import UploadFile
from starlette.responses import Response

from fairlead.admin import configuration as versions
from fairlead.admin.configuration import LARGEST_DOCUMENT, Current, Plan, Submission
from fairlead.admin.masking import masked
from fairlead.console.page import ConsolePage, ConsoleVisit, Undo
from fairlead.errors import CallerError, ConfigurationError, InvalidRequest
from fairlead.store import Store
from fairlead.store.configuration import StoredVersion
from fairlead.toml import Located, Source, located

SHOWN: Final = 50
DOCUMENT: Final = "document"


def _(message: str) -> str:
    return message


async def list_(visit: ConsoleVisit) -> Response:
    return visit.render(
        "admin/configuration.html",
        current=await visit.run(in_force),
        versions=await visit.run(versions.history, SHOWN),
    )


def in_force(store: Store) -> Current:
    return versions.current(store, versions.file_of_node(store))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else -1


async def one(visit: ConsoleVisit) -> Response:
    found: StoredVersion = await visit.run(versions.document_of, _number(visit.path_params["number"]))
    return visit.render("admin/version.html", version=found, document=masked(found.document or ""))


async def diff(visit: ConsoleVisit) -> Response:
    before, after = _number(visit.query.get("from", "")), _number(visit.query.get("to", ""))
    if before < 1 or after < 1:
        return visit.redirect("/admin/configuration", notice=_("Choose two versions to compare."))
    return visit.render(
        "admin/diff.html",
        before=before,
        after=after,
        changes=await visit.run(versions.compare, before, after),
        lines=(await visit.run(versions.compare_texts, before, after)).splitlines(),
    )


async def edit(visit: ConsoleVisit) -> Response:
    """The document in force, to be changed. What is secret in it is not shown, so it cannot be kept by writing it
    again: where there is a secret as text, the document is changed by the command line or by first steps."""
    found: Current = await visit.run(in_force)
    return _edit(visit, masked(found.text), found, base_of(found))


def base_of(found: Current) -> str:
    """What a draft was begun from."""
    return f"{found.number}:{found.digest[:16]}"


def _edit(visit: ConsoleVisit, document: str, found: Current, base: str, **more: Any) -> Response:
    """The editor. `base`: what the draft was begun from; where something else is in force by now, the page says so."""
    begun = _number(base.partition(":")[0])
    given = {"wrong": [], "plan": None, "lines": [], "back": "/admin/configuration", "comment": "", **more}
    return visit.render(
        "admin/edit.html",
        status=422 if given["wrong"] else 200,
        document=document,
        rows=document.count("\n") + 2,
        current=found,
        base=base,
        begun=max(0, begun),
        overtaken=base != base_of(found),
        **given,
    )


async def plan(visit: ConsoleVisit) -> Response:
    """What a document would change, or all that is wrong with it. It is applied by the form on that page, with the
    document that was seen."""
    return await show_plan(visit, await document_of(visit), base=visit.text("base")[:64])


async def document_of(visit: ConsoleVisit, name: str = DOCUMENT) -> str:
    """Of a field, or of a file of that name. Raises InvalidRequest."""
    given = visit.form.get(name)
    if not isinstance(given, UploadFile):
        return (given or "").replace("\r\n", "\n")
    raw = await given.read(LARGEST_DOCUMENT + 1)
    if len(raw) > LARGEST_DOCUMENT:
        raise InvalidRequest(f"The file is larger than {LARGEST_DOCUMENT} bytes.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidRequest("The file is not UTF-8 text.") from None


async def show_plan(visit: ConsoleVisit, document: str, back: str = "/admin/configuration", base: str = "") -> Response:
    found: Current = await visit.run(in_force)
    base = base or base_of(found)
    try:
        wrong: list[Located] = await visit.run(_wrong, document)
        planned: Plan | None = None if wrong else await visit.run(_plan, document)
    except (ConfigurationError, InvalidRequest) as error:
        return _edit(
            visit, document, found, base, wrong=[located(error.message, Source(DOCUMENT, document))], back=back
        )
    if planned is None:
        return _edit(visit, document, found, base, wrong=wrong, back=back)
    lines = versions.diff_texts(found.text, document)
    return _edit(visit, document, found, base, plan=planned, lines=lines, back=back)


def _wrong(store: Store, document: str) -> list[Located]:  # noqa: ARG001 - a use-case of the thread, as all are
    if len(document.encode()) > LARGEST_DOCUMENT:
        raise InvalidRequest(f"The document is larger than {LARGEST_DOCUMENT} bytes.")
    return versions.problems_of(document, DOCUMENT)


def _plan(store: Store, document: str) -> Plan:
    return versions.plan(store, document, DOCUMENT, versions.file_of_node(store))


async def apply(visit: ConsoleVisit) -> Response:
    by = _submission(visit, on_server=False)
    document = await document_of(visit)
    before: Current = await visit.run(in_force)
    try:
        made: StoredVersion = await visit.run(versions.apply, document, DOCUMENT, by)
    except (CallerError, ConfigurationError) as error:
        current: Current = await visit.run(in_force)
        wrong = [located(error.message, Source(DOCUMENT, document))]
        return _edit(visit, document, current, visit.text("base")[:64] or base_of(current), wrong=wrong)
    return _applied(visit, made, before)


def _applied(visit: ConsoleVisit, made: StoredVersion, before: Current) -> Response:
    """Undone by a rollback to what was in force, as long as no other version has followed."""
    text = visit.gettext("Version %(number)s is applied. Processes take it up within two seconds.")
    return visit.redirect("/admin/configuration", notice=text % {"number": made.number}, undo=undo_of(made, before))


def undo_of(made: StoredVersion, before: Current) -> Undo | None:
    """The form that rolls a version back. None where nothing was in force before it."""
    if before.source == "none":
        return None
    number = before.number if before.source == "database" else 0
    return Undo("/admin/configuration/rollback", {"version": str(number), "expected": str(made.number)})


async def rollback_plan(visit: ConsoleVisit) -> Response:
    number = _number(visit.query.get("version", ""))
    if number < 0:
        return visit.redirect("/admin/configuration", notice=_("Choose a version."))
    found: Plan = await visit.run(_rollback_plan, number)
    return visit.render(
        "admin/plan.html", plan=found, document=None, restored=number, back="/admin/configuration", comment=""
    )


def _rollback_plan(store: Store, number: int) -> Plan:
    return versions.rollback_plan(store, number, versions.file_of_node(store))


async def rollback(visit: ConsoleVisit) -> Response:
    number = _number(visit.text("version"))
    if number < 0:
        raise InvalidRequest("Choose a version.")
    before: Current = await visit.run(in_force)
    try:
        made: StoredVersion = await visit.run(versions.rollback, number, _submission(visit))
    except ConfigurationError as error:
        raise InvalidRequest(error.message) from None
    return _applied(visit, made, before)


def _submission(visit: ConsoleVisit, *, on_server: bool = True) -> Submission:
    expected = _number(visit.text("expected"))
    if expected < 0:
        raise InvalidRequest("This form does not say which version it was planned for. Plan again.")
    author = visit.person.name if visit.person.name.isprintable() else visit.person.email
    return Submission(visit.actor, author, visit.text("comment"), expected, on_server=on_server)


PAGES: Final = (
    ConsolePage("/admin/configuration", list_, "operate"),
    ConsolePage("/admin/configuration/edit", edit, "operate", step_up=True),
    ConsolePage("/admin/configuration/plan", plan, "operate", ("POST",), step_up=True),
    ConsolePage("/admin/configuration/apply", apply, "operate", ("POST",), step_up=True),
    ConsolePage("/admin/configuration/diff", diff, "operate"),
    ConsolePage("/admin/configuration/rollback", rollback_plan, "operate"),
    ConsolePage("/admin/configuration/rollback", rollback, "operate", ("POST",), step_up=True),
    ConsolePage("/admin/configuration/{number}", one, "operate"),
)
