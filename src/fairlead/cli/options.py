"""Options and small pieces that several commands share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fairlead.errors import ConfigurationError
from fairlead.money import Picodollars
from fairlead.settings import CONFIG, DATA, configuration_file, data_directory, database_url, load_settings

if TYPE_CHECKING:
    from fairlead.accounts.accounts import Budget
    from fairlead.settings import Settings
    from fairlead.store import Store

Command = Callable[..., Any]
LARGEST_BYTES = 64 * 1024 * 1024


class DataDirectory(click.Path):
    """An empty value is a variable that is not set in somebody's script, and not the directory that one stands in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("it is empty. Leave it out for the default.", param, ctx)
        return super().convert(value, param, ctx)


data_option = click.option(
    "--data", type=DataDirectory(path_type=Path, file_okay=False),
    help=f"Data directory. Default: ${DATA.name}, else ~/.local/share/fairlead.",
)  # fmt: skip


def serve_options(command: Command) -> Command:
    for option in (
        click.option(
            "--host", default="127.0.0.1", show_default=True, help="Address to listen on. 0.0.0.0: all addresses."
        ),
        click.option(
            "--port",
            type=click.IntRange(0, 65535),
            default=8080,
            show_default=True,
            help="Port to listen on. 0: any free one.",
        ),
        data_option,
        click.option(
            "--config",
            type=click.Path(path_type=Path, dir_okay=False),
            help=f"Configuration (TOML). Default: ${CONFIG.name}.",
        ),
        click.option(
            "--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Number of worker processes."
        ),
    )[::-1]:  # the last one that is added stands first in --help
        command = option(command)
    return command


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@contextlib.contextmanager
def opened(
    data: Path | None, *, may_be_new: bool = False, settings: Settings | None = None, migrate: bool = True
) -> Iterator[Store]:
    """The database for one command. A locked, damaged or missing one is reported in one sentence: a typo in
    its name must not look like one that is empty. `settings`: where the database is; None: the configuration file's;
    `migrate`: False leaves one of an older version as it is."""
    from sqlalchemy.exc import DatabaseError

    from fairlead.store import is_there, open_store, reason

    if settings is None:
        settings = load_settings(configuration_file(None))
    directory, url = data_directory(data), database_url(settings)
    if url is None and not is_there(directory):
        if not may_be_new:
            raise ConfigurationError(
                f"No Fairlead data found in {directory}. `fairlead serve` creates it; select another directory with "
                f"--data or {DATA.name}."
            )
        click.echo(f"Created a new database in {directory}.", err=True)
    store = open_store(directory, url, migrate=migrate)
    try:
        yield store
    except DatabaseError as error:
        raise click.ClickException(f"The database {store.shown} cannot be used: {reason(error)}.") from None
    finally:
        store.close()


budget_option = click.option(
    "--budget",
    "budgets",
    metavar="PERIOD=USD",
    multiple=True,
    help="Budget per day, week, month, in total or per session, such as day=0.50. May be given several times.",
)
continue_option = click.option(
    "--continue-with",
    "continue_with",
    metavar="PERIOD=MODEL,...",
    multiple=True,
    help="When this budget is used up, go on with the first of these models that fits, instead of refusing. "
    "Needs --budget of the same period. May be given several times.",
)
limit_option = click.option(
    "--limit",
    "limits",
    metavar="[MODEL:]NAME=N",
    multiple=True,
    help="A number for requests_per_minute, requests_per_day, tokens_per_minute, tokens_per_day or "
    "concurrent_requests, such as requests_per_minute=60. May be given several times.",
)


model_option = click.option(
    "--model", "models", metavar="ID", multiple=True, help="Allow only this model. May be given several times."
)
each_user_option = click.option(
    "--each-user",
    "each_user",
    metavar="NAME=VALUE",
    multiple=True,
    help="Cap for each end user that calls name (`user`): a budget such as day=0.50, or a limit such as "
    "requests_per_minute=20. May be given several times.",
)


def sharing_options(command: Command) -> Command:
    """What keys of a project, a member or an account share."""
    for option in (each_user_option, model_option, limit_option, continue_option, budget_option):
        command = option(command)
    return command


