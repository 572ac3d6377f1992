"""The meters of all keys, accounts and models, and which of them a call falls under."""

from __future__ import annotations

import time
from collections.abc import Coroutine, Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from fairlead.accounts.limits import NO_LIMITS, Limited, Limits, OwnLimits
from fairlead.accounts.meters import SECOND_NS, Admission, Meter, admit

if TYPE_CHECKING:
    from fairlead.accounts.sharing import SharedLimits

# Scopes that are remembered; about 1 KB each.
MOST_METERS = 50_000
# How many are looked at when there are as many, and how many of those go at least: few enough for an event loop.
LOOKED_AT_METERS = 512
FORGOTTEN_METERS = 64


class LimitBook:
    """The meters of everybody. `default` is for every key that has no limits of its own, `free` for each account's
    calls of models that cost nothing, `models` for all calls of a model together. `shared`: with other
    processes."""

    def __init__(
        self, default: Limits = NO_LIMITS, free: Limits = NO_LIMITS, models: Mapping[str, Limits] | None = None
    ) -> None:
        self._meters: dict[str, Meter] = {}
        self.shared = False
        self._sharing: SharedLimits | None = None
        self.replace(default, free, models or {})

    def replace(self, default: Limits, free: Limits, models: Mapping[str, Limits]) -> None:
        """Other limits from now on. What was used of a limit that is changed stays used."""
        self._default = OwnLimits(default)
        self._free = free
        self._models = {name: limits for name, limits in models.items() if limits != NO_LIMITS}
        # Whether anybody but those with limits of their own has to be looked at.
        self.everybody = default != NO_LIMITS or free != NO_LIMITS or bool(self._models)

    def share(self, sharing: SharedLimits) -> None:
        """Limits are those of all processes together from now on. Before the first call."""
        self.shared = True
        self._sharing = sharing

    def admit(
        self, whose: Limited, model: str, tokens: int, now: float, *, free: bool, movable: bool = False, calls: int = 1
    ) -> Admission | None:
        """Lets a call of about `tokens` tokens through, or raises RateLimited; None when nothing limits it. `movable`:
        another model than this one may come to serve it, so that nothing is charged before `move`. `calls`: of a
        provider, which it becomes; each counts as a request."""
        if movable:
            return Admission((), tokens, int(now * SECOND_NS), whose, calls)
        return admit(self._meters_of(whose, model, free=free), tokens, now, calls)

    def lease(
        self, whose: Limited, models: Iterable[tuple[str, bool]], tokens: int, calls: int = 1
    ) -> Coroutine[Any, Any, None] | None:
        """What has to be awaited before a call of one of these models, each with whether it is free, can be decided,
        where limits are shared with other processes. None: nothing has to."""
        sharing = self._sharing
        if sharing is None:
            return None
        meters: list[Meter] = []
        for model, free in models:
            meters += [meter for meter in self._meters_of(whose, model, free=free) if meter not in meters]
        return sharing.obtain(meters, tokens, calls) if sharing.lacking(meters, tokens, calls) else None

    def move(self, admission: Admission, model: str, now: float, *, free: bool) -> None:
        """The call goes to this model. Raises RateLimited when that is over its limits."""
        assert admission.whose is not None
        admission.move(self._meters_of(admission.whose, model, free=free), now)

    def _meters_of(self, whose: Limited, model: str, *, free: bool) -> list[Meter]:
        key, account = whose.key or self._default, whose.account
        meters = [self._meter(f"key/{whose.key_id}", "key", key.limits)]
        if model in key.models:
            meters.append(self._meter(f"key/{whose.key_id}/{model}", f"model {model} of this key", key.models[model]))
        if account is not None:
            meters.append(self._meter(f"account/{whose.account_id}", "account", account.limits))
            if model in account.models:
                name = f"account/{whose.account_id}/{model}"
                meters.append(self._meter(name, f"model {model} of this account", account.models[model]))
        for group in whose.groups:
            meters.append(self._meter(group.scope, group.noun, group.limits.limits))
            if model in group.limits.models:
                name = f"{group.scope}/{model}"
                meters.append(self._meter(name, f"model {model} of this {group.noun}", group.limits.models[model]))
        if free and self._free != NO_LIMITS:
            name = f"free/{whose.account_id}"
            meters.append(self._meter(name, "account, on models that cost nothing,", self._free))
        if model in self._models:
            meters.append(self._meter(f"model/{model}", f"model {model}", self._models[model]))
        return meters

    def _meter(self, name: str, scope: str, limits: Limits) -> Meter:
        meter = self._meters.get(name)
        if meter is None:
            if len(self._meters) >= MOST_METERS:
                self._forget_idle()
            sharing = self._sharing
            made = Meter(scope, limits) if sharing is None else sharing.meter(name, scope, limits)
            meter = self._meters[name] = made
        elif meter.limits is not limits and meter.limits != limits:
            meter.replace(limits)
        return meter

    def _forget_idle(self) -> None:
        """A meter that is full again says nothing. When too few are, the oldest go: better than no memory. Those that
        stay are looked at last the next time."""
        now_ns = time.monotonic_ns()
        meters = self._meters
        busy = []
        oldest = list(islice(meters, LOOKED_AT_METERS))
        for name in oldest:
            meter = meters.pop(name)
            if not meter.is_full_again(now_ns):
                busy.append((name, meter))
        gone = len(oldest) - len(busy)
        meters.update(busy[max(0, FORGOTTEN_METERS - gone) :])
