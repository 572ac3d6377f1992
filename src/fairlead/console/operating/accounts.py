"""/admin/accounts and /admin/credit: who may spend what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from fairlead.accounts.accounts import PERIODS
from fairlead.accounts.keys import KeyFilter
from fairlead.accounts.limits import Limits
from fairlead.accounts.options import as_columns
from fairlead.admin import accounts, credit, keys
from fairlead.admin.credit import AccountBalance
from fairlead.console.page import ConsolePage, ConsoleVisit, Undo
from fairlead.errors import CallerError, ConfigurationError, FairleadError
from fairlead.money import Picodollars

SHOWN: Final = 100
KEYS_SHOWN: Final = 100
MOST_CODES: Final = 100
CAPS: Final = tuple(period for period in PERIODS if period != "session")
LIMITS: Final = tuple(Limits.__struct_fields__)


def _(message: str) -> str:
    return message


class Refused(Exception):
    """What is wrong with a field of a form."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.problems = {field: sentence}


def amount(visit: ConsoleVisit, name: str, *, zero: bool = False) -> Picodollars:
    """Dollars of a field. Raises Refused."""
    text = visit.text(name).strip().removeprefix("$").replace(",", "")
    try:
        found = Picodollars.parse(text or "0")
    except ValueError:
        raise Refused(name, _("Write an amount in dollars, such as 25.00.")) from None
    if not found.value and not zero:
        raise Refused(name, _("The amount must be above 0."))
    return found


async def list_(visit: ConsoleVisit) -> Response:
    found: list[AccountBalance] = await visit.run(credit.page_of_balances, SHOWN + 1, visit.query.get("after") or None)
    return visit.render(
        "admin/accounts.html",
        balances=found[:SHOWN],
        after=found[SHOWN - 1].account.id if len(found) > SHOWN else None,
        values={"name": "", "credit": ""},
    )


async def create(visit: ConsoleVisit) -> Response:
    try:
        credit_given = amount(visit, "credit", zero=True)
        made = await visit.run(accounts.create_account, visit.actor, visit.text("name"), credit_given)
    except (Refused, ConfigurationError) as error:
        problems = error.problems if isinstance(error, Refused) else {"name": error.message}
        found: list[AccountBalance] = await visit.run(credit.page_of_balances, SHOWN)
        values = {"name": visit.text("name"), "credit": visit.text("credit")}
        return visit.render("admin/accounts.html", balances=found, after=None, values=values, problems=problems)
    visit.services.credited(made)
    return visit.redirect(f"/admin/accounts/{made}", notice=_("Account created."))


async def one(visit: ConsoleVisit) -> Response:
    return await _one(visit, {}, {})


async def _one(visit: ConsoleVisit, values: Mapping[str, str], problems: Mapping[str, str]) -> Response:
    account_id = visit.path_params["id"]
    account = await visit.run(accounts.one_account, account_id)
    [held] = await visit.run(credit.balances, account_id)
    budgets = {budget.period: Picodollars(budget.picodollars).dollars() for budget in account.budgets}
    limits = {} if account.limits is None else account.limits.by_name()
    return visit.render(
        "admin/account.html",
        account=account,
        held=held.held,
        keys=await visit.run(keys.newest_keys, KeyFilter(account_id, state="all"), KEYS_SHOWN),
        periods=CAPS,
        limit_names=LIMITS,
        values={
            **{f"budget-{name}": budgets.get(name, "") for name in CAPS},
            **{f"limit-{name}": str(limits.get(name, "")) for name in LIMITS},
            "models": ", ".join(account.models or ()),
            "name": account.name,
            "amount": "",
            "note": "",
            **values,
        },
        problems=problems,
    )


async def change(visit: ConsoleVisit) -> Response:
    account_id = visit.path_params["id"]
    account = await visit.run(accounts.one_account, account_id)
    try:
        budgets = {name: amount(visit, f"budget-{name}") for name in CAPS if visit.text(f"budget-{name}").strip()}
        for budget in account.budgets:
            if budget.period not in CAPS:
                budgets[budget.period] = Picodollars(budget.picodollars)
        continued = {
            budget.period: budget.continue_with
            for budget in account.budgets
            if budget.continue_with and budget.period in budgets
        }
        of_models = {} if account.limits is None else account.limits.by_name()
        limits = [f"{name}={number}" for name, number in of_models.items() if ":" in name]
        limits += [
            f"{name}={text}" for name in LIMITS if (text := visit.text(f"limit-{name}").strip().replace(",", ""))
        ]
        names = [name for part in visit.text("models").replace("\n", ",").split(",") if (name := part.strip())]
        columns = as_columns(budgets=budgets, continue_with=continued, given_limits=limits, models=names)
        columns["name"] = visit.text("name")
        await visit.run(accounts.change_account, visit.actor, account_id, columns)
    except Refused as error:
        return await _one(visit, _given(visit), error.problems)
    except ConfigurationError as error:
        return await _one(visit, _given(visit), {"limits": error.message})
    return visit.redirect(f"/admin/accounts/{account_id}", notice=_("The account was changed."))


