"""`fairlead deployments`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fairlead.cli.options import data_option, json_option, opened, table
from fairlead.settings import CONFIG, configuration_file, load_settings, parse_settings

if TYPE_CHECKING:
    from fairlead.settings import Settings
    from fairlead.store import Store

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"Configuration (TOML). Default: the version in the database, else ${CONFIG.name}.",
)


@click.group()
def deployments() -> None:
    """List deployments, take them out of use and put them back, and call one to see whether it works."""


@deployments.command("list")
@json_option
@config_option
@data_option
def deployments_list(as_json: bool, config: Path | None, data: Path | None) -> None:
    """List the configured deployments and whether they are drained."""
    from fairlead.admin.deployments import configured, drained

    with opened(data) as store:
        settings = _settings(store, config)
        out = {one.deployment: one for one in drained(store)}
        found = configured(settings)
    if as_json:
        entries = [
            {"id": name, "model": model, "drained_by": out[name].by if name in out else None} for name, model in found
        ]
        click.echo(json.dumps(entries, indent=2))
        return
    rows = [("DEPLOYMENT", "MODEL", "DRAINED")]
    rows += [(name, model, f"by {out[name].by}" if name in out else "-") for name, model in found]
    table(rows)


@deployments.command("drain")
@click.argument("deployment", metavar="DEPLOYMENT")
@config_option
@data_option
def deployments_drain(deployment: str, config: Path | None, data: Path | None) -> None:
    """Take a deployment out of use in every process, within a second. Calls under way end as they began."""
    from fairlead.admin.audit import command_line
    from fairlead.admin.deployments import configured, drain

    with opened(data) as store:
        known = [name for name, _ in configured(_settings(store, config))]
        changed = drain(store, command_line(), deployment, known)
    click.echo(f"{deployment} is drained." if changed else f"{deployment} was drained already.")


@deployments.command("undrain")
@click.argument("deployment", metavar="DEPLOYMENT")
@data_option
def deployments_undrain(deployment: str, data: Path | None) -> None:
    """Put a drained deployment back into use."""
    from fairlead.admin.audit import command_line
    from fairlead.admin.deployments import undrain

    with opened(data) as store:
        changed = undrain(store, command_line(), deployment)
    click.echo(f"{deployment} is in use again." if changed else f"{deployment} was not drained.")


@deployments.command("test")
@click.argument("deployment", metavar="DEPLOYMENT")
@json_option
@config_option
@data_option
def deployments_test(deployment: str, as_json: bool, config: Path | None, data: Path | None) -> None:
    """Call a deployment once, from this machine. Exits with status 1 when it does not answer."""
    import asyncio

    from fairlead.admin.audit import command_line
    from fairlead.admin.deployments import note_trial
    from fairlead.compose.trial import checked, try_deployment
    from fairlead.routing.trial import trial_entry

    with opened(data) as store:
        version = checked(_settings(store, config), store)

        found = asyncio.run(try_deployment(version, deployment))
        note_trial(store, command_line(), deployment)
    entry = trial_entry(found)
    if as_json:
        click.echo(json.dumps(entry, indent=2))
    elif found.works:
        tokens = "" if found.usage is None else f", {found.usage.prompt} + {found.usage.completion} tokens"
        click.echo(f"{deployment} answered in {entry['latency_ms']} ms{tokens}.")
    else:
        click.echo(f"{deployment} failed: {found.outcome}: {found.message}")
    sys.exit(0 if found.works else 1)


def _settings(store: Store, config: Path | None) -> Settings:
    """What is in force: of the database, or the file."""
    from fairlead.admin.configuration import current, file_of_node

    if config is not None:
        return load_settings(config)
    found = current(store, file_of_node(store) or configuration_file(None))
    return load_settings(None) if found.source == "none" else parse_settings(found.text, found.name)
