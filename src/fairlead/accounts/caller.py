"""Who calls, as found by the key of a request."""

from __future__ import annotations

import time
from dataclasses import dataclass

from fairlead.accounts.accounts import Budget
from fairlead.accounts.content import ContentRule
from fairlead.accounts.limits import Limited, UserCap
from fairlead.accounts.options import Network, is_inside
from fairlead.errors import Forbidden, Unauthenticated


@dataclass(frozen=True)
class Caller:
    """Who calls: the account and the key, and what their paid calls are taken from."""

    account_id: str
    key_id: str
    name: str = ""
    prepaid: bool = False
    budgets: tuple[Budget, ...] = ()
    limited: Limited | None = None
    models: frozenset[str] | None = None
    # Set when the key has to be looked at again at every call: it ends one day, or is bound to networks.
    restricted: bool = False
    expires_at: int | None = None
    networks: tuple[Network, ...] | None = None
    # Caps of each end user, where there are some: then `end_users.of_user` makes the caller of a call.
    user_caps: tuple[UserCap, ...] | None = None
    # What is kept of the content of its calls; None: nothing.
    content: ContentRule | None = None

    def check(self, address: str | None) -> None:
        """Raises Unauthenticated for a key that has ended, Forbidden for a caller from another network."""
        if self.expires_at is not None and time.time() >= self.expires_at:
            raise Unauthenticated("This API key has expired.")
        if self.networks is not None and (address is None or not is_inside(address, self.networks)):
            raise Forbidden(f"This API key may not be used from {address or 'here'}.")

    def has_fallbacks(self) -> bool:
        """Whether calls may go on with other models when a budget is used up."""
        return any(budget.continue_with for budget in self.budgets)

    def may_use(self, model: str) -> bool:
        return self.models is None or model in self.models
