"""The commands. What is heavy is imported by the command that needs it: `keys list` must not load an event loop."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fairlead import __version__
from fairlead.cli.catalogue import catalogue
from fairlead.errors import ConfigurationError, FairleadError
from fairlead.money import Picodollars
from fairlead.settings import configuration_file, data_directory, database_url, load_settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from fairlead.accounts.keys import KeyInfo
    from fairlead.store import Store

Command = Callable[..., Any]


class DataDirectory(click.Path):
    """An empty value is a variable that is not set in somebody's script, and not the directory that one stands in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("it is empty. Leave it out for the default.", param, ctx)
        return super().convert(value, param, ctx)


data_option = click.option(
    "--data", type=DataDirectory(path_type=Path, file_okay=False),
    help="Data directory. Default: $FAIRLEAD_DATA, else ~/.local/share/fairlead.",
)  # fmt: skip


def serve_options(command: Command) -> Command:
    for option in (
        click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on."),
        click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any free one."),
        data_option,
        click.option(
            "--config",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Configuration (TOML). Default: $FAIRLEAD_CONFIG.",
        ),
        click.option(
            "--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes that serve."
        ),
    )[::-1]:  # the last one that is added stands first in --help
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fairlead")
def cli() -> None:
    """A self-hosted LLM router: one OpenAI-compatible API and one key for many models."""


cli.add_command(catalogue)


@cli.command()
@serve_options
@click.option("--no-engine", is_flag=True, help="Do not start the demonstration model.")
def serve(host: str, port: int, data: Path | None, config: Path | None, workers: int, no_engine: bool) -> None:
    """Serve the API and the pages."""
    from fairlead.workers import serve as run

    settings = load_settings(configuration_file(config))
    sys.exit(
        run(
            workers=workers,
            settings=settings,
            data_dir=data_directory(data),
            host=host,
            port=port,
            engine=not no_engine,
        )
    )


@cli.group()
def engine() -> None:
    """Local engines."""


@engine.command("run")
@click.argument("gguf", type=click.Path(path_type=Path))
@click.option("--mmproj", type=click.Path(path_type=Path), help="The model's vision part.")
@click.option("--as", "model_id", help="Id of the model in the API. Default: the file's name.")
@click.option("--context", type=int, help="Tokens of context for each request. Default: what the memory holds.")
@click.option("--slots", type=int, help="Requests at once. Default: 4.")
@serve_options
def engine_run(
    gguf: Path, mmproj: Path | None, model_id: str | None, context: int | None, slots: int | None,
    host: str, port: int, data: Path | None, config: Path | None, workers: int,
) -> None:  # fmt: skip
    """Serve a GGUF file with the embedded engine."""
    from fairlead.engines.spec import spec_for
    from fairlead.workers import serve as run

    settings = load_settings(configuration_file(config))
    spec = spec_for(gguf, mmproj, model_id, context, slots)
    sys.exit(run(workers=workers, settings=settings, data_dir=data_directory(data), host=host, port=port, gguf=spec))


@contextlib.contextmanager
def opened(data: Path | None, *, may_be_new: bool = False) -> Iterator[Store]:
    """The database for one command. A locked or damaged one is a sentence, and so is one that is not there: a slip in
    its name must not look like one that is empty."""
    from sqlalchemy.exc import DatabaseError

    from fairlead.store import is_there, open_store, reason

    directory, url = data_directory(data), database_url(load_settings(configuration_file(None)))
    if url is None and not is_there(directory):
        if not may_be_new:
            raise ConfigurationError(
                f"There is no data of Fairlead in {directory}. `fairlead serve` makes it; --data or FAIRLEAD_DATA name "
                "another directory."
            )
        click.echo(f"There was no data of Fairlead in {directory}: it is made now.", err=True)
    store = open_store(directory, url)
    try:
        yield store
    except DatabaseError as error:
        raise click.ClickException(f"The database {store.shown} cannot be used: {reason(error)}.") from None
    finally:
        store.close()


