"""LiteLLM's few endpoints that scripts call, at the paths where it has them. Source: its documentation.

A team is a project here and a user a member, of the operator's own account: their keys share `max_budget`, a budget.
Members of bodies that it has and we do not are refused by name, so that no limit is lost in silence.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from fairlead.accounts.groups import GroupInfo, GroupKind
from fairlead.accounts.keys import KeyInfo
from fairlead.admin import accounts, books, groups, keys, usage
from fairlead.admin.usage import KeyState
from fairlead.api.management.action import Action, Answer, ManagementCall
from fairlead.api.management.bodies import Id, amount_of_number, day_of, iso, restrictions
from fairlead.clock import utc_now
from fairlead.errors import ConfigurationError, InvalidRequest, NotFound
from fairlead.ledger.rollups import days_of
from fairlead.money import Picodollars

# Their `budget_duration`, as far as it is one of our periods; None: the budget is never reset.
DURATIONS: Final = {"1d": "day", "24h": "day", "7d": "week", "1w": "week", "30d": "month", "1mo": "month"}
PERIODS: Final = {"day": "1d", "week": "7d", "month": "30d", "total": None}
_SPAN: Final = re.compile(r"([0-9]{1,6})(s|m|h|d|w|mo)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "mo": 2_592_000}
KEYS_PER_PAGE: Final = 10
MOST_PER_PAGE: Final = 100
MOST_KEYS: Final = 100
DAYS_SHOWN: Final = 30


class _Bounds(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    models: list[str] | UnsetType | None = UNSET
    max_budget: Decimal | UnsetType | None = UNSET
    budget_duration: str | UnsetType | None = UNSET
    tpm_limit: int | UnsetType | None = UNSET
    rpm_limit: int | UnsetType | None = UNSET
    max_parallel_requests: int | UnsetType | None = UNSET
    metadata: dict[str, Any] | None = None  # accepted and not kept


class LitellmKey(_Bounds, forbid_unknown_fields=True, frozen=True, kw_only=True):
    key_alias: str | None = None
    duration: str | None = None
    team_id: Id | None = None
    user_id: Id | None = None


class LitellmKeyChange(_Bounds, forbid_unknown_fields=True, frozen=True, kw_only=True):
    key: Id
    key_alias: str | UnsetType = UNSET
    duration: str | UnsetType | None = UNSET
    blocked: bool | UnsetType = UNSET


class LitellmKeys(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    keys: list[Id]


class LitellmTeam(_Bounds, forbid_unknown_fields=True, frozen=True, kw_only=True):
    team_alias: str


class LitellmUser(_Bounds, forbid_unknown_fields=True, frozen=True, kw_only=True):
    user_alias: str | None = None
    user_email: str | None = None
    auto_create_key: bool = True
    key_alias: str | None = None
    duration: str | None = None


def _generate(call: ManagementCall) -> Answer:
    body: LitellmKey = call.body
    return Answer(_new_key(call, body))


def _new_key(call: ManagementCall, body: LitellmKey) -> dict[str, Any]:
    team, user = _owner(call, "team_id", body.team_id), _owner(call, "user_id", body.user_id)
    accounts_named = {one.account for one in (team, user) if one is not None}
    if len(accounts_named) > 1:
        raise InvalidRequest("team_id and user_id belong to different accounts.", param="user_id")
    account = accounts_named.pop() if accounts_named else call.account(None)
    columns = _columns(body, None) | {one.column: one.id for one in (team, user) if one is not None and one.column}
    if body.duration is not None:
        columns["expires_at"] = int(time.time()) + _seconds("duration", body.duration)
    name = body.key_alias or "litellm"
    key = keys.create_key(
        call.store, call.actor, name, account_id=account,
        columns={column: value for column, value in columns.items() if value is not None},
    )  # fmt: skip
    made = keys.key_by_hash(call.store, keys.hash_of(key))
    return {**_entry(usage.key_states(call.store, [made])[0]), "key": key, "token_id": made.hash}


class _Owner(NamedTuple):
    """What a key belongs to. `column`: of keys, which has its id; "": it is an account."""

    account: str
    id: str
    column: str = ""


def _owner(call: ManagementCall, member: str, name: str | None) -> _Owner | None:
    """A team or a user by its id; also an account. Raises NotFound."""
    if name is None:
        return None
    if name.startswith("acc_"):
        account = call.account(name) or name
        accounts.one_account(call.store, account)
        return _Owner(account, account)
    kind: GroupKind = "project" if member == "team_id" else "member"
    refusal = NotFound(f"There is no {member} {name[:64]!r}.", param=member)
    try:
        found = groups.one_group(call.store, kind, name)
    except ConfigurationError:
        raise refusal from None
    call.check_account(found.account_id, refusal)
    return _Owner(found.account_id, found.id, f"{kind}_id")


def _owner_of_query(call: ManagementCall) -> tuple[str | None, tuple[str, str] | None]:
    """The account, and the project or the member, whose keys are asked for."""
    owner = _owner(call, "team_id", call.query.get("team_id")) or _owner(call, "user_id", call.query.get("user_id"))
    if owner is None:
        return call.account(None), None
    return owner.account, (owner.column, owner.id) if owner.column else None


def _key(call: ManagementCall, text: str) -> KeyInfo:
    """By the key itself, or by its SHA-256. Raises NotFound."""
    found = keys.key_by_hash(call.store, keys.hash_of(text) if not re.fullmatch(r"[0-9a-f]{64}", text) else text)
    refusal = NotFound("There is no such key.", param="key")
    call.check_account(found.account_id, refusal)
    if call.actor.kind == "key" and found.id != call.key.id:
        raise refusal
    return found


def _info(call: ManagementCall) -> Answer:
    text = call.query.get("key")
    if text is not None:
        found = _key(call, text)
    elif call.actor.kind == "key":
        found = keys.key_info(call.store, call.key.id)
    else:
        raise InvalidRequest("key is missing: GET /key/info?key=sk-...", param="key")
    return Answer({"key": found.hash, "info": _entry(usage.key_states(call.store, [found])[0])})


def _update(call: ManagementCall) -> Answer:
    body: LitellmKeyChange = call.body
    found = _key(call, body.key)
    columns = _columns(body, found)
    if body.duration is not UNSET:
        ends = None if body.duration in (None, "-1") else int(time.time()) + _seconds("duration", body.duration or "")
        columns["expires_at"] = ends
    if columns or body.key_alias is not UNSET:
        name = None if body.key_alias is UNSET else body.key_alias
        keys.change_key(call.store, call.actor, found.id, columns, name=name)
    if body.blocked is not UNSET and body.blocked != (found.disabled_at is not None):
        keys.disable_key(call.store, call.actor, found.id, disabled=body.blocked)
    found = keys.key_info(call.store, found.id)
    return Answer({**_entry(usage.key_states(call.store, [found])[0]), "key": found.hash})


def _delete(call: ManagementCall) -> Answer:
    body: LitellmKeys = call.body
    if not 1 <= len(body.keys) <= MOST_KEYS:
        raise InvalidRequest(f"keys must have 1 to {MOST_KEYS} entries.", param="keys")
    for found in [_key(call, text) for text in body.keys]:
        keys.revoke_key(call.store, call.actor, found.id)
    return Answer({"deleted_keys": body.keys})


def _list(call: ManagementCall) -> Answer:
    account, group = _owner_of_query(call)
    page = call.number("page", 1, 1, 10**6)
    size = call.number("size", KEYS_PER_PAGE, 1, MOST_PER_PAGE)
    total = keys.count_keys(call.store, account, group)
    found = keys.page_of_keys(call.store, size, None, account, offset=(page - 1) * size, revoked=False, group=group)
    whole = call.query.get("return_full_object") == "true"
    shown: list[Any] = [one.hash for one in found]
    if whole:
        shown = [{**_entry(one), "token": one.key.hash} for one in usage.key_states(call.store, found)]
    pages = -(-total // size)
    return Answer({"keys": shown, "total_count": total, "current_page": page, "total_pages": pages})


def _new_team(call: ManagementCall) -> Answer:
    body: LitellmTeam = call.body
    found = _new_group(call, "project", body.team_alias, body)
    budget = found.budgets[0] if found.budgets else None
    return Answer(
        {
            "team_id": found.id, "team_alias": found.name, "models": found.models or [], "blocked": False, "spend": 0.0,
            "max_budget": None if budget is None else budget.picodollars / 1e12,
            "budget_duration": None if budget is None else PERIODS.get(budget.period),
            "tpm_limit": _limit(found.limits, "tokens_per_minute"),
            "rpm_limit": _limit(found.limits, "requests_per_minute"),
            "created_at": iso(found.created_at), "metadata": {}, "members_with_roles": [],
        }
    )  # fmt: skip


def _new_user(call: ManagementCall) -> Answer:
    body: LitellmUser = call.body
    found = _new_group(call, "member", body.user_alias or body.user_email or "user", body)
    entry: dict[str, Any] = {"user_id": found.id, "user_alias": body.user_alias, "user_email": body.user_email}
    if not body.auto_create_key:
        return Answer({**entry, "key": ""})
    made = _new_key(call, LitellmKey(key_alias=body.key_alias, duration=body.duration, user_id=found.id))
    return Answer({**made, **entry})


def _new_group(call: ManagementCall, kind: GroupKind, name: str, body: _Bounds) -> GroupInfo:
    columns = {name: one for name, one in _columns(body, None).items() if one is not None}
    made = groups.create_group(call.store, call.actor, kind, name, call.account(None), columns)
    return groups.one_group(call.store, kind, made)


def _logs(call: ManagementCall) -> Answer:
    """One call, or usage by day."""
    if (request_id := call.query.get("request_id")) is not None:
        row = books.one_call(call.store, request_id)
        if row is None or call.key.account_id not in (None, row["account"]):
            raise NotFound("There is no record of this call.", param="request_id")
        return Answer([_log(row)])
    today = utc_now().date()
    since = day_of("start_date", call.query.get("start_date", (today - timedelta(days=DAYS_SHOWN)).isoformat()))
    until = day_of("end_date", call.query.get("end_date", today.isoformat()))
    account, group = _owner_of_query(call)
    text = call.query.get("api_key")
    key = None if text is None else _key(call, text)
    with call.store.read() as connection:
        rows = days_of(connection, since, until, usage.scope_of(account, key, group))
    by_day: dict[str, dict[str, Any]] = {}
    for row in rows:
        day = by_day.setdefault(row["day"], {"startTime": row["day"], "spend": 0.0, "models": {}, "users": {}})
        day["spend"] += row["charged"] / 1e12
        day["models"][row["model"]] = day["models"].get(row["model"], 0.0) + row["charged"] / 1e12
    return Answer(list(by_day.values()))


def _log(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "request_id": row["id"], "call_type": "acompletion", "api_key": row["key"], "user": row["account"],
        "team_id": row["account"], "model": row["model"],
        "custom_llm_provider": (row["deployment"] or "").partition("/")[0],
        "spend": float(row["charged_usd"]), "prompt_tokens": row["prompt_tokens"],
        "completion_tokens": row["completion_tokens"], "total_tokens": row["prompt_tokens"] + row["completion_tokens"],
        "startTime": row["started_at"], "endTime": row["ended_at"], "status": row["outcome"], "metadata": {},
    }  # fmt: skip


def _entry(state: KeyState) -> dict[str, Any]:
    key, charged, _, budget, _ = state
    return {
        "token": key.hash, "key_name": f"{key.shown}...", "key_alias": key.name, "spend": charged / 1e12,
        "max_budget": None if budget is None else budget.picodollars / 1e12,
        "budget_duration": None if budget is None else PERIODS.get(budget.period),
        "tpm_limit": _limit(key.limits, "tokens_per_minute"), "rpm_limit": _limit(key.limits, "requests_per_minute"),
        "max_parallel_requests": _limit(key.limits, "concurrent_requests"), "models": key.models or [],
        "expires": iso(key.expires_at), "created_at": iso(key.created_at), "blocked": key.disabled_at is not None,
        "user_id": key.member_id, "team_id": key.project_id, "metadata": {},
    }  # fmt: skip


def _limit(limits: Any, name: str) -> int | None:
    found: int | None = None if limits is None else getattr(limits.limits, name)
    return found


def _columns(body: _Bounds, before: KeyInfo | None) -> dict[str, Any]:
    """What a body limits a key or an account to; members that are not given leave what there is."""
    given = {
        "tokens_per_minute": body.tpm_limit, "requests_per_minute": body.rpm_limit,
        "concurrent_requests": body.max_parallel_requests,
    }  # fmt: skip
    limits: dict[str, int] | UnsetType = UNSET
    if any(number is not UNSET for number in given.values()):
        limits = {} if before is None or before.limits is None else before.limits.by_name()
        for name, number in given.items():
            if number is None:
                limits.pop(name, None)
            elif number is not UNSET:
                limits[name] = number
    return restrictions(
        models=body.models, limits=limits,
        budgets_usd=UNSET if body.max_budget is UNSET and body.budget_duration is UNSET else _budget(body, before),
    )  # fmt: skip


def _budget(body: _Bounds, before: KeyInfo | None) -> dict[str, str] | None:
    was = before.budgets[0] if before is not None and before.budgets else None
    if body.max_budget is None:
        return None
    if body.max_budget is UNSET and was is None:
        raise InvalidRequest("budget_duration needs a max_budget.", param="budget_duration")
    amount = (
        Picodollars(was.picodollars)
        if body.max_budget is UNSET and was is not None
        else amount_of_number("max_budget", body.max_budget)  # type: ignore[arg-type]
    )
    if body.budget_duration is UNSET:
        return {"total" if was is None else was.period: amount.dollars()}
    if body.budget_duration is None:
        return {"total": amount.dollars()}
    if body.budget_duration not in DURATIONS:
        raise InvalidRequest(f"budget_duration must be one of {', '.join(DURATIONS)}.", param="budget_duration")
    return {DURATIONS[body.budget_duration]: amount.dollars()}


def _seconds(name: str, text: str) -> int:
    found = _SPAN.fullmatch(text)
    if found is None or not int(found[1]):
        raise InvalidRequest(f"{name} must be a time such as 30s, 30m, 30h or 30d.", param=name)
    return int(found[1]) * _SECONDS[found[2]]


TAG: Final = "LiteLLM"
LISTED: Final = {"user_id": "Only of this member or account.", "team_id": "Only of this project or account."}
LITELLM: Final[Sequence[Action]] = (
    Action("POST", "/key/generate", "keys", _generate, TAG, "Create a key, as LiteLLM does.",
           "`team_id` is a project and `user_id` a member, or either an account; without them the key belongs to the "
           "operator's own. `metadata` is "
           "accepted and not kept; members that are not known here are refused by name.", body=LitellmKey, usage=True),
    Action("GET", "/key/info", "read", _info, TAG, "Retrieve a key, as LiteLLM does.",
           "By the key or its SHA-256. A key for calls sees itself.", usage=True, open_to="caller",
           query={"key": "The key, or its SHA-256."}),
    Action("POST", "/key/update", "keys", _update, TAG, "Change a key, as LiteLLM does.", body=LitellmKeyChange,
           usage=True),
    Action("POST", "/key/delete", "keys", _delete, TAG, "Revoke keys, as LiteLLM deletes them.", body=LitellmKeys),
    Action("GET", "/key/list", "read", _list, TAG, "List the keys, as LiteLLM does.", usage=True,
           query=LISTED | {"page": "From 1.", "size": "Keys per page, to 100. Default: 10.",
                           "return_full_object": "true: whole entries instead of hashes."}),
    Action("POST", "/team/new", "keys", _new_team, TAG, "Create a project, as LiteLLM creates a team.",
           "Its keys share its budget, limits and models.", body=LitellmTeam),
    Action("POST", "/user/new", "keys", _new_user, TAG, "Create a member with a key, as LiteLLM creates a user.",
           "Its keys share its budget, limits and models.", body=LitellmUser, usage=True),
    Action("GET", "/spend/logs", "read", _logs, TAG, "Show spending by day, or one call, as LiteLLM does.", usage=True,
           query={"request_id": "The generation id of one call.", "api_key": "Only of this key or SHA-256.",
                  "user_id": "Only of this member or account.", "team_id": "Only of this project or account.",
                  "start_date": "First day (2027-01-31).", "end_date": "Last day.",
                  "summarize": "Accepted; days are always summarized."}),
)  # fmt: skip
