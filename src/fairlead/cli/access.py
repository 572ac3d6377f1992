"""`fairlead access`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from fairlead.cli.options import data_option, json_option, opened, table


@click.command()
@click.argument("key")
@click.argument("model", required=False)
@click.option("--from", "address", metavar="ADDRESS", help="The address that the key is used from.")
@json_option
@data_option
def access(key: str, model: str | None, address: str | None, data: Path | None, *, as_json: bool) -> None:
    """Show what a key may call, and which rule says so. KEY is its id. Exit status 1: the call would be refused.

    Models of local engines are not in the configuration and so are not listed.
    """
    from fairlead.admin import configuration
    from fairlead.admin.access import access as look
    from fairlead.admin.access import access_entry
    from fairlead.settings import configuration_file

    with opened(data) as store:
        current = configuration.current(store, configuration_file(None))
        snapshot = configuration.described(current.text, current.name)[0].snapshot
        models = {
            one.id: any(not deployment.sheet.free for deployment in one.deployments)
            for one in snapshot.models.values()
            if one.deployments
        }
        found = look(store, key, models, snapshot.aliases, model, address=address)
    refused = found.refused_by
    if as_json:
        click.echo(json.dumps(access_entry(found), indent=2))
    else:
        what = "make calls" if found.model is None else f"call {found.model}"
        why = "" if refused is None else f": {refused.rule} of {refused.of}: {refused.detail}"
        click.echo(f"{found.key.id} may {'' if refused is None else 'not '}{what}{why}.")
        table([("RULE", "OF", "VERDICT", "DETAIL"), *found.rules])
        if found.model is None:
            click.echo(f"Models: {', '.join(found.models) or 'none that the configuration has'}")
    if refused is not None:
        sys.exit(1)
