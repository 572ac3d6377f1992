"""POST /v1/chat/completions where a receiver of traces is told of calls: in place of `chat`, which knows of none."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol

from fairlead.accounts.keys import KeyRing
from fairlead.api.auth import identify
from fairlead.api.chat import read_chat, timeout_of
from fairlead.errors import FairleadError, InternalError
from fairlead.gateway import Gateway
from fairlead.http.request import Request, Response
from fairlead.operations.chat.operation import CHAT
from fairlead.wire.traceparent import TraceContext, parse_traceparent

TRACEPARENT = b"traceparent"


class Call(Protocol):
    """The span of one call; `context` is what its attempts are children of."""

    @property
    def context(self) -> TraceContext: ...

    def end(self, model: str, outcome: str) -> None: ...


class Tracer(Protocol):
    def call(self, parent: TraceContext | None) -> Call: ...


class TracedChatCompletions:
    __slots__ = ("_gateway", "_keys", "_tracer")

    def __init__(self, gateway: Gateway, keys: KeyRing, tracer: Tracer) -> None:
        self._gateway = gateway
        self._keys = keys
        self._tracer = tracer

    def __call__(self, request: Request, response: Response) -> Coroutine[Any, Any, None]:
        identity = identify(request, self._keys)
        chat = read_chat(request)
        given = identity.timeout
        seconds = None if given is None else timeout_of(given)
        above = request.header(TRACEPARENT)
        call = self._tracer.call(None if above is None else parse_traceparent(above))
        chat.trace = call.context
        request.release()
        running = self._gateway.chat(CHAT.demand(chat), response, identity.caller, seconds)
        return _told(call, self._gateway.model_id(chat.model), running)


async def _told(call: Call, model: str, running: Coroutine[Any, Any, None]) -> None:
    outcome = InternalError.code
    try:
        await running
        outcome = "served"
    except FairleadError as error:
        outcome = type(error).code
        raise
    finally:
        call.end(model, outcome)
