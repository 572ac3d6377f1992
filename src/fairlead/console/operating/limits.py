"""/admin/limits: what calls may do at most, by whose rule."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from fairlead.accounts.accounts import AccountInfo
from fairlead.accounts.limits import Limits
from fairlead.admin import accounts
from fairlead.console.page import ConsolePage, ConsoleVisit

NAMES: Final = tuple(Limits.__struct_fields__)
ACCOUNTS_SHOWN: Final = 200


async def limits(visit: ConsoleVisit) -> Response:
    settings = visit.services.settings()
    found: list[AccountInfo] = await visit.run(accounts.limited_accounts, ACCOUNTS_SHOWN)
    of_accounts = [(one, one.limits.by_name()) for one in found if one.limits is not None]
    return visit.render(
        "admin/limits.html",
        names=NAMES,
        own=_numbers(settings.limits),
        free=_numbers(settings.limits.free),
        models=[(one.id, _numbers(one.limits)) for one in settings.models if any(_numbers(one.limits))],
        accounts=[
            (one, [numbers.get(name) for name in NAMES], {name: each for name, each in numbers.items() if ":" in name})
            for one, numbers in of_accounts
        ],
    )


def _numbers(given: Any) -> list[int | None]:
    return [getattr(given, name) for name in NAMES]


PAGES: Final = (ConsolePage("/admin/limits", limits, "operate"),)
