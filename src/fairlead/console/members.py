"""/account/members: the people of an organisation, their roles and caps, invitations."""

from __future__ import annotations

from typing import Final, cast

from starlette.responses import Response

from fairlead.accounts.options import as_columns
from fairlead.admin import joining, members
from fairlead.admin.member_keys import KeysFate, checked_fate
from fairlead.console import mails
from fairlead.console.page import ConsolePage, ConsoleVisit, Undo
from fairlead.errors import CallerError, ConfigurationError, InvalidRequest, NotFound
from fairlead.money import Picodollars
from fairlead.people.roles import PERMISSIONS, ROLES, Role, is_role

PATH: Final = "/account/members"
CAPS: Final = ("requests_per_minute", "tokens_per_day")
PERIODS: Final = ("day", "month")


def _(message: str) -> str:
    return message


REMOVED: Final[dict[KeysFate, str]] = {
    "disable": _("Member removed; the keys that they made here are disabled"),
    "revoke": _("Member removed; the keys that they made here are revoked"),
    "keep": _("Member removed; the keys that they made here go on"),
}
# What each role is for, in words.
MEANINGS: Final[dict[Role, str]] = {
    "owner": _("Everything, including adding and removing owners"),
    "admin": _("Members, projects, limits, credit and everybody's keys"),
    "billing": _("Credit and invoices; no keys"),
    "member": _("Creates and manages their own keys"),
    "viewer": _("Sees everything and changes nothing"),
}


async def page(visit: ConsoleVisit) -> Response:
    return await _page(visit)


async def _page(visit: ConsoleVisit, problems: dict[str, str] | None = None, link: str = "") -> Response:
    colleagues, invitations = await visit.run(members.list_members, visit.account_id)
    return visit.render(
        "account/members.html",
        colleagues=colleagues,
        invitations=invitations,
        roles=[(role, role, MEANINGS[role]) for role in ROLES],
        may_own=visit.can("own"),
        may_invite=may_invite(visit),
        given={"email": "" if link else visit.text("email"), "role": visit.text("role") or "member"},
        link=link,
        problems=problems,
    )


def may_invite(visit: ConsoleVisit) -> bool:
    """Where sign-up is closed, operators alone bring somebody in."""
    closed = visit.services.settings().console.sign_up == "closed"
    return visit.can("manage") and (not closed or visit.can("operate"))


async def invite(visit: ConsoleVisit) -> Response:
    email, role = visit.text("email"), role_of(visit)
    if not may_invite(visit):
        return await _page(visit, {"email": _("Ask the operator of this server to invite people.")})
    mailed = visit.mails()
    try:
        token = await visit.run(
            joining.invite, visit.actor, visit.account_id, email, role, by_owner=visit.can("own"), mailed=mailed
        )
    except CallerError as error:
        return await _page(visit, {"email": error.message})
    if not mailed:
        return await _page(visit, link=f"{visit.origin}/invitation#{token}")
    assert visit.membership is not None
    name = visit.membership.account_name
    visit.later(mails.write(visit, email.strip(), mails.INVITATION, f"/invitation#{token}", organisation=name))
    return visit.redirect(PATH, notice=_("Invitation sent"))


async def withdraw(visit: ConsoleVisit) -> Response:
    await visit.run(joining.withdraw_invitation, visit.actor, visit.account_id, visit.path_params["id"])
    return visit.redirect(PATH, notice=_("Invitation withdrawn"))


async def member(visit: ConsoleVisit) -> Response:
    """One member, with what can be changed."""
    return await _member(visit)


async def _member(visit: ConsoleVisit, problems: dict[str, str] | None = None) -> Response:
    colleagues, _invitations = await visit.run(members.list_members, visit.account_id)
    found = next((one for one in colleagues if one.person.id == visit.path_params["person"]), None)
    if found is None:
        raise NotFound("There is no such member.")
    budgets = {one.period: Picodollars(one.picodollars).dollars() for one in found.budgets}
    given = {f"budget_{period}": budgets.get(period, "") for period in PERIODS}
    given |= {name: str(found.limits.get(name, "")) for name in CAPS}
    given |= {name: visit.text(name) for name in given if name in visit.form}
    return visit.render(
        "account/member.html",
        found=found,
        keys=await visit.run(members.count_keys, found.membership),
        roles=[(role, role, MEANINGS[role]) for role in ROLES],
        may_own=visit.can("own"),
        given=given,
        problems=problems,
    )


