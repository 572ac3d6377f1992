"""Caps for each end user of a key: whom the application names in `user`, or Open WebUI in its headers.

The name is a claim of the application that holds the key. So a cap for each user shares a budget out among them; what
bounds the application is a budget of the key, the project or the account.
"""

from __future__ import annotations

import hashlib

import msgspec

from fairlead.accounts.accounts import Budget
from fairlead.accounts.caller import Caller
from fairlead.accounts.limits import Limited, LimitGroup, OwnLimits

# Of the SHA-256 of a name, by which its budgets and meters are called.
NAME_DIGITS = 16


class EachUser(msgspec.Struct, frozen=True, omit_defaults=True):
    """A cap as it is stored: picodollars by period, numbers by limit."""

    budgets: dict[str, int] = {}
    limits: OwnLimits = OwnLimits()


def read_each_user(text: str | None) -> EachUser | None:
    return None if text is None else msgspec.json.decode(text, type=EachUser)


def of_user(caller: Caller, user: str) -> Caller:
    """The caller of a call for this end user, whose caps count with its own. "": nobody is named, and all such calls
    together count as one user."""
    budgets, groups = list(caller.budgets), []
    digits = hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest()[:NAME_DIGITS]
    for cap in caller.user_caps or ():
        owner = f"user/{cap.owner.partition('/')[2]}.{digits}"
        budgets += [Budget(owner, period, amount) for period, amount in cap.budgets.items()]
        if cap.limits != OwnLimits():
            groups.append(LimitGroup(owner, "end user", cap.limits))
    limited = caller.limited
    if groups:
        limited = limited or Limited(caller.key_id, caller.account_id, None, None)
        limited = msgspec.structs.replace(limited, groups=(*limited.groups, *groups))
    return Caller(
        caller.account_id,
        caller.key_id,
        caller.name,
        caller.prepaid,
        tuple(budgets),
        limited,
        caller.models,
        caller.restricted,
        caller.expires_at,
        caller.networks,
    )