budget_option = click.option(
    "--budget", "budgets", metavar="PERIOD=USD", multiple=True, help="Most per day, week, month or in total."
)
limit_option = click.option(
    "--limit",
    "limits",
    metavar="[MODEL:]NAME=N",
    multiple=True,
    help="requests_per_minute, requests_per_day, tokens_per_minute, tokens_per_day or concurrent_requests.",
)


def limiting_options(command: Command) -> Command:
    for option in (
        click.option("--expires", metavar="DAY", help="Last day (2027-01-31, UTC), or 30d, or 12h from now."),
        click.option("--model", "models", metavar="ID", multiple=True, help="May use this model, and no other."),
        click.option("--network", "networks", metavar="CIDR", multiple=True, help="May be used from here only."),
        limit_option,
        budget_option,
    ):
        command = option(command)
    return command


@cli.group()
def keys() -> None:
    """API keys. Changes are in force within a second, also while the server runs."""


@keys.command("create")
@click.option("--name", required=True, help="What the key is for.")
@click.option("--account", "account_id", metavar="ID", help="The account that pays. Default: the first one.")
@click.option(
    "--credit",
    metavar="USD",
    help="Credit to spend, as a decimal number of dollars. Without --account: a prepaid account of its own.",
)
@limiting_options
@data_option
def keys_create(name: str, account_id: str | None, credit: str | None, data: Path | None, **given: Any) -> None:
    """Make a key. It is the last line printed, and is never shown again."""
    from fairlead.accounts.accounts import account_info, add_account, first_account
    from fairlead.accounts.keys import add_key
    from fairlead.ledger.funds import grant

    amount = None if credit is None else amount_of("--credit", credit)
    columns = columns_of(**given)
    ends = columns.get("expires_at")
    if ends is not None and ends <= time.time():
        raise ConfigurationError("--expires is in the past: such a key could never be used.")
    with opened(data, may_be_new=True) as store, store.write() as connection:
        if account_id is not None:
            account = account_info(connection, account_id).id
        elif amount is not None:
            account = add_account(connection, name, prepaid=True)
        else:
            account = first_account(connection)
        if amount is not None:
            prepaid_account(connection, account)
            grant(connection, account, amount.value, "credit of a new key")
        key = add_key(connection, name, account, columns)
    click.echo(key)


@keys.command("set")
@click.argument("key_id", metavar="ID")
@limiting_options
@data_option
def keys_set(key_id: str, data: Path | None, **given: Any) -> None:
    """Change what a key may do. An option that is given replaces what was there; an empty one ("") takes it away."""
    from fairlead.accounts.keys import change_key

    columns = columns_of(**given)
    if not columns:
        raise click.UsageError("Say what to change: --expires, --model, --network, --limit or --budget.")
    with opened(data) as store:
        known = change_key(store, key_id, columns)
    if not known:
        raise click.ClickException(f"There is no key {key_id!r}. `fairlead keys list` shows the ids.")
    click.echo(f"{key_id} is changed.")


def columns_of(
    *,
    budgets: tuple[str, ...],
    limits: tuple[str, ...],
    expires: str | None = None,
    models: tuple[str, ...] = (),
    networks: tuple[str, ...] = (),
) -> dict[str, Any]:
    """What the limiting options say, as the columns of a key or an account; those that were not given are left out."""
    from fairlead.accounts.options import as_columns

    return as_columns(
        expires=expires,
        models=models or None,
        networks=networks or None,
        budgets=budgets_of(budgets) if budgets else None,
        given_limits=limits or None,
    )


@cli.group()
def accounts() -> None:
    """Accounts: who pays."""


@accounts.command("create")
@click.option("--name", required=True, help="Whose it is.")
@click.option("--credit", metavar="USD", default="0", help="Credit to begin with.")
@data_option
def accounts_create(name: str, credit: str, data: Path | None) -> None:
    """Make a prepaid account. Its id is the last line printed."""
    from fairlead.accounts.accounts import add_account
    from fairlead.ledger.funds import grant

    amount = amount_of("--credit", credit)
    with opened(data) as store, store.write() as connection:
        account = add_account(connection, name, prepaid=True)
        grant(connection, account, amount.value, "credit of a new account")
    click.echo(account)


