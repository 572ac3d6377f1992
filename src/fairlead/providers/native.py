"""Callers of an API at a provider that speaks it: their bytes are passed on, and errors come back as they were written.

What differs between the APIs is in their folders: what of a request changes, and how its answer is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec
from msgspec import Raw

from fairlead.errors import FailurePolicy, FairleadError, UnsupportedContent, UpstreamDenied
from fairlead.providers.call_shapes import NativeCall
from fairlead.providers.event_answers import EventAnswer
from fairlead.providers.failures import upstream_error
from fairlead.providers.scrub import holds_secret
from fairlead.wire.answer import AnswerContext, AnswerFormat, WriterFactory
from fairlead.wire.heads import EVENT_STREAM
from fairlead.wire.native import NativeRequest
from fairlead.wire.template import BodyTemplate

LONGEST_ERROR_BYTES: Final = 65_536
# Up to here copying the conversation costs less than having it apart.
MOST_COPIED: Final = 16_384
# Stands for the conversation while it is found out what a template becomes: no JSON has such bytes.
MARK: Final = b"\x00conversation\x00"


class Translating(Protocol):
    """The adapter for callers whose request was rewritten here."""

    def to_vendor(self, payload: Any) -> Any: ...

    def relay(self, call: Any) -> Any: ...

    def assembler(self, call: Any) -> Any: ...

    def plain(self, call: Any, body: bytes) -> Any: ...


class ReadyBody:
    """What the bodies of a template become: `before` and `after` stand around the conversation. `dropped`: members that
    are left out."""

    __slots__ = ("after", "before", "dropped", "is_same")

    def __init__(self, before: bytes, after: bytes, dropped: tuple[str, ...], is_same: bool) -> None:
        self.before = before
        self.after = after
        self.dropped = dropped
        self.is_same = is_same

    def around(self, body: bytes, conversation: Raw) -> list[bytes | memoryview]:
        """What one of them becomes."""
        if self.is_same:
            return [body]
        if len(body) < MOST_COPIED:
            return [b"".join((self.before, conversation, self.after))]
        return [self.before, memoryview(conversation), self.after]


def ready_body(template: BodyTemplate, marked: bytes | memoryview, dropped: tuple[str, ...]) -> ReadyBody | None:
    """`marked`: what becomes of the template's body with MARK in it. None: it stands elsewhere."""
    before, mark, after = bytes(marked).partition(MARK)
    if not mark or MARK in after:
        return None
    return ReadyBody(before, after, dropped, before == template.before and after == template.after)


class ReadyCall:
    """A ready body with the rest of the call. `call`: one of a request that has the template, without a body."""

    __slots__ = ("call", "ready")

    def __init__(self, ready: ReadyBody, call: NativeCall) -> None:
        self.ready = ready
        self.call = call

    def around(self, payload: NativeRequest) -> NativeCall:
        same = self.call
        return NativeCall(
            self.ready.around(payload.body, payload.conversation), same.stream, same.dropped, same.path, same.headers,
            same.choices, same.echo,
        )  # fmt: skip


class NativeAdapter:
    """An adapter. `public`: the name of the model that callers use; `writer`: of answers that come whole where a stream
    was asked for, which `answers` reads."""

    __slots__ = ("_answers", "_public_name", "_translating", "_writer")

    def __init__(self, public: str, answers: AnswerFormat, writer: WriterFactory, translating: Translating) -> None:
        self._public_name = public
        self._answers = answers
        self._writer = writer
        self._translating = translating

    @property
    def stream_type(self) -> bytes:
        return EVENT_STREAM

    def call_of(self, payload: Any) -> NativeCall:
        """Raises InvalidRequest, in strict mode also for what is left out."""
        raise NotImplementedError

    def is_changed_inside(self, payload: Any) -> bool:
        """The conversation itself cannot go on as it is."""
        raise NotImplementedError

    def new_relay(self, call: NativeCall) -> Any:
        raise NotImplementedError

    def whole(self, body: bytes) -> Any:
        """An `Answer`. Raises UpstreamInvalid for what is no answer, or the error that it holds."""
        raise NotImplementedError

    def to_vendor(self, payload: Any) -> Any:
        """Raises InvalidRequest, in strict mode also for what is left out."""
        if not payload.body:  # it was rewritten here
            return self._translating.to_vendor(payload)
        request: NativeRequest = payload
        template = request.template
        if template is None or self.is_changed_inside(request):
            return self.call_of(request)
        found = template.memos.get(self)
        if isinstance(found, ReadyCall):
            return found.around(request)
        call = self.call_of(template.request.marked(b"%b%b%b" % (template.before, MARK, template.after), Raw(MARK)))
        ready = ready_body(template, call.body[0], call.dropped)
        if ready is not None:
            call.body.clear()
            template.remember(self, ReadyCall(ready, call))
        return self.call_of(request)

    def relay(self, call: Any) -> Any:
        return self.new_relay(call) if isinstance(call, NativeCall) else self._translating.relay(call)

    def assembler(self, call: Any) -> Any:
        if isinstance(call, NativeCall):
            return EventAnswer(self._new_writer(call), call.choices, reader=self._answers.reader(call.choices))
        return self._translating.assembler(call)

    def plain(self, call: Any, body: bytes) -> Any:
        if not isinstance(call, NativeCall):
            return self._translating.plain(call, body)
        if call.stream:  # it ignored that; the events are made here
            return EventAnswer(self._new_writer(call), call.choices, whole=self._answers.whole(body))
        return self.whole(body)

    def _new_writer(self, call: NativeCall) -> Any:
        return self._writer(AnswerContext(self._public_name, 0, choices=call.choices, echo=call.echo))

    def error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> FairleadError:
        """The error of our tree, with what the provider has written: programs match its words, and its status."""
        error = upstream_error(status, headers, body)
        # One is about the operator's credential, another nothing that a caller could read.
        if not isinstance(error, UpstreamDenied) and self._is_presentable(body):
            error.status = status
            error.native_body = body
            self.present(error, headers)
        return error

    def present(self, error: FairleadError, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Adds what programs expect beside the body of an error that goes to its caller as it is."""
        raise NotImplementedError

    def is_error(self, body: bytes) -> bool:
        """Whether it is an error in the API's shape. Raises msgspec.DecodeError."""
        raise NotImplementedError

    def _is_presentable(self, body: bytes) -> bool:
        """Whether it is an error in the API's shape and holds nobody's credential."""
        if len(body) > LONGEST_ERROR_BYTES:
            return False
        try:
            text = body.decode()
            if not self.is_error(body):
                return False
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return False
        return not holds_secret(text)


def unpriced(where: str, what: str) -> UnsupportedContent:
    """Others may serve it."""
    error = UnsupportedContent(
        f"{where}: {what[:64]!r} is billed in addition to the price of this model, so this server does not pass it "
        "on. Its operator can allow it (allow_parameters).",
        param=where.partition(".")[0],
    )
    error.policy = FailurePolicy(elsewhere=True)
    return error
