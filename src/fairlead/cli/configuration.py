"""`fairlead config`."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from fairlead.cli.options import data_option, json_option, opened, table
from fairlead.errors import CallerError, ConfigurationError, FairleadError
from fairlead.settings import configuration_file, data_directory, load_settings

if TYPE_CHECKING:
    from fairlead.admin.configuration import Current, Plan, Status, Submission
    from fairlead.store import Store
    from fairlead.store.configuration import ProcessState, StoredVersion

# Of `plan`: as Terraform's -detailed-exitcode.
NOTHING_CHANGES, FAILED, CHANGES = 0, 1, 2
# How long `apply` and `rollback` wait until the running processes have taken the version.
FOLLOW_SECONDS = 5.0
LOOK_SECONDS = 0.1

file_argument = click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
author_option = click.option("--author", default="", help="Who makes the change. Default: the user of this command.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask before the change.")
expect_option = click.option(
    "--expect", type=click.IntRange(0), metavar="N",
    help="Fail unless N is the newest version: the one that a plan was made for.",
)  # fmt: skip


class Planning(click.Command):
    """Exits with 1 for wrong arguments, too: 2 means that something would change."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.show()
            sys.exit(FAILED)


@click.group()
def config() -> None:
    """Plan, apply and roll back the configuration without a restart."""


@config.command("show")
@click.argument("number", metavar="[N]", type=click.IntRange(1), required=False)
@json_option
@data_option
def config_show(number: int | None, as_json: bool, data: Path | None) -> None:
    """Print the configuration in force, or version N. Secrets are hidden."""
    from fairlead.admin.configuration import current, current_entry, document_of, version_entry
    from fairlead.admin.masking import masked

    with configured_store(data) as (store, file):
        if number is None:
            found = current(store, file)
            entry, text = current_entry(found), found.text
        else:
            version = document_of(store, number)
            entry, text = version_entry(version), version.document or ""
    shown = masked(text)
    if as_json:
        click.echo(json.dumps({**entry, "document": shown}, indent=2))
    else:
        click.echo(shown, nl=not shown.endswith("\n"))


@config.command("plan", cls=Planning)
@file_argument
@json_option
@data_option
def config_plan(file: Path | None, as_json: bool, data: Path | None) -> None:
    """Show what would change if FILE were applied. Default: the file that `serve` is started with.

    Exits with 0 when nothing would change, 2 when something would, and 1 for an error.
    """
    from fairlead.admin.configuration import plan, plan_entry

    try:
        with configured_store(data, file) as (store, own):
            text, name = _read(file or own)
            found = plan(store, text, name, own)
    except FairleadError as error:
        _fail(error.message)
    if as_json:
        click.echo(json.dumps(plan_entry(found), indent=2))
    else:
        _print_plan(found)
    sys.exit(CHANGES if found.changes_anything else NOTHING_CHANGES)


@config.command("apply")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--comment", default="", help="What the change is for, shown in the history.")
@author_option
@yes_option
@expect_option
@data_option
def config_apply(
    file: Path, comment: str, author: str, yes: bool, expect: int | None, data: Path | None
) -> None:  # fmt: skip
    """Make FILE the next version of the configuration, in force in all processes within two seconds.

    From the first one on, versions in the database are in force instead of the file of each node. Exits with status 1
    when a running process refuses the version, which then continues with the one before.
    """
    from fairlead.admin.configuration import apply, plan

    with configured_store(data, file) as (store, own):
        text, name = _read(file)
        found = plan(store, text, name, own)
        if found.current.source == "database" and found.current.digest == found.digest:
            click.echo(f"Version {found.current.number} in force is the same document. Nothing was applied.")
            return
        confirm(found, yes, expect)
        version = apply(store, text, name, _submission(author, comment, expect, found))
        _follow(store, version)


