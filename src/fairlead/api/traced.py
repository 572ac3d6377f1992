"""The span of a call, where traces are exported."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol

from fairlead.errors import FairleadError, InternalError
from fairlead.http.request import Request
from fairlead.routing.demand import Demand
from fairlead.wire.traceparent import TraceContext, parse_traceparent

TRACEPARENT = b"traceparent"


class Span(Protocol):
    """The span of one call; `context` is what its attempts are children of."""

    @property
    def context(self) -> TraceContext: ...

    def end(self, model: str, outcome: str) -> None: ...


class Tracer(Protocol):
    def call(self, parent: TraceContext | None, operation: str, /) -> Span: ...


def begin_span(tracer: Tracer, request: Request, demand: Demand) -> Span:
    """Begins the span of a call, below the one that the caller named, if any. Its attempts will be children of it."""
    above = request.header(TRACEPARENT)
    span = tracer.call(None if above is None else parse_traceparent(above), demand.operation.name)
    demand.payload.trace = span.context
    return span


async def traced(span: Span, model: str, running: Coroutine[Any, Any, None]) -> None:
    """Runs a call, and ends its span with what it ended with."""
    outcome = InternalError.code
    try:
        await running
        outcome = "served"
    except FairleadError as error:
        outcome = type(error).code
        raise
    finally:
        span.end(model, outcome)
