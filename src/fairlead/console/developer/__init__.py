"""A developer's pages below /account: keys, activity, calls, credit."""

from typing import Final

from fairlead.console.developer import activity, call, credit, keys, overview

PAGES: Final = (*overview.PAGES, *keys.PAGES, *activity.PAGES, *call.PAGES, *credit.PAGES)
