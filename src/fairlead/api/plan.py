"""POST /v1/plan: how a chat request would be routed, with scores and reasons. Nothing is called."""

from __future__ import annotations

import msgspec

from fairlead.accounts.key_ring import KeyRing
from fairlead.api.auth import identify
from fairlead.api.call import outline
from fairlead.doors.door import Door
from fairlead.gateway.gateway import Gateway
from fairlead.http.request import Request, Response
from fairlead.routing.decision import shown
from fairlead.wire.outline import LONG_BODY_BYTES

JSON_HEAD = b"content-type: application/json\r\nx-content-type-options: nosniff\r\ncache-control: no-store\r\n"


class Plans:
    """`door`: the dialect of its requests."""

    __slots__ = ("_door", "_gateway", "_keys")

    def __init__(self, door: Door, gateway: Gateway, keys: KeyRing) -> None:
        self._door = door
        self._gateway = gateway
        self._keys = keys

    async def __call__(self, request: Request, response: Response) -> None:
        caller = identify(request, self._keys, self._door).caller
        if len(request.block) > LONG_BODY_BYTES:
            await outline(request)
        model, found = await self._gateway.plan(self._door.parse(request), caller)
        response.send(200, JSON_HEAD, msgspec.json.encode({"model": model, **shown(found)}))
