"""`fairlead credit`."""

from __future__ import annotations

from pathlib import Path

import click

from fairlead.cli.options import amount_of, data_option, opened, table
from fairlead.money import Picodollars


@click.group()
def credit() -> None:
    """Manage the credit of prepaid accounts: grants, withdrawals, refunds, redemption codes."""


note_option = click.option("--note", default="", help="Reason, stored with the entry.")


@credit.command("grant")
@click.argument("account_id", metavar="ACCOUNT")
@click.argument("usd", metavar="USD")
@note_option
@data_option
def credit_grant(account_id: str, usd: str, note: str, data: Path | None) -> None:
    """Add credit to an account."""
    from fairlead.admin.audit import command_line
    from fairlead.admin.credit import grant

    amount = amount_of("USD", usd)
    with opened(data) as store:
        grant(store, command_line(), account_id, amount, note)
    click.echo(f"{account_id} was granted {amount.dollars()} USD.")


@credit.command("withdraw")
@click.argument("account_id", metavar="ACCOUNT")
@click.argument("usd", metavar="USD")
@note_option
@data_option
def credit_withdraw(account_id: str, usd: str, note: str, data: Path | None) -> None:
    """Withdraw unused credit from an account."""
    from fairlead.admin.audit import command_line
    from fairlead.admin.credit import withdraw

    amount = amount_of("USD", usd)
    with opened(data) as store:
        withdraw(store, command_line(), account_id, amount, note)
    click.echo(f"{amount.dollars()} USD were withdrawn from {account_id}.")


@credit.command("refund")
@click.argument("generation_id", metavar="GENERATION")
@click.option("--amount", metavar="USD", help="Amount to refund. Default: what is left of the charge.")
@note_option
@data_option
def credit_refund(generation_id: str, amount: str | None, note: str, data: Path | None) -> None:
    """Refund the charge of a call. GENERATION is its x-fairlead-generation-id."""
    from fairlead.admin.audit import command_line
    from fairlead.admin.credit import refund

    wanted = None if amount is None else amount_of("--amount", amount)
    with opened(data) as store:
        done = refund(store, command_line(), generation_id, wanted, note)
    click.echo(f"{Picodollars(done.picodollars).dollars()} USD were refunded to {done.account_id}.")


@credit.command("codes")
@click.option("--amount", metavar="USD", required=True, help="Value of each code.")
@click.option("--count", type=int, default=1, show_default=True, help="How many codes.")
@data_option
def credit_codes(amount: str, count: int, data: Path | None) -> None:
    """Create redemption codes, one per line. They are never shown again."""
    from fairlead.admin.audit import command_line
    from fairlead.admin.credit import make_codes

    worth = amount_of("--amount", amount)
    with opened(data) as store:
        made = make_codes(store, command_line(), worth, count)
    click.echo("\n".join(made))


@credit.command("redeem")
@click.argument("code")
@click.argument("account_id", metavar="ACCOUNT")
@data_option
def credit_redeem(code: str, account_id: str, data: Path | None) -> None:
    """Redeem a code for an account. Callers can use POST /v1/credits/redeem."""
    from fairlead.admin.audit import command_line
    from fairlead.admin.credit import redeem

    with opened(data) as store:
        amount = redeem(store, command_line(), code, account_id)
    click.echo(f"{account_id} was granted {amount.dollars()} USD.")


@credit.command("balance")
@click.argument("account_id", metavar="[ACCOUNT]", required=False)
@data_option
def credit_balance(account_id: str | None, data: Path | None) -> None:
    """Show granted, spent and remaining credit per account. Holds of running calls are not spent yet."""
    from fairlead.admin.credit import balances

    with opened(data) as store:
        found = balances(store, account_id)
    rows = [("ACCOUNT", "NAME", "GRANTED", "SPENT", "LEFT")]
    for account, held in found:
        amounts = [Picodollars(value).dollars() for value in (held.granted, held.spent, held.granted - held.spent)]
        rows.append((account.id, account.name, *(amounts if account.prepaid else ("-", "-", "unlimited"))))
    table(rows)
