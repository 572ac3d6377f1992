"""POST /v1/chat/completions."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from fairlead.accounts.keys import KeyRing
from fairlead.api.auth import authenticate
from fairlead.gateway import Gateway
from fairlead.http.request import Request, Response
from fairlead.wire.chat import parse_chat


class ChatCompletions:
    __slots__ = ("_gateway", "_keys")

    def __init__(self, gateway: Gateway, keys: KeyRing) -> None:
        self._gateway = gateway
        self._keys = keys

    def __call__(self, request: Request, response: Response) -> Coroutine[Any, Any, None]:
        caller = authenticate(request, self._keys)
        chat = parse_chat(request.body)
        request.release()
        return self._gateway.chat(chat, response, caller)
