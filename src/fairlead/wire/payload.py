"""What a chat request is, whichever API its caller speaks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from fairlead.wire.chat_request import ChatRequest
from fairlead.wire.plain import PlainTurns
from fairlead.wire.template import BodyTemplate
from fairlead.wire.traceparent import TraceContext


class ChatPayload(Protocol):
    """A `Payload` of the operation chat. `ChatRequest` is one; a door of another API makes its own, which keeps the
    caller's body for providers of the same API and is translated only for others.

    `api`: in which the caller wrote it and reads the answer (`wire/apis.py`). `echo`: what the answer repeats of the
    request, and must still have when the body has been released; None: nothing. `template`: what its conversation came
    in, None: no other will be like it.
    """

    @property
    def api(self) -> str: ...

    @property
    def echo(self) -> Any: ...

    @property
    def include_usage(self) -> bool:
        """A stream is to end with its usage, where the API leaves that to the caller."""

    @property
    def lost(self) -> tuple[str, ...]:
        """What could not be said in `neutral()`, in the caller's words; known once that was asked for."""

    def named(self, parameters: tuple[str, ...]) -> tuple[str, ...]:
        """Parameters of `neutral()` in the caller's words."""

    @property
    def template(self) -> BodyTemplate | None: ...

    def plain(self) -> PlainTurns | None:
        """The conversation of `neutral()`, without making that: where it is nothing but texts, and an earlier request
        with its template was translated. None elsewhere."""

    def neutral(self) -> ChatRequest:
        """The request in OpenAI's shape: made when it is first asked for, and kept. Raises CallerError for what cannot
        be said there."""

    def with_neutral(self, request: ChatRequest) -> ChatPayload:
        """The same caller with a request that was rewritten here (media fetched, an answer that is continued): it is
        translated for every provider from now on, because the caller's own body does not hold any more."""


class TranslatedPayload:
    """A `ChatPayload` that was translated where it was read. A door whose provider may speak the same API makes one of
    its own, which keeps the caller's body."""

    __slots__ = ("api", "echo", "include_usage", "request", "trace")

    def __init__(self, api: str, request: ChatRequest, *, include_usage: bool = True, echo: Any = None) -> None:
        self.api = api
        self.request = request
        self.include_usage = include_usage
        self.echo = echo
        self.trace: TraceContext | None = None

    @property
    def names(self) -> Iterable[str]:
        return self.request.names

    @property
    def reports(self) -> bool:
        return self.request.reports

    @property
    def cap(self) -> int:
        return self.request.cap

    @property
    def cap_name(self) -> str:
        return self.request.cap_name

    @property
    def lost(self) -> tuple[str, ...]:
        return ()

    @property
    def template(self) -> BodyTemplate | None:
        return self.request.template

    def plain(self) -> PlainTurns | None:
        return self.request.plain()

    def named(self, parameters: tuple[str, ...]) -> tuple[str, ...]:
        return parameters

    def neutral(self) -> ChatRequest:
        return self.request

    def with_neutral(self, request: ChatRequest) -> TranslatedPayload:
        changed = TranslatedPayload(self.api, request, include_usage=self.include_usage, echo=self.echo)
        changed.trace = self.trace
        return changed

    def with_cap(self, tokens: int) -> TranslatedPayload:
        return self.with_neutral(self.request.with_cap(tokens))

    def release(self) -> None:
        self.request.release()
