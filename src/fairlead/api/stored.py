"""Calls whose responses are stored, and what callers may do with those: read, list, delete."""

from __future__ import annotations

import time
from collections.abc import Coroutine
from typing import Any, Final
from urllib.parse import parse_qs, unquote

import msgspec
from msgspec import Struct

from fairlead.accounts.key_ring import KeyRing
from fairlead.api.archive import UNHEARD_MS, ResponseArchive
from fairlead.api.auth import RequestIdentity, authenticate, identify
from fairlead.api.background_responses import BackgroundResponses
from fairlead.api.call import Collector, note, timeout_of
from fairlead.api.traced import Tracer, begin_span, traced
from fairlead.doors.door import StoringDoor
from fairlead.errors import InvalidRequest, NotFound
from fairlead.gateway.gateway import Gateway
from fairlead.http.request import Request, Response
from fairlead.wire.body import members_of, with_members
from fairlead.wire.heads import JSON_HEAD
from fairlead.wire.stored import StoredResponse
from fairlead.wire.stored_input import page_of

PREFIX: Final = "/v1/responses/"
_ITEMS: Final = "/input_items"
_CANCEL: Final = "/cancel"
_encode: Final = msgspec.json.encode
STOPPED: Final = b'{"code":"server_error","message":"The server stopped before this response was complete."}'


class _Background(Struct):
    background: bool = False


class StoringEndpoint:
    """Serves the calls of a door whose answers are stored."""

    __slots__ = ("_archive", "_background", "_content", "_digests", "_door", "_gateway", "_keys", "_tracer")

    def __init__(
        self,
        door: StoringDoor,
        gateway: Gateway,
        keys: KeyRing,
        archive: ResponseArchive,
        background: BackgroundResponses,
        tracer: Tracer | None,
        content: Collector | None = None,
        *,
        digests: bool,
    ) -> None:
        self._content = content
        self._digests = digests
        self._background = background
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
        if identity.notes is not None or self._digests:
            note(demand, identity, request, digests=self._digests)
        seconds = None if identity.timeout is None else timeout_of(identity.timeout)
        demand = await self._door.recalled(demand, identity.caller.account_id, self._archive)
        collector = None if identity.caller.content is None else self._content
        if self._door.in_background(demand):
            await self._background.begin(
                self._door, demand, request, response, identity.caller, seconds, collector=collector
            )
            return
        if collector is not None:
            collector.collect(identity.caller, request, response, demand.notes)
        span = None if self._tracer is None else begin_span(self._tracer, request, demand)
        request.release()
        running = self._gateway.chat(demand, response, identity.caller, seconds)
        await (running if span is None else traced(span, self._gateway.model_id(demand.model), running))


class StoredResponses:
    """What was stored, for the account that it belongs to. `archive`, `background`: None where nothing is stored."""

    __slots__ = ("_archive", "_background", "_keys")

    def __init__(self, archive: ResponseArchive | None, background: BackgroundResponses | None, keys: KeyRing) -> None:
        self._archive = archive
        self._background = background
        self._keys = keys

    async def read(self, request: Request, response: Response) -> None:
        account_id = authenticate(request, self._keys).account_id
        response_id = unquote(request.path.removeprefix(PREFIX))
        if response_id.endswith(_ITEMS):
            chain = await self._opened().chain(account_id, response_id.removesuffix(_ITEMS))
            response.send(200, JSON_HEAD, page_of(chain, request.query))
            return
        if parse_qs(request.query).get("stream") == ["true"]:
            raise InvalidRequest("A stored response cannot be streamed: retrieve it without stream.", param="stream")
        found = await self._opened().one(account_id, response_id)
        response.send(200, JSON_HEAD, _public(found))

    async def delete(self, request: Request, response: Response) -> None:
        account_id = authenticate(request, self._keys).account_id
        response_id = unquote(request.path.removeprefix(PREFIX))
        await self._opened().delete(account_id, response_id)
        if self._background is not None:
            self._background.stop(account_id, response_id)
        response.send(200, JSON_HEAD, _encode({"id": response_id, "object": "response", "deleted": True}))

    async def cancel(self, request: Request, response: Response) -> None:
        """Ends the work on a response in the background; one that has ended is given as it is."""
        account_id = authenticate(request, self._keys).account_id
        response_id = unquote(request.path.removeprefix(PREFIX))
        if not response_id.endswith(_CANCEL):
            raise NotFound(f"There is no POST {request.path} here. The API is described at /openapi.json.")
        response_id, archive = response_id.removesuffix(_CANCEL), self._opened()
        found = await archive.one(account_id, response_id)
        if not _is_in_background(found.body):
            raise InvalidRequest("Only background responses can be cancelled.")
        if found.heard_at and await archive.cancel(account_id, response_id, _with_status(found.body, b'"cancelled"')):
            assert self._background is not None
            self._background.stop(account_id, response_id)
        response.send(200, JSON_HEAD, _public(await archive.one(account_id, response_id)))

    def _opened(self) -> ResponseArchive:
        if self._archive is None:
            raise NotFound("This server stores no responses ([responses] store in its settings).")
        return self._archive


def _is_in_background(body: bytes) -> bool:
    return msgspec.json.decode(body, type=_Background).background


def _with_status(body: bytes, status: bytes, error: bytes = b"null") -> bytes:
    return with_members(body, members_of(body), {"status": status, "error": error})


def _public(found: StoredResponse) -> bytes:
    """Without what only the model may read; and as failed when nobody works on it any more."""
    if found.heard_at and time.time() * 1000 - found.heard_at > UNHEARD_MS:
        return _with_status(found.body, b'"failed"', STOPPED)
    if b'"encrypted_content"' not in found.body:
        return found.body
    response = msgspec.json.decode(found.body)
    for item in response.get("output", ()):
        if isinstance(item, dict):
            item.pop("encrypted_content", None)
    return _encode(response)
