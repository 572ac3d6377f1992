"""`fairlead verify`, `fairlead explain` and `fairlead usage`."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import click

from fairlead.cli.options import data_option, day, opened
from fairlead.money import Picodollars

# Generations that `verify` names.
MOST_SHOWN = 20
# How long `explain` waits for the record of a call that was made a moment ago.
RECORD_SECONDS = 3.0


@click.command()
@click.option("--since", type=day, metavar="DAY", help="Only records stored since this day (UTC).")
@data_option
def verify(since: datetime | None, data: Path | None) -> None:
    """Recompute every charge from its record and its price sheet, and check the sums of the books.

    Exits with status 1 at the first discrepancy and names the record.
    """
    from fairlead.admin.books import verify_books

    with opened(data) as store, contextlib.ExitStack() as stack:

        def begin(total: int) -> Callable[[int], None]:
            bar = click.progressbar(length=total, label=f"{total:,} records", file=sys.stderr)
            return stack.enter_context(bar).update

        done = verify_books(store, _milliseconds(since), begin)
    if done.discrepancy is not None:
        raise click.ClickException(done.discrepancy)
    found = done.found
    charged = f"{Picodollars(found.charged).dollars()} USD"
    click.echo(
        f"Records: {found.records:,}. Price sheets: {found.sheets:,}. Recomputed total: {charged}, as charged. "
        f"Answers without reported usage, counted here: {found.missing:,}. Not stored yet: {done.waiting:,}."
    )
    if found.implausible:
        shown = ", ".join(found.implausible[:MOST_SHOWN])
        more = f" and {len(found.implausible) - MOST_SHOWN:,} more" if len(found.implausible) > MOST_SHOWN else ""
        click.echo(
            f"Implausible usage reported by providers, charged by our own count instead: "
            f"{len(found.implausible):,} ({shown}{more}). Compare with the provider's bill."
        )


@click.command()
@click.argument("generation")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@data_option
def explain(generation: str, as_json: bool, data: Path | None) -> None:
    """Show how a call was routed: candidates, reasons, attempts. GENERATION is its x-fairlead-generation-id."""
    from fairlead.admin.books import explain as explained
    from fairlead.routing.explain import sentences

    give_up = time.monotonic() + RECORD_SECONDS
    with opened(data) as store:
        # Its record and its routing are stored one after the other, in either order.
        while "attempts" not in ((found := explained(store, generation)) or {}) and time.monotonic() < give_up:
            time.sleep(RECORD_SECONDS / 20)
    if found is None:
        raise click.ClickException(f"No record of {generation}. Records are written with a short delay.")
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(sentences(found)))


@click.group()
def usage() -> None:
    """Export usage records."""


@usage.command("export")
@click.option(
    "--format", "kind", type=click.Choice(["csv", "jsonl", "parquet"]), default="csv", show_default=True,
    help="Parquet needs --output.",
)  # fmt: skip
@click.option("--since", type=day, metavar="DAY", help="First day (UTC).")
@click.option("--until", type=day, metavar="DAY", help="Last day (UTC).")
@click.option("--account", "account_id", metavar="ID", help="Only this account.")
@click.option("--session", metavar="NAME", help="Only calls of this session, as their callers name it.")
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Output file. Default: standard output."
)
@data_option
def usage_export(
    kind: str,
    since: datetime | None,
    until: datetime | None,
    account_id: str | None,
    session: str | None,
    output: Path | None,
    data: Path | None,
) -> None:
    """Write every usage record, oldest first. Amounts are exact: dollars as decimals, and picodollars."""
    from fairlead.admin.books import UsageRange, export_usage

    if kind == "parquet" and output is None:
        raise click.UsageError("Parquet requires --output FILE.")
    end = None if until is None else _milliseconds(until) + 86_400_000
    wanted = UsageRange(_milliseconds(since), end, account_id, session)
    with opened(data) as store:
        try:
            count = export_usage(store, wanted, kind, output or sys.stdout.buffer)
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            raise click.ClickException(f"{output or 'standard output'} cannot be written: {error.strerror}.") from None
    if output is not None:
        click.echo(f"{count:,} records written to {output}.", err=True)


def _milliseconds(day: datetime | None) -> int:
    """Milliseconds since 1970; 0 for None."""
    return 0 if day is None else int(day.timestamp() * 1000)
