"""The pages of operators, in one table."""

from __future__ import annotations

from typing import Final

from fairlead.console.operating import (
    accounts,
    adding,
    configuration,
    deployments,
    engines,
    importing,
    limits,
    log,
    overview,
    people,
    start,
)
from fairlead.console.page import Need


def _(message: str) -> str:
    return message


NAVIGATION: Final[tuple[tuple[str, str, Need], ...]] = (
    ("/admin", _("Overview"), "operate"),
    ("/admin/start", _("First steps"), "operate"),
    ("/admin/deployments", _("Providers"), "operate"),
    ("/admin/engines", _("Engines"), "operate"),
    ("/admin/models", _("Models and prices"), "operate"),
    ("/admin/accounts", _("Accounts"), "operate"),
    ("/admin/people", _("People"), "operate"),
    ("/admin/credit", _("Codes and refunds"), "operate"),
    ("/admin/limits", _("Limits"), "operate"),
    ("/admin/configuration", _("Configuration"), "operate"),
    ("/admin/nodes", _("Nodes"), "operate"),
    ("/admin/jobs", _("Jobs"), "operate"),
    ("/admin/events", _("Events and alerts"), "operate"),
    ("/admin/audit", _("Audit log"), "operate"),
)
PAGES: Final = (
    *overview.PAGES,
    *start.PAGES,
    *adding.PAGES,
    *importing.PAGES,
    *engines.PAGES,
    *deployments.PAGES,
    *accounts.PAGES,
    *people.PAGES,
    *limits.PAGES,
    *configuration.PAGES,
    *log.PAGES,
)
