"""`fairlead keys`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fairlead.cli.options import (
    amount_of,
    as_day,
    budget_words,
    columns_of,
    data_option,
    json_option,
    limiting_options,
    opened,
    table,
)

if TYPE_CHECKING:
    from fairlead.accounts.keys import KeyInfo

# Of one account, or behind a key, where no other limit is given.
MOST_LISTED = 1_000_000


@click.group()
def keys() -> None:
    """Manage API keys. Changes take effect within a second, also while the server runs."""


@keys.command("create")
@click.option("--name", required=True, help="What the key is for.")
@click.option("--account", "account_id", metavar="ID", help="The account that pays. Default: the operator's own.")
@click.option(
    "--credit",
    metavar="USD",
    help="Credit to spend, as a decimal number of dollars. Without --account: a prepaid account of its own.",
)
@limiting_options
@data_option
def keys_create(name: str, account_id: str | None, credit: str | None, data: Path | None, **given: Any) -> None:
    """Create a key. It is printed once, on the last line."""
    from fairlead.admin.audit import command_line
    from fairlead.admin.keys import account_of, create_key

    amount = None if credit is None else amount_of("--credit", credit)
    columns = columns_of(**given)
    with opened(data, may_be_new=True) as store:
        key = create_key(store, command_line(), name, account_id=account_id, credit=amount, columns=columns)
        account = account_of(store, key)
    if account.prepaid:
        click.echo(f"The key belongs to the prepaid account {account.id} ({account.name}).", err=True)
    else:
        click.echo(
            f"The key belongs to the operator's own account {account.id} ({account.name}): its paid calls need no "
            "credit and are limited by budgets only. For a customer's key, give --credit USD or --account ID.",
            err=True,
        )
    click.echo(key)


@keys.command("set")
@click.argument("key_id", metavar="ID")
@limiting_options
@data_option
def keys_set(key_id: str, data: Path | None, **given: Any) -> None:
    """Change what a key may do. A given option replaces the current value; an empty one ("") removes it."""
    from fairlead.admin.audit import command_line
    from fairlead.admin.keys import change_key

    columns = columns_of(**given)
    if not columns:
        raise click.UsageError(
            "Nothing to change: give --expires, --project, --member, --model, --network, --limit, --budget or "
            "--each-user."
        )
    with opened(data) as store:
        change_key(store, command_line(), key_id, columns)
    click.echo(f"{key_id} was changed.")


@keys.command("list")
@click.option("--account", "account_id", metavar="ID", help="Only the keys of this account.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="So many, in the order of their ids.")
@click.option("--after", metavar="ID", help="Those behind this key, in the order of their ids.")
@json_option
@data_option
def keys_list(as_json: bool, data: Path | None, account_id: str | None, limit: int | None, after: str | None) -> None:
    """List the keys: id, prefix, name, account, state. Without options all of them, oldest first."""
    from fairlead.admin.accounts import list_accounts
    from fairlead.admin.keys import key_entry, list_keys, page_of_keys

    with opened(data) as store:
        if account_id is None and limit is None and after is None:
            found = list_keys(store)
        else:
            found = page_of_keys(store, limit or MOST_LISTED, after, account_id)
        payers = {one.id: one for one in list_accounts(store)}
    if as_json:
        click.echo(json.dumps([key_entry(key) for key in found], indent=2))
        return
    rows = [("ID", "KEY", "NAME", "ACCOUNT", "PAYS", "CREATED", "STATE", "BOUND TO")]
    for key in found:
        rows.append(
            (
                key.id,
                f"{key.shown}...",
                key.name,
                key.account_id,
                "prepaid" if payers[key.account_id].prepaid else "operator",
                as_day(key.created_at),
                _state(key),
                _bound(key),
            )
        )
    table(rows)


@keys.command("revoke")
@click.argument("key_id", metavar="ID")
@data_option
def keys_revoke(key_id: str, data: Path | None) -> None:
    """Revoke the key with this id (see `keys list`)."""
    from fairlead.admin.audit import command_line
    from fairlead.admin.keys import revoke_key

    with opened(data) as store:
        revoke_key(store, command_line(), key_id)
    click.echo(f"{key_id} was revoked.")


def _bound(key: KeyInfo) -> str:
    """Written as the options that set it."""
    words = budget_words(key.budgets)
    words += [f"{name}={number}" for name, number in (key.limits.by_name() if key.limits else {}).items()]
    return " ".join([*words, *(key.models or ()), *(key.networks or ())])


def _state(key: KeyInfo) -> str:
    if key.revoked_at is not None:
        return f"revoked {as_day(key.revoked_at)}"
    if key.expires_at is None:
        return "in force"
    # Its last second: a key that ends with a day ends at the next midnight.
    return f"{'expired' if key.expires_at <= time.time() else 'in force until'} {as_day(key.expires_at - 1)}"