@config.command("rollback")
@click.argument("number", metavar="N", type=click.IntRange(0))
@click.option("--comment", default="", help='What the rollback is for. Default: "Rollback to version N".')
@author_option
@yes_option
@expect_option
@data_option
def config_rollback(
    number: int, comment: str, author: str, yes: bool, expect: int | None, data: Path | None
) -> None:  # fmt: skip
    """Make a new version with the document of version N.

    With N = 0 the file of each node is in force again, and followed when it changes.
    """
    from fairlead.admin.configuration import rollback, rollback_plan

    with configured_store(data) as (store, own):
        found = rollback_plan(store, number, own)
        confirm(found, yes, expect)
        default = f"Rollback to version {number}" if number else "The files of the nodes are in force again"
        version = rollback(store, number, _submission(author, comment or default, expect, found))
        _follow(store, version)


@config.command("history")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="How many versions.")
@json_option
@data_option
def config_history(limit: int, as_json: bool, data: Path | None) -> None:
    """List the versions of the configuration, newest first."""
    from fairlead.admin.configuration import current, history, version_entry

    with configured_store(data) as (store, file):
        found, in_force = history(store, limit), current(store, file)
    if as_json:
        click.echo(json.dumps([version_entry(one) for one in found], indent=2))
        return
    if not found:
        click.echo(f"No version was applied; {_in_force(in_force)}.")
        return
    rows = [("VERSION", "APPLIED", "AUTHOR", "DIGEST", "COMMENT")]
    for one in found:
        mark = "*" if one.number == in_force.number else ""
        rows.append((f"{one.number}{mark}", _time(one.at), one.author, one.digest[:12], _one_line(one)))
    table(rows)


@config.command("diff")
@click.argument("a", type=click.IntRange(1))
@click.argument("b", type=click.IntRange(1))
@click.option("--text", "as_text", is_flag=True, help="Compare the documents line by line. Secrets are hidden.")
@json_option
@data_option
def config_diff(a: int, b: int, as_text: bool, as_json: bool, data: Path | None) -> None:
    """Show what differs between versions A and B."""
    from fairlead.admin.configuration import change_entry, compare, compare_texts

    with configured_store(data) as (store, _):
        if as_text:
            click.echo(compare_texts(store, a, b), nl=False)
            return
        found = compare(store, a, b)
    if as_json:
        click.echo(json.dumps([change_entry(one) for one in found], indent=2))
        return
    for one in found:
        click.echo(one.words)
    if not found:
        click.echo(f"Nothing differs between the versions {a} and {b} but their text, if at all.")


@config.command("status")
@json_option
@data_option
def config_status(as_json: bool, data: Path | None) -> None:
    """Show what is in force, and which version each running process uses.

    Exits with status 1 when a process refuses the configuration, or does not use the newest version.
    """
    from fairlead.admin.configuration import current_entry, process_entry, status

    with configured_store(data) as (store, file):
        found = status(store, file)
    if as_json:
        entries = [process_entry(one) for one in found.processes]
        click.echo(json.dumps({"current": current_entry(found.current), "processes": entries}, indent=2))
    else:
        _print_status(found)
    sys.exit(1 if found.behind else 0)


# --- pieces


@contextlib.contextmanager
def configured_store(data: Path | None, named: Path | None = None) -> Iterator[tuple[Store, Path | None]]:
    """The database, and the configuration file of this node's processes. A file that is wrong must not keep anybody
    from seeing so: then the copy of what is in force says where the database is."""
    from fairlead.admin.configuration import IN_FORCE, file_of_node

    file = configuration_file(None)
    where = file or named
    try:
        settings = load_settings(where)
    except ConfigurationError:
        kept = data_directory(data) / IN_FORCE
        if not kept.is_file():
            raise
        settings = load_settings(kept)
    with opened(data, settings=settings) as store:
        yield store, file or file_of_node(store)


def apply_changed(change: Callable[[str], str], comment: str, *, yes: bool, data: Path | None) -> None:
    """Applies what is in force with a change."""
    from fairlead.admin.configuration import apply, current, plan

    with configured_store(data) as (store, own):
        base = current(store, own)
        try:
            text = change(base.text)
        except CallerError as error:
            raise ConfigurationError(error.message) from None
        found = plan(store, text, "document", own)
        confirm(found, yes, None)
        _follow(store, apply(store, text, "document", _submission("", comment, None, found)))


