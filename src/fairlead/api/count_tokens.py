"""How many tokens a prompt has: asked of the provider where it speaks the caller's API, counted here elsewhere.

Nothing is charged, held or recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, Protocol, runtime_checkable

from fairlead.accounts.caller import Caller
from fairlead.accounts.key_ring import KeyRing
from fairlead.api.auth import identify
from fairlead.api.ids import with_alias
from fairlead.doors.door import Door, StoringDoor
from fairlead.errors import CallerError, FairleadError
from fairlead.gateway.gateway import Gateway
from fairlead.http.request import Request, Response
from fairlead.routing.demand import Demand
from fairlead.routing.protocols import Call, Headers
from fairlead.routing.upstream import Upstream, hide_keys, send
from fairlead.wire.heads import JSON_HEAD
from fairlead.wire.stored import Archive

# Anthropic's for an image of the usual size; what others count is between 85 and 5,000.
IMAGE_TOKENS: Final = 1_600


@runtime_checkable
class CountsTokens(Protocol):
    """An adapter whose provider counts the tokens of a prompt, and answers in the caller's API."""

    def count_call(self, payload: Any, /) -> Call: ...

    def error(self, status: int, headers: Headers, body: bytes, /) -> FairleadError: ...


class CountTokens:
    """Counts for the callers of one door. `counted`: the answer, with a place for the number; `request_id`: as of
    `CallEndpoint`; `storing`: where it stores answers, which a request may continue, and its archive."""

    __slots__ = ("_counted", "_door", "_gateway", "_keys", "_request_id", "_storing")

    def __init__(
        self,
        door: Door,
        gateway: Gateway,
        keys: KeyRing,
        counted: bytes,
        request_id: bytes = b"",
        storing: tuple[StoringDoor, Archive] | None = None,
    ) -> None:
        self._storing = storing
        self._counted = counted
        self._door = door
        self._gateway = gateway
        self._keys = keys
        self._request_id = request_id

    def __call__(self, request: Request, response: Response) -> Coroutine[Any, Any, None]:
        if self._request_id:
            response.extra = with_alias(response.extra, self._request_id)
        caller = identify(request, self._keys, self._door).caller
        demand = self._door.parse(request) if self._storing is None else self._storing[0].parse_stored(request)
        if len(request.block) > response.held:  # it was compressed
            response.hold(len(request.block) - response.held)
        request.release()
        return self._answer(demand, caller, response)

    async def _answer(self, demand: Demand, caller: Caller, response: Response) -> None:
        if self._storing is not None:
            door, archive = self._storing
            demand = await door.recalled(demand, caller.account_id, archive)
        _, plan = await self._gateway.plan(demand, caller)
        upstream = plan.candidates[0] if plan.candidates else None
        body: bytes | None = None
        if upstream is not None:
            adapter: object = upstream.adapters.get(demand.payload.api)
            if isinstance(adapter, CountsTokens):
                body = await _ask(upstream, adapter, adapter.count_call(demand.payload))
        if body is None:
            body = self._counted % await _count(demand, None if upstream is None else upstream.family)
        response.send(200, JSON_HEAD, body)


async def _ask(upstream: Upstream, adapter: CountsTokens, call: Call) -> bytes | None:
    """The provider's answer; None when it has none. Raises its refusal of the request."""
    exchange = send(upstream, call)
    refused: FairleadError | None = None
    try:
        status = await exchange.head()
        body = await exchange.read()
        if status == 200:
            return body
        refused = adapter.error(status, exchange.headers, body)
    except FairleadError:
        return None
    finally:
        exchange.cancel()
    if isinstance(refused, CallerError) and refused.status != 404:
        hide_keys(upstream, refused)
        raise refused
    return None


async def _count(demand: Demand, family: str | None) -> int:
    loop = asyncio.get_running_loop()
    counted = await loop.run_in_executor(None, demand.operation.count, demand.payload, family, True)
    return counted.tokens + demand.operation.media_tokens(demand.payload, IMAGE_TOKENS)
