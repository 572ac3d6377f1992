"""/admin/configuration: versions, what differs between them, and a plan before each apply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.datastructures import UploadFile
from starlette.responses import Response

from fairlead.admin import configuration as versions
from fairlead.admin.configuration import LARGEST_DOCUMENT, Current, Plan, Submission
from fairlead.admin.masking import masked
from fairlead.console.page import ConsolePage, ConsoleVisit
from fairlead.errors import CallerError, ConfigurationError, InvalidRequest
from fairlead.store import Store
from fairlead.store.configuration import StoredVersion

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
    return _edit(visit, masked(found.text), found.number)


def _edit(
    visit: ConsoleVisit,
    document: str,
    number: int,
    problems: Mapping[str, str] | None = None,
) -> Response:
    return visit.render("admin/edit.html", document=document, number=number, problems=problems)


async def plan(visit: ConsoleVisit) -> Response:
    """What a document would change. It is applied by the form on that page, with the document that was seen."""
    return await show_plan(visit, await document_of(visit))


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


async def show_plan(
    visit: ConsoleVisit, document: str, back: str = "/admin/configuration/edit", **more: Any
) -> Response:
    try:
        found: Plan = await visit.run(_plan, document)
    except (ConfigurationError, InvalidRequest) as error:
        current: Current = await visit.run(in_force)
        return _edit(visit, document, current.number, {DOCUMENT: error.message})
    return visit.render("admin/plan.html", plan=found, document=document, restored=None, back=back, comment="", **more)


def _plan(store: Store, document: str) -> Plan:
    if len(document.encode()) > LARGEST_DOCUMENT:
        raise InvalidRequest(f"The document is larger than {LARGEST_DOCUMENT} bytes.")
    return versions.plan(store, document, DOCUMENT, versions.file_of_node(store))


async def apply(visit: ConsoleVisit) -> Response:
    by = _submission(visit, on_server=False)
    document = await document_of(visit)
    try:
        made: StoredVersion = await visit.run(versions.apply, document, DOCUMENT, by)
    except (CallerError, ConfigurationError) as error:
        current: Current = await visit.run(in_force)
        return _edit(visit, document, current.number, {DOCUMENT: error.message})
    return _applied(visit, made)


def _applied(visit: ConsoleVisit, made: StoredVersion) -> Response:
    text = visit.gettext("Version %(number)s is applied. Processes take it up within two seconds.")
    return visit.redirect("/admin/configuration", notice=text % {"number": made.number})


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
    try:
        made: StoredVersion = await visit.run(versions.rollback, number, _submission(visit))
    except ConfigurationError as error:
        raise InvalidRequest(error.message) from None
    return _applied(visit, made)


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
