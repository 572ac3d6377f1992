"""A developer's pages below /account: keys, activity, calls, credit, projects."""

from typing import Final

from fairlead.console.developer import activity, call, credit, keys, overview, projects

PAGES: Final = (*overview.PAGES, *keys.PAGES, *activity.PAGES, *call.PAGES, *credit.PAGES, *projects.PAGES)
