"""`fairlead backup` and `fairlead restore`."""

from __future__ import annotations

import json
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fairlead.cli.options import data_option, json_option, opened
from fairlead.money import Picodollars
from fairlead.settings import CONFIG, configuration_file, data_directory, database_url, load_settings

if TYPE_CHECKING:
    from fairlead.admin.backup_file import Manifest
    from fairlead.admin.restore import Checked

file_argument = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
config_option = click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), help=f"Configuration (TOML). Default: ${CONFIG.name}."
)
checksums_option = click.option(
    "--checksums-only", is_flag=True,
    help="Do not restore the backup to a temporary database to verify its books, which needs as much disk as that.",
)  # fmt: skip


@click.group()
def backup() -> None:
    """Back up the database, the spool and the configuration while calls are served."""


@backup.command("create")
@click.option(
    "--output", type=click.Path(path_type=Path), help="File, or directory to name it in. Default: this directory."
)
@click.option(
    "--base", type=click.Path(path_type=Path, dir_okay=False),
    help="Continue this backup: calls, postings and audit rows that it has are not written again. Keep both.",
)  # fmt: skip
@click.option(
    "--keep", type=click.IntRange(1), metavar="N",
    help="Then remove all but the newest N backups of this directory that were named after the time, and their bases.",
)  # fmt: skip
@checksums_option
@json_option
@config_option
@data_option
def backup_create(
    output: Path | None,
    base: Path | None,
    keep: int | None,
    checksums_only: bool,
    as_json: bool,
    config: Path | None,
    data: Path | None,
) -> None:
    """Write a backup (mode 0600) and verify it.

    The key of sealed credentials is not in it; the last lines name what a restore needs besides. Exits with status 1
    when the disk is full or the books do not verify.
    """
    from fairlead.admin.audit import command_line
    from fairlead.admin.backup import backup_name, create_backup, prune

    out = Path.cwd() if output is None else output.expanduser().absolute()
    if output is None or out.is_dir():
        out = out / backup_name()
    elif keep is not None:
        raise click.UsageError("--keep needs a directory for --output.")
    file = configuration_file(config)
    with opened(data, settings=load_settings(file), migrate=False) as store:
        try:
            done = create_backup(store, command_line(), out, file=file, base=base, books=not checksums_only)
        except OSError as error:
            raise click.ClickException(
                f"{out} cannot be written or verified: {error.strerror}. Nothing was left there."
            ) from None
    # While the books are wrong, an older backup may be the one that is needed.
    removed = [] if keep is None or done.checked.discrepancy is not None else prune(out.parent, keep)
    if as_json:
        names = [one.name for one in removed]
        entry = {"file": str(done.path), "bytes": done.size, "removed": names, **_entry(done.checked)}
        click.echo(json.dumps(entry, indent=2))
    else:
        click.echo(f"{done.path}: {done.size:,} bytes.")
        _print(done.checked)
        for one in removed:
            click.echo(f"Removed {one}.")
    _end(done.checked)


@backup.command("verify")
@file_argument
@checksums_option
@json_option
def backup_verify(file: Path, checksums_only: bool, as_json: bool) -> None:
    """Check every byte of a backup, and the books in it.

    Exits with status 2 when it is damaged, and 1 when its books do not verify.
    """
    from fairlead.admin.backup import verify_backup

    try:
        checked = verify_backup(file, books=not checksums_only)
    except OSError as error:
        raise click.ClickException(f"The temporary database cannot be written: {error.strerror}.") from None
    if as_json:
        click.echo(json.dumps(_entry(checked), indent=2))
    else:
        _print(checked)
    _end(checked)


@click.command()
@file_argument
@click.option("--accept-discrepancy", is_flag=True, help="Restore also when the books in the backup do not verify.")
@json_option
@config_option
@data_option
def restore(file: Path, accept_discrepancy: bool, as_json: bool, config: Path | None, data: Path | None) -> None:
    """Restore a backup into an empty data directory, and verify its books.

    The database is SQLite, or the PostgreSQL server that the configuration or the environment names; the backup may be
    of either. A restore that is interrupted is run again.
    """
    from fairlead.admin.audit import command_line
    from fairlead.admin.restore import restore as run

    directory = data_directory(data)
    url = database_url(load_settings(configuration_file(config)))
    try:
        checked = run(file, directory, url, command_line(), accept_discrepancy=accept_discrepancy)
    except OSError as error:
        raise click.ClickException(f"{directory} cannot be written: {error.strerror}. It is as it was.") from None
    if as_json:
        click.echo(json.dumps({"data": str(directory), **_entry(checked)}, indent=2))
        return
    click.echo(f"Restored into {directory}.")
    _print(checked)
    kept = directory / "configuration.toml"
    command = f"fairlead serve --data {shlex.quote(str(directory))}"
    if kept.exists():
        click.echo(f"The configuration file of the backup is {kept}; you can put it where yours was.")
        command += f" --config {shlex.quote(str(kept))}"
    click.echo(f"Start it with: {command}")


def _entry(checked: Checked) -> dict[str, Any]:
    found, books = checked.manifest, checked.books
    return {
        "id": found.id,
        "created_at": _time(found.at),
        "release": found.release,
        "migration": found.migration,
        "engine": found.engine,
        "base": None if found.base is None else found.base.file,
        "rows": checked.rows,
        "records": None if books is None else books.records,
        "charged_usd": None if books is None else Picodollars(books.charged).dollars(),
        "spooled": found.spooled,
        "waiting": checked.waiting,
        "needs": [{"kind": one.kind, "name": one.name} for one in found.needs],
        "plain_secrets": found.plain_secrets,
        "discrepancy": checked.discrepancy,
        "note": checked.note,
    }


def _print(checked: Checked) -> None:
    found, books = checked.manifest, checked.books
    click.echo(
        f"Backup {found.id} of {_time(found.at)}, Fairlead {found.release}, {_engine(found)}"
        + ("." if found.base is None else f", continues {found.base.file}.")
    )
    if books is None:
        click.echo(f"Every byte is as it was written: {checked.rows:,} rows. The books were not verified.")
    elif books.discrepancy is None:
        click.echo(
            f"Verified: {checked.rows:,} rows, {books.records:,} calls, {Picodollars(books.charged).dollars()} USD as "
            f"charged. Only in the spool: {checked.waiting:,}."
        )
    for one in found.needs:
        click.echo(f"Needed besides: {one.kind} {one.name}")
    if found.plain_secrets:
        click.echo("The configuration in the backup holds keys in plain text: keep the file as safe as them.")
    if checked.note is not None:
        click.echo(f"Note: {checked.note}")


def _engine(found: Manifest) -> str:
    return "SQLite" if found.engine == "sqlite" else "PostgreSQL"


def _end(checked: Checked) -> None:
    if checked.discrepancy is not None:
        click.echo(
            f"fairlead: The backup is complete, and the books that were backed up are wrong: {checked.discrepancy}",
            err=True,
        )
        sys.exit(1)


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
