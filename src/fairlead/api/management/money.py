"""/v1/admin: credit, refunds, codes and the books, over HTTP: what `fairlead credit`, `usage` and `explain` do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from fairlead.admin import books, credit
from fairlead.api.management.action import Action, Answer, ManagementCall, listed
from fairlead.api.management.bodies import (
    Id,
    Note,
    amount_of,
    day_of,
)
from fairlead.api.management.confined import ACCOUNT, CONFINED, PAGE, account_answer, usd
from fairlead.clock import utc_now
from fairlead.errors import InvalidRequest, NotFound
from fairlead.money import Picodollars

MOST_NAMED: Final = 100


class CreditMove(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    account: Id
    amount_usd: str
    note: Note = ""


class Refund(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    generation: Id
    amount_usd: str | None = None
    note: Note = ""


class NewCodes(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    amount_usd: str
    count: int = 1


class CodeRedemption(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    code: Id
    account: Id


def _grant(call: ManagementCall) -> Answer:
    body: CreditMove = call.body
    account_answer(call, body.account)
    amount = _positive("amount_usd", body.amount_usd)
    credit.grant(call.store, call.actor, body.account, amount, body.note)
    return _balance(call, body.account, credited=body.account)


def _withdraw(call: ManagementCall) -> Answer:
    body: CreditMove = call.body
    account_answer(call, body.account)
    amount = _positive("amount_usd", body.amount_usd)
    credit.withdraw(call.store, call.actor, body.account, amount, body.note)
    return _balance(call, body.account)


def _refund(call: ManagementCall) -> Answer:
    body: Refund = call.body
    amount = None if body.amount_usd is None else _positive("amount_usd", body.amount_usd)
    done = credit.refund(call.store, call.actor, body.generation, amount, body.note)
    entry = {"account": done.account_id, "refunded_usd": usd(done.picodollars)}
    return Answer({"data": entry}, credited=done.account_id)


def _make_codes(call: ManagementCall) -> Answer:
    body: NewCodes = call.body
    made = credit.make_codes(call.store, call.actor, _positive("amount_usd", body.amount_usd), body.count)
    return Answer({"data": {"amount_usd": amount_of("amount_usd", body.amount_usd).dollars(), "codes": made}})


def _redeem(call: ManagementCall) -> Answer:
    body: CodeRedemption = call.body
    call.account(body.account)
    account_answer(call, body.account)
    credit.redeem(call.store, call.actor, body.code, body.account)
    return _balance(call, body.account, credited=body.account)


def _positive(name: str, text: str) -> Picodollars:
    amount = amount_of(name, text)
    if not amount.value:
        raise InvalidRequest(f"{name} must be above 0.", param=name)
    return amount


def _balances(call: ManagementCall) -> Answer:
    account = call.account(call.query.get("account"))
    if account is not None:
        account_answer(call, account)
    limit = call.count()
    found = credit.page_of_balances(call.store, limit + 1, call.query.get("cursor"), account)
    return Answer(listed([_balance_entry(one) for one in found], limit, lambda one: one["account"]))


def _balance(call: ManagementCall, account_id: str, *, credited: str = "") -> Answer:
    (found,) = credit.balances(call.store, account_id)
    return Answer({"data": _balance_entry(found)}, credited=credited)


def _balance_entry(found: credit.AccountBalance) -> dict[str, Any]:
    account, held = found
    prepaid = account.prepaid
    return {
        "account": account.id,
        "name": account.name,
        "prepaid": prepaid,
        "granted_usd": usd(held.granted) if prepaid else None,
        "spent_usd": usd(held.spent) if prepaid else None,
        "remaining_usd": usd(held.granted - held.spent) if prepaid else None,
    }


def _explain(call: ManagementCall) -> Answer:
    refusal = NotFound(f"There is no record of {call.id[:64]!r}. Records are written with a short delay.")
    found = books.explain(call.store, call.id)
    owner = books.account_of_call(call.store, call.id)
    if found is None or (call.key.account_id is not None and owner != call.key.account_id):
        raise refusal
    return Answer({"data": found})


def _usage(call: ManagementCall) -> Answer:
    limit = call.count()
    account = call.account(call.query.get("account"))
    after = call.number("cursor", 0, 0, 2**62)
    found = books.page_of_usage(call.store, limit + 1, after, account, call.query.get("session"))
    entries = [{"number": number, **row} for number, row in found]
    return Answer(listed(entries, limit, lambda one: str(one["number"])))


def _verify(call: ManagementCall) -> Answer:
    day = day_of("since", call.query.get("since", utc_now().date().isoformat()))
    since = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)
    done = books.verify_books(call.store, since, lambda _total: lambda _more: None)
    found = done.found
    entry = {
        "since": day, "discrepancy": done.discrepancy, "records": found.records, "price_sheets": found.sheets,
        "charged_usd": usd(found.charged), "without_reported_usage": found.missing,
        "implausible": list(found.implausible[:MOST_NAMED]), "not_stored_yet": done.waiting,
    }  # fmt: skip
    return Answer({"data": entry})


MONEY: Sequence[Action] = (
    Action("POST", "/v1/admin/grants", "money", _grant, "Credit", "Add credit to a prepaid account.",
           body=CreditMove, confined=False, status=201),
    Action("POST", "/v1/admin/withdrawals", "money", _withdraw, "Credit",
           "Withdraw unused credit from a prepaid account.", body=CreditMove, confined=False, status=201),
    Action("POST", "/v1/admin/refunds", "money", _refund, "Credit", "Refund the charge of a call, or a part of it.",
           body=Refund, confined=False, status=201),
    Action("POST", "/v1/admin/codes", "money", _make_codes, "Credit", "Create redemption codes.",
           "They are shown once.", body=NewCodes, confined=False, status=201),
    Action("POST", "/v1/admin/codes/redeem", "money", _redeem, "Credit", "Redeem a code for an account.",
           "Callers can use `POST /v1/credits/redeem`.", body=CodeRedemption),
    Action("GET", "/v1/admin/balances", "read", _balances, "Credit", "List the credit of the accounts.",
           f"{CONFINED} Accounts that need no credit have null.", query=PAGE | ACCOUNT),
    Action("GET", "/v1/admin/usage", "read", _usage, "Books",
           "List usage records, in the order in which they were stored.",
           f"The rows of `fairlead usage export`. {CONFINED}",
           query=PAGE | ACCOUNT | {"session": "Only calls of this session."}),
    Action("GET", "/v1/admin/explain/{id}", "read", _explain, "Books", "Show how a call was routed.",
           "By its generation id: candidates, reasons, attempts."),
    Action("GET", "/v1/admin/verify", "read", _verify, "Books",
           "Recompute every charge since a day, and check the sums of the books.",
           "It takes a second for some ten thousand records. `discrepancy` is the first one, or null.",
           query={"since": "First day (2027-01-31, UTC). Default: today."}, confined=False),
)  # fmt: skip
