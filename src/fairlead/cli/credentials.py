"""`fairlead credentials`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from fairlead.cli.options import as_day, data_option, json_option, opened, table


@click.group()
def credentials() -> None:
    """Manage provider credentials that are sealed in the database.

    A provider uses one with `api_key = { sealed = "NAME" }`. They are sealed with AES-GCM; the key is in
    FAIRLEAD_SEAL_KEY or in the file seal.key of the data directory. Nothing prints a credential again.
    """


@credentials.command("set")
@click.argument("name", metavar="NAME")
@data_option
def credentials_set(name: str, data: Path | None) -> None:
    """Store a credential, or replace one. It is read from standard input, or asked for without being shown.

    Running servers use the new one within seconds.
    """
    from fairlead.admin.audit import command_line
    from fairlead.admin.credentials import set_credential

    asked = sys.stdin.isatty()
    secret = click.prompt(f"Credential {name}", hide_input=True) if asked else sys.stdin.readline().strip()
    with opened(data, may_be_new=True) as store:
        replaced = set_credential(store, command_line(), name, secret)
    click.echo(f"{name} was {'replaced' if replaced else 'stored'}.")


@credentials.command("list")
@json_option
@data_option
def credentials_list(as_json: bool, data: Path | None) -> None:
    """List the names of sealed credentials."""
    from fairlead.admin.credentials import list_credentials

    with opened(data) as store:
        found = list_credentials(store)
    if as_json:
        click.echo(json.dumps([one._asdict() for one in found], indent=2))
        return
    table([("name", "changed", "sealed with"), *((one.name, as_day(one.changed_at), one.key_id) for one in found)])


@credentials.command("remove")
@click.argument("name", metavar="NAME")
@data_option
def credentials_remove(name: str, data: Path | None) -> None:
    """Remove a credential. A running server keeps it until its configuration changes."""
    from fairlead.admin.audit import command_line
    from fairlead.admin.credentials import remove_credential

    with opened(data) as store:
        remove_credential(store, command_line(), name)
    click.echo(f"{name} was removed.")


@credentials.command("reseal")
@click.option(
    "--new-key", "new_key", metavar="FILE", required=True, type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="32 random bytes in base64: `openssl rand -base64 32 > FILE`.",
)  # fmt: skip
@data_option
def credentials_reseal(new_key: Path, data: Path | None) -> None:
    """Seal all credentials with a new key, all or none of them."""
    from fairlead.admin.audit import command_line
    from fairlead.admin.credentials import reseal
    from fairlead.providers.sealed import key_in, seal_key
    from fairlead.settings.environment import SEAL_KEY

    new = key_in(new_key)
    with opened(data) as store:
        moved = reseal(store, command_line(), seal_key(store), new)
        directory = store.directory
    click.echo(
        f"{moved} credentials are sealed with the new key now. Put it into {SEAL_KEY.name} or {directory / 'seal.key'} "
        "of every node; until then they use what they have read."
    )
