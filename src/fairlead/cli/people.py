"""`fairlead people`: who signs in to the console, and where they have a role."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from fairlead.cli.options import as_day, data_option, json_option, opened, table

account_option = click.option("--account", "account_id", metavar="ID", help="The account.")
needed_account = click.option("--account", "account_id", metavar="ID", required=True, help="The account.")
role_option = click.option(
    "--role", default="member", show_default=True, help="owner, admin, billing, member or viewer."
)
keys_option = click.option(
    "--keys", "fate", type=click.Choice(("disable", "revoke", "keep")), default="disable", show_default=True,
    help="What becomes of the keys that they made. Disabled ones work again when they come back.",
)  # fmt: skip
person_argument = click.argument("person", metavar="ID|EMAIL")


@click.group()
def people() -> None:
    """Manage the people who sign in to the console, their roles and sessions."""


@people.command("list")
@account_option
@json_option
@data_option
def people_list(account_id: str | None, as_json: bool, data: Path | None) -> None:
    """List the people: id, e-mail address, state, roles by account."""
    from fairlead.admin.people_entries import page_of_people, person_entry

    entries: list[dict[str, Any]] = []
    with opened(data) as store:
        while found := page_of_people(store, 500, entries[-1]["id"] if entries else "", account_id):
            entries += [person_entry(one) for one in found]
    if as_json:
        click.echo(json.dumps({"people": entries}))
        return
    rows = [
        (
            one["id"],
            one["email"],
            "disabled" if one["disabled_at"] else "operator" if one["operator"] else "",
            ", ".join(f"{membership['account']}: {membership['role']}" for membership in one["memberships"]),
        )
        for one in entries
    ]
    table([("ID", "E-MAIL", "STATE", "ROLES"), *rows])


@people.command("memberships")
@account_option
@json_option
@data_option
def people_memberships(account_id: str | None, as_json: bool, data: Path | None) -> None:
    """List who has which role where."""
    from fairlead.admin.people_entries import membership_entry, page_of_memberships

    entries: list[dict[str, Any]] = []
    with opened(data) as store:
        while found := page_of_memberships(store, 500, entries[-1]["id"] if entries else "", account_id):
            entries += [membership_entry(one) for one in found]
    if as_json:
        click.echo(json.dumps({"memberships": entries}))
        return
    rows = [(one["id"], one["person"], one["account"], one["role"], as_day(one["created_at"])) for one in entries]
    table([("ID", "PERSON", "ACCOUNT", "ROLE", "SINCE"), *rows])


@people.command("invite")
@click.argument("email")
@needed_account
@role_option
@data_option
def people_invite(email: str, account_id: str, role: str, data: Path | None) -> None:
    """Invite somebody to an account. The last line printed is the path of the link, good once, for a week."""
    from fairlead.accounts.accounts import account_info
    from fairlead.admin.audit import command_line
    from fairlead.admin.joining import invite
    from fairlead.admin.people_entries import checked_role

    with opened(data) as store:
        with store.read() as connection:
            account_info(connection, account_id)
        token = invite(store, command_line(), account_id, email, checked_role(role), by_owner=True, mailed=False)
    click.echo("Append this to the address of the server and send it to them:", err=True)
    click.echo(f"/invitation#{token}")


@people.command("invitations")
@account_option
@json_option
@data_option
def people_invitations(account_id: str | None, as_json: bool, data: Path | None) -> None:
    """List the open invitations."""
    from fairlead.admin.people_entries import invitation_entry, page_of_invitations

    entries: list[dict[str, Any]] = []
    with opened(data) as store:
        while found := page_of_invitations(store, 500, entries[-1]["id"] if entries else "", account_id):
            entries += [invitation_entry(one) for one in found]
    if as_json:
        click.echo(json.dumps({"invitations": entries}))
        return
    rows = [(one["id"], one["email"], one["account"], one["role"], as_day(one["expires_at"])) for one in entries]
    table([("ID", "E-MAIL", "ACCOUNT", "ROLE", "EXPIRES"), *rows])


@people.command("withdraw")
@click.argument("link_id", metavar="ID")
@data_option
def people_withdraw(link_id: str, data: Path | None) -> None:
    """Withdraw an invitation."""
    from fairlead.admin.audit import command_line
    from fairlead.admin.joining import withdraw_invitation
    from fairlead.admin.people_entries import one_invitation

    with opened(data) as store:
        found = one_invitation(store, link_id)
        withdraw_invitation(store, command_line(), found.account_id or "", link_id)
    click.echo(f"Withdrew the invitation of {found.email}.")


@people.command("add")
@person_argument
@needed_account
@role_option
@data_option
def people_add(person: str, account_id: str, role: str, data: Path | None) -> None:
    """Make somebody who may sign in a member of an account, without an invitation."""
    from fairlead.admin.audit import command_line
    from fairlead.admin.people_entries import add_membership, checked_role

    with opened(data) as store:
        add_membership(store, command_line(), account_id, _id_of(store, person), checked_role(role))
    click.echo(f"{person} is {role} of {account_id}.")


@people.command("role")
@person_argument
@click.argument("role")
@needed_account
@data_option
def people_role(person: str, role: str, account_id: str, data: Path | None) -> None:
    """Give a member another role, in force with their next request. One owner stays."""
    from fairlead.admin.audit import command_line
    from fairlead.admin.members import change_role
    from fairlead.admin.people_entries import checked_role

    with opened(data) as store:
        change_role(store, command_line(), account_id, _id_of(store, person), checked_role(role), by_owner=True)
    click.echo(f"{person} is {role} of {account_id}.")


@people.command("remove")
@person_argument
@needed_account
@keys_option
@data_option
def people_remove(person: str, account_id: str, fate: Any, data: Path | None) -> None:
    """Remove somebody from an account. One owner stays."""
    from fairlead.admin.audit import command_line
    from fairlead.admin.members import remove_member

    with opened(data) as store:
        count = remove_member(store, command_line(), account_id, _id_of(store, person), by_owner=True, fate=fate)
    click.echo(f"Removed {person} from {account_id}. Keys: {count} ({fate}).")


@people.command("disable")
@person_argument
@keys_option
@data_option
def people_disable(person: str, fate: Any, data: Path | None) -> None:
    """Sign somebody out everywhere and refuse their sign-ins."""
    _disable(person, data, disabled=True, fate=fate)


@people.command("enable")
@person_argument
@data_option
def people_enable(person: str, data: Path | None) -> None:
    """Let somebody sign in again. Keys that were disabled with them work again."""
    _disable(person, data, disabled=False, fate="disable")


def _disable(person: str, data: Path | None, *, disabled: bool, fate: Any) -> None:
    from fairlead.admin.audit import command_line
    from fairlead.admin.directory import disable, one_person

    with opened(data) as store:
        found = one_person(store, _id_of(store, person))
        fates = dict.fromkeys((one.account_id for one in found.memberships), fate)
        disable(store, command_line(), found.person.id, disabled=disabled, fates=fates)
    click.echo(f"{'Disabled' if disabled else 'Enabled'} {found.person.email}.")


@people.command("sessions")
@person_argument
@json_option
@data_option
def people_sessions(person: str, as_json: bool, data: Path | None) -> None:
    """List where somebody is signed in."""
    from fairlead.admin.people_entries import list_sessions, session_entry

    with opened(data) as store:
        entries = [session_entry(one) for one in list_sessions(store, _id_of(store, person))]
    if as_json:
        click.echo(json.dumps({"sessions": entries}))
        return
    rows = [
        (one["id"], one["method"], one["address"], as_day(one["created_at"]), as_day(one["seen_at"])) for one in entries
    ]
    table([("ID", "BY", "ADDRESS", "SINCE", "SEEN"), *rows])


@people.command("sign-out")
@person_argument
@click.option("--session", "session_id", metavar="ID", help="Only this session.")
@data_option
def people_sign_out(person: str, session_id: str | None, data: Path | None) -> None:
    """Sign somebody out everywhere, with their next request."""
    from fairlead.admin.audit import command_line
    from fairlead.admin.people_entries import end_sessions

    with opened(data) as store:
        count = end_sessions(store, command_line(), _id_of(store, person), session_id)
    click.echo(f"Ended {count} session{'' if count == 1 else 's'}.")


def _id_of(store: Any, person: str) -> str:
    """Of an id or an e-mail address. Raises NotFound."""
    if "@" not in person:
        return person
    from fairlead.admin.people_entries import page_of_people
    from fairlead.errors import NotFound

    found = page_of_people(store, 1, email=person.strip().lower())
    if not found:
        raise NotFound(f"Nobody has the e-mail address {person!r}.")
    return found[0].person.id
