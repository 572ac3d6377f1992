"""Calls whose responses are stored, and what callers may do with those: read, list, delete."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Final
from urllib.parse import parse_qs, unquote

import msgspec
from msgspec import Raw

from fairlead.accounts.keys import KeyRing
from fairlead.api.archive import ResponseArchive
from fairlead.api.auth import RequestIdentity, authenticate, identify
from fairlead.api.call import note, timeout_of
from fairlead.api.traced import Tracer, begin_span, traced
from fairlead.doors.door import StoringDoor
from fairlead.errors import InvalidRequest, MethodNotAllowed, NotFound
from fairlead.gateway.gateway import Gateway
from fairlead.http.request import Request, Response
from fairlead.wire.heads import JSON_HEAD
from fairlead.wire.stored import StoredResponse

PREFIX: Final = "/v1/responses/"
_ITEMS: Final = "/input_items"
_CANCEL: Final = "/cancel"
_encode: Final = msgspec.json.encode


class StoringEndpoint:
    """Serves the calls of a door whose answers are stored."""

    __slots__ = ("_archive", "_door", "_gateway", "_keys", "_tracer")

    def __init__(
        self, door: StoringDoor, gateway: Gateway, keys: KeyRing, archive: ResponseArchive, tracer: Tracer | None
    ) -> None:
        self._door = door
        self._gateway = gateway
        self._keys = keys
        self._archive = archive
        self._tracer = tracer

    def __call__(self, request: Request, response: Response) -> Coroutine[Any, Any, None]:
        return self._call(request, response, identify(request, self._keys, self._door))

    async def _call(self, request: Request, response: Response, identity: RequestIdentity) -> None:
        demand = self._door.parse_stored(request)
        if len(request.block) > response.held:  # it was compressed
            response.hold(len(request.block) - response.held)
        note(demand, identity, request, digests=True)
        seconds = None if identity.timeout is None else timeout_of(identity.timeout)
        demand = await self._door.recalled(demand, identity.caller.account_id, self._archive)
        span = None if self._tracer is None else begin_span(self._tracer, request, demand)
        request.release()
        running = self._gateway.chat(demand, response, identity.caller, seconds)
        await (running if span is None else traced(span, self._gateway.model_id(demand.model), running))


class StoredResponses:
    """What was stored, for the account that it belongs to. `archive`: None where nothing is stored."""

    __slots__ = ("_archive", "_keys")

    def __init__(self, archive: ResponseArchive | None, keys: KeyRing) -> None:
        self._archive = archive
        self._keys = keys

    async def read(self, request: Request, response: Response) -> None:
        account_id = authenticate(request, self._keys).account_id
        response_id = unquote(request.path.removeprefix(PREFIX))
        if response_id.endswith(_ITEMS):
            await self._list(account_id, response_id.removesuffix(_ITEMS), response)
            return
        if parse_qs(request.query).get("stream") == ["true"]:
            raise InvalidRequest("A stored response is not streamed again: read it without stream.", param="stream")
        found = await self._opened().one(account_id, response_id)
        response.send(200, JSON_HEAD, _public(found))

    async def delete(self, request: Request, response: Response) -> None:
        account_id = authenticate(request, self._keys).account_id
        response_id = unquote(request.path.removeprefix(PREFIX))
        await self._opened().delete(account_id, response_id)
        response.send(200, JSON_HEAD, _encode({"id": response_id, "object": "response", "deleted": True}))

    async def cancel(self, request: Request, response: Response) -> None:
        """Nothing runs in the background, so there is nothing to cancel."""
        del response
        account_id = authenticate(request, self._keys).account_id
        response_id = unquote(request.path.removeprefix(PREFIX))
        if not response_id.endswith(_CANCEL):
            raise MethodNotAllowed(f"{request.path} takes GET, DELETE, not POST.")
        await self._opened().one(account_id, response_id.removesuffix(_CANCEL))
        raise InvalidRequest("Only a response in the background can be cancelled, and there are none here.")

    async def _list(self, account_id: str, response_id: str, response: Response) -> None:
        chain = await self._opened().chain(account_id, response_id)
        items = [item for one in chain for item in msgspec.json.decode(one.items, type=list[Raw])]
        body = {"object": "list", "data": items[::-1], "first_id": None, "last_id": None, "has_more": False}
        response.send(200, JSON_HEAD, _encode(body))

    def _opened(self) -> ResponseArchive:
        if self._archive is None:
            raise NotFound("This server stores no responses ([responses] store in its settings).")
        return self._archive


def _public(found: StoredResponse) -> bytes:
    """Without what only the model may read."""
    if b'"encrypted_content"' not in found.body:
        return found.body
    response = msgspec.json.decode(found.body)
    for item in response.get("output", ()):
        if isinstance(item, dict):
            item.pop("encrypted_content", None)
    return _encode(response)
