"""`fairlead upgrade`."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fairlead.cli.options import data_option, json_option, opened
from fairlead.errors import ConfigurationError
from fairlead.settings import CONFIG, Settings, configuration_file, load_settings

if TYPE_CHECKING:
    from fairlead.admin.upgrade import UpgradeCheck


@click.command()
@click.option("--check", is_flag=True, help="Say what the upgrade will do. Changes nothing.")
@click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), help=f"Configuration (TOML). Default: ${CONFIG.name}."
)
@json_option
@data_option
def upgrade(check: bool, config: Path | None, as_json: bool, data: Path | None) -> None:
    """Say what an upgrade to this version will do to the data directory: migrations, settings, the way back.

    The upgrade itself is the first start of this version. Run the check by the new version while the old one serves.
    Exits with status 1 when something must be done before.
    """
    from fairlead.admin.upgrade import check_upgrade

    if not check:
        raise click.UsageError("Give --check. The upgrade itself is the first start of this version.")
    file = configuration_file(config)
    try:
        settings = load_settings(file)
    except ConfigurationError:
        settings = Settings()  # the check reports it; the database is then that of the environment or SQLite's
    with opened(data, settings=settings, migrate=False) as store:
        found = check_upgrade(store, file)
    if as_json:
        click.echo(json.dumps(_entry(found), indent=2))
    else:
        _print(found)
    sys.exit(1 if found.obstacles else 0)


def _entry(found: UpgradeCheck) -> dict[str, Any]:
    return {
        "release": found.release,
        "ready": not found.obstacles,
        "migration": found.migration,
        "migrations": [
            {"version": one.version, "summary": one.summary, "estimated_rows": one.tables} for one in found.migrations
        ],
        "deprecated": list(found.deprecated),
        "running": [one._asdict() for one in found.running],
        "backup": None if found.backup is None else found.backup._asdict(),
        "can_go_back": found.can_go_back,
        "obstacles": list(found.obstacles),
        "notes": list(found.notes),
    }


def _print(found: UpgradeCheck) -> None:
    click.echo(f"Upgrade to Fairlead {found.release}:")
    if found.migrations:
        click.echo(f"  {len(found.migrations)} migrations of the database (it has {found.migration}):")
        for one in found.migrations:
            rows = ", ".join(f"{name} about {count:,} rows" for name, count in one.tables.items())
            click.echo(f"    {one.version}  {one.summary}" + (f" ({rows})" if rows else ""))
    else:
        click.echo("  The database stays as it is.")
    for text in found.deprecated:
        click.echo(f"  Deprecated: {text}")
    for running in found.running:
        click.echo(f"  Running: {running.processes} of {running.release} on {running.node}")
    if found.backup is None:
        click.echo("  Backup: none is known")
    else:
        at = datetime.fromtimestamp(found.backup.at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        click.echo(f"  Backup: {found.backup.name} of {at} UTC, {found.backup.age_seconds / 3600:.1f} hours old")
    if not found.migrations:
        click.echo("  Way back: start the old version again.")
    elif found.can_go_back:
        click.echo("  Way back: restore the backup and start the old version. Later calls are missing then.")
    else:
        click.echo("  Way back: none without a backup; an older version does not open a migrated database.")
    for text in found.notes:
        click.echo(f"  Note: {text}")
    for text in found.obstacles:
        click.echo(f"  To do before: {text}")
    click.echo("Ready." if not found.obstacles else "Not ready.")