def limiting_options(command: Command) -> Command:
    for option in (
        click.option("--expires", metavar="DAY", help="Last day (2027-01-31, UTC), or a time from now (30d, 12h)."),
        click.option("--project", "project_id", metavar="ID", help="The project of the account that it belongs to."),
        click.option("--member", "member_id", metavar="ID", help="The member of the account whose key it is."),
        each_user_option,
        model_option,
        click.option(
            "--network",
            "networks",
            metavar="CIDR",
            multiple=True,
            help="Allow only this network. May be given several times.",
        ),
        limit_option,
        continue_option,
        budget_option,
    ):
        command = option(command)
    return command


def columns_of(
    *,
    budgets: tuple[str, ...],
    limits: tuple[str, ...],
    expires: str | None = None,
    models: tuple[str, ...] = (),
    networks: tuple[str, ...] = (),
    each_user: tuple[str, ...] = (),
    continue_with: tuple[str, ...] = (),
    **groups: str | None,
) -> dict[str, Any]:
    """What the limiting options say, as the columns of a key, a project, a member or an account; those that were not
    given are left out. `groups`: `project_id` and `member_id`, "" for none."""
    from fairlead.accounts.options import as_columns

    given = {name: group_id or None for name, group_id in groups.items() if group_id is not None}
    return given | as_columns(
        expires=expires,
        models=models or None,
        networks=networks or None,
        budgets=budgets_of(budgets) if budgets else None,
        continue_with=models_of(continue_with),
        given_limits=limits or None,
        each_user=each_user or None,
    )


def amount_of(option: str, text: str) -> Picodollars:
    try:
        return Picodollars.parse(text)
    except ValueError as error:
        raise ConfigurationError(f"{option}: {error}.") from None


def budgets_of(given: tuple[str, ...]) -> dict[str, Picodollars]:
    """From options such as "day=5.00"."""
    found = {}
    for text in filter(None, given):
        period, equals, amount = text.partition("=")
        if not equals:
            raise ConfigurationError(f"--budget is a period and dollars, such as day=5.00, not {text!r}.")
        found[period] = amount_of("--budget", amount)
    return found


def models_of(given: tuple[str, ...]) -> dict[str, list[str]]:
    """From options such as "day=model-a,model-b"."""
    found = {}
    for text in filter(None, given):
        period, equals, names = text.partition("=")
        if not equals:
            raise ConfigurationError(f"--continue-with is a period and models, such as day=small,free, not {text!r}.")
        found[period] = [name.strip() for name in names.split(",") if name.strip()]
    return found


def budget_words(budgets: Sequence[Budget]) -> list[str]:
    """Budgets as lists show them, such as "day=0.50 then small,free"."""
    return [
        f"{one.period}={Picodollars(one.picodollars).dollars()}"
        + (f" then {','.join(one.continue_with)}" if one.continue_with else "")
        for one in budgets
    ]


def table(rows: Sequence[Sequence[str]]) -> None:
    """Prints columns; the first row is their heads."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def day(text: str) -> datetime:
    """A day such as 2027-01-31, as an option has it."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a day such as 2027-01-31.") from None


def as_day(seconds: int) -> str:
    """The day of a time in seconds since 1970, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def body_and_day(place: str) -> tuple[bytes, date]:
    """What a file or an address holds, and the day that it is of. Raises ConfigurationError."""
    if place.startswith(("http://", "https://")):
        from urllib.error import URLError
        from urllib.request import Request, urlopen

        try:
            with urlopen(Request(place, headers={"user-agent": "fairlead"}), timeout=60) as answer:  # noqa: S310
                body: bytes = answer.read(LARGEST_BYTES + 1)
        except (URLError, TimeoutError) as error:
            raise ConfigurationError(f"{place} cannot be read: {error}.") from None
        day = datetime.now(UTC).date()
    else:
        file = Path(place)
        if file.exists() and not file.is_file():  # a pipe would be waited for
            raise ConfigurationError(f"{place} is not a file.")
        try:
            with file.open("rb") as opened_file:
                body = opened_file.read(LARGEST_BYTES + 1)
            day = datetime.fromtimestamp(file.stat().st_mtime, UTC).date()
        except OSError as error:
            raise ConfigurationError(f"{place} cannot be read: {error.strerror}.") from None
    if len(body) > LARGEST_BYTES:
        raise ConfigurationError(f"{place} is larger than {LARGEST_BYTES} bytes.")
    return body, day
