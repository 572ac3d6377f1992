"""`fairlead accounts`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from fairlead.cli.options import (
    amount_of,
    as_day,
    budget_words,
    columns_of,
    data_option,
    json_option,
    opened,
    sharing_options,
    table,
)


@click.group()
def accounts() -> None:
    """Manage accounts. An account pays for the calls of its keys."""


@accounts.command("create")
@click.option("--name", required=True, help="Name of the owner.")
@click.option("--credit", metavar="USD", default="0", help="Initial credit.")
@data_option
def accounts_create(name: str, credit: str, data: Path | None) -> None:
    """Create a prepaid account. Its id is the last line printed."""
    from fairlead.admin.accounts import create_account
    from fairlead.admin.audit import command_line

    amount = amount_of("--credit", credit)
    with opened(data) as store:
        account_id = create_account(store, command_line(), name, amount)
    click.echo(account_id)


@accounts.command("list")
@json_option
@data_option
def accounts_list(as_json: bool, data: Path | None) -> None:
    """List the accounts. For their balances: `fairlead credit balance`."""
    from fairlead.admin.accounts import account_entry, list_accounts

    with opened(data) as store:
        found = list_accounts(store)
    if as_json:
        click.echo(json.dumps([account_entry(account) for account in found], indent=2))
        return
    rows = [("ID", "NAME", "KIND", "BUDGETS", "CREATED")]
    for account in found:
        budgets = " ".join(budget_words(account.budgets)) or "-"
        kind = "prepaid" if account.prepaid else "unlimited"
        kind += ", disabled" if account.disabled_at is not None else ""
        rows.append((account.id, account.name, kind, budgets, as_day(account.created_at)))
    table(rows)


@accounts.command("set")
@click.argument("account_id", metavar="ID")
@sharing_options
@data_option
def accounts_set(account_id: str, data: Path | None, **given: Any) -> None:
    """Change what all keys of an account share. A given option replaces the current value; "" removes it."""
    from fairlead.admin.accounts import change_account
    from fairlead.admin.audit import command_line

    columns = columns_of(**given)
    if not columns:
        raise click.UsageError("Nothing to change: give --budget, --limit, --model or --each-user.")
    with opened(data) as store:
        change_account(store, command_line(), account_id, columns)
    click.echo(f"{account_id} was changed.")


@accounts.command("disable")
@click.argument("account_id", metavar="ID")
@data_option
def accounts_disable(account_id: str, data: Path | None) -> None:
    """Refuse the keys of an account within a second. Its credit and its keys stay."""
    _disable(account_id, data, disabled=True)


@accounts.command("enable")
@click.argument("account_id", metavar="ID")
@data_option
def accounts_enable(account_id: str, data: Path | None) -> None:
    """Let the keys of a disabled account work again."""
    _disable(account_id, data, disabled=False)


def _disable(account_id: str, data: Path | None, *, disabled: bool) -> None:
    from fairlead.admin.accounts import disable_account
    from fairlead.admin.audit import command_line

    with opened(data) as store:
        done = disable_account(store, command_line(), account_id, disabled=disabled)
    state = "disabled" if disabled else "in use"
    click.echo(f"{account_id} is {state}." if done else f"{account_id} was {state} already.")