@accounts.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@data_option
def accounts_list(as_json: bool, data: Path | None) -> None:
    """List the accounts. What they have: `fairlead credit balance`."""
    from fairlead.accounts.accounts import list_accounts

    with opened(data) as store, store.read() as connection:
        found = list_accounts(connection)
    if as_json:
        entries = [
            {
                "id": account.id,
                "name": account.name,
                "prepaid": account.prepaid,
                "budgets_usd": {one.period: Picodollars(one.picodollars).dollars() for one in account.budgets},
                "created_at": account.created_at,
            }
            for account in found
        ]
        click.echo(json.dumps(entries, indent=2))
        return
    rows = [("ID", "NAME", "KIND", "BUDGETS", "CREATED")]
    for account in found:
        budgets = " ".join(f"{one.period}={Picodollars(one.picodollars).dollars()}" for one in account.budgets) or "-"
        kind = "prepaid" if account.prepaid else "unlimited"
        rows.append((account.id, account.name, kind, budgets, _day(account.created_at)))
    table(rows)


@accounts.command("set")
@click.argument("account_id", metavar="ID")
@budget_option
@limit_option
@data_option
def accounts_set(account_id: str, data: Path | None, **given: Any) -> None:
    """Change the budgets and limits of an account. What is given replaces what was there; "" takes it away."""
    from fairlead.accounts.accounts import change_account

    columns = columns_of(**given)
    if not columns:
        raise click.UsageError("Say what to change: --budget or --limit.")
    with opened(data) as store, store.write() as connection:
        change_account(connection, account_id, columns)
    click.echo(f"{account_id} is changed.")


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


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@data_option
def keys_list(as_json: bool, data: Path | None) -> None:
    """List the keys: id, beginning, name, account, state."""
    from fairlead.accounts.keys import list_keys

    with opened(data) as store:
        found = list_keys(store)
    if as_json:
        entries = [
            {
                "id": key.id,
                "key": key.shown,
                "name": key.name,
                "account": key.account_id,
                "created_at": key.created_at,
                "revoked_at": key.revoked_at,
                "expires_at": key.expires_at,
                "budgets_usd": {one.period: Picodollars(one.picodollars).dollars() for one in key.budgets},
                "limits": {} if key.limits is None else key.limits.by_name(),
                "models": key.models,
                "networks": key.networks,
            }
            for key in found
        ]
        click.echo(json.dumps(entries, indent=2))
        return
    rows = [("ID", "KEY", "NAME", "ACCOUNT", "CREATED", "STATE", "BOUND TO")]
    for key in found:
        rows.append(
            (key.id, f"{key.shown}...", key.name, key.account_id, _day(key.created_at), _state(key), _bound(key))
        )
    table(rows)


def _bound(key: KeyInfo) -> str:
    """In the words of the options that bind it."""
    words = [f"{one.period}={Picodollars(one.picodollars).dollars()}" for one in key.budgets]
    words += [f"{name}={number}" for name, number in (key.limits.by_name() if key.limits else {}).items()]
    return " ".join([*words, *(key.models or ()), *(key.networks or ())])


def _state(key: KeyInfo) -> str:
    if key.revoked_at is not None:
        return f"revoked {_day(key.revoked_at)}"
    if key.expires_at is None:
        return "in force"
    # Its last second: a key that ends with a day ends at the next midnight.
    return f"{'expired' if key.expires_at <= time.time() else 'in force until'} {_day(key.expires_at - 1)}"


