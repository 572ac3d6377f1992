"""What somebody may see of their organisation: a member their own keys and calls, everybody else all of them."""

from __future__ import annotations

from fairlead.accounts.keys import KeyInfo
from fairlead.admin import keys
from fairlead.console.page import ConsoleVisit
from fairlead.errors import Forbidden


def member_of(visit: ConsoleVisit) -> str | None:
    """The member that a visitor is confined to; None: they see the whole organisation."""
    membership = visit.membership
    if membership is None:
        raise Forbidden("You are not a member of an organisation.")
    return membership.member_id if membership.role == "member" else None


async def own_key(visit: ConsoleVisit) -> KeyInfo:
    """The key of the address, when the visitor may change it. Raises NotFound."""
    return await visit.run(keys.own_key, visit.account_id, visit.path_params["key"], member_of(visit))
