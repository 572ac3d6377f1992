"""POST /v1/plan: how a chat request would be routed, with scores and reasons. Nothing is called."""

from __future__ import annotations

import msgspec

from fairlead.accounts.keys import KeyRing
from fairlead.api.auth import authenticate
from fairlead.gateway import Gateway
from fairlead.http.request import Request, Response
from fairlead.operations.chat.operation import CHAT
from fairlead.routing.decision import shown
from fairlead.wire.chat import parse_chat

JSON_HEAD = b"content-type: application/json\r\nx-content-type-options: nosniff\r\ncache-control: no-store\r\n"


class Plans:
    __slots__ = ("_gateway", "_keys")

    def __init__(self, gateway: Gateway, keys: KeyRing) -> None:
        self._gateway = gateway
        self._keys = keys

    async def __call__(self, request: Request, response: Response) -> None:
        caller = authenticate(request, self._keys)
        chat = parse_chat(request.body)
        model, found = await self._gateway.plan(CHAT.demand(chat), caller)
        response.send(200, JSON_HEAD, msgspec.json.encode({"model": model, **shown(found)}))
