"""`fairlead operator`."""

from __future__ import annotations

from pathlib import Path

import click

from fairlead.cli.options import data_option, opened


@click.group()
def operator() -> None:
    """Sign in to the console as its operator."""


@operator.command("link")
@click.option("--email", default="", metavar="ADDRESS", help="Of an operator that exists. Default: somebody new.")
@click.option("--url", default="http://localhost:8080", show_default=True, help="Where the server is.")
@data_option
def operator_link(email: str, url: str, data: Path | None) -> None:
    """Print a link that signs an operator in once, within a day.

    An earlier link for the same operator stops working.
    """
    from fairlead.admin.audit import command_line
    from fairlead.admin.operator_links import make_operator_link

    with opened(data) as store:
        token = make_operator_link(store, command_line(), email)
    click.echo(f"{url.rstrip('/')}/sign-in#{token}")
