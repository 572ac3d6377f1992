"""The table of commands, and how errors end them. What is heavy is imported by the command that needs it: `keys list`
must not load an event loop."""

from __future__ import annotations

import os
import sys

import click

from fairlead import __version__
from fairlead.cli.access import access
from fairlead.cli.accounts import accounts
from fairlead.cli.alerts import alerts
from fairlead.cli.audit import audit
from fairlead.cli.backup import backup, restore
from fairlead.cli.books import explain, usage, verify
from fairlead.cli.catalogue import catalogue
from fairlead.cli.configuration import config
from fairlead.cli.content import content
from fairlead.cli.credentials import credentials
from fairlead.cli.credit import credit
from fairlead.cli.demo import demo
from fairlead.cli.deployments import deployments
from fairlead.cli.doctor import doctor
from fairlead.cli.groups import members, projects
from fairlead.cli.importers import import_
from fairlead.cli.keys import keys
from fairlead.cli.management_keys import management_keys
from fairlead.cli.operator import operator
from fairlead.cli.people import people
from fairlead.cli.serve import engine, serve
from fairlead.cli.shadow import shadow
from fairlead.cli.upgrade import upgrade
from fairlead.errors import ConfigurationError, FairleadError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fairlead")
def cli() -> None:
    """A self-hosted LLM router: one OpenAI-compatible API and one key for many models."""


@click.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)


for command in (
    serve,
    demo,
    engine,
    config,
    keys,
    accounts,
    projects,
    members,
    access,
    content,
    credit,
    credentials,
    deployments,
    management_keys,
    operator,
    people,
    audit,
    alerts,
    verify,
    explain,
    usage,
    backup,
    restore,
    upgrade,
    catalogue,
    import_,
    shadow,
    doctor,
    version,
):
    cli.add_command(command)


def main() -> None:
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.UsageError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(1)
    except click.Abort:
        sys.exit(130)
    except ConfigurationError as error:
        click.echo(f"fairlead: {error.message}", err=True)
        sys.exit(2)
    except FairleadError as error:
        click.echo(f"fairlead: {error.message}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
