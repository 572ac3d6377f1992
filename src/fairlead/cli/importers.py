"""`fairlead import`: other gateways' configurations and accounts as plans; nothing is applied unasked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fairlead.cli.options import json_option

if TYPE_CHECKING:
    from fairlead.admin.importing.report import Report

output_option = click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False),
    help="Write the configuration to this new file. Default: standard output.",
)  # fmt: skip


@click.group("import")
def import_() -> None:
    """Move from LiteLLM: propose a configuration, and report what cannot be moved."""


@import_.command("litellm")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@output_option
@json_option
def litellm(file: Path, output: Path | None, as_json: bool) -> None:
    """Propose a configuration for LiteLLM's config.yaml, with a report of every setting in it."""
    from fairlead.admin.importing.litellm.importer import import_litellm
    from fairlead.toml import read_text

    found = import_litellm(read_text(file), str(file), os.environ)
    _give(found.text, found.report, found.variables, output, as_json)


def _give(text: str, report: Report, variables: list[str], output: Path | None, as_json: bool) -> None:
    """The document goes to a file or to standard output, the report to what is left."""
    from fairlead.admin.importing.output import write_new

    if output is not None:
        write_new(output, text)
    if as_json:
        _print_json({"document": None if output else text, **report.entry(), "variables": variables})
        return
    if output is None:
        click.echo(text, nl=False)
    _print_report(report, variables, output, to_stderr=output is None)


def _print_json(entry: dict[str, Any]) -> None:
    import json

    click.echo(json.dumps(entry, indent=2))


def _print_report(report: Report, variables: list[str], output: Path | None, *, to_stderr: bool) -> None:
    for kind, title in (
        ("mapped", "Mapped"),
        ("not_mapped", "Not mapped"),
        ("never_effective", "Was never effective"),
    ):
        lines = report.lines(kind)  # type: ignore[arg-type]
        click.echo(f"{title} ({len(lines)})", err=to_stderr)
        for line in lines:
            click.echo(f"  {line.setting}: {line.note}", err=to_stderr)
    if report.notes:
        click.echo("Before you apply", err=to_stderr)
        for note in report.notes:
            click.echo(f"  {note}", err=to_stderr)
    if variables:
        click.echo(f"Environment variables: {', '.join(variables)}", err=to_stderr)
    file = output or Path("FILE")
    click.echo(f"Next: fairlead config plan {file}, then fairlead config apply {file}", err=to_stderr)
