"""GET /v1/generation?id= (OpenRouter's shape) and GET /v1/receipts/{id}: what one of your calls cost, and why."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec

from fairlead.accounts.key_ring import KeyRing
from fairlead.api.auth import authenticate
from fairlead.errors import InvalidRequest, NotFound
from fairlead.http.request import Request, Response
from fairlead.ledger.ledger import Found, Ledger
from fairlead.ledger.receipts import generation, receipt

JSON_HEAD = b"content-type: application/json\r\nx-content-type-options: nosniff\r\ncache-control: no-store\r\n"
PREFIX = "/v1/receipts/"


class Receipts:
    """`routed` gives how a call was routed, as JSON, where there was something to decide. `show_cost`: customers
    (prepaid accounts) see what a call cost the operator; the operator's own account always does."""

    __slots__ = ("_keys", "_ledger", "_routed", "_show_cost")

    def __init__(
        self, ledger: Ledger, keys: KeyRing, routed: Callable[[str], Awaitable[str | None]], *, show_cost: bool = False
    ) -> None:
        self._show_cost = show_cost
        self._routed = routed
        self._ledger = ledger
        self._keys = keys

    async def generation(self, request: Request, response: Response) -> None:
        wanted = parse_qs(request.query).get("id")
        if not wanted:
            raise InvalidRequest("id is missing: GET /v1/generation?id=gen_...", param="id")
        found = await self._found(request, wanted[0])
        _send(response, {"data": generation(found.record)})

    async def receipt(self, request: Request, response: Response) -> None:
        found = await self._found(request, unquote(request.path.removeprefix(PREFIX)))
        routed = await self._routed(found.record.id)
        routing = None if routed is None else msgspec.Raw(routed.encode())
        cost = self._show_cost or not authenticate(request, self._keys).prepaid
        _send(response, {**receipt(*found, cost=cost), "routing": routing})

    async def _found(self, request: Request, generation_id: str) -> Found:
        caller = authenticate(request, self._keys)
        found = await self._ledger.find(generation_id, caller.account_id)
        if found is None:
            raise NotFound("Your account has no generation with this id.", param="id")
        return found


def _send(response: Response, body: Any) -> None:
    response.send(200, JSON_HEAD, msgspec.json.encode(body))
