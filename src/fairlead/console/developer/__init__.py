"""A developer's pages below /account: keys, activity, calls, credit, alerts, projects."""

from typing import Final

from fairlead.console.developer import activity, alerts, call, content, credit, keys, overview, projects

PAGES: Final = (
    *overview.PAGES,
    *keys.PAGES,
    *activity.PAGES,
    *call.PAGES,
    *content.PAGES,
    *credit.PAGES,
    *alerts.PAGES,
    *projects.PAGES,
)
