"""/account/credit: the balance, the statement of a month, codes, and invoices."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from typing import Any, Final

from starlette.responses import Response

from fairlead.admin import credit as use_cases
from fairlead.admin.statement import Statement, account_credit, invoice, month_of, read_month, statement
from fairlead.clock import utc_now
from fairlead.console.developer.confined import member_of
from fairlead.console.invoices import pdf
from fairlead.console.page import ConsolePage, ConsoleVisit
from fairlead.errors import ConfigurationError, InvalidRequest, NotFound
from fairlead.money import dollars
from fairlead.store import Store


def _(message: str) -> str:
    return message


KINDS: Final = {
    "grant": _("Credit added"), "withdrawal": _("Credit taken back"), "refund": _("Refund"), "charge": _("Calls"),
}  # fmt: skip


async def shown(visit: ConsoleVisit) -> Response:
    """Balance and statement."""
    return await _page(visit)


async def _page(visit: ConsoleVisit, problems: dict[str, str] | None = None) -> Response:
    await visit.services.flush()
    month = read_month(visit.query.get("month", ""))
    alone = member_of(visit) is not None

    def read(store: Store) -> dict[str, Any]:
        account, held = account_credit(store, visit.account_id)
        # A member sees what there is to spend, and not what others have spent.
        return {
            "account": account,
            "held": held,
            "of_month": None if alone else statement(store, visit.account_id, month),
        }

    values = await visit.run(read)
    first, following = month_of(month)
    today = utc_now().date()
    created = datetime.fromtimestamp(values["account"].created_at, UTC).date().replace(day=1)
    return visit.render(
        "account/credit.html",
        problems=problems,
        **values,
        month=first,
        previous=_before(first) if _before(first) >= created else None,
        following=following if following <= today else None,
        kinds=KINDS,
        code=visit.text("code"),
    )


def _before(month: date) -> date:
    return month_of(date.fromordinal(month.toordinal() - 1))[0]


async def redeem(visit: ConsoleVisit) -> Response:
    """Turns a code into credit."""
    code = visit.text("code").strip()
    try:
        amount = await visit.run(use_cases.redeem, visit.actor, code, visit.account_id)
    except (ConfigurationError, InvalidRequest, NotFound) as error:
        return await _page(visit, {"code": error.message})
    visit.services.credited(visit.account_id)
    notice = visit.gettext(_("$%(amount)s of credit was added.")) % {"amount": amount.dollars()}
    return visit.redirect("/account/credit", notice=notice)


async def export(visit: ConsoleVisit) -> Response:
    """The statement of a month as CSV."""
    await visit.services.flush()
    found = await visit.run(statement, visit.account_id, read_month(visit.query.get("month", "")))
    answer = Response(_csv(found), media_type="text/csv; charset=utf-8")
    answer.headers["content-disposition"] = f'attachment; filename="statement-{found.month:%Y-%m}.csv"'
    return answer


def _csv(found: Statement) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("at", "kind", "note", "call", "calls", "amount_usd", "balance_usd"))
    for line in found.lines:
        at = datetime.fromtimestamp(line.at, UTC).isoformat().replace("+00:00", "Z")
        note = f"'{line.note}" if line.note.startswith(("=", "+", "-", "@", "\t", "\r")) else line.note
        writer.writerow((at, line.kind, note, line.call, line.calls or "", dollars(line.amount), dollars(line.balance)))
    return text.getvalue().encode()


async def bill(visit: ConsoleVisit) -> Response:
    """The invoice of a month as PDF."""
    await visit.services.flush()
    found = await visit.run(invoice, visit.account_id, read_month(visit.query.get("month", "")))
    body = await visit.run(lambda _store: pdf(found, visit.host, utc_now().date()))
    answer = Response(body, media_type="application/pdf")
    answer.headers["content-disposition"] = f'attachment; filename="invoice-{found.number}.pdf"'
    return answer


PAGES: Final = (
    ConsolePage("/account/credit", shown, "view"),
    ConsolePage("/account/credit/redeem", redeem, "money", ("POST",)),
    ConsolePage("/account/credit/statement.csv", export, "money"),
    ConsolePage("/account/credit/invoice.pdf", bill, "money"),
)
