"""`fairlead shadow`: what mirrored calls came to, beside their originals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fairlead.cli.options import data_option, json_option, opened, table

WINDOWS = ("30m", "1h", "24h", "7d", "30d")


@click.group()
def shadow() -> None:
    """Compare calls that are mirrored to another deployment or gateway ([shadow] of the configuration)."""


@shadow.command("report")
@click.option("--window", type=click.Choice(WINDOWS), default="24h", show_default=True, help="How far back.")
@data_option
@json_option
def report(window: str, data: Path | None, as_json: bool) -> None:
    """Show status, duration, length and cost of mirrored calls beside their originals."""
    from fairlead.admin.shadow import mirrored_entry, shadow_report

    with opened(data) as store:
        found = [mirrored_entry(one) for one in shadow_report(store, window)]
    if as_json:
        import json

        click.echo(json.dumps(found, indent=2))
        return
    if not found:
        click.echo("No call was mirrored in this time.", err=True)
        return
    heads = ["model", "target", "side", "calls", "served", "p50 ms", "p95 ms", "tokens", "USD"]
    rows = [heads]
    for one in found:
        for side in ("original", "mirrored"):
            rows.append([one["model"], one["target"], side, *_cells(one[side])])
    table(rows)


def _cells(side: dict[str, Any]) -> list[str]:
    shown = [side["calls"], side["served"], side["latency_ms_p50"], side["latency_ms_p95"], side["output_tokens"]]
    return ["-" if one is None else f"{one:g}" if isinstance(one, float) else str(one) for one in shown] + [
        side["cost_usd"]
    ]
