"""Limits as an operator gives them: of a scope, of a key or an account, and of models.

There may be tens of thousands in memory, which the garbage collector need not look at: nothing in them refers back.
"""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, gc=False):
    """The limits of one scope as an operator gives them; None: no limit.

    Raises ValueError for a limit below 1 (msgspec.ValidationError when decoded).
    """

    requests_per_minute: int | None = None
    requests_per_day: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None
    concurrent_requests: int | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            limit = getattr(self, name)
            if limit is not None and limit < 1:
                raise ValueError(f"`{name}` is {limit}; a limit must be at least 1. Leave it out for no limit.")


NO_LIMITS = Limits()


class OwnLimits(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What an operator gave a key or an account: for everything together, and for models by their id."""

    limits: Limits = Limits()
    models: dict[str, Limits] = {}

    def by_name(self) -> dict[str, int]:
        """As an operator writes them: "requests_per_minute", or "MODEL:requests_per_minute"."""
        return {
            start + name: number
            for start, limits in (("", self.limits), *((f"{model}:", one) for model, one in self.models.items()))
            for name, number in msgspec.structs.asdict(limits).items()
            if number is not None
        }


class LimitGroup(msgspec.Struct, frozen=True, gc=False):
    """Limits that a key shares with others: those of its project, its member, or the end user of a call. `scope` names
    its meters, `noun` it in messages."""

    scope: str
    noun: str
    limits: OwnLimits


class UserCap(msgspec.Struct, frozen=True, gc=False):
    """What each end user of a key, a member, a project or an account may use at most. `owner`: "key/ID"; `budgets`:
    picodollars by period."""

    owner: str
    budgets: dict[str, int]
    limits: OwnLimits


class Limited(msgspec.Struct, frozen=True, gc=False):
    """Whose limits a call falls under, and what they are."""

    key_id: str
    account_id: str
    key: OwnLimits | None
    account: OwnLimits | None
    groups: tuple[LimitGroup, ...] = ()
