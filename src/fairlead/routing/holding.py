"""What a call may come to is set aside before it is made, where its account is prepaid or has a budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fairlead.accounts.accounts import SESSION
from fairlead.accounts.caller import Caller
from fairlead.clock import utc_now
from fairlead.errors import BudgetExceeded, InsufficientCredit
from fairlead.ledger.funds import credit_scope
from fairlead.ledger.wallets import Hold, Scope, Shortage, Wallets
from fairlead.money import dollars
from fairlead.routing.ceiling import LEAST_OUTPUT_TOKENS, Ceiling, ceiling_of
from fairlead.routing.counting import counted_ceiling
from fairlead.routing.demand import Demand
from fairlead.routing.upstream import Servable
from fairlead.wire.notes import CallNotes


class Credit(Protocol):
    """Where credit and budgets are set aside: at once, from what this process has in its wallets, or by asking."""

    @property
    def wallets(self) -> Wallets: ...

    async def hold(self, scopes: Sequence[Scope], most: int, least: int) -> Hold:
        """Sets aside `most` picodollars of every scope, or what there is when that is at least `least`. Raises Shortage
        and LedgerUnavailable."""


class Held:
    """What was set aside. `cap`: the answer may be no longer than this, although the caller gave no cap; 0: it may."""

    __slots__ = ("cap", "hold")

    def __init__(self, hold: Hold, cap: int = 0) -> None:
        self.hold = hold
        self.cap = cap


def hold_at_once(ledger: Credit, servable: Servable, demand: Demand, caller: Caller) -> Held | None:
    """Sets aside what the call may come to, when this process has that much available."""
    wallets = ledger.wallets
    scopes = wallets.credit_of(caller.account_id) if not caller.budgets else scopes_of(caller, demand.notes)
    ceiling = ceiling_of(servable, demand)
    found = wallets.try_hold(scopes, ceiling.picodollars(servable))
    return None if found is None else Held(found, 0 if ceiling.known else ceiling.output)


async def hold(ledger: Credit, servable: Servable, demand: Demand, caller: Caller) -> Held:
    """The same when more must be asked for. Without a cap of the caller's, the cap shrinks to what there is.

    Raises InsufficientCredit, BudgetExceeded or LedgerUnavailable.
    """
    scopes = scopes_of(caller, demand.notes)
    ceiling = ceiling_of(servable, demand)
    found = await _hold_up_to(ledger, scopes, ceiling, servable)
    if isinstance(found, Shortage):
        # Bytes are many more than tokens: before a call is refused for its prompt, that is counted.
        ceiling = await counted_ceiling(ceiling, servable, demand)
        found = await _hold_up_to(ledger, scopes, ceiling, servable)
    most = ceiling.picodollars(servable)
    if isinstance(found, Shortage):
        raise _shortage(found, most, ceiling, servable, demand.payload.cap_name)
    if found.amount < most:
        return Held(found, ceiling.output_that_fits(servable, found.amount))
    return Held(found, 0 if ceiling.known else ceiling.output)


async def _hold_up_to(ledger: Credit, scopes: Sequence[Scope], ceiling: Ceiling, servable: Servable) -> Hold | Shortage:
    most = ceiling.picodollars(servable)
    least = most if ceiling.named else min(most, ceiling.picodollars(servable, LEAST_OUTPUT_TOKENS))
    try:
        return await ledger.hold(scopes, most, least)
    except Shortage as short:
        return short


def scopes_of(caller: Caller, notes: CallNotes | None = None) -> list[Scope]:
    """What a call of this caller is taken from: the account's credit and every budget; those of sessions where the call
    names one."""
    scopes = [Scope(credit_scope(caller.account_id))] if caller.prepaid else []
    if caller.budgets:
        today = utc_now().date()
        session = "" if notes is None else notes.session
        for budget in caller.budgets:
            if session or budget.period != SESSION:
                scopes.append(Scope(budget.scope(today, session), budget.picodollars))
    return scopes


def models_to_go_on_with(caller: Caller, notes: CallNotes | None, refused: InsufficientCredit) -> tuple[str, ...]:
    """The models that the budget which refused a call names; for want of credit those of all budgets, of which only
    free ones help."""
    found: tuple[str, ...] = ()
    short = refused.scope if isinstance(refused, BudgetExceeded) else ""
    today = utc_now().date()
    session = "" if notes is None else notes.session
    for budget in caller.budgets:
        if budget.continue_with and (not short or budget.scope(today, session) == short):
            found += budget.continue_with
    return found


def _shortage(short: Shortage, needed: int, ceiling: Ceiling, servable: Servable, cap_name: str) -> InsufficientCredit:
    fits = max(0, ceiling.output_that_fits(servable, short.available))
    budget = short.scope.granted is not None
    there = (
        f"of {_budget_in_words(short.scope)} {dollars(short.available)} USD are left"
        if budget
        else (f"the account has {dollars(short.available)} USD of credit")
    )
    asked = f"{ceiling.prompt} input and {ceiling.output * ceiling.choices} output tokens at most"
    if fits:
        advice = f"The largest {cap_name} that would fit is {fits}."
    elif ceiling.output:
        advice = f"The credit does not cover this prompt with any {cap_name}."
    else:  # it asks for no words
        advice = f"Send a shorter {cap_name}."
        asked = f"{ceiling.prompt} input tokens at most"
    error = (BudgetExceeded if budget else InsufficientCredit)(
        f"This call may cost up to {dollars(needed)} USD ({asked}); {there}. {advice}",
        {
            "needed_usd": dollars(needed),
            "available_usd": dollars(short.available),
            "largest_max_tokens": fits,
        },
        param=cap_name if fits else None,
    )
    if isinstance(error, BudgetExceeded):
        error.scope = short.scope.name
    return error


def _budget_in_words(scope: Scope) -> str:
    """From a name such as key/ID/day/2027-01-31."""
    owner, _, period = scope.name.split("/")[:3]
    per = "per session" if period == SESSION else f"per {period} (UTC)" if period != "total" else "in total"
    return f"this {owner}'s budget of {dollars(scope.granted or 0)} USD {per}"
