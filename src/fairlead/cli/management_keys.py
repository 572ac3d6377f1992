"""`fairlead management-keys`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fairlead.cli.options import as_day, data_option, json_option, opened, table

if TYPE_CHECKING:
    from fairlead.accounts.management_keys import ManagementKey

# As `accounts.management_keys.SCOPES`, which a command that is not run need not import.
SCOPES = ("read", "keys", "money", "configuration", "people")


@click.group("management-keys")
def management_keys() -> None:
    """Manage the keys of the management API. They can make no calls, and keys for calls can manage nothing."""


@management_keys.command("create")
@click.option("--name", required=True, help="What the key is for.")
@click.option(
    "--scope", "scopes", type=click.Choice(SCOPES), multiple=True, required=True,
    help="read: see everything but people; keys: change keys and accounts; money: move credit; configuration: change "
    "what is served; people: see and say who signs in. May be given several times.",
)  # fmt: skip
@click.option("--account", "account_id", metavar="ID", help="Confine it to this account.")
@click.option("--expires", metavar="DAY", help="Last day (2027-01-31, UTC), or a time from now (30d, 12h).")
@data_option
def management_keys_create(
    name: str, scopes: tuple[str, ...], account_id: str | None, expires: str | None, data: Path | None
) -> None:
    """Create a management key. It is printed once, on the last line."""
    from fairlead.accounts.options import expiry
    from fairlead.admin.audit import command_line
    from fairlead.admin.management_keys import create_management_key

    expires_at = expiry(expires) if expires else None
    with opened(data, may_be_new=True) as store:
        made = create_management_key(store, command_line(), name, scopes, account_id=account_id, expires_at=expires_at)
    click.echo(f"{made.info.id} may use the scopes {', '.join(scopes)}.", err=True)
    click.echo(made.key)


@management_keys.command("list")
@json_option
@data_option
def management_keys_list(as_json: bool, data: Path | None) -> None:
    """List the management keys: id, beginning, name, scopes, state."""
    from fairlead.admin.management_keys import list_management_keys, management_key_entry

    with opened(data) as store:
        found = list_management_keys(store)
    if as_json:
        click.echo(json.dumps([management_key_entry(key) for key in found], indent=2))
        return
    rows = [("ID", "KEY", "NAME", "SCOPES", "ACCOUNT", "CREATED", "STATE")]
    for key in found:
        scopes = " ".join(scope for scope in SCOPES if scope in key.scopes)
        rows.append(
            (key.id, f"{key.shown}...", key.name, scopes, key.account_id or "all", as_day(key.created_at), _state(key))
        )
    table(rows)


@management_keys.command("revoke")
@click.argument("key_id", metavar="ID")
@data_option
def management_keys_revoke(key_id: str, data: Path | None) -> None:
    """Revoke the management key with this id, at once."""
    from fairlead.admin.audit import command_line
    from fairlead.admin.management_keys import revoke_management_key

    with opened(data) as store:
        revoke_management_key(store, command_line(), key_id)
    click.echo(f"{key_id} was revoked.")


def _state(key: ManagementKey) -> str:
    if key.revoked_at is not None:
        return f"revoked {as_day(key.revoked_at)}"
    if key.expires_at is None:
        return "in force"
    return f"{'expired' if key.expires_at <= time.time() else 'in force until'} {as_day(key.expires_at - 1)}"
