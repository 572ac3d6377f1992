"""/account: what an organisation has left and has spent, its newest calls, and the way to a first one."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from fairlead.accounts.keys import KeyFilter
from fairlead.admin import activity as figures
from fairlead.admin import keys
from fairlead.admin.activity import CallFilter, window_of
from fairlead.admin.statement import account_credit
from fairlead.console.developer.activity import share, spend_chart
from fairlead.console.developer.confined import member_of
from fairlead.console.page import ConsolePage, ConsoleVisit
from fairlead.ledger.rollups import catch_up
from fairlead.store import Store

NEWEST_CALLS = 6


async def overview(visit: ConsoleVisit) -> Response:
    """Where one lands after signing in. Somebody without an organisation is told how to get into one."""
    if visit.membership is None:
        return visit.render("account/overview.html")
    await visit.services.flush()
    account_id, member_id = visit.account_id, member_of(visit)
    wanted = CallFilter(account_id, member_id=member_id)

    def read(store: Store) -> dict[str, Any]:
        counted = catch_up(store)
        account, held = account_credit(store, account_id)
        calls = figures.list_calls(store, wanted, window_of("30d"), NEWEST_CALLS)
        return {
            "account": account,
            "counted": counted,
            "left": held.granted - held.spent,
            "day": figures.activity(store, wanted, window_of("24h"), with_latencies=False).total,
            "month": figures.activity(store, wanted, window_of("30d"), with_latencies=False),
            "calls": calls,
            "keys": figures.names_of_keys(store, {call.key_id for call in calls}),
            "has_keys": bool(keys.newest_keys(store, KeyFilter(account_id), 1)),
        }

    values = await visit.run(read)
    month = values["month"]
    return visit.render(
        "account/overview.html",
        **values,
        spend=(visit.gettext("Spend by model"), spend_chart(month, visit.language)) if month.total.requests else None,
        failed=share(month.total.failed, month.total.requests),
    )


PAGES = (ConsolePage("/account", overview, "person"),)
