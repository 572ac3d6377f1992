"""OpenRouter's management API: its paths, members and statuses. Source: its published OpenAPI and SDKs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from fairlead.accounts.keys import KeyInfo
from fairlead.admin import keys, usage
from fairlead.admin.authorization import exchange_authorization_code, make_authorization_code
from fairlead.admin.usage import KeyState
from fairlead.api.management.action import Action, Answer, ManagementCall
from fairlead.api.management.bodies import Id, amount_of_number, day_of, iso, restrictions
from fairlead.clock import utc_now
from fairlead.errors import Forbidden, InvalidRequest, NotFound
from fairlead.ledger.rollups import days_of
from fairlead.money import dollars

PERIODS: Final = {"daily": "day", "weekly": "week", "monthly": "month", None: "total"}
RESETS: Final = {period: reset for reset, period in PERIODS.items()}
KEYS_PER_PAGE: Final = 100
DAYS_SHOWN: Final = 30
LONGEST_URL: Final = 2_048


class OpenRouterKey(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    name: str
    limit: Decimal | None = None
    limit_reset: str | None = None
    expires_at: str | None = None
    include_byok_in_limit: bool = False
    creator_user_id: str | None = None
    workspace_id: Id | None = None


class OpenRouterKeyChange(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    name: str | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET
    limit: Decimal | UnsetType | None = UNSET
    limit_reset: str | UnsetType | None = UNSET
    expires_at: str | UnsetType | None = UNSET
    include_byok_in_limit: bool | UnsetType = UNSET


class AuthorizationCodeRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    callback_url: str
    code_challenge: str
    code_challenge_method: str | None = None
    expires_at: str | None = None
    key_label: str | None = None
    limit: Decimal | None = None
    usage_limit_type: str | None = None
    workspace_id: Id | None = None


class CodeExchange(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    code: Id
    code_verifier: Id = ""
    code_challenge_method: str | None = None


def _list_keys(call: ManagementCall) -> Answer:
    account = call.account(call.query.get("workspace_id"))
    found = keys.page_of_keys(
        call.store, KEYS_PER_PAGE, None, account, offset=call.number("offset", 0, 0, 10**9), revoked=False,
        disabled=_flag(call, "include_disabled"), expired=_flag(call, "include_expired"),
    )  # fmt: skip
    return Answer({"data": [_entry(one) for one in usage.key_states(call.store, found)]})


def _create_key(call: ManagementCall) -> Answer:
    body: OpenRouterKey = call.body
    account = call.account(body.workspace_id)
    columns = restrictions(
        expires_at=UNSET if body.expires_at is None else body.expires_at,
        budgets_usd=UNSET if body.limit is None else _budget(body.limit, body.limit_reset),
    )
    if body.limit is None and body.limit_reset is not None:
        raise InvalidRequest("limit_reset needs a limit.", param="limit_reset")
    key = keys.create_key(call.store, call.actor, body.name, account_id=account, columns=columns)
    return Answer({"data": _shown(call, keys.key_by_hash(call.store, keys.hash_of(key))), "key": key})


def _own(call: ManagementCall) -> KeyInfo:
    """By the hash of the path. A key that was revoked is deleted here."""
    found = keys.key_by_hash(call.store, call.id)
    refusal = NotFound("There is no key with this hash.", param="hash")
    call.check_account(found.account_id, refusal)
    if found.revoked_at is not None:
        raise refusal
    return found


def _one_key(call: ManagementCall) -> Answer:
    return Answer({"data": _shown(call, _own(call))})


def _change_key(call: ManagementCall) -> Answer:
    body: OpenRouterKeyChange = call.body
    found = _own(call)
    columns = restrictions(expires_at=body.expires_at)
    if body.limit is not UNSET or body.limit_reset is not UNSET:
        columns |= restrictions(budgets_usd=_changed_budget(found, body.limit, body.limit_reset))
    if columns or body.name is not UNSET:
        name = None if body.name is UNSET else body.name
        keys.change_key(call.store, call.actor, found.id, columns, name=name)
    if body.disabled is not UNSET and body.disabled != (found.disabled_at is not None):
        keys.disable_key(call.store, call.actor, found.id, disabled=body.disabled)
    return _one_key(call)


def _changed_budget(
    found: KeyInfo, limit: Decimal | UnsetType | None, reset: str | UnsetType | None
) -> dict[str, str] | None:
    """A limit, or when it resets, replaces the budgets of a key; what is not given stays."""
    if limit is None:
        return None
    before = found.budgets[0] if found.budgets else None
    if limit is UNSET:
        if before is None:
            raise InvalidRequest("limit_reset needs a limit.", param="limit_reset")
        amount = dollars(before.picodollars)
    else:
        amount = amount_of_number("limit", limit).dollars()
    period = _period(reset) if reset is not UNSET else "total" if before is None else before.period
    return {period: amount}


def _delete_key(call: ManagementCall) -> Answer:
    keys.revoke_key(call.store, call.actor, _own(call).id)
    return Answer({"deleted": True})


def _this_key(call: ManagementCall) -> Answer:
    mine = call.key
    found = usage.credits_of(call.store, mine.account_id)
    none = {f"{name}{period}": 0 for name in ("usage", "byok_usage") for period in ("_daily", "_weekly", "_monthly")}
    data = {
        "label": f"{mine.shown}...", "name": mine.name, "usage": found.charged / 1e12, "byok_usage": 0, **none,
        "limit": None, "limit_remaining": None, "limit_reset": None, "include_byok_in_limit": False,
        "is_free_tier": False, "is_management_key": True, "is_provisioning_key": True,
        "expires_at": iso(mine.expires_at), "creator_user_id": None, "organization_id": None,
        "workspace_id": mine.account_id, "scopes": sorted(mine.scopes), "budgets": [], "effective_budget": None,
        "allowed_data_regions": ["global"], "free_model_daily_requests": {"limit": 0, "remaining": 0, "used": 0},
        "rate_limit": {"requests": -1, "interval": "10s", "note": "Deprecated by OpenRouter."},
    }  # fmt: skip
    return Answer({"data": data})


def _credits(call: ManagementCall) -> Answer:
    found = usage.credits_of(call.store, call.key.account_id)
    data = {
        "total_credits": found.granted / 1e12, "total_usage": found.charged / 1e12,
        "total_credits_usd": dollars(found.granted), "total_usage_usd": dollars(found.charged),
    }  # fmt: skip
    return Answer({"data": data})


def _activity(call: ManagementCall) -> Answer:
    today = utc_now().date()
    since, until = (today - timedelta(days=DAYS_SHOWN)).isoformat(), today.isoformat()
    if (day := call.query.get("date")) is not None:
        since = until = day_of("date", day)
    account = call.account(call.query.get("user_id"))
    found = None
    if (hash_ := call.query.get("api_key_hash")) is not None:
        found = keys.key_by_hash(call.store, hash_)
        call.check_account(found.account_id, NotFound("There is no key with this hash.", param="api_key_hash"))
    with call.store.read() as connection:
        rows = days_of(connection, since, until, usage.scope_of(account, found))
    return Answer(
        {
            "data": [
                {
                    "date": row["day"], "model": row["model"], "model_permaslug": row["model"],
                    "endpoint_id": hashlib.sha256(row["deployment"].encode()).hexdigest()[:32],
                    "provider_name": row["deployment"].partition("/")[0], "usage": row["charged"] / 1e12,
                    "byok_usage_inference": 0, "requests": row["requests"], "prompt_tokens": row["prompt_tokens"],
                    "completion_tokens": row["completion_tokens"], "reasoning_tokens": row["reasoning_tokens"],
                    "cached_tokens": row["cached_tokens"], "usage_usd": dollars(row["charged"]),
                }
                for row in rows
            ]
        }
    )  # fmt: skip


def _make_code(call: ManagementCall) -> Answer:
    body: AuthorizationCodeRequest = call.body
    account = call.account(body.workspace_id)
    if account is None:
        raise InvalidRequest("workspace_id must name the account that the key will belong to.", param="workspace_id")
    if len(body.callback_url) > LONGEST_URL or not body.callback_url.startswith(("https://", "http://")):
        raise InvalidRequest("callback_url must be an address that begins with https:// or http://.",
                             param="callback_url")  # fmt: skip
    if call.actor.kind == "key" and _is_restricted(keys.key_info(call.store, call.key.id)):
        raise Forbidden("This key is restricted, and the new one would not be. Use a management key.")
    columns = restrictions(
        expires_at=UNSET if body.expires_at is None else body.expires_at,
        budgets_usd=UNSET if body.limit is None else _budget(body.limit, body.usage_limit_type),
    )
    name = body.key_label or f"OAuth: {body.callback_url.partition('://')[2].partition('/')[0]}"[:128]
    code = make_authorization_code(
        call.store, call.actor, account, name, body.code_challenge, body.code_challenge_method or "S256", columns
    )
    return Answer({"data": {"id": code, "app_id": 0, "created_at": iso(utc_now().timestamp())}})


def _is_restricted(key: KeyInfo) -> bool:
    bounds = (
        key.expires_at, key.limits, key.models, key.networks, key.project_id, key.member_id, key.each_user,
    )  # fmt: skip
    return bool(key.budgets) or any(bound is not None for bound in bounds)


def _exchange(call: ManagementCall) -> Answer:
    body: CodeExchange = call.body
    done = exchange_authorization_code(
        call.store, call.actor, body.code, body.code_verifier, body.code_challenge_method
    )
    return Answer({"key": done.key, "user_id": done.account_id})


def _shown(call: ManagementCall, key: KeyInfo) -> dict[str, Any]:
    return _entry(usage.key_states(call.store, [key])[0])


def _entry(state: KeyState) -> dict[str, Any]:
    key, charged, used, budget, remaining = state
    return {
        "hash": key.hash, "name": key.name, "label": f"{key.shown}...", "disabled": key.disabled_at is not None,
        "limit": None if budget is None else budget.picodollars / 1e12,
        "limit_remaining": None if budget is None else remaining / 1e12,
        "limit_reset": None if budget is None else RESETS.get(budget.period),
        "include_byok_in_limit": False, "usage": charged / 1e12, "usage_daily": used.day / 1e12,
        "usage_weekly": used.week / 1e12, "usage_monthly": used.month / 1e12, "byok_usage": 0, "byok_usage_daily": 0,
        "byok_usage_weekly": 0, "byok_usage_monthly": 0, "created_at": iso(key.created_at), "updated_at": None,
        "expires_at": iso(key.expires_at),
        "last_used_at": None if used.last_day is None else f"{used.last_day}T00:00:00Z",
        "creator_user_id": None, "external_user": None, "workspace_id": key.account_id,
    }  # fmt: skip


def _budget(limit: Decimal, reset: str | None) -> dict[str, str]:
    return {_period(reset): amount_of_number("limit", limit).dollars()}


def _period(reset: str | None) -> str:
    if reset not in PERIODS:
        raise InvalidRequest("limit_reset must be daily, weekly, monthly or null.", param="limit_reset")
    return PERIODS[reset]


def _flag(call: ManagementCall, name: str) -> bool:
    text = call.query.get(name, "false")
    if text not in ("true", "false"):
        raise InvalidRequest(f"{name} must be true or false.", param=name)
    return text == "true"


THEIRS: Final = "In OpenRouter's format."
_ACTIONS: Final[Sequence[Action]] = (
    Action("GET", "/v1/keys", "read", _list_keys, "Keys", "List the keys, in OpenRouter's format.",
           "100 keys from `offset` on. Deleted keys are left out.", usage=True,
           query={"offset": "How many to skip.", "include_disabled": "true: disabled keys, too.",
                  "include_expired": "true: expired keys, too.", "workspace_id": "Only of this account."}),
    Action("POST", "/v1/keys", "keys", _create_key, "Keys", "Create a key, in OpenRouter's format.",
           "`limit` in dollars, reset `daily`, `weekly`, `monthly` or never (null). `workspace_id` is an account; "
           "without it the key belongs to the operator's own. `key` is shown once.",
           body=OpenRouterKey, usage=True, status=201),
    Action("GET", "/v1/keys/{hash}", "read", _one_key, "Keys", "Retrieve a key, in OpenRouter's format.",
           "`hash` is the SHA-256 of the key, in hexadecimal digits.", usage=True),
    Action("PATCH", "/v1/keys/{hash}", "keys", _change_key, "Keys", "Change a key, in OpenRouter's format.",
           "`disabled` refuses it until it is enabled again. A `limit` replaces the budgets of the key.",
           body=OpenRouterKeyChange, usage=True),
    Action("DELETE", "/v1/keys/{hash}", "keys", _delete_key, "Keys", "Delete a key, in OpenRouter's format.",
           "It is revoked for good, and stays in the books."),
    Action("GET", "/v1/key", "read", _this_key, "Billing", "", listed=False),
    Action("GET", "/v1/credits", "read", _credits, "Billing", "", listed=False),
    Action("GET", "/v1/activity", "read", _activity, "Books", "Show usage by day, model and deployment.",
           f"{THEIRS} The last 30 days (UTC) and today, or one day.", usage=True,
           query={"date": "Only this day (2027-01-31).", "api_key_hash": "Only of the key with this SHA-256.",
                  "user_id": "Only of this account."}),
    Action("POST", "/v1/auth/keys/code", "keys", _make_code, "Keys", "Create an authorization code (PKCE).",
           "For an application that wants a key of an account: by a key of the account, or by a management key with "
           "`workspace_id`. The code works once, for ten minutes, with the verifier of `code_challenge`. A key that is "
           "restricted itself cannot create one.",
           body=AuthorizationCodeRequest, open_to="caller"),
    Action("POST", "/v1/auth/keys", "keys", _exchange, "Keys", "Exchange an authorization code for a key (PKCE).",
           "No key is needed: the code and its verifier are enough.", body=CodeExchange, open_to="anyone"),
)  # fmt: skip
OPENROUTER: Final[Sequence[Action]] = [replace(action, numbered_errors=True) for action in _ACTIONS]
