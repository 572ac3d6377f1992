"""/admin/people: everybody who may sign in, and the links that they asked for."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from fairlead.admin import directory, members
from fairlead.admin.directory import Entry
from fairlead.admin.member_keys import checked_fate
from fairlead.console import mails
from fairlead.console.forms import next_page
from fairlead.console.members import role_of
from fairlead.console.page import ConsolePage, ConsoleVisit, Undo
from fairlead.errors import CallerError, ConfigurationError
from fairlead.people.roles import ROLES

PATH: Final = "/admin/people"
SHOWN: Final = 100
# The page of each kind of link.
PAGES_OF: Final = {"sign-up": "/confirm", "reset": "/reset", "confirm": "/confirm", "invitation": "/invitation"}


def _(message: str) -> str:
    return message


async def page(visit: ConsoleVisit) -> Response:
    return await _page(visit)


async def _page(
    visit: ConsoleVisit, problems: dict[str, str] | None = None, link: str = "", whose: str = ""
) -> Response:
    text = visit.query.get("q", "")[:200]
    found: list[Entry] = await visit.run(directory.list_people, SHOWN + 1, visit.query.get("after", "")[:254], text)
    return visit.render(
        "admin/people.html",
        entries=found[:SHOWN],
        after=found[SHOWN - 1].person.email if len(found) > SHOWN else None,
        q=text,
        roles=ROLES,
        here=f"{PATH}?{urlencode(kept)}" if (kept := dict(visit.query)) else PATH,
        requests=await visit.run(directory.requests),
        link=link,
        whose=whose,
        given={
            "organisation": "" if link else visit.text("organisation"),
            "email": "" if link else visit.text("email"),
        },
        problems=problems,
    )


async def person(visit: ConsoleVisit) -> Response:
    entry = await visit.run(directory.one_person, visit.path_params["id"])
    return visit.render("admin/person.html", entry=entry, roles=ROLES)


async def hand_over(visit: ConsoleVisit) -> Response:
    link, token = await visit.run(directory.hand_over, visit.actor, visit.path_params["id"])
    return await _page(visit, link=f"{visit.origin}{PAGES_OF[link.kind]}#{token}", whose=link.email)


async def reset(visit: ConsoleVisit) -> Response:
    token = await visit.run(directory.make_reset, visit.actor, visit.path_params["id"])
    return await _page(visit, link=f"{visit.origin}/reset#{token}")


async def disable(visit: ConsoleVisit) -> Response:
    disabled = visit.text("disabled") == "yes"
    given = {name.removeprefix("keys-"): visit.text(name) for name in visit.form if name.startswith("keys-")}
    fates = {account_id: checked_fate(fate) for account_id, fate in given.items()}
    await visit.run(directory.disable, visit.actor, visit.path_params["id"], disabled=disabled, fates=fates)
    notice = _("Signed out everywhere and disabled") if disabled else _("Enabled")
    return _back(visit, notice, "disable", {"disabled": "no" if disabled else "yes"})


async def operator(visit: ConsoleVisit) -> Response:
    wanted = visit.text("operator") == "yes"
    await visit.run(directory.make_operator, visit.actor, visit.path_params["id"], operator=wanted)
    notice = _("They operate this server now.") if wanted else _("They do not operate this server any more.")
    return _back(visit, notice, "operator", {"operator": "no" if wanted else "yes"})


async def role(visit: ConsoleVisit) -> Response:
    """In one of their organisations. The page returned to is the one of the form: the list, or theirs."""
    person_id, account_id, wanted = visit.path_params["id"], visit.text("account"), role_of(visit)
    former = await visit.run(members.change_role, visit.actor, account_id, person_id, wanted, by_owner=True)
    fields = {"account": account_id, "role": former, "from": visit.text("from")}
    undo = None if former == wanted else Undo(f"{PATH}/{person_id}/role", fields)
    return visit.redirect(_listed(visit.text("from")) or f"{PATH}/{person_id}", notice=_("Role changed"), undo=undo)


def _listed(address: str) -> str:
    """An address of the list of people, "" for any other."""
    return next_page(address) if address == PATH or address.startswith(f"{PATH}?") else ""


async def factors(visit: ConsoleVisit) -> Response:
    await visit.run(directory.remove_second_factors, visit.actor, visit.path_params["id"])
    return _back(visit, _("Second factors removed"))


def _back(visit: ConsoleVisit, notice: str, undo: str = "", fields: dict[str, str] | None = None) -> Response:
    """`undo`: the form below the person's page that takes it back, with its fields."""
    path = f"{PATH}/{visit.path_params['id']}"
    return visit.redirect(path, notice=notice, undo=Undo(f"{path}/{undo}", fields or {}) if undo else None)


async def invite(visit: ConsoleVisit) -> Response:
    """A customer: an account of their own, with an invitation of its owner."""
    name, email, mailed = visit.text("organisation"), visit.text("email"), visit.mails()
    try:
        token = await visit.run(directory.invite_customer, visit.actor, name, email, mailed=mailed)
    except (CallerError, ConfigurationError) as error:
        return await _page(visit, {error.param or "organisation": error.message})
    if not mailed:
        return await _page(visit, link=f"{visit.origin}/invitation#{token}", whose=email)
    visit.later(mails.write(visit, email.strip(), mails.INVITATION, f"/invitation#{token}", organisation=name.strip()))
    return visit.redirect(PATH, notice=_("Invitation sent"))


PAGES: Final = (
    ConsolePage(PATH, page, "operate"),
    ConsolePage(f"{PATH}/{{id}}", person, "operate"),
    ConsolePage(f"{PATH}/invite", invite, "operate", ("POST",), step_up=True),
    ConsolePage(f"{PATH}/requests/{{id}}", hand_over, "operate", ("POST",), step_up=True),
    ConsolePage(f"{PATH}/{{id}}/reset", reset, "operate", ("POST",), step_up=True),
    ConsolePage(f"{PATH}/{{id}}/disable", disable, "operate", ("POST",), step_up=True),
    ConsolePage(f"{PATH}/{{id}}/operator", operator, "operate", ("POST",), step_up=True),
    ConsolePage(f"{PATH}/{{id}}/role", role, "operate", ("POST",), step_up=True),
    ConsolePage(f"{PATH}/{{id}}/factors", factors, "operate", ("POST",), step_up=True),
)
