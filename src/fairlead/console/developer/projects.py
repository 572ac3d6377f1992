"""/account/projects: keys of one purpose, with budgets, limits and models of their own together."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from fairlead.accounts.groups import GroupInfo
from fairlead.admin import activity as figures
from fairlead.admin import groups
from fairlead.admin.activity import CallFilter, window_of
from fairlead.console.developer.confined import member_of
from fairlead.console.developer.keys import BUDGETS, LIMITS, KeyForm, sentence_of, values_of
from fairlead.console.page import ConsolePage, ConsoleVisit
from fairlead.errors import ConfigurationError, InvalidRequest, NotFound
from fairlead.ledger.rollups import Sums, totals
from fairlead.store import Store


def _(message: str) -> str:
    return message


FIELDS: Final = ("name", "models", *(f"budget_{name}" for name, _title in BUDGETS), *(name for name, _title in LIMITS))
WINDOW: Final = "30d"


async def listed(visit: ConsoleVisit) -> Response:
    """The projects, with what their calls came to in 30 days."""
    await visit.services.flush()
    member_id = member_of(visit)

    def read(store: Store) -> list[tuple[GroupInfo, Sums]]:
        found = groups.list_groups(store, "project", visit.account_id, archived=True)
        window = window_of(WINDOW)
        if member_id is None:  # one look for all of them
            with store.read() as connection:
                sums = totals(
                    connection, [f"project/{one.id}" for one in found], window.span, window.since, window.until
                )
            return [(one, sums.get(f"project/{one.id}", Sums())) for one in found]
        return [
            (
                one,
                figures.activity(
                    store, CallFilter(visit.account_id, project_id=one.id, member_id=member_id), window
                ).total,
            )
            for one in found
        ]

    found = await visit.run(read)
    return visit.render(
        "account/projects.html",
        projects=[pair for pair in found if pair[0].archived_at is None],
        archived=[pair for pair in found if pair[0].archived_at is not None],
        undo=visit.query.get("archived", ""),
    )


async def new(visit: ConsoleVisit) -> Response:
    return _form(visit, None, dict.fromkeys(FIELDS, ""))


async def create(visit: ConsoleVisit) -> Response:
    form = _filled(visit)
    form.read()
    if not form.problems:
        try:
            await visit.run(
                groups.create_group, visit.actor, "project", form.values["name"].strip(), visit.account_id,
                {name: value for name, value in form.columns.items() if value is not None},
            )  # fmt: skip
        except (ConfigurationError, InvalidRequest) as error:
            form.problems["name"] = sentence_of(error)
        else:
            return visit.redirect("/account/projects", notice=_("The project was created."))
    return _form(visit, None, form.values, form.problems)


async def change(visit: ConsoleVisit) -> Response:
    """The form of a project, and what it changes."""
    project = await _own(visit)
    if visit.request.method != "POST":
        return _form(visit, project, {name: values_of(project)[name] for name in FIELDS})
    form = _filled(visit)
    form.read(project)
    if not form.problems:
        columns = {**form.columns, "name": form.values["name"].strip()}
        try:
            await visit.run(groups.change_group, visit.actor, "project", project.id, columns)
        except (ConfigurationError, InvalidRequest) as error:
            form.problems["name"] = sentence_of(error)
        else:
            return visit.redirect(
                "/account/projects", notice=_("The project was changed. It is in force within a second.")
            )
    return _form(visit, project, form.values, form.problems)


async def archive(visit: ConsoleVisit) -> Response:
    """Refuses the keys of a project, or takes that back."""
    project = await _own(visit)
    archived = visit.text("archived") == "1"
    await visit.run(groups.archive_group, visit.actor, "project", project.id, archived=archived)
    if archived:
        return visit.redirect(f"/account/projects?archived={project.id}")
    return visit.redirect("/account/projects", notice=_("The project is back: its keys work again."))


async def _own(visit: ConsoleVisit) -> GroupInfo:
    """Raises NotFound for a project of another organisation."""
    found = await visit.run(groups.group_info, "project", visit.path_params["project"])
    if found.account_id != visit.account_id:
        raise NotFound("There is no such project.", param="project")
    return found


def _filled(visit: ConsoleVisit) -> KeyForm:
    return KeyForm({"expires": "", "networks": "", **{name: visit.text(name) for name in FIELDS}}, shared=True)


def _form(
    visit: ConsoleVisit, project: GroupInfo | None, values: Any, problems: dict[str, str] | None = None
) -> Response:
    return visit.render(
        "account/project.html", problems=problems, project=project, values=values, budgets=BUDGETS, limits=LIMITS
    )


PAGES: Final = (
    ConsolePage("/account/projects", listed, "view"),
    ConsolePage("/account/projects/new", new, "manage"),
    ConsolePage("/account/projects/new", create, "manage", ("POST",)),
    ConsolePage("/account/projects/{project}", change, "manage", ("GET", "POST")),
    ConsolePage("/account/projects/{project}/state", archive, "manage", ("POST",)),
)
