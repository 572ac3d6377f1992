"""POST /v1/chat/completions."""

from __future__ import annotations

import math
from collections.abc import Coroutine
from typing import Any

from fairlead.accounts.keys import KeyRing
from fairlead.api.auth import identify
from fairlead.errors import InvalidRequest
from fairlead.gateway import Gateway
from fairlead.http.request import Request, Response
from fairlead.operations.chat.operation import CHAT
from fairlead.wire.chat import ChatRequest, parse_chat
from fairlead.wire.chat_request import RequestTemplate

LEAST_SECONDS, MOST_SECONDS = 0.05, 86_400


class ChatCompletions:
    __slots__ = ("_gateway", "_keys")

    def __init__(self, gateway: Gateway, keys: KeyRing) -> None:
        self._gateway = gateway
        self._keys = keys

    def __call__(self, request: Request, response: Response) -> Coroutine[Any, Any, None]:
        identity = identify(request, self._keys)
        chat = read_chat(request)
        seconds = None if identity.timeout is None else timeout_of(identity.timeout)
        request.release()
        return self._gateway.chat(CHAT.demand(chat), response, identity.caller, seconds)


def read_chat(request: Request) -> ChatRequest:
    """`parse_chat`, which may know what stands around the messages from the request before."""
    known = request.known
    if known is None:
        return parse_chat(request.body)
    template = known.template
    chat = parse_chat(request.block, template if isinstance(template, RequestTemplate) else None, request.at)
    if chat.template is not None:
        known.template = chat.template
    return chat


def timeout_of(given: bytes) -> float:
    """The seconds of `x-fairlead-timeout`. Raises InvalidRequest."""
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        raise InvalidRequest(
            f"x-fairlead-timeout must be a number of seconds from {LEAST_SECONDS:g} to {MOST_SECONDS:g}.",
            param="x-fairlead-timeout",
        )
    return seconds
