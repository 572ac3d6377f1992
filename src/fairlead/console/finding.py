"""What the command palette asks for: who is here and what they may do, and things of theirs by a part of a name.

A page only names what the visitor may see: everything below is asked for with the same confinement as its own page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from starlette.responses import JSONResponse, Response

from fairlead.accounts.keys import KeyFilter
from fairlead.admin import accounts, directory, groups, keys
from fairlead.console.developer.confined import member_of
from fairlead.console.page import Area, ConsolePage, ConsoleVisit, Need
from fairlead.store import Store


def _(message: str) -> str:
    return message


# Of each kind of thing that fits what was typed; and how much of that is read.
MOST: Final = 5
LONGEST: Final = 100
LEAST: Final = 2
# What can be done: the page with its form, and what it needs.
ACTIONS: Final[tuple[tuple[str, str, Need], ...]] = (
    ("/account/keys/new", _("Create key"), "keys"),
    ("/account/members#invite", _("Invite somebody"), "manage"),
    ("/account/projects/new", _("Create project"), "manage"),
    ("/account/credit#redeem", _("Redeem a code"), "money"),
    ("/account/security#password", _("Change the password"), "person"),
    ("/admin/start/provider", _("Add a provider"), "operate"),
    ("/admin/configuration/edit", _("Change the configuration"), "operate"),
    ("/admin/people#invite", _("Invite the owner of an organisation"), "operate"),
)
# Pages of an organisation, for somebody who is in none.
OF_MEMBERS: Final = ("keys", "manage", "money", "own", "view")


def pages_of(visit: ConsoleVisit, areas: Sequence[Area]) -> list[dict[str, str]]:
    """The pages that somebody who has signed in may see."""
    return [
        {"path": visit.href(path), "name": f"{visit.gettext(area.title)}: {visit.gettext(name)}"}
        for area in areas if visit.can(area.need)
        for path, name, need in area.navigation if visit.can(need)
    ]  # fmt: skip


def actions_of(visit: ConsoleVisit) -> list[dict[str, Any]]:
    """What they may do: forms to open, and other organisations to choose, which a form of the page is sent for."""
    assert visit.signed_in is not None
    found: list[dict[str, Any]] = [
        {"path": visit.href(path), "name": visit.gettext(name)}
        for path, name, need in ACTIONS
        if visit.can(need) and (visit.membership is not None or need not in OF_MEMBERS)
    ]
    for one in visit.signed_in.memberships:
        if one.account_id != visit.account_id:
            name = visit.gettext(_("Switch to %(name)s")) % {"name": one.account_name}
            found.append({"name": name, "post": "/account/organisation", "fields": {"account": one.account_id}})
    found.append({"name": visit.gettext(_("Sign out")), "post": "/sign-out", "fields": {}})
    return found


async def find(visit: ConsoleVisit) -> Response:
    """Keys, projects, and for operators deployments, accounts and people, whose name or id has `q` in it."""
    text = visit.query.get("q", "").strip()[:LONGEST]
    if len(text) < LEAST:
        return JSONResponse([])
    deployments = visit.services.live.deployments() if visit.can("operate") else []
    drain, words = visit.gettext(_("Drain %(name)s")), text.lower().split()
    named = [one["id"] for one in deployments if all(word in (drain % {"name": one["id"]}).lower() for word in words)]
    return JSONResponse(await visit.run(_found, visit, text, named[:MOST]))


def _found(store: Store, visit: ConsoleVisit, text: str, deployments: Sequence[str]) -> list[dict[str, str]]:
    rows = list(_of_account(store, visit, text)) if visit.membership is not None else []
    if visit.can("operate"):
        rows += _of_operators(store, text, deployments)
    named = {kind: visit.gettext(kind) for kind in {row["kind"] for row in rows}}
    drain = visit.gettext(_("Drain %(name)s"))
    return [
        {
            **row,
            "kind": named[row["kind"]],
            "path": visit.href(row["path"]),
            "name": drain % row if row["kind"] == "Action" else row["name"],
        }
        for row in rows
    ]


def _of_account(store: Store, visit: ConsoleVisit, text: str) -> Iterator[dict[str, str]]:
    wanted = KeyFilter(visit.account_id, member_of(visit), text=text, state="all")
    for key in keys.newest_keys(store, wanted, MOST):
        path = f"/account/keys/{key.id}" if visit.can("keys") else f"/account/activity?key={key.id}"
        yield {"kind": _("Key"), "name": key.name, "note": key.shown, "path": path, "id": key.id}
    projects = groups.list_groups(store, "project", visit.account_id)
    for one in [one for one in projects if text.lower() in one.name.lower()][:MOST]:
        yield {"kind": _("Project"), "name": one.name, "note": "", "path": f"/account/activity?project={one.id}"}


def _of_operators(store: Store, text: str, deployments: Sequence[str]) -> Iterator[dict[str, str]]:
    for name in deployments:
        yield {"kind": _("Deployment"), "name": name, "note": "", "path": f"/admin/deployments#d-{name}"}
    for name in deployments:
        yield {"kind": _("Action"), "name": name, "note": "", "path": f"/admin/deployments#d-{name}"}
    for account_id, name in accounts.find_accounts(store, text, MOST):
        yield {"kind": _("Account"), "name": name, "note": account_id, "path": f"/admin/accounts/{account_id}"}
    for entry in directory.list_people(store, MOST, text=text):
        person = entry.person
        yield {"kind": _("Person"), "name": person.name, "note": person.email, "path": f"/admin/people/{person.id}"}


PAGES: Final = (ConsolePage("/account/find.json", find, "person"),)
