"""What a key may call, and which rule says so."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, select

from fairlead.accounts.accounts import SESSION, Budget, account_info
from fairlead.accounts.end_users import EachUser, read_each_user
from fairlead.accounts.groups import GroupKind, group_info
from fairlead.accounts.keys import KeyInfo, key_by_hash, key_digest, key_info
from fairlead.accounts.limits import OwnLimits
from fairlead.accounts.options import is_inside, read_networks
from fairlead.clock import utc_now
from fairlead.errors import NotFound
from fairlead.ledger.funds import Balance, credit_scope
from fairlead.money import dollars
from fairlead.store import Store
from fairlead.store.tables import funds

Verdict = Literal["allows", "refuses", "limits"]


class Rule(NamedTuple):
    """`rule`: "key", "expiry", "network", "model", "models", "budget", "credit", "limit" or "each_user"; `of`: whose it
    is, such as "project prj_0123456789ab"; `verdict`: "limits" where it depends on the call, or on those before it."""

    rule: str
    of: str
    verdict: Verdict
    detail: str


@dataclass(frozen=True, slots=True)
class Access:
    """`refused_by`: the first rule that refuses; None: the call is let through. `models`: those that may be called,
    where no model was asked about."""

    key: KeyInfo
    model: str | None
    rules: tuple[Rule, ...]
    models: tuple[str, ...]

    @property
    def refused_by(self) -> Rule | None:
        return next((rule for rule in self.rules if rule.verdict == "refuses"), None)


class _Level(NamedTuple):
    of: str
    budgets: tuple[Budget, ...]
    limits: OwnLimits | None
    models: Sequence[str] | None
    each_user: EachUser | None


def access(
    store: Store,
    key: str,
    models: Mapping[str, bool],
    aliases: Mapping[str, str],
    model: str | None = None,
    *,
    address: str | None = None,
) -> Access:
    """`key`: its id, or the whole key; `models`: those with a deployment, and whether calls cost anything; `address`:
    where it would be used from, if that is known. Raises NotFound when there is no such key."""
    with store.read() as connection:
        found = key_info(connection, key) or key_by_hash(connection, key_digest(key.encode()).hex())
        if found is None:
            raise NotFound("There is no such key. `fairlead keys list` shows the ids.")
        levels = list(_levels(connection, found))
        archived = list(_archived(connection, found))
        if model is not None:
            model = model if model in models else aliases.get(model, model)
        rules = [*_key_rules(found, address), *archived, *_model_rules(levels, models, model)]
        paid = models.get(model, True) if model is not None else True
        rules += _money_rules(connection, found, levels, paid=paid)
    rules += _limit_rules(levels, model)
    listed = tuple(name for name in models if all(one.models is None or name in one.models for one in levels))
    return Access(found, model, tuple(rules), listed if model is None else ())


def _levels(connection: Connection, key: KeyInfo) -> Iterator[_Level]:
    yield _Level(f"key {key.id}", key.budgets, key.limits, key.models, key.each_user)
    if key.member_id is not None:
        member = group_info(connection, "member", key.member_id)
        yield _Level(f"member {member.id}", member.budgets, member.limits, member.models, member.each_user)
    if key.project_id is not None:
        project = group_info(connection, "project", key.project_id)
        yield _Level(f"project {project.id}", project.budgets, project.limits, project.models, project.each_user)
    account = account_info(connection, key.account_id)
    each_user = read_each_user(account.each_user)
    yield _Level(f"account {account.id}", account.budgets, account.limits, account.models, each_user)


def _archived(connection: Connection, key: KeyInfo) -> Iterator[Rule]:
    if (at := account_info(connection, key.account_id).disabled_at) is not None:
        yield Rule("account", f"account {key.account_id}", "refuses", f"disabled since {_day(at)}")
    groups: tuple[tuple[GroupKind, str | None], ...] = (("member", key.member_id), ("project", key.project_id))
    for kind, group_id in groups:
        if group_id is not None and (at := group_info(connection, kind, group_id).archived_at) is not None:
            yield Rule(kind, f"{kind} {group_id}", "refuses", f"archived {_day(at)}")


def _key_rules(key: KeyInfo, address: str | None) -> Iterator[Rule]:
    of = f"key {key.id}"
    if key.revoked_at is not None:
        yield Rule("key", of, "refuses", f"revoked {_day(key.revoked_at)}")
    elif key.disabled_at is not None:
        yield Rule("key", of, "refuses", f"disabled since {_day(key.disabled_at)}")
    else:
        yield Rule("key", of, "allows", "in force")
    if key.expires_at is not None:
        ended = key.expires_at <= time.time()
        last = _day(key.expires_at - 1)
        yield Rule("expiry", of, "refuses" if ended else "allows", f"{'expired' if ended else 'in force until'} {last}")
    if key.networks is not None:
        verdict: Verdict = "limits"
        if address is not None:
            verdict = "allows" if is_inside(address, read_networks(key.networks)) else "refuses"
        from_where = "" if address is None else f"; the address is {address}"
        yield Rule("network", of, verdict, f"only from {', '.join(key.networks)}{from_where}")


def _model_rules(levels: Sequence[_Level], models: Mapping[str, bool], model: str | None) -> Iterator[Rule]:
    if model is not None and model not in models:
        yield Rule("model", f"model {model}", "refuses", "no deployment is configured")
    for one in levels:
        if one.models is None:
            continue
        if model is None:
            yield Rule("models", one.of, "limits", f"only {', '.join(one.models)}")
        elif model in one.models:
            yield Rule("models", one.of, "allows", f"{model} is listed")
        else:
            yield Rule("models", one.of, "refuses", f"{model} is not listed: only {', '.join(one.models)}")


def _money_rules(connection: Connection, key: KeyInfo, levels: Sequence[_Level], *, paid: bool) -> Iterator[Rule]:
    if not paid:
        return
    today = utc_now().date()
    names = [credit_scope(key.account_id), *(budget.scope(today) for one in levels for budget in one.budgets)]
    rows = connection.execute(select(funds).where(funds.c.scope.in_(names)))
    held = {row.scope: Balance(row.granted, row.spent, row.leased) for row in rows}
    account = account_info(connection, key.account_id)
    if account.prepaid:
        credit = held.get(credit_scope(account.id), Balance(0, 0, 0))
        left = credit.granted - credit.spent
        yield Rule("credit", f"account {account.id}", _while(left), f"{dollars(left)} USD left")
    for one in levels:
        for budget in one.budgets:
            spent = held.get(budget.scope(today), Balance(0, 0, 0)).spent
            left = budget.picodollars - spent
            per = "in total" if budget.period == "total" else f"per {budget.period}"
            words = f"{dollars(budget.picodollars)} USD {per}"
            if budget.period != SESSION:
                words += f", {dollars(max(0, left))} USD left"
            if budget.continue_with:
                words += f", then {', '.join(budget.continue_with)}"
            yield Rule("budget", one.of, "limits" if budget.continue_with else _while(left), words)


def _limit_rules(levels: Sequence[_Level], model: str | None) -> Iterator[Rule]:
    for one in levels:
        numbers = {} if one.limits is None else one.limits.by_name()
        shown = [f"{name}={number}" for name, number in numbers.items() if _concerns(name, model)]
        if shown:
            yield Rule("limit", one.of, "limits", ", ".join(shown))
        if one.each_user is not None:
            caps = [f"{period}={dollars(amount)} USD" for period, amount in one.each_user.budgets.items()]
            caps += [f"{name}={number}" for name, number in one.each_user.limits.by_name().items()]
            yield Rule("each_user", one.of, "limits", f"each end user: {', '.join(caps)}")


def _concerns(name: str, model: str | None) -> bool:
    """Whether a limit may concern a call of this model."""
    of_model, colon, _ = name.rpartition(":")
    return not colon or model is None or of_model == model


def _while(left: int) -> Verdict:
    return "limits" if left > 0 else "refuses"


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def access_entry(found: Access) -> dict[str, Any]:
    """As JSON documents show it."""
    refused = found.refused_by
    return {
        "key": found.key.id,
        "account": found.key.account_id,
        "project": found.key.project_id,
        "member": found.key.member_id,
        "model": found.model,
        "allowed": refused is None,
        "refused_by": None if refused is None else refused._asdict(),
        "rules": [rule._asdict() for rule in found.rules],
        "models": None if found.model is not None else list(found.models),
    }
