"""/admin/start/litellm: a config.yaml of LiteLLM becomes a document, a report and a plan."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Final

from starlette.datastructures import UploadFile
from starlette.responses import Response

from fairlead.admin.configuration import Current
from fairlead.admin.credentials import NAME, list_credentials, set_credential
from fairlead.admin.first_steps import with_sealed
from fairlead.admin.importing.litellm.importer import Imported, import_litellm
from fairlead.admin.importing.yaml_file import LARGEST_BYTES
from fairlead.admin.masking import masked
from fairlead.console.operating.configuration import document_of, in_force, show_plan
from fairlead.console.page import ConsolePage, ConsoleVisit
from fairlead.errors import CallerError, ConfigurationError, InvalidRequest
from fairlead.store import Store

FILE: Final = "config.yaml"
MOST_VARIABLES: Final = 100
FIELD: Final = "secret-"  # the beginning of the names of fields for keys


async def form(visit: ConsoleVisit) -> Response:
    return visit.render("admin/litellm.html", text="")


async def read(visit: ConsoleVisit) -> Response:
    text = ""
    try:
        given = visit.form.get("file")
        has_file = isinstance(given, UploadFile) and bool(given.filename)
        text = await document_of(visit, "file" if has_file else "text")
        if len(text.encode()) > LARGEST_BYTES:
            raise InvalidRequest(f"The file is larger than {LARGEST_BYTES} bytes.")
        if not text.strip():
            raise InvalidRequest("Choose a file, or paste its text.")
        found: Imported = await visit.run(_imported, text)
    except (CallerError, ConfigurationError) as error:
        return visit.render("admin/litellm.html", text="", problems={"file": error.message})
    return await _report(visit, found)


def _imported(store: Store, text: str) -> Imported:  # noqa: ARG001
    # Of the environment of this process nothing is read: what a file names may be any variable.
    return import_litellm(text, FILE, {})


async def _report(visit: ConsoleVisit, found: Imported) -> Response:
    report = found.report
    current: Current = await visit.run(in_force)
    document = _with_rest(found.text, current.text)
    return visit.render(
        "admin/litellm-report.html",
        mapped=report.lines("mapped"),
        not_mapped=report.lines("not_mapped"),
        never_effective=report.lines("never_effective"),
        notes=report.notes,
        variables=found.variables[:MOST_VARIABLES],
        document=document,
        replaces=current.source != "none",
    )


def _with_rest(document: str, in_force: str) -> str:
    """With what is in force behind it, where that has no providers and models, no table of the document, and nothing
    that must not be shown."""
    try:
        there, new = tomllib.loads(in_force), tomllib.loads(document)
    except tomllib.TOMLDecodeError:
        return document
    if masked(in_force) != in_force or there.keys() & {"providers", "models", *new}:
        return document
    return f"{document}\n{in_force}" if there else document


async def plan(visit: ConsoleVisit) -> Response:
    """Keys that were pasted are sealed, and named in the document in place of their variables."""
    given: dict[str, str] = {}
    for field, value in visit.form.multi_items():
        variable = field.removeprefix(FIELD)
        if field.startswith(FIELD) and isinstance(value, str) and value.strip():
            if not NAME.fullmatch(variable) or len(given) >= MOST_VARIABLES:
                raise InvalidRequest("This form is not ours.")
            given[variable] = value.strip()
    try:
        names: Mapping[str, str] = await visit.run(_sealed, visit, given)
    except ConfigurationError as error:
        raise InvalidRequest(error.message) from None
    document = with_sealed(await document_of(visit), names)
    return await show_plan(visit, document, "/admin/start/litellm")


def _sealed(store: Store, visit: ConsoleVisit, given: Mapping[str, str]) -> dict[str, str]:
    taken = {one.name for one in list_credentials(store)}
    names = {}
    for variable, secret in given.items():
        name = next(
            name
            for at in range(len(taken) + 1)
            if (name := f"{variable[:56]}-{at + 1}" if at else variable) not in taken
        )
        set_credential(store, visit.actor, name, secret)
        taken.add(name)
        names[variable] = name
    return names


PAGES: Final = (
    ConsolePage("/admin/start/litellm", form, "operate", step_up=True),
    ConsolePage("/admin/start/litellm", read, "operate", ("POST",), step_up=True),
    ConsolePage("/admin/start/litellm/plan", plan, "operate", ("POST",), step_up=True),
)
