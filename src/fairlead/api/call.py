"""One call through a door: who calls, what is wanted, how long it may take."""

from __future__ import annotations

import math
from collections.abc import Coroutine
from typing import Any, Protocol

from fairlead.accounts.caller import Caller
from fairlead.accounts.key_ring import KeyRing
from fairlead.api.auth import RequestIdentity, identify
from fairlead.api.ids import with_alias
from fairlead.api.traced import Tracer, begin_span, traced
from fairlead.doors.door import Door
from fairlead.errors import InvalidRequest
from fairlead.gateway.gateway import Gateway
from fairlead.http.eager import others_first
from fairlead.http.form import read_form
from fairlead.http.request import Request, Response
from fairlead.routing.demand import Demand
from fairlead.wire.notes import CallNotes
from fairlead.wire.outline import LONG_BODY_BYTES, Outline

LEAST_SECONDS, MOST_SECONDS = 0.05, 86_400


class Collector(Protocol):
    """Keeps the content of calls, where their account has it kept."""

    def collect(self, caller: Caller, request: Request, response: Response, notes: CallNotes | None) -> None: ...


class CallEndpoint:
    """Serves the calls of one door. `tracer`: None where nobody receives traces. `request_id`: another name of the
    header with the request id, which its clients know; empty: none. `outlines`: the door reads outlines of long
    bodies. `digests`: receipts get those of what came in and what was sent. `content`: what keeps the content of
    calls, None: nothing does."""

    __slots__ = (
        "_content",
        "_digests",
        "_door",
        "_gateway",
        "_keys",
        "_outlines",
        "_request_id",
        "_tracer",
        "_uploads",
    )

    def __init__(
        self,
        door: Door,
        gateway: Gateway,
        keys: KeyRing,
        tracer: Tracer | None = None,
        request_id: bytes = b"",
        outlines: bool = False,
        digests: bool = False,
        uploads: bool = False,
        content: Collector | None = None,
    ) -> None:
        self._content = content
        self._uploads = uploads
        self._digests = digests
        self._request_id = request_id
        self._outlines = outlines
        self._door = door
        self._gateway = gateway
        self._keys = keys
        self._tracer = tracer

    def __call__(self, request: Request, response: Response) -> Coroutine[Any, Any, None]:
        if self._request_id:
            response.extra = with_alias(response.extra, self._request_id)
        identity = identify(request, self._keys, self._door)
        if self._uploads:
            return self._form(request, response, identity)
        if len(request.block) > LONG_BODY_BYTES and self._outlines:
            return self._long(request, response, identity)
        return self._call(request, response, identity)

    async def _long(self, request: Request, response: Response, identity: RequestIdentity) -> None:
        """A long body is looked through in steps, between which others get their turn."""
        await outline(request)
        await self._call(request, response, identity)

    async def _form(self, request: Request, response: Response, identity: RequestIdentity) -> None:
        """A body with files, which are looked through where they lie."""
        request.outline = await read_form(request)
        await self._call(request, response, identity)

    def _call(self, request: Request, response: Response, identity: RequestIdentity) -> Coroutine[Any, Any, None]:
        door, tracer = self._door, self._tracer
        demand = door.parse(request)
        if identity.notes is not None or self._digests:
            note(demand, identity, request, digests=self._digests)
        if len(request.block) > response.held:  # it was compressed
            response.hold(len(request.block) - response.held)
        seconds = None if identity.timeout is None else timeout_of(identity.timeout)
        span = None if tracer is None else begin_span(tracer, request, demand)
        if identity.caller.content is not None and self._content is not None:
            self._content.collect(identity.caller, request, response, demand.notes)
        request.release()
        running = self._gateway.chat(demand, response, identity.caller, seconds)
        return running if span is None else traced(span, self._gateway.model_id(demand.model), running)


def note(demand: Demand, identity: RequestIdentity, request: Request, *, digests: bool) -> None:
    """Notes what the head says of a call, which counts more than its body, and the digest of the body as it came in."""
    notes = demand.notes
    if identity.notes is not None:
        notes = identity.notes.over(notes)
    if digests:
        notes = CallNotes() if notes is None else notes.over(None)
        notes.receive(request.body)
    demand.notes = notes


async def outline(request: Request) -> None:
    """Prepares a long body for `Door.parse`. Raises InvalidRequest."""
    made = Outline(request.body)
    while not made.step():
        await others_first()
    request.outline = made


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
