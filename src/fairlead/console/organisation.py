"""/account/settings: an organisation's name, whose it is, and that it is deleted."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from fairlead.admin import closing, members
from fairlead.admin.accounts import change_account
from fairlead.console.page import ConsolePage, ConsoleVisit
from fairlead.errors import CallerError, ConfigurationError

PATH: Final = "/account/settings"


def _(message: str) -> str:
    return message


async def page(visit: ConsoleVisit) -> Response:
    return await _page(visit)


async def _page(visit: ConsoleVisit, problems: dict[str, str] | None = None) -> Response:
    colleagues, _invitations = await visit.run(members.list_members, visit.account_id)
    assert visit.membership is not None
    return visit.render(
        "account/settings.html",
        name=visit.text("name") or visit.membership.account_name,
        others=[
            (one.person.id, f"{one.person.name} ({one.person.email})")
            for one in colleagues
            if one.person.id != visit.person.id and one.person.disabled_at is None
        ],
        problems=problems,
    )


async def rename(visit: ConsoleVisit) -> Response:
    try:
        await visit.run(change_account, visit.actor, visit.account_id, {"name": visit.text("name").strip()})
    except ConfigurationError as error:
        return await _page(visit, {"name": error.message})
    return visit.redirect(PATH, notice=_("Name changed"))


async def transfer(visit: ConsoleVisit) -> Response:
    await visit.run(closing.transfer, visit.actor, visit.account_id, visit.person.id, visit.text("person"))
    return visit.redirect(PATH, notice=_("Ownership transferred; you are an admin now"))


async def delete_page(visit: ConsoleVisit) -> Response:
    return await _delete(visit)


async def _delete(visit: ConsoleVisit, problems: dict[str, str] | None = None) -> Response:
    return visit.render(
        "account/delete-organisation.html",
        goes=await visit.run(closing.contents, visit.account_id),
        given=visit.text("name"),
        problems=problems,
    )


async def delete(visit: ConsoleVisit) -> Response:
    forfeit = visit.text("forfeit") == "yes"
    try:
        await visit.run(closing.delete_organisation, visit.actor, visit.account_id, visit.text("name"), forfeit=forfeit)
    except CallerError as error:
        return await _delete(visit, {error.param or "name": error.message})
    return visit.redirect("/account", notice=_("The organisation is deleted"))


PAGES: Final = (
    ConsolePage(PATH, page, "view"),
    ConsolePage(f"{PATH}/name", rename, "manage", ("POST",)),
    ConsolePage(f"{PATH}/owner", transfer, "own", ("POST",), step_up=True),
    ConsolePage(f"{PATH}/delete", delete_page, "own", step_up=True),
    ConsolePage(f"{PATH}/delete", delete, "own", ("POST",), step_up=True),
)