async def role(visit: ConsoleVisit) -> Response:
    person_id, wanted = visit.path_params["person"], role_of(visit)
    former = await visit.run(
        members.change_role, visit.actor, visit.account_id, person_id, wanted, by_owner=visit.can("own")
    )
    # Who has changed their own role may not be allowed to take it back.
    undo = person_id != visit.person.id and former != wanted
    return visit.redirect(
        PATH, notice=_("Role changed"), undo=Undo(f"{PATH}/{person_id}/role", {"role": former}) if undo else None
    )


async def caps(visit: ConsoleVisit) -> Response:
    """Budgets and limits that all keys of a member share. What this form does not show stays as it is."""
    person_id = visit.path_params["person"]
    colleagues, _invitations = await visit.run(members.list_members, visit.account_id)
    found = next((one for one in colleagues if one.person.id == person_id), None)
    budgets: dict[str, Picodollars] = {}
    problems: dict[str, str] = {}
    if found is not None:
        budgets = {one.period: Picodollars(one.picodollars) for one in found.budgets if one.period not in PERIODS}
    for period in PERIODS:
        try:
            if text := visit.text(f"budget_{period}").strip():
                budgets[period] = Picodollars.parse(text)
        except ValueError:
            problems[f"budget_{period}"] = _("Enter an amount in dollars, such as 20 or 2.50.")
    kept = {} if found is None else {name: one for name, one in found.limits.items() if name not in CAPS}
    limits = [f"{name}={one}" for name, one in kept.items()]
    limits += [f"{name}={text}" for name in CAPS if (text := visit.text(name).strip())]
    columns = {}
    try:
        continued = (
            {} if found is None else {one.period: one.continue_with for one in found.budgets if one.continue_with}
        )
        columns = as_columns(
            budgets=budgets,
            continue_with={period: models for period, models in continued.items() if period in budgets},
            given_limits=limits or [""],
        )
    except ConfigurationError:
        problems |= {
            name: _("Enter a whole number above 0.")
            for name in CAPS
            if visit.text(name).strip() and not visit.text(name).strip().isdecimal()
        } or {CAPS[0]: _("Enter a whole number above 0.")}
    if problems:
        return await _member(visit, problems)
    await visit.run(members.change_caps, visit.actor, visit.account_id, person_id, columns)
    return visit.redirect(PATH, notice=_("Caps changed"))


async def remove(visit: ConsoleVisit) -> Response:
    person_id = visit.path_params["person"]
    fate = checked_fate(visit.text("keys") or "disable")
    await visit.run(
        members.remove_member, visit.actor, visit.account_id, person_id, by_owner=visit.can("own"), fate=fate
    )
    return visit.redirect(PATH, notice=REMOVED[fate])


def role_of(visit: ConsoleVisit) -> Role:
    """The role of a form. Raises InvalidRequest."""
    name = visit.text("role")
    if not is_role(name):
        raise InvalidRequest(f"A role is one of {', '.join(PERMISSIONS)}.", param="role")
    return cast("Role", name)


PAGES: Final = (
    ConsolePage(PATH, page, "view"),
    ConsolePage(f"{PATH}/invite", invite, "manage", ("POST",)),
    ConsolePage("/account/invitations/{id}/withdraw", withdraw, "manage", ("POST",)),
    ConsolePage(f"{PATH}/{{person}}", member, "manage"),
    ConsolePage(f"{PATH}/{{person}}/role", role, "manage", ("POST",)),
    ConsolePage(f"{PATH}/{{person}}/caps", caps, "manage", ("POST",)),
    ConsolePage(f"{PATH}/{{person}}/remove", remove, "manage", ("POST",)),
)
