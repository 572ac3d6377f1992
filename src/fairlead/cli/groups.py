"""`fairlead projects` and `fairlead members`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fairlead.cli.options import (
    as_day,
    budget_words,
    columns_of,
    data_option,
    json_option,
    opened,
    sharing_options,
    table,
)
from fairlead.money import Picodollars

if TYPE_CHECKING:
    from fairlead.accounts.groups import GroupInfo, GroupKind

account_option = click.option("--account", "account_id", metavar="ID", help="The account. Default: the operator's own.")


@click.group()
def projects() -> None:
    """Manage the projects of accounts. Keys of a project share its budgets and limits."""


@projects.command("create")
@click.option("--name", required=True, help="What the project is called.")
@account_option
@sharing_options
@data_option
def projects_create(name: str, account_id: str | None, data: Path | None, **given: Any) -> None:
    """Create a project. Its id is the last line printed."""
    _create("project", name, account_id, data, given)


@projects.command("list")
@click.option("--archived", is_flag=True, help="The archived ones as well.")
@json_option
@data_option
def projects_list(archived: bool, as_json: bool, data: Path | None) -> None:
    """List the projects."""
    _list("project", data, as_json=as_json, archived=archived)


@projects.command("archive")
@click.argument("project_id", metavar="ID")
@data_option
def projects_archive(project_id: str, data: Path | None) -> None:
    """Archive a project: its keys are refused within a second, and lists leave it out. Nothing is lost."""
    _archive("project", project_id, data, archived=True)


@projects.command("restore")
@click.argument("project_id", metavar="ID")
@data_option
def projects_restore(project_id: str, data: Path | None) -> None:
    """Restore an archived project. Its keys work again."""
    _archive("project", project_id, data, archived=False)


@projects.command("set")
@click.argument("project_id", metavar="ID")
@sharing_options
@data_option
def projects_set(project_id: str, data: Path | None, **given: Any) -> None:
    """Change what the keys of a project share. A given option replaces the current value; "" removes it."""
    _set("project", project_id, data, given)


@click.group()
def members() -> None:
    """Manage the members of accounts. Keys of a member share the member's budgets and limits, in whatever project."""


@members.command("create")
@click.option("--name", required=True, help="Who it is.")
@account_option
@sharing_options
@data_option
def members_create(name: str, account_id: str | None, data: Path | None, **given: Any) -> None:
    """Create a member. Its id is the last line printed."""
    _create("member", name, account_id, data, given)


@members.command("list")
@click.option("--archived", is_flag=True, help="The archived ones as well.")
@json_option
@data_option
def members_list(archived: bool, as_json: bool, data: Path | None) -> None:
    """List the members."""
    _list("member", data, as_json=as_json, archived=archived)


@members.command("archive")
@click.argument("member_id", metavar="ID")
@data_option
def members_archive(member_id: str, data: Path | None) -> None:
    """Archive a member: its keys are refused within a second, and lists leave it out. Nothing is lost."""
    _archive("member", member_id, data, archived=True)


@members.command("restore")
@click.argument("member_id", metavar="ID")
@data_option
def members_restore(member_id: str, data: Path | None) -> None:
    """Restore an archived member. Its keys work again."""
    _archive("member", member_id, data, archived=False)


@members.command("set")
@click.argument("member_id", metavar="ID")
@sharing_options
@data_option
def members_set(member_id: str, data: Path | None, **given: Any) -> None:
    """Change what the keys of a member share. A given option replaces the current value; "" removes it."""
    _set("member", member_id, data, given)


def _create(kind: GroupKind, name: str, account_id: str | None, data: Path | None, given: dict[str, Any]) -> None:
    from fairlead.admin.audit import command_line
    from fairlead.admin.groups import create_group

    columns = columns_of(**given)
    with opened(data) as store:
        group_id = create_group(store, command_line(), kind, name, account_id, columns)
    click.echo(group_id)


def _archive(kind: GroupKind, group_id: str, data: Path | None, *, archived: bool) -> None:
    from fairlead.admin.audit import command_line
    from fairlead.admin.groups import archive_group

    with opened(data) as store:
        done = archive_group(store, command_line(), kind, group_id, archived=archived)
    state = "archived" if archived else "in use"
    click.echo(f"{group_id} is {state}." if done else f"{group_id} was {state} already.")


def _list(kind: GroupKind, data: Path | None, *, as_json: bool, archived: bool) -> None:
    from fairlead.admin.groups import group_entry, list_groups

    with opened(data) as store:
        found = list_groups(store, kind, archived=archived)
    if as_json:
        click.echo(json.dumps([group_entry(one) for one in found], indent=2))
        return
    rows = [("ID", "NAME", "ACCOUNT", "CREATED", "SHARED BY ITS KEYS")]
    rows += [(one.id, one.name, one.account_id, as_day(one.created_at), _bound(one)) for one in found]
    table(rows)


def _set(kind: GroupKind, group_id: str, data: Path | None, given: dict[str, Any]) -> None:
    from fairlead.admin.audit import command_line
    from fairlead.admin.groups import change_group

    columns = columns_of(**given)
    if not columns:
        raise click.UsageError("Nothing to change: give --budget, --limit, --model or --each-user.")
    with opened(data) as store:
        change_group(store, command_line(), kind, group_id, columns)
    click.echo(f"{group_id} was changed.")


def _bound(group: GroupInfo) -> str:
    """Written as the options that set it."""
    words = [] if group.archived_at is None else ["archived"]
    words += budget_words(group.budgets)
    words += [f"{name}={number}" for name, number in (group.limits.by_name() if group.limits else {}).items()]
    words += group.models or ()
    if group.each_user is not None:
        caps = [f"{period}={Picodollars(amount).dollars()}" for period, amount in group.each_user.budgets.items()]
        caps += [f"{name}={number}" for name, number in group.each_user.limits.by_name().items()]
        words.append(f"each user: {' '.join(caps)}")
    return " ".join(words) or "-"
