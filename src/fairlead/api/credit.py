"""GET /v1/key, GET /v1/credits (OpenRouter's shapes and ours) and POST /v1/credits/redeem."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from fairlead.accounts.key_ring import KeyRing
from fairlead.admin.audit import Actor
from fairlead.admin.credit import record_redeemed
from fairlead.api.auth import authenticate
from fairlead.errors import InvalidRequest
from fairlead.http.request import Request, Response
from fairlead.ledger.funds import Balance, credit_scope
from fairlead.ledger.ledger import Ledger
from fairlead.money import Picodollars, dollars
from fairlead.routing.holding import scopes_of

JSON_HEAD = b"content-type: application/json\r\nx-content-type-options: nosniff\r\ncache-control: no-store\r\n"


# OpenRouter's words for when a budget resets.
_RESETS = {"day": "daily", "week": "weekly", "month": "monthly"}


# Members of OpenRouter's that say the same of every key here.
_OPENROUTER: dict[str, Any] = {
    "byok_usage": 0, "byok_usage_daily": 0, "byok_usage_weekly": 0, "byok_usage_monthly": 0,
    "include_byok_in_limit": False, "creator_user_id": None, "organization_id": None,
    "allowed_data_regions": ["global"], "effective_budget": None,
    "free_model_daily_requests": {"limit": 0, "remaining": 0, "used": 0},
    "rate_limit": {"requests": -1, "interval": "10s", "note": "Deprecated: see rate_limits."},
}  # fmt: skip


_BUDGET: dict[str, Any] = {"guardrail_id": None, "include_byok": False, "resets_at": None}


class _Redeem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: str


_redeem = msgspec.json.Decoder(_Redeem)


class Credit:
    __slots__ = ("_keys", "_ledger")

    def __init__(self, ledger: Ledger, keys: KeyRing) -> None:
        self._ledger = ledger
        self._keys = keys

    async def credits(self, request: Request, response: Response) -> None:
        """What the account was granted and has used."""
        caller = authenticate(request, self._keys)
        charged, found = await self._ledger.account_balance(caller.account_id, None, [credit_scope(caller.account_id)])
        held = found.get(credit_scope(caller.account_id), Balance(0, 0, 0))
        granted = held.granted if caller.prepaid else None
        data: dict[str, Any] = {
            "total_credits": None if granted is None else granted / 1e12,
            "total_usage": charged / 1e12,
            "total_credits_usd": None if granted is None else dollars(granted),
            "total_usage_usd": dollars(charged),
            "remaining_usd": dollars(held.granted - held.spent) if caller.prepaid else None,
            "prepaid": caller.prepaid,
        }
        _send(response, {"data": data})

    async def key(self, request: Request, response: Response) -> None:
        """What this key may do, what it has used, what is left."""
        caller = authenticate(request, self._keys)
        scopes = scopes_of(caller)
        charged, found = await self._ledger.account_balance(
            caller.account_id, caller.key_id, [scope.name for scope in scopes]
        )
        least: tuple[int, int, str] | None = None  # what is left, of how much, of what: where there is least
        budgets = []
        for scope in scopes:
            held = found.get(scope.name, Balance(scope.granted or 0, 0, 0))
            most = held.granted if scope.granted is None else scope.granted
            if least is None or most - held.spent < least[0]:
                least = (most - held.spent, most, scope.name)
            if scope.granted is not None:
                budgets.append(
                    {
                        "scope": scope.name,
                        "limit_usd": dollars(most),
                        "used_usd": dollars(held.spent),
                        "remaining_usd": dollars(most - held.spent),
                        "spend_usd": dollars(held.spent),
                        "reset_interval": _RESETS.get(scope.name.split("/")[2]),
                        "budget_id": scope.name,
                        **_BUDGET,
                    }
                )
        used = await self._ledger.key_usage(caller.key_id)
        limited = caller.limited
        remaining, limit, name = least or (None, None, "")
        data: dict[str, Any] = {
            "label": caller.name,
            "usage": charged / 1e12,
            "usage_usd": dollars(charged),
            "usage_daily": used.day / 1e12,
            "usage_weekly": used.week / 1e12,
            "usage_monthly": used.month / 1e12,
            "limit": None if limit is None else limit / 1e12,
            "limit_reset": _RESETS.get(name.split("/")[2] if name.count("/") > 1 else ""),
            "limit_remaining": None if remaining is None else remaining / 1e12,
            "limit_remaining_usd": None if remaining is None else dollars(remaining),
            "is_free_tier": False,
            "is_management_key": False,
            "is_provisioning_key": False,
            "workspace_id": caller.account_id,
            **_OPENROUTER,
            "account": caller.account_id,
            "key": caller.key_id,
            "budgets": budgets,
            "rate_limits": limited.key.by_name() if limited is not None and limited.key is not None else {},
            "account_rate_limits": limited.account.by_name() if limited is not None and limited.account else {},
            "shared_rate_limits": {
                group.scope: group.limits.by_name() for group in (limited.groups if limited is not None else ())
            },
            "models": None if caller.models is None else sorted(caller.models),
            "networks": None if caller.networks is None else [str(one) for one in caller.networks],
            "expires_at": None if caller.expires_at is None else _iso(caller.expires_at),
        }
        _send(response, {"data": data})

    async def redeem(self, request: Request, response: Response) -> None:
        """Adds what a code is worth to the caller's account."""
        caller = authenticate(request, self._keys)
        try:
            code = _redeem.decode(request.body).code
        except msgspec.DecodeError:
            raise InvalidRequest('Send a JSON object such as {"code": "fl-code-..."}.', param="code") from None
        if not caller.prepaid:
            raise InvalidRequest("This account needs no credit: its paid calls are not limited.", param="code")
        actor = Actor("key", caller.key_id, "" if request.peer is None else request.peer[0])

        def also(connection: Connection, amount: int) -> None:
            record_redeemed(connection, actor, code, caller.account_id, Picodollars(amount))

        amount = await self._ledger.redeem(code, caller.account_id, also)
        _send(response, {"data": {"credited_usd": dollars(amount)}})


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _send(response: Response, body: Any) -> None:
    response.send(200, JSON_HEAD, msgspec.json.encode(body))