def table(rows: Sequence[Sequence[str]]) -> None:
    """Prints columns; the first row is their heads."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@keys.command("revoke")
@click.argument("key_id", metavar="ID")
@data_option
def keys_revoke(key_id: str, data: Path | None) -> None:
    """Revoke the key with this id (see `keys list`)."""
    from fairlead.accounts.keys import revoke_key

    with opened(data) as store:
        known = revoke_key(store, key_id)
    if not known:
        raise click.ClickException(f"There is no key {key_id!r}. `fairlead keys list` shows the ids.")
    click.echo(f"{key_id} is revoked.")


@cli.group()
def credit() -> None:
    """Credit of prepaid accounts: grants, withdrawals, refunds, redemption codes."""


note_option = click.option("--note", default="", help="Why; kept with the entry.")


@credit.command("grant")
@click.argument("account_id", metavar="ACCOUNT")
@click.argument("usd", metavar="USD")
@note_option
@data_option
def credit_grant(account_id: str, usd: str, note: str, data: Path | None) -> None:
    """Add credit to an account."""
    from fairlead.ledger.funds import grant

    amount = amount_of("USD", usd)
    with opened(data) as store, store.write() as connection:
        prepaid_account(connection, account_id)
        grant(connection, account_id, amount.value, note)
    click.echo(f"{account_id} was granted {amount.dollars()} USD.")


@credit.command("withdraw")
@click.argument("account_id", metavar="ACCOUNT")
@click.argument("usd", metavar="USD")
@note_option
@data_option
def credit_withdraw(account_id: str, usd: str, note: str, data: Path | None) -> None:
    """Take credit away from an account, as far as it is free."""
    from fairlead.ledger.credit import withdraw

    amount = amount_of("USD", usd)
    with opened(data) as store, store.write() as connection:
        prepaid_account(connection, account_id)
        withdraw(connection, account_id, amount.value, note)
    click.echo(f"{amount.dollars()} USD were taken from {account_id}.")


@credit.command("refund")
@click.argument("generation_id", metavar="GENERATION")
@click.option("--amount", metavar="USD", help="A part of the charge. Default: all that is left of it.")
@note_option
@data_option
def credit_refund(generation_id: str, amount: str | None, note: str, data: Path | None) -> None:
    """Give back what a call was charged."""
    from fairlead.ledger.credit import refund

    wanted = None if amount is None else amount_of("--amount", amount).value
    with opened(data) as store, store.write() as connection:
        done = refund(connection, generation_id, wanted, note or f"refund of {generation_id}")
    click.echo(f"{done.account_id} got {Picodollars(done.picodollars).dollars()} USD back.")


@credit.command("codes")
@click.option("--amount", metavar="USD", required=True, help="What each code is worth.")
@click.option("--count", type=int, default=1, show_default=True)
@data_option
def credit_codes(amount: str, count: int, data: Path | None) -> None:
    """Make redemption codes, a line each. They are never shown again."""
    from fairlead.ledger.credit import make_codes

    worth = amount_of("--amount", amount)
    with opened(data) as store, store.write() as connection:
        made = make_codes(connection, worth.value, count)
    click.echo("\n".join(made))


@credit.command("redeem")
@click.argument("code")
@click.argument("account_id", metavar="ACCOUNT")
@data_option
def credit_redeem(code: str, account_id: str, data: Path | None) -> None:
    """Redeem a code for an account. Callers do it by POST /v1/credits/redeem."""
    from fairlead.ledger.credit import redeem

    with opened(data) as store, store.write() as connection:
        prepaid_account(connection, account_id)
        amount = redeem(connection, code, account_id)
    click.echo(f"{account_id} was granted {Picodollars(amount).dollars()} USD.")


@credit.command("balance")
@click.argument("account_id", metavar="[ACCOUNT]", required=False)
@data_option
def credit_balance(account_id: str | None, data: Path | None) -> None:
    """Show what accounts were granted, have spent and have left. What running calls hold is not spent yet."""
    from fairlead.accounts.accounts import account_info, list_accounts
    from fairlead.ledger.funds import Balance, balance, credit_scope

    rows = [("ACCOUNT", "NAME", "GRANTED", "SPENT", "LEFT")]
    with opened(data) as store, store.read() as connection:
        found = [account_info(connection, account_id)] if account_id else list_accounts(connection)
        for account in found:
            held = balance(connection, credit_scope(account.id)) or Balance(0, 0, 0)
            amounts = [Picodollars(value).dollars() for value in (held.granted, held.spent, held.granted - held.spent)]
            rows.append((account.id, account.name, *(amounts if account.prepaid else ("-", "-", "unlimited"))))
    table(rows)


def prepaid_account(connection: Connection, account_id: str) -> None:
    """Refuses an account that there is not, and one that needs no credit."""
    from fairlead.accounts.accounts import account_info

    if not account_info(connection, account_id).prepaid:
        raise ConfigurationError(f"{account_id} needs no credit: its paid calls are not limited.")


def day(text: str) -> datetime:
    """A day such as 2027-01-31, as an option has it."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no day such as 2027-01-31.") from None


