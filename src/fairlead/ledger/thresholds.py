"""Which thresholds of budgets and credit a batch of records has crossed; told in the transaction that posts it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, literal, select, text

from fairlead.ledger.funds import is_of_session, lock
from fairlead.money import dollars
from fairlead.store import account_alerts
from fairlead.store.account_alerts import AccountAlerts
from fairlead.store.alerts import MILLION, AlertRules, announce, put
from fairlead.store.tables import alert_levels, funds

SCOPES_PER_STATEMENT: Final = 500
# A budget is told to be exhausted when a call was refused for it and so much of it is spent, in millionths: the rest
# is less than calls may cost, and is never spent.
NEARLY: Final = 900_000

_KEEP = text(
    "INSERT INTO alert_levels (scope, granted, base, reached) VALUES (:scope, :granted, :base, :reached) "
    "ON CONFLICT (scope) DO UPDATE SET granted = excluded.granted, base = excluded.base, reached = excluded.reached"
)
_FUNDS = select(
    funds.c.scope, funds.c.granted, funds.c.spent, alert_levels.c.granted.label("told_of"), alert_levels.c.base,
    alert_levels.c.reached,
).outerjoin(alert_levels, alert_levels.c.scope == funds.c.scope)  # fmt: skip
# What accounts were told themselves is in rows of its own: their thresholds are others than the server's.
OWN: Final = "own/"
_OWN_FUNDS = select(
    funds.c.scope, funds.c.granted, funds.c.spent, alert_levels.c.granted.label("told_of"), alert_levels.c.base,
    alert_levels.c.reached,
).outerjoin(alert_levels, alert_levels.c.scope == literal(OWN) + funds.c.scope)  # fmt: skip
# How far an account was told of its credit, in `reached`.
LOW, EXHAUSTED = 1, 2


class _State(NamedTuple):
    """A row of `funds`, and what was told of it; the last three are None when nothing was."""

    scope: str
    granted: int
    spent: int
    told_of: int | None
    base: int
    reached: int


def announce_crossings(connection: Connection, rules: AlertRules, spent: Mapping[str, int]) -> None:
    """`spent`: picodollars that were just taken, by scope; their rows are locked by this transaction."""
    scopes = sorted(scope for scope in spent if _is_told_of(scope))
    if scopes and account_alerts.is_any(connection):
        _announce_own(connection, scopes, spent)
    if not rules.channels or not rules.thresholds:
        return
    for start in range(0, len(scopes), SCOPES_PER_STATEMENT):
        some = scopes[start : start + SCOPES_PER_STATEMENT]
        for found in connection.execute(_FUNDS.where(funds.c.scope.in_(some))).all():
            row = _State(*found)
            _look(connection, rules, row, row.spent - spent[row.scope])


def announce_exhausted(connection: Connection, rules: AlertRules, scopes: Iterable[str]) -> None:
    """Scopes for which a call was refused: told as exhausted when nearly all of them is spent."""
    server = bool(rules.channels) and MILLION in rules.thresholds
    own = account_alerts.is_any(connection)
    if not server and not own:
        return
    told_of = sorted(scope for scope in scopes if _is_told_of(scope))
    for scope in told_of:
        lock(connection, scope)
    if own:
        _announce_own(connection, told_of, None)
    for scope in told_of if server else ():
        for found in connection.execute(_FUNDS.where(funds.c.scope == scope)).all():
            row = _State(*found)
            base, reached = _level(row, row.spent)
            if reached < MILLION and _part(row, base) >= NEARLY:
                _keep(connection, row, base, MILLION)
                _tell(connection, rules, row, base, MILLION)


def _look(connection: Connection, rules: AlertRules, row: _State, before: int) -> None:
    base, reached = _level(row, before)
    part = _part(row, base)
    crossed = [one for one in rules.thresholds if reached < one <= part]
    if crossed or row.told_of not in (row.granted, None) or (row.told_of is None and not _is_budget(row.scope)):
        _keep(connection, row, base, max([reached, *crossed]))
    for one in crossed:
        _tell(connection, rules, row, base, one)


def _announce_own(connection: Connection, scopes: Sequence[str], spent: Mapping[str, int] | None) -> None:
    """Tells accounts of their own budgets and credit. `spent`: what was just taken; None: a call was refused for each
    of these scopes."""
    wanted = account_alerts.wanted_of(connection, scopes)
    mine = sorted(wanted)
    for start in range(0, len(mine), SCOPES_PER_STATEMENT):
        some = mine[start : start + SCOPES_PER_STATEMENT]
        for found in connection.execute(_OWN_FUNDS.where(funds.c.scope.in_(some)).order_by(funds.c.scope)).all():
            row = _State(*found)
            alerts, name = wanted[row.scope]
            if not _is_budget(row.scope):
                _look_at_credit(connection, alerts, row, name, refused=spent is None)
            elif spent is None:
                _look_at_refused(connection, alerts, row, name)
            else:
                _look_at_own(connection, alerts, row, name, row.spent - spent[row.scope])


def _look_at_own(connection: Connection, alerts: AccountAlerts, row: _State, name: str, before: int) -> None:
    base, reached = _level(row, before)
    part = _part(row, base)
    crossed = [one for one in alerts.thresholds if reached < one <= part]
    if crossed or row.told_of not in (row.granted, None):
        _keep_own(connection, row, base, max([reached, *crossed]))
    if crossed:  # of several at once, the last says it all
        _tell_own(connection, alerts, row, name, crossed[-1])


def _look_at_refused(connection: Connection, alerts: AccountAlerts, row: _State, name: str) -> None:
    base, reached = _level(row, row.spent)
    if MILLION in alerts.thresholds and reached < MILLION and _part(row, base) >= NEARLY:
        _keep_own(connection, row, base, MILLION)
        _tell_own(connection, alerts, row, name, MILLION)


def _look_at_credit(connection: Connection, alerts: AccountAlerts, row: _State, name: str, *, refused: bool) -> None:
    """Once below the sum that they chose and once at nothing, of what was granted, for each sum."""
    if alerts.low_credit is None:
        return
    left = row.granted - row.spent
    is_low = left < alerts.low_credit
    now = EXHAUSTED if left <= 0 or (refused and is_low) else LOW if is_low else 0
    known = row.told_of == row.granted and row.base == alerts.low_credit
    if now > (row.reached if known else 0):
        level = {"scope": OWN + row.scope, "granted": row.granted, "base": alerts.low_credit, "reached": now}
        connection.execute(_KEEP, level)
        data = {"account": alerts.account_id, "name": name}
        data |= {"credit_usd": dollars(max(0, left)), "below_usd": dollars(alerts.low_credit)}
        kind = "credit.exhausted" if now == EXHAUSTED else "credit.low"
        put(connection, alerts.channels, kind, data, alerts.account_id)


def _keep_own(connection: Connection, row: _State, base: int, reached: int) -> None:
    connection.execute(_KEEP, {"scope": OWN + row.scope, "granted": row.granted, "base": base, "reached": reached})


def _tell_own(connection: Connection, alerts: AccountAlerts, row: _State, name: str, threshold: int) -> None:
    data = _budget_data(row, threshold) | {"name": name}
    kind = "budget.exhausted" if threshold >= MILLION else "budget.threshold"
    put(connection, alerts.channels, kind, data, alerts.account_id)


def _budget_data(row: _State, threshold: int) -> dict[str, Any]:
    owner, identity, period, *date = row.scope.split("/")
    data: dict[str, Any] = {owner: identity, "threshold": threshold / MILLION, "period": period}
    data |= {"budget_usd": dollars(row.granted), "spent_usd": dollars(row.spent)}
    if date:
        data["date"] = date[0]
    return data


def _level(row: _State, before: int) -> tuple[int, int]:
    """What was spent when its credit was granted, and the highest part that was told. `before`: what was spent before
    this batch."""
    if row.told_of == row.granted:
        return row.base, row.reached
    if not _is_budget(row.scope):
        # Credit counts from the last grant on, and not from the first one years ago.
        return (row.base, row.reached) if row.told_of is not None and row.granted < row.told_of else (before, 0)
    if row.told_of is None:
        return 0, 0
    # Of a budget that was raised, what is passed already is not told again; of one that was lowered, what was not is.
    return 0, min(before * MILLION // row.granted, MILLION) if row.granted > row.told_of else row.reached


def _part(row: _State, base: int) -> int:
    """How much of it is spent, in millionths."""
    there = row.granted - base
    return MILLION if there <= 0 else min(max(0, row.spent - base) * MILLION // there, MILLION)


def _keep(connection: Connection, row: _State, base: int, reached: int) -> None:
    connection.execute(_KEEP, {"scope": row.scope, "granted": row.granted, "base": base, "reached": reached})


def _tell(connection: Connection, rules: AlertRules, row: _State, base: int, threshold: int) -> None:
    full = threshold >= MILLION
    if _is_budget(row.scope):
        announce(connection, rules, "budget.exhausted" if full else "budget.threshold", _budget_data(row, threshold))
        return
    owner, identity = row.scope.split("/")
    data: dict[str, Any] = {owner: identity, "threshold": threshold / MILLION}
    data |= {"credit_usd": dollars(max(0, row.granted - row.spent)), "of_usd": dollars(max(0, row.granted - base))}
    announce(connection, rules, "credit.exhausted" if full else "credit.low", data)


def _is_told_of(scope: str) -> bool:
    """Budgets of one session or of one end user are too many: they only limit."""
    return not is_of_session(scope) and not scope.startswith("user/")


def _is_budget(scope: str) -> bool:
    return scope.count("/") > 1