def _read(file: Path | None) -> tuple[str, str]:
    from fairlead.toml import read_text

    if file is None:
        raise ConfigurationError("No configuration file found; name one, or set FAIRLEAD_CONFIG.")
    return read_text(file), str(file)


def _fail(message: str) -> NoReturn:
    click.echo(f"fairlead: {message}", err=True)
    sys.exit(FAILED)


def _in_force(found: Current) -> str:
    match found.source:
        case "database":
            return f"version {found.number} of the database is in force"
        case "file":
            return f"the file {found.name} is in force"
    return "no configuration file is in force"


def _print_plan(found: Plan) -> None:
    click.echo(f"Compared with what is in force ({_in_force(found.current)}):")
    marks = {"now": "~", "restart": "!", "warning": "?"}
    for one in found.changes:
        click.echo(f"  {marks[one.effect]} {one.words}")
    if not found.changes:
        click.echo("  nothing changes")
    if found.missing:
        click.echo(
            f"Not set here: {', '.join(found.missing)}. Processes that serve need these variables, and refuse the "
            "configuration without them."
        )


def confirm(found: Plan, yes: bool, expect: int | None) -> None:
    """Prints the plan, and asks. Raises Abort."""
    _print_plan(found)
    if expect is not None and expect != found.current.number:
        raise click.ClickException(f"Version {found.current.number} was applied meanwhile; plan again.")
    if not yes:
        click.confirm("Apply?", abort=True)


def _submission(author: str, comment: str, expect: int | None, found: Plan) -> Submission:
    from fairlead.admin.audit import command_line
    from fairlead.admin.configuration import Submission

    return Submission(command_line(), author, comment, found.current.number if expect is None else expect)


def _follow(store: Store, version: StoredVersion) -> None:
    """Waits until the running processes have taken a version or refused it, and says so. Exits with 1 where one has
    refused it."""
    from fairlead.admin.configuration import status

    click.echo(f"Version {version.number} was applied.")
    give_up = time.monotonic() + FOLLOW_SECONDS
    while True:
        running = status(store).processes
        waiting = [one for one in running if one.answered < version.number]
        if not waiting or time.monotonic() > give_up:
            break
        time.sleep(LOOK_SECONDS)
    refused = [one for one in running if one.error and one.answered >= version.number]
    for one in refused:
        click.echo(f"{_name(one)} refused it and continues with {_runs(one)}: {one.error}", err=True)
    for one in waiting:
        click.echo(f"{_name(one)} has not taken it yet; see `fairlead config status`.", err=True)
    if running:
        click.echo(f"{len(running) - len(refused) - len(waiting)} of {len(running)} processes use it.")
    else:
        click.echo("No process is running; the next start uses it.")
    if refused:
        sys.exit(1)


def _print_status(found: Status) -> None:
    click.echo(f"{_in_force(found.current).capitalize()} (digest {found.current.digest[:12] or 'none'}).")
    if found.current.source == "database":
        click.echo("Files of nodes are not read for it; `fairlead config rollback 0` returns to them.")
    if not found.processes:
        click.echo("No process is running.")
        return
    rows = [("NODE", "PROCESS", "RUNS", "DIGEST", "SINCE", "RELEASE")]
    for one in found.processes:
        rows.append(
            (one.node, f"{one.place + 1} ({one.pid})", _runs(one), one.digest[:12], _time(one.since), one.release)
        )
    table(rows)
    for one in found.processes:
        if one.error:
            click.echo(f"{_name(one)} refused a newer configuration: {one.error}")
        if one.note:
            click.echo(f"{_name(one)}: {one.note}")
        if one.restart:
            click.echo(f"{_name(one)} needs a restart for {one.restart}.")


def _runs(one: ProcessState) -> str:
    return f"version {one.version}" if one.source == "database" else "its file" if one.source == "file" else "no file"


def _name(one: ProcessState) -> str:
    return f"Process {one.place + 1} ({one.pid}) on {one.node}"


def _one_line(version: StoredVersion) -> str:
    return " ".join(version.comment.split())


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
