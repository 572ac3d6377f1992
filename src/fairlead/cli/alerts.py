"""`fairlead alerts`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from fairlead.cli.options import data_option, json_option, opened, table
from fairlead.settings import CONFIG, configuration_file, load_settings, parse_settings


@click.group()
def alerts() -> None:
    """Show alerts and their delivery, send dead ones again, and test the channels."""


@alerts.command("list")
@click.option("--state", type=click.Choice(["waiting", "delivered", "dead"]), help="Only alerts in this state.")
@click.option("--account", metavar="ID", help="The alerts that this account has chosen for itself.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many.")
@json_option
@data_option
def alerts_list(state: str | None, account: str | None, limit: int, as_json: bool, data: Path | None) -> None:
    """List the newest alerts of each channel, newest first. A dead one was not delivered for three days."""
    from fairlead.admin.alerts import list_alerts

    with opened(data) as store:
        found = list_alerts(store, state, limit, account)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    rows = [("TIME", "ID", "TYPE", "CHANNEL", "STATE", "ATTEMPTS", "ERROR")]
    for one in found:
        rows.append(
            (one["at"], one["id"], one["type"], one["channel"], one["state"], str(one["attempts"]), one["error"] or "-")
        )
    table(rows)


@alerts.command("retry")
@click.argument("event", metavar="ID")
@data_option
def alerts_retry(event: str, data: Path | None) -> None:
    """Send an alert again by the channels that did not deliver it, with the same id."""
    from fairlead.admin.alerts import retry_alert
    from fairlead.admin.audit import command_line

    with opened(data) as store:
        count = retry_alert(store, command_line(), event)
    click.echo(f"{event} will be sent by {count} channels." if count else f"{event} was delivered already.")


@alerts.command("test")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"Configuration (TOML). Default: the version in the database, else ${CONFIG.name}.",
)
@data_option
def alerts_test(config: Path | None, data: Path | None) -> None:
    """Send a test alert by every channel, at once. Exits with status 1 when one fails."""
    import asyncio

    from fairlead.admin.alerts import try_channels
    from fairlead.alerts.delivery import Channels
    from fairlead.errors import ConfigurationError
    from fairlead.providers.sealed import Reader
    from fairlead.settings import Secrets
    from fairlead.store.configuration import number_in_force, read_version

    settings = load_settings(configuration_file(config))
    with opened(data, may_be_new=True, settings=settings) as store:
        if config is None:
            with store.read() as connection:
                number = number_in_force(connection)
                version = read_version(connection, number) if number else None
            if version is not None and version.document is not None:
                settings = parse_settings(version.document, f"version {number}")
        channels = Channels(settings.alerts, Secrets(sealed=Reader(store)))
        if not channels.names:
            raise ConfigurationError("[alerts] has neither a webhook nor an email.")
        found = asyncio.run(try_channels(channels))
    for one in found:
        click.echo(f"{one.channel}: {one.error or 'delivered'}")
    sys.exit(1 if any(one.error for one in found) else 0)
