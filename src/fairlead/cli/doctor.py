"""`fairlead doctor`: does a client work with a running server, and with a model?"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from fairlead.cli.options import json_option
from fairlead.errors import ConfigurationError

if TYPE_CHECKING:
    from fairlead.admin.doctor.clients import Finding
    from fairlead.admin.doctor.server import Server

NAMES = ("claude-code", "codex", "gemini", "openai", "anthropic", "open-webui", "cline", "openrouter")
SHOWN = {"works": "ok", "note": "note", "breaks": "FAIL"}


@click.command()
@click.option("--client", "names", type=click.Choice(NAMES), multiple=True, help="Only this client. Default: all.")
@click.option("--url", default="http://localhost:8080", show_default=True, metavar="URL", help="The server.")
@click.option("--key", envvar="FAIRLEAD_API_KEY", metavar="KEY", help="An API key. Default: $FAIRLEAD_API_KEY.")
@click.option("--model", metavar="ID", help="The model to call. Default: the first that is listed.")
@json_option
def doctor(names: tuple[str, ...], url: str, key: str | None, model: str | None, as_json: bool) -> None:
    """Imitate clients against a running server: what works, what breaks, and the setting that fixes it.

    Each client makes two to four small calls, which are charged to the key. Exits with status 1 when something breaks.
    """
    from fairlead.admin.doctor.clients import CLIENTS, diagnosed, warned
    from fairlead.admin.doctor.server import Server, Unreachable

    if not key:
        raise ConfigurationError("Set an API key: --key or FAIRLEAD_API_KEY. `fairlead keys create` makes one.")
    server = Server(url, key)
    found: list[Finding] = []
    try:
        called = model or _first_model(server)
        for finding in warned(server):
            found.append(finding)
            if not as_json:
                click.echo(_line(finding))
        for name in names or NAMES:
            for finding in diagnosed(CLIENTS[name], server, called):
                found.append(finding)
                if not as_json:
                    click.echo(_line(finding))
            if not as_json:
                click.echo(f"      {name}: set {CLIENTS[name].setup.format(url=server.url)}")
    except Unreachable as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    sys.exit(1 if any(finding.verdict == "breaks" for finding in found) else 0)


def _line(finding: Finding) -> str:
    line = f"{SHOWN[finding.verdict]:<5} {finding.client:<12} {finding.check}: {finding.seen}"
    return f"{line} -> {finding.fix}" if finding.fix and finding.verdict != "works" else line


def _first_model(server: Server) -> str:
    """The first model that can chat."""
    answer = server.ask("GET", "/v1/models", {"authorization": f"Bearer {server.key}"})
    if answer.status != 200:
        raise click.ClickException(f"{server.url} answers {answer.status}: {answer.message}")
    listed = answer.json.get("data") if isinstance(answer.json, dict) else None
    if not isinstance(listed, list):
        raise click.ClickException(f"{server.url} is not a Fairlead server: GET /v1/models returned no list of models.")
    models = [
        one["id"] for one in listed if isinstance(one, dict) and one.get("mode") in (None, "chat") and "id" in one
    ]
    if not models:
        raise click.ClickException("The server has no chat model that can be called yet; GET /readyz shows why.")
    return str(models[0])
