"""/account: the pages of the chosen organisation."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from fairlead.admin import people
from fairlead.console.page import ConsolePage, ConsoleVisit, Need


def _(message: str) -> str:
    return message


async def choose(visit: ConsoleVisit) -> Response:
    """Another organisation, from the menu of every page."""
    assert visit.signed_in is not None
    await visit.run(people.choose_account, visit.signed_in, visit.text("account"))
    return visit.redirect("/account")


NAVIGATION: Final[tuple[tuple[str, str, Need], ...]] = (
    ("/account", _("Overview"), "view"),
    ("/account/keys", _("Keys"), "view"),
    ("/account/activity", _("Activity"), "view"),
    ("/account/projects", _("Projects"), "view"),
    ("/account/credit", _("Credit"), "view"),
    ("/account/alerts", _("Alerts"), "view"),
    ("/account/content", _("Content"), "view"),
    ("/account/members", _("Members"), "view"),
    ("/account/settings", _("Organisation"), "view"),
    ("/account/security", _("Sessions and security"), "person"),
)
PAGES: Final = (ConsolePage("/account/organisation", choose, "person", ("POST",)),)
