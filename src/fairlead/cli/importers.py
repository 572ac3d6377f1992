"""`fairlead import`: other gateways' configurations and accounts as plans; nothing is applied unasked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fairlead.cli.options import body_and_day, data_option, json_option, opened

if TYPE_CHECKING:
    from fairlead.admin.importing.openrouter import Compared
    from fairlead.admin.importing.report import Report

OPENROUTER_MODELS = "https://openrouter.ai/api/v1/models"

output_option = click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False),
    help="Write the configuration to this new file. Default: standard output.",
)  # fmt: skip


@click.group("import")
def import_() -> None:
    """Move from LiteLLM, new-api or OpenRouter: propose a configuration, and report what cannot be moved."""


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


@import_.command("new-api")
@click.argument("source", required=False, metavar="FILE.db|DATABASE_URL")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    default=Path("new-api-import"),
    show_default=True,
    help="A new directory: the configuration, secrets.env with the keys of providers, the plan of accounts and keys.",
)
@click.option(
    "--apply",
    "plan",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PLAN",
    help="Create the accounts, keys and credit of this plan. What is there already stays as it is.",
)
@data_option
@json_option
def new_api(source: str | None, output: Path, plan: Path | None, data: Path | None, as_json: bool) -> None:
    """Read a database of new-api or one-api and write a plan; with --apply, create its accounts and keys.

    The database is read in one transaction that cannot write."""
    if (source is None) == (plan is None):
        raise click.UsageError("Give either a database to read, or --apply PLAN.")
    if plan is not None:
        _apply(plan, data, as_json)
    elif source is not None:
        _read_new_api(source, output, as_json)


def _read_new_api(place: str, output: Path, as_json: bool) -> None:
    from fairlead.admin.importing.new_api.importer import import_new_api
    from fairlead.admin.importing.new_api.plan import as_text
    from fairlead.admin.importing.new_api.source import read_source
    from fairlead.admin.importing.output import PRIVATE, new_directory, write_new

    found = import_new_api(read_source(place))
    new_directory(output)
    document, secrets, plan = (output / name for name in ("fairlead.toml", "secrets.env", "plan.json"))
    write_new(document, found.text)
    write_new(secrets, found.secrets, PRIVATE)
    write_new(plan, as_text(found.plan), PRIVATE)
    if as_json:
        files = {"document": str(document), "secrets": str(secrets), "plan": str(plan)}
        _print_json({**files, **found.report.entry(), "variables": found.variables})
        return
    _print_report(found.report, found.variables, document, to_stderr=False)
    click.echo(f"Keys of providers: {secrets}. Load it into the environment of the server, and keep it private.")
    click.echo(f"Accounts, keys and credit: fairlead import new-api --apply {plan}")


def _apply(file: Path, data: Path | None, as_json: bool) -> None:
    from fairlead.admin.audit import command_line
    from fairlead.admin.importing.new_api.plan import LARGEST_BYTES, apply_plan, read_plan
    from fairlead.toml import read_text

    plan = read_plan(read_text(file, LARGEST_BYTES), str(file))
    with opened(data, may_be_new=True) as store:
        done = apply_plan(store, command_line(), plan)
    if as_json:
        _print_json({**done._asdict(), "credit": done.credit.dollars()})
        return
    click.echo(
        f"Created {done.accounts} accounts with {done.credit.dollars()} USD of credit, and {done.keys} keys. "
        f"{done.unchanged} were there already."
    )


@import_.command("openrouter")
@click.argument("models", metavar="[FILE|URL]", default=OPENROUTER_MODELS)
@click.option(
    "--activity",
    type=click.Path(path_type=Path, dir_okay=False),
    help="What you spent: the export of the activity page (CSV), or the answer of /api/v1/activity (JSON).",
)
@click.option("--model", "wanted", metavar="ID", multiple=True, help="Also this model. May be given several times.")
@output_option
@json_option
def openrouter(models: str, activity: Path | None, wanted: tuple[str, ...], output: Path | None, as_json: bool) -> None:
    """Propose a configuration with the models that you used at OpenRouter, and compare what they cost.

    The list of models is OpenRouter's public one, unless a file or an address is given. Without --activity and --model
    every model of the list is taken."""
    from fairlead.admin.importing.openrouter import import_openrouter
    from fairlead.admin.importing.output import write_new

    body, day = body_and_day(models)
    spent = None if activity is None else body_and_day(str(activity))[0]
    found = import_openrouter(body, day, spent, wanted, models)
    if not as_json:
        _give(found.text, found.report, found.variables, output, as_json=False)
        _print_compared(found.compared, to_stderr=output is None)
        return
    if output is not None:
        write_new(output, found.text)
    document = {"document": None if output else found.text, **found.report.entry(), "variables": found.variables}
    _print_json({**document, "compared": [one.entry() for one in found.compared]})


def _print_compared(compared: list[Compared], *, to_stderr: bool) -> None:
    from fairlead.toml.names import quoted

    if not compared:
        return
    click.echo("Spent, in US dollars: at OpenRouter, and by this configuration", err=to_stderr)
    for one in compared:
        entry = one.entry()
        ours = "not in it" if entry["ours_usd"] is None else entry["ours_usd"]
        click.echo(f"  {quoted(one.model)}: {entry['openrouter_usd']}, {ours}", err=to_stderr)


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