def _given(visit: ConsoleVisit) -> dict[str, str]:
    return {name: value for name, value in visit.form.items() if isinstance(value, str)}


async def grant(visit: ConsoleVisit) -> Response:
    return await _move(visit, credit.grant, _("Credit granted."))


async def withdraw(visit: ConsoleVisit) -> Response:
    return await _move(visit, credit.withdraw, _("Credit withdrawn."))


async def _move(visit: ConsoleVisit, use_case: Any, notice: str) -> Response:
    account_id = visit.path_params["id"]
    await visit.run(accounts.one_account, account_id)
    try:
        await visit.run(use_case, visit.actor, account_id, amount(visit, "amount"), visit.text("note")[:256])
    except Refused as error:
        return await _one(visit, _given(visit), error.problems)
    except (CallerError, ConfigurationError) as error:
        return await _one(visit, _given(visit), {"amount": error.message})
    visit.services.credited(account_id)
    return visit.redirect(f"/admin/accounts/{account_id}", notice=notice)


async def disable(visit: ConsoleVisit) -> Response:
    account_id, disabled = visit.path_params["id"], visit.text("disabled") == "yes"
    await visit.run(accounts.one_account, account_id)
    await visit.run(accounts.disable_account, visit.actor, account_id, disabled=disabled)
    notice = _("Its keys are refused from now on.") if disabled else _("Its keys work again.")
    undo = Undo(f"/admin/accounts/{account_id}/disable", {"disabled": "no" if disabled else "yes"})
    return visit.redirect(f"/admin/accounts/{account_id}", notice=notice, undo=undo)


async def disable_key(visit: ConsoleVisit) -> Response:
    disabled = visit.text("disabled") == "yes"
    key = await visit.run(keys.key_info, visit.text("key"))
    await visit.run(keys.disable_key, visit.actor, key.id, disabled=disabled)
    notice = _("The key is refused from now on.") if disabled else _("The key works again.")
    fields = {"key": key.id, "disabled": "no" if disabled else "yes"}
    undo = Undo(f"/admin/accounts/{key.account_id}/keys", fields)
    return visit.redirect(f"/admin/accounts/{key.account_id}", notice=notice, undo=undo)


async def credit_page(visit: ConsoleVisit) -> Response:
    return _credit(visit)


def _credit(
    visit: ConsoleVisit, codes: list[str] | None = None, worth: str = "", problems: Mapping[str, str] | None = None
) -> Response:
    values = {name: visit.text(name) for name in ("amount", "count", "generation", "refund", "note")}
    return visit.render("admin/credit.html", codes=codes, worth=worth, values=values, problems=problems)


async def make_codes(visit: ConsoleVisit) -> Response:
    """Shown once, on the page that answers the form."""
    count = visit.text("count").strip() or "1"
    try:
        worth = amount(visit, "amount")
        if not count.isascii() or not count.isdigit() or len(count) > 4 or not 1 <= int(count) <= MOST_CODES:
            raise Refused("count", _("Write a number from 1 to 100."))
        made = await visit.run(credit.make_codes, visit.actor, worth, int(count))
    except Refused as error:
        return _credit(visit, problems=error.problems)
    except FairleadError as error:
        return _credit(visit, problems={"amount": error.message})
    return _credit(visit, made, worth.dollars())


async def refund(visit: ConsoleVisit) -> Response:
    try:
        worth = amount(visit, "refund") if visit.text("refund").strip() else None
        done = await visit.run(
            credit.refund, visit.actor, visit.text("generation").strip(), worth, visit.text("note")[:256]
        )
    except Refused as error:
        return _credit(visit, problems=error.problems)
    except (CallerError, ConfigurationError) as error:
        return _credit(visit, problems={"generation": error.message})
    visit.services.credited(done.account_id)
    return visit.redirect(f"/admin/accounts/{done.account_id}", notice=_("The charge was refunded."))


PAGES: Final = (
    ConsolePage("/admin/accounts", list_, "operate"),
    ConsolePage("/admin/accounts", create, "operate", ("POST",), step_up=True),
    ConsolePage("/admin/accounts/{id}", one, "operate"),
    ConsolePage("/admin/accounts/{id}", change, "operate", ("POST",), step_up=True),
    ConsolePage("/admin/accounts/{id}/grant", grant, "operate", ("POST",), step_up=True),
    ConsolePage("/admin/accounts/{id}/withdraw", withdraw, "operate", ("POST",), step_up=True),
    ConsolePage("/admin/accounts/{id}/disable", disable, "operate", ("POST",)),
    ConsolePage("/admin/accounts/{id}/keys", disable_key, "operate", ("POST",)),
    ConsolePage("/admin/credit", credit_page, "operate", step_up=True),
    ConsolePage("/admin/credit/codes", make_codes, "operate", ("POST",), step_up=True),
    ConsolePage("/admin/credit/refund", refund, "operate", ("POST",), step_up=True),
)