@cli.command()
@click.option("--since", type=day, metavar="DAY", help="Only what was stored since this day (UTC).")
@data_option
def verify(since: datetime | None, data: Path | None) -> None:
    """Make every charge again from its record and its price sheet, and add up the books.

    Ends with status 1 at the first discrepancy, and names the record.
    """
    from fairlead.ledger.ledger import SPOOL
    from fairlead.ledger.verify import total_records, verify_spools
    from fairlead.ledger.verify import verify as check

    start = 0 if since is None else _milliseconds(since)
    with opened(data) as store, store.snapshot() as connection:
        total = total_records(connection, start)
        with click.progressbar(length=total, label=f"{total:,} records", file=sys.stderr) as bar:
            found = check(connection, start, bar.update)
        if found.discrepancy is not None:
            raise click.ClickException(found.discrepancy)
        waiting, wrong = verify_spools(connection, store.directory / SPOOL)
    if wrong is not None:
        raise click.ClickException(wrong)
    charged = f"{Picodollars(found.charged).dollars()} USD"
    click.echo(
        f"Records: {found.records:,}. Price sheets: {found.sheets:,}. They come to {charged}, as charged. "
        f"Answers without reported usage, counted here: {found.missing:,}. Still in the spool: {waiting:,}."
    )


@cli.command()
@click.argument("generation")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@data_option
def explain(generation: str, as_json: bool, data: Path | None) -> None:
    """Tell why a call went where it went: candidates, reasons, attempts."""
    from fairlead.ledger.books import bodies_of
    from fairlead.ledger.record import decode
    from fairlead.routing.explain import explained, sentences
    from fairlead.store.health import decision

    with opened(data) as store, store.read() as connection:
        body = bodies_of(connection, [generation]).get(generation)
        found = explained(None if body is None else decode(body), decision(connection, generation))
    if found is None:
        raise click.ClickException(f"Nothing is known of {generation}; records come with a moment's delay.")
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(sentences(found)))


@cli.group()
def usage() -> None:
    """What was used."""


@usage.command("export")
@click.option("--format", "kind", type=click.Choice(["csv", "jsonl", "parquet"]), default="csv", show_default=True)
@click.option("--since", type=day, metavar="DAY", help="First day (UTC).")
@click.option("--until", type=day, metavar="DAY", help="Last day (UTC).")
@click.option("--account", "account_id", metavar="ID", help="Only this account's.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A file. Default: standard output.")
@data_option
def usage_export(
    kind: str,
    since: datetime | None,
    until: datetime | None,
    account_id: str | None,
    output: Path | None,
    data: Path | None,
) -> None:
    """Write every usage record, oldest first. Amounts are exact: dollars as decimals, and picodollars."""
    from fairlead.ledger.export import rows, write, write_file

    if kind == "parquet" and output is None:
        raise click.UsageError("Parquet needs --output FILE.")
    first = 0 if since is None else _milliseconds(since)
    last = None if until is None else _milliseconds(until) + 86_400_000
    with opened(data) as store, store.snapshot() as connection:
        found = rows(connection, first, last, account_id)
        try:
            if output is None:
                write(found, kind, sys.stdout.buffer)
                return
            count = write_file(found, kind, output)
        except OSError as error:
            raise click.ClickException(f"{output or 'standard output'} cannot be written: {error.strerror}.") from None
    click.echo(f"{count:,} records are in {output}.", err=True)


def _milliseconds(day: datetime) -> int:
    return int(day.timestamp() * 1000)


@cli.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)


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


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
