"""`fairlead audit`."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path

import click

from fairlead.cli.options import data_option, day, json_option, opened, table


@click.group()
def audit() -> None:
    """Show and export the audit log: who changed what, from where, and what it was before."""


account_option = click.option("--account", "account_id", metavar="ID", help="Only changes of this account.")
action_option = click.option("--action", metavar="NAME", help="Only these, such as key.create; key. for all of keys.")


@audit.command("list")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many entries.")
@account_option
@action_option
@click.option("--subject", metavar="ID", help="Only changes of this key, account or call.")
@json_option
@data_option
def audit_list(
    limit: int, account_id: str | None, action: str | None, subject: str | None, as_json: bool, data: Path | None
) -> None:
    """List the newest changes, newest first."""
    from fairlead.admin.audit import AuditFilter, list_audit

    with opened(data) as store:
        found = list_audit(store, AuditFilter(account_id, action, subject), limit)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    rows = [("TIME", "WHO", "FROM", "ACTION", "SUBJECT", "CHANGE")]
    for entry in found:
        who = f"{entry['actor_kind']} {entry['actor']}".rstrip()
        change = f"{_short(entry['before'])} -> {_short(entry['after'])}" if entry["before"] else _short(entry["after"])
        rows.append((entry["at"], who, entry["address"] or "-", entry["action"], entry["subject"], change))
    table(rows)


@audit.command("export")
@click.option("--format", "kind", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@click.option("--since", type=day, metavar="DAY", help="First day (UTC).")
@click.option("--until", type=day, metavar="DAY", help="Last day (UTC).")
@account_option
@action_option
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Output file. Default: standard output."
)
@data_option
def audit_export(
    kind: str,
    since: datetime | None,
    until: datetime | None,
    account_id: str | None,
    action: str | None,
    output: Path | None,
    data: Path | None,
) -> None:
    """Write every entry of the audit log, oldest first."""
    from fairlead.admin.audit import AuditFilter, export_audit

    first = None if since is None else int(since.timestamp() * 1000)
    end = None if until is None else int(until.timestamp() * 1000) + 86_400_000
    wanted = AuditFilter(account_id, action, since=first, until=end)
    with opened(data) as store:
        if output is None:
            export_audit(store, wanted, kind, sys.stdout.buffer)
            return
        try:
            with output.open("wb") as file:
                count = export_audit(store, wanted, kind, file)
        except OSError as error:
            raise click.ClickException(f"{output} cannot be written: {error.strerror}.") from None
    click.echo(f"{count:,} entries written to {output}.", err=True)


def _short(value: object) -> str:
    return "-" if value is None else json.dumps(value, ensure_ascii=False)
