"""What the playground asks of the console: a key for somebody who has signed in."""

from __future__ import annotations

from typing import Final

from starlette.responses import JSONResponse, Response

from fairlead.admin.playground import playground_key
from fairlead.console.page import ConsolePage, ConsoleVisit
from fairlead.errors import Forbidden


async def key(visit: ConsoleVisit) -> Response:
    """/account/playground-key: a key that lasts a minute, for the script of /playground."""
    membership = visit.membership
    if membership is None or visit.signed_in is None:
        raise Forbidden("You are not a member of an organisation.")
    made = await visit.run(playground_key, visit.actor, visit.signed_in, membership)
    return JSONResponse({"key": made.key, "expires_at": made.expires_at})


PAGES: Final = (ConsolePage("/account/playground-key", key, "keys", ("POST",)),)
