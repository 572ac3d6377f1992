"""What is set for a key, its member, its project and its account: a call must be within all of them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from fairlead.accounts.accounts import Budget, budgets_from_json
from fairlead.accounts.end_users import read_each_user
from fairlead.accounts.limits import OwnLimits, UserCap
from fairlead.accounts.options import read_limits, read_list


class Level(msgspec.Struct, frozen=True, gc=False):
    """`owner`: "key/ID", "member/ID", "project/ID" or "account/ID". `models`: None for all."""

    owner: str = ""
    budgets: tuple[Budget, ...] = ()
    limits: OwnLimits | None = None
    models: frozenset[str] | None = None
    user_cap: UserCap | None = None


NO_LEVEL = Level()


def level(owner: str, budgets: str | None, limits: str | None, models: str | None, each_user: str | None) -> Level:
    """From the columns of a row."""
    listed, cap = read_list(models), read_each_user(each_user)
    return Level(
        owner,
        budgets_from_json(owner, budgets),
        read_limits(limits),
        None if listed is None else frozenset(listed),
        None if cap is None else UserCap(owner, cap.budgets, cap.limits),
    )


def common_models(levels: Iterable[Level]) -> frozenset[str] | None:
    """Those that all of them allow; None: every model."""
    common: frozenset[str] | None = None
    for one in levels:
        if one.models is not None:
            common = one.models if common is None else common & one.models
    return common
