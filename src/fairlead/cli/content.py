"""`fairlead content`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import click

from fairlead.cli.options import data_option, json_option, opened, table

account_argument = click.argument("account_id", metavar="ACCOUNT")
# Options, and the members of a policy that they replace.
LISTS: Final = {"project": "projects", "key": "keys", "never": "never", "detector": "detectors", "pattern": "patterns"}


@click.group()
def content() -> None:
    """Choose what accounts keep of the content of their calls, and delete it. Nothing is kept unless one chooses so."""


@content.command("show")
@account_argument
@json_option
@data_option
def content_show(account_id: str, as_json: bool, data: Path | None) -> None:
    """Show what an account keeps, and how many calls it kept in 30 days. Never what was asked or answered."""
    from fairlead.admin.content import content_state, state_entry

    with opened(data) as store:
        entry = state_entry(content_state(store, account_id))
    if as_json:
        click.echo(json.dumps(entry, indent=2))
        return
    table([(name, _shown(value)) for name, value in entry.items()])


@content.command("set")
@account_argument
@click.option("--enable/--disable", "enabled", default=None, help="Keep content, or keep none from now on.")
@click.option("--share", type=click.FloatRange(0, 100), help="Of the calls, in per cent.")
@click.option("--days", type=click.IntRange(1, 365), help="How long content is kept.")
@click.option("--project", multiple=True, metavar="ID", help='Only calls of this project. "": of all. Repeatable.')
@click.option("--key", multiple=True, metavar="ID", help='Only calls of this key. "": of all. Repeatable.')
@click.option("--never", multiple=True, metavar="ID", help='Never calls of this key. "": no such key. Repeatable.')
@click.option(
    "--detector", multiple=True, metavar="NAME",
    help='What is redacted: email, card, iban, phone, secret, ip. "": none of these. Repeatable.',
)  # fmt: skip
@click.option("--pattern", multiple=True, metavar="RE2", help='Redact what this matches, too. "": none. Repeatable.')
@click.option("--media/--no-media", default=None, help="Keep images, audio and files, not only their size and digest.")
@click.option("--store-false/--no-store-false", default=None, help='Requests with "store": false are not kept.')
@data_option
def content_set(account_id: str, data: Path | None, **given: Any) -> None:
    """Change what an account keeps. In force within a second; what is given replaces what was there."""
    from fairlead.admin.audit import command_line
    from fairlead.admin.content import change_content_policy

    changes = {name: value for name, value in given.items() if name not in LISTS and value is not None}
    for option, member in LISTS.items():
        if given[option]:
            changes[member] = tuple(one for one in given[option] if one)
    with opened(data) as store:
        policy = change_content_policy(store, command_line(), account_id, changes)
    if policy.enabled:
        click.echo(f"{account_id} keeps the content of {policy.share:g} % of its calls for {policy.days} days.")
    else:
        click.echo(f"{account_id} keeps no content.")


@content.command("delete")
@account_argument
@click.option("--call", "call_id", metavar="ID", help="Only of this call.")
@click.option("--user", metavar="NAME", help="Only of calls for this end user.")
@click.option("--everything", is_flag=True, help="Of all calls of the account.")
@data_option
def content_delete(account_id: str, call_id: str | None, user: str | None, everything: bool, data: Path | None) -> None:
    """Delete content now. Receipts and records stay as they are."""
    from fairlead.admin.audit import command_line
    from fairlead.admin.content import delete_call_content, erase_content

    if sum((call_id is not None, bool(user), everything)) != 1:
        raise click.UsageError("Give one of --call, --user and --everything.")
    with opened(data) as store:
        if call_id is not None:
            delete_call_content(store, command_line(), account_id, call_id)
            gone = 1
        else:
            gone = erase_content(store, command_line(), account_id, user or "")
    click.echo(f"The content of {gone} calls was deleted.")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {number}" for name, number in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
