"""`fairlead catalogue`: import facts, find contradictions, show a model's facts with their sources."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fairlead.cli.options import body_and_day
from fairlead.errors import ConfigurationError
from fairlead.settings import CONFIG, configuration_file, data_directory, load_settings

if TYPE_CHECKING:
    from fairlead.catalogue.facts import Vendor
    from fairlead.catalogue.importers.reading import Reading

FORMATS = ("models.dev", "openrouter", "models")


@click.group()
def catalogue() -> None:
    """Import, check and show the model catalogue."""


directory_option = click.option(
    "--into", "directory", type=click.Path(path_type=Path, file_okay=False),
    help="Directory of model files. Default: [catalogue] directory, else DATA/catalogue.",
)  # fmt: skip
config_option = click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), help=f"Configuration (TOML). Default: ${CONFIG.name}."
)
data_option = click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="Data directory.")


@catalogue.command("import")
@click.argument("place", metavar="FILE|URL")
@click.option("--format", "form", type=click.Choice(FORMATS), required=True, help="models: any provider's /v1/models.")
@directory_option
@config_option
@data_option
@click.option("--apply", "write", is_flag=True, help="Write the files. Without it only the difference is printed.")
@click.option("--add", multiple=True, metavar="THEIR_ID=VENDOR/ID", help="Create a file for a model that has none.")
@click.option("--as", "key", help="Name of the source. Default: from its address.")
@click.option(
    "--read",
    "read_on",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Date of the data. Default: the date of the file, or today.",
)
def import_(
    place: str,
    form: str,
    directory: Path | None,
    config: Path | None,
    data: Path | None,
    write: bool,
    add: tuple[str, ...],
    key: str | None,
    read_on: datetime | None,
) -> None:
    """Compare another catalogue with this one; --apply writes the changes. Models match by exact id."""
    from fairlead.catalogue.files import built_in, model_files
    from fairlead.catalogue.update import entries, problems, updates
    from fairlead.catalogue.update import write as write_files

    body, day = body_and_day(place)
    day = read_on.date() if read_on else day
    reading = _reading(body, form, place, day, key)
    directory = directory or _directory(config, data)
    own = dict(model_files(directory)) if directory.is_dir() else {}
    known = entries({**dict(model_files(built_in() / "models")), **own}.items())
    today = datetime.now(UTC).date()
    made = updates(known, reading, today, _additions(add, reading))
    for update in made:
        click.echo(update.difference())
    found = problems(known, made, _vendors(directory))
    for problem in found:
        click.echo(f"contradiction: {problem}", err=True)
    click.echo(f"{len(made)} files {'written' if write and not found else 'would change'} in {directory}.", err=True)
    if found:
        click.echo(
            "Not written because of contradictions: resolve them under [decisions], or correct a source.", err=True
        )
        sys.exit(1)
    if write:
        write_files(directory, made)


@catalogue.command("lint")
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False), required=False)
def lint(directory: Path | None) -> None:
    """Find contradictions in the bundled catalogue or in a directory. Exits with status 1 if there is one."""
    from fairlead.catalogue.built import read_catalogue
    from fairlead.catalogue.files import built_in
    from fairlead.catalogue.lint import lint as find

    models, vendors = read_catalogue(built_in() / "models", built_in() / "vendors.toml")
    wanted = set(models)
    if directory is not None:
        own, more = read_catalogue(directory, directory / "vendors.toml")
        models, vendors, wanted = {**models, **own}, {**vendors, **more}, set(own)
    found = [problem for problem in find(models.values(), vendors) if problem.model in wanted]
    for problem in found:
        click.echo(str(problem))
    click.echo(f"{len(wanted)} models, {len(found)} contradictions.", err=True)
    sys.exit(1 if found else 0)


@catalogue.command("show")
@click.argument("model_id", metavar="MODEL")
@config_option
def show(model_id: str, config: Path | None) -> None:
    """Show every fact of a model with its source, its date and the sources that disagree."""
    from fairlead.catalogue.built import load_catalogue
    from fairlead.catalogue.load import catalogue_directory

    models = load_catalogue(catalogue_directory(load_settings(configuration_file(config)))).models
    facts = models.get(model_id) or next((row for row in models.values() if model_id in row.aliases), None)
    if facts is None:
        raise ConfigurationError(f"The catalogue has no model {model_id!r}.")
    for name, fact in facts.facts.items():
        source = facts.source_of(fact)
        click.echo(f"{name} = {_shown(fact.value)}" + (f"  ({source.title}, {source.read})" if source else ""))
        for claim in fact.others:
            click.echo(f"    {facts.sources[claim.source].title} says {_shown(claim.value)}")
        if fact.why:
            click.echo(f"    {fact.why}")
    for price in facts.prices:
        rates = ", ".join(f"{name} ${amount}" for name, amount in price.rates.items())
        click.echo(f"list price per million tokens: {rates}  ({facts.sources[price.source].title})")


@catalogue.command("build")
def build() -> None:
    """Rebuild the bundled catalogue from its TOML files (for developers of Fairlead)."""
    from fairlead.catalogue.built import COMPILED, compile_built_in
    from fairlead.catalogue.files import built_in

    body = compile_built_in()
    Path(str(built_in() / COMPILED)).write_bytes(body)
    click.echo(f"{len(body)} bytes in {COMPILED}.", err=True)


def _shown(value: object) -> str:
    return "unknown" if value is None else ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _reading(body: bytes, form: str, place: str, day: date, key: str | None) -> Reading:
    import msgspec

    from fairlead.catalogue.importers import models_dev, openrouter, provider

    try:
        if form == "models.dev":
            return models_dev.read(body, day)
        if form == "openrouter":
            return openrouter.read(body, day)
        name = key or _name_of(place)
        return provider.read(body, day, name, f"/v1/models of {name}", place if "://" in place else None)
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"{place} is not in the format {form}: {error}.") from None


def _name_of(place: str) -> str:
    """A word for a source: the host of its address, or the name of the file."""
    import re

    word = place.split("://", 1)[1].split("/", maxsplit=1)[0] if "://" in place else Path(place).stem
    return re.sub(r"[^a-z0-9]+", "_", word.lower()).strip("_")[:40] or "provider"


def _additions(given: tuple[str, ...], reading: Reading) -> dict[str, tuple[str, str]]:
    found = {}
    for text in given:
        theirs, _, ours = text.partition("=")
        vendor, _, id_ = ours.partition("/")
        if not theirs or not vendor or not id_:
            raise ConfigurationError(f"--add {text}: write THEIR_ID=VENDOR/ID.")
        if theirs not in reading.models:
            raise ConfigurationError(f"--add {text}: the source has no model {theirs!r}.")
        found[theirs] = id_, vendor
    return found


def _directory(config: Path | None, data: Path | None) -> Path:
    from fairlead.catalogue.load import catalogue_directory

    return catalogue_directory(load_settings(configuration_file(config))) or data_directory(data) / "catalogue"


def _vendors(directory: Path) -> dict[str, Vendor]:
    from fairlead.catalogue.files import built_in, read_vendors, text_of

    own = directory / "vendors.toml"
    vendors = read_vendors((built_in() / "vendors.toml").read_text("utf-8"), "vendors.toml")
    return {**vendors, **(read_vendors(text_of(own), str(own)) if own.is_file() else {})}
