"""POST /v1/plan: how a chat request would be routed, with scores and reasons. Nothing is called."""

from __future__ import annotations

import msgspec

from fairlead.accounts.keys import KeyRing
from fairlead.api.auth import authenticate
from fairlead.gateway import Gateway
from fairlead.http.request import Request, Response
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
        found = await self._gateway.plan(chat, caller)
        response.send(200, JSON_HEAD, msgspec.json.encode({"model": chat.model, **shown(found)}))
