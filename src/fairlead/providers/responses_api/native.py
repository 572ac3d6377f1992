"""Callers of the Responses API at a provider that speaks it: bytes go through as they come.

Of the request only the model's name, a lowered cap and what is meant for this gateway change; of the answer the model's
name, and its usage, which gets the cost. Everything else is read in passing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
from msgspec import Raw

from fairlead.errors import (
    FairleadError,
    NotCarried,
    NotTranslated,
    UpstreamCut,
    UpstreamDenied,
    UpstreamFailed,
    UpstreamInvalid,
)
from fairlead.providers.call_shapes import TranslatedCall
from fairlead.providers.failures import upstream_error
from fairlead.providers.frames import FrameReader, payload_of
from fairlead.providers.native import MARK, ReadyBody, ready_body
from fairlead.providers.native_answers import UsageMember
from fairlead.providers.repeated import NumberedEvent
from fairlead.providers.responses_api.errors import failure_in_event, failure_of, with_native
from fairlead.providers.responses_api.reader import check_complete
from fairlead.providers.responses_api.shapes import (
    DELTA,
    EVENT,
    ITEM,
    RESPONSE,
    Event,
    Item,
    NativeCall,
    Response,
    inside,
)
from fairlead.providers.translated import TranslatedChat, decoded
from fairlead.wire.body import with_members
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.heads import EVENT_STREAM, JSON_HEAD, STREAM_HEAD
from fairlead.wire.template import BodyTemplate
from fairlead.wire.usage import Usage, usage_as_responses, usage_from_responses

USAGE: Final = UsageMember("usage", usage_from_responses, usage_as_responses)
# Events that tell of nothing yet: held until something follows, because another candidate may still serve.
_LEADING: Final = frozenset({
    "response.content_part.added", "response.created", "response.in_progress", "response.output_item.added",
    "response.queued", "response.reasoning_summary_part.added",
})  # fmt: skip
_LAST: Final = ("response.completed", "response.incomplete")
_SAID: Final = frozenset({
    "response.custom_tool_call_input.delta", "response.function_call_arguments.delta", "response.output_text.delta",
    "response.reasoning_summary_text.delta", "response.reasoning_text.delta", "response.refusal.delta",
})  # fmt: skip
_NULL: Final[Raw] = NULL
_members: Final = msgspec.json.Decoder(dict[str, Raw])
_NUMBER: Final = b'"sequence_number":'
_MODEL: Final = b'"model":'
_encode: Final = msgspec.json.encode


class ResponsesPayload(Protocol):
    """What the door's payload has for providers of its own API."""

    @property
    def stream(self) -> bool: ...

    @property
    def strict(self) -> bool: ...

    @property
    def forwarded(self) -> bytes: ...

    @property
    def keep(self) -> Callable[[bytes], None] | None: ...

    @property
    def continued(self) -> bytes: ...

    @property
    def background(self) -> bool: ...

    @property
    def response_id(self) -> str: ...

    @property
    def body(self) -> bytes: ...

    @property
    def conversation(self) -> Raw: ...

    @property
    def template(self) -> BodyTemplate | None: ...

    @property
    def is_as_it_came(self) -> bool: ...

    @property
    def loses_reasoning(self) -> bool: ...

    def billed(self, refused: frozenset[str]) -> tuple[list[str], list[str]]: ...

    def native(self, upstream_model: bytes, without: Sequence[str] = ()) -> bytes | None: ...


class NativeResponses:
    """An adapter for callers of the same API. `translating`: for requests that were rewritten here. `refused`: tools
    and members that the provider bills beside the price sheet."""

    __slots__ = ("_public", "_refused", "_translating", "_upstream_model", "stream_type")

    def __init__(
        self, public_model: str, upstream_model: str, translating: TranslatedChat, refused: frozenset[str]
    ) -> None:
        self._public = _encode(public_model)
        self._upstream_model = _encode(upstream_model)
        self._translating = translating
        self.stream_type = EVENT_STREAM
        self._refused = refused

    def to_vendor(self, payload: Any) -> NativeCall | TranslatedCall:
        """Raises NotTranslated for a tool that the provider bills beside the price sheet."""
        if not payload.is_as_it_came:
            return self._call(payload)
        template: BodyTemplate = payload.template
        ready = template.memos.get(self)
        if isinstance(ready, _ReadyCall):
            same = ready.call
            body = ready.body.around(payload.body, payload.conversation)
            return NativeCall(
                body, same.stream, same.dropped, (), None, same.headers, False, payload.keep, same.changes
            )
        frame = self._frame(payload, template)
        if frame is None:
            return self._call(payload)
        call = self._native_call(payload, frame.around(payload.body, payload.conversation), frame.dropped)
        if not payload.background:  # which has another id in each answer
            same = NativeCall([], call.stream, call.dropped, (), None, call.headers, False, None, call.changes)
            template.remember(self, _ReadyCall(frame, same))
        return call

    def _frame(self, payload: Any, template: BodyTemplate) -> ReadyBody | None:
        body = b"%b%b%b" % (template.before, MARK, template.after)
        found = self._call(payload.within(body, Raw(MARK), payload.found))
        return ready_body(template, found.body[0], found.dropped)

    def _call(self, payload: Any) -> NativeCall | TranslatedCall:
        needed, left_out = payload.billed(self._refused)
        if needed:
            raise NotTranslated(
                needed,
                f"{needed[0]} is billed by this model's provider in addition to its price; the operator of this server "
                "has not allowed it.",
            )
        if left_out and payload.strict:
            raise NotCarried(left_out)
        body = payload.native(self._upstream_model, left_out)
        if body is None:
            return self._translating.to_vendor(payload)
        if payload.loses_reasoning:
            left_out.append("input.reasoning")
        return self._native_call(payload, [body], tuple(left_out))

    def _native_call(self, payload: Any, body: list[bytes | memoryview], dropped: tuple[str, ...]) -> NativeCall:
        changes = {"model": self._public}
        if payload.continued:
            changes["previous_response_id"] = payload.continued
        if payload.background:  # its caller knows it by our id
            changes |= {"id": _encode(payload.response_id), "background": b"true"}
        return NativeCall(body, payload.stream, dropped, headers=payload.forwarded, keep=payload.keep, changes=changes)

    def relay(self, call: Any) -> Any:
        if isinstance(call, NativeCall):
            return NativeRelay(call.changes, call.keep)
        return self._translating.relay(call)

    def assembler(self, call: Any) -> Any:
        if isinstance(call, NativeCall):
            return NativeAssembler(call.changes, call.keep)
        return self._translating.assembler(call)

    def plain(self, call: Any, body: bytes) -> Any:
        if isinstance(call, NativeCall):
            return NativeAnswer(call.changes, body, call.keep)
        return self._translating.plain(call, body)

    def error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> FairleadError:
        error = upstream_error(status, headers, body)
        return with_native(error, body) if status < 500 else error


class _ReadyCall:
    """What requests with one template become. `call`: one of them, without a body."""

    __slots__ = ("body", "call")

    def __init__(self, body: ReadyBody, call: NativeCall) -> None:
        self.body = body
        self.call = call


class NativeRelay:
    """Passes a stream on. Its last event waits for `end`, because the cost stands in it."""

    __slots__ = (
        "_changes",
        "_failure", "_frames", "_held", "_keep", "_last", "_last_number", "_numbered", "_said", "_told", "_usage",
    )  # fmt: skip

    def __init__(self, changes: Mapping[str, bytes], keep: Callable[[bytes], None] | None) -> None:
        self._changes = changes
        self._keep = keep
        self._frames = FrameReader()
        self._held: list[bytes] | None = []  # None: something was told
        self._last: tuple[bytes, bytes, bytes] | None = None  # the frame, its response, and that with our model's name
        self._usage = _NULL
        self._said: list[str] = []
        self._told: set[int] = set()
        self._last_number = -1
        self._numbered = NumberedEvent()
        self._failure = b""

    @property
    def done(self) -> bool:
        return self._last is not None

    @property
    def usage(self) -> Usage | None:
        return None if self._usage == _NULL else usage_from_responses(self._usage)

    @property
    def choices(self) -> int:
        return 1 if self._last is not None else 0

    @property
    def head(self) -> bytes:
        return STREAM_HEAD

    @property
    def error_event(self) -> Callable[[FairleadError], bytes]:
        return self._error

    def delivered(self) -> str:
        """Everything that the model has written so far."""
        return "".join(self._said)

    def feed(self, data: bytes) -> bytes:
        out: list[bytes] = []
        numbered = self._numbered
        for frame in self._frames.feed(data):
            text = numbered.text_of(frame) if self._last is None else None
            if text is None:
                self._pass(frame, out)
            else:
                self._last_number = numbered.number
                self._said.append(text)
                out.append(frame)
        return b"".join(out)

    def finish(self) -> bytes:
        """Raises UpstreamCut when the last event is missing."""
        out: list[bytes] = []
        if self._last is None and (rest := self._frames.rest()):
            self._pass(rest + b"\n\n", out)
        if self._last is None:
            raise UpstreamCut("The provider's stream ended before the answer was complete.")
        self._release(out)
        return b"".join(out)

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        assert self._last is not None
        frame, before, response = self._last
        after = _with_usage(response, self._usage, members, counted)
        if self._keep is not None:
            self._keep(after)
        return frame.replace(before, after, 1)

    def _pass(self, frame: bytes, out: list[bytes]) -> None:
        payload = payload_of(frame)
        if self._last is not None or payload == b"[DONE]":
            return
        if not payload:  # a comment
            (out if self._held is None else self._held).append(frame)
            return
        if self._take_words(payload):
            self._release(out)
            out.append(frame)
            self._numbered.learn(frame, _NUMBER, _encode(self._said[-1]))
            return
        event: Event = decoded(EVENT, payload, "an event")
        kind = event.type
        if event.sequence_number is not None:
            self._last_number = event.sequence_number
        if kind in _SAID:
            raise UpstreamInvalid("The provider sent an event that breaks its protocol.")
        if kind == "error":
            raise self._failed(failure_in_event(payload), frame)
        if event.response != _NULL:
            frame = self._take_response(event, frame)
            if not frame:
                return
        elif kind == "response.output_item.done" and event.item != _NULL and event.output_index not in self._told:
            self._said += _words_of(inside(ITEM, event.item, "an item"))
        if self._held is not None and kind in _LEADING:
            self._held.append(frame)
            return
        self._release(out)
        out.append(frame)

    def _take_words(self, payload: bytes) -> bool:
        """Whether it is an event with words of the model."""
        try:
            event = DELTA.decode(payload)
        except (msgspec.DecodeError, RecursionError):
            return False  # which the caller finds out, and why
        if event.type not in _SAID:
            return False
        self._last_number = event.sequence_number if event.sequence_number >= 0 else self._last_number + 1
        self._said.append(event.delta)
        self._told.add(event.output_index)
        return True

    def _release(self, out: list[bytes]) -> None:
        if self._held is not None:
            out += self._held
            self._held = None

    def _take_response(self, event: Event, frame: bytes) -> bytes:
        raw = bytes(event.response)
        response: Response = inside(RESPONSE, event.response, "a response")
        if event.type in _LAST:
            if self._held is not None and event.type == "response.completed" and not response.output:
                raise UpstreamInvalid("The provider's response has no output.")
            self._usage = Raw(bytes(response.usage))
            self._last = (frame, raw, _changed(raw, response.model, self._changes))
            return b""
        if event.type == "response.failed":
            named = frame.replace(raw, _changed(raw, response.model, self._changes), 1)
            raise self._failed(failure_of(response.error), named)
        if event.type == "response.cancelled":
            raise UpstreamFailed("The provider cancelled its answer.")
        return frame.replace(raw, _changed(raw, response.model, self._changes), 1)

    def _failed(self, error: FairleadError, frame: bytes) -> FairleadError:
        """What the provider says of its failure goes to callers as it is, unless it is about the operator."""
        if not isinstance(error, UpstreamDenied):
            self._failure = frame
        return error

    def _error(self, error: FairleadError) -> bytes:
        """The provider's own last event, or one that goes on with the numbers of the stream."""
        if self._failure:
            return self._failure
        body = {
            "type": "error", "sequence_number": self._last_number + 1, "code": error.code, "message": error.message,
            "param": error.param,
        }  # fmt: skip
        return b"event: error\ndata: %b\n\n" % _encode(body)


class NativeAnswer:
    """A whole response in one document."""

    __slots__ = ("_body", "_changes", "_keep", "_may_be_priced", "_response")

    def __init__(self, changes: Mapping[str, bytes], body: bytes, keep: Callable[[bytes], None] | None) -> None:
        self._changes = changes
        self._keep = keep
        self._body = body
        self._may_be_priced = True  # its usage may have a cost of its own, until it is known to have none
        self._response: Response = decoded(RESPONSE, body, "an answer")
        check_complete(self._response)

    @property
    def head(self) -> bytes:
        return JSON_HEAD

    @property
    def usage(self) -> Usage | None:
        raw = self._response.usage
        if raw == _NULL:
            return None
        usage = usage_from_responses(raw)
        if usage is not None:
            self._may_be_priced = usage.priced
        return usage

    @property
    def choices(self) -> int:
        return 1

    def delivered(self) -> str:
        """Everything that the model wrote."""
        said: list[str] = []
        for raw in self._response.output:
            said += _words_of(inside(ITEM, raw, "an item"))
        return "".join(said)

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        response, changes = self._response, self._changes
        body, usage = self._body, response.usage
        at = end = -1
        # A name as short as `null` is left to the general way.
        if counted is None and members and len(changes) == 1 and usage != _NULL and len(response.model) > len(_NULL):
            at = _model_at(body, response.model)
            end = USAGE.end_in(body, usage, may_be_priced=self._may_be_priced)
        if 0 <= at < end:
            body = b"".join((body[:at], changes["model"], body[at + len(response.model) : end], members, body[end:]))
        else:
            renamed = _changed(body, response.model, changes)
            body = _with_usage(renamed, usage, members, counted, may_be_priced=self._may_be_priced)
        if self._keep is not None:
            self._keep(body)
        return body

    def stream(self, members: bytes, counted: Usage | None = None, *, include_usage: bool) -> bytes:
        """For a caller who asked for a stream, of a provider who gave none: the two events that no client lacks."""
        del include_usage
        document = self.end(members, counted)
        status = self._response.status or "completed"
        items = b"".join([_item_event(at, raw) for at, raw in enumerate(self._response.output)])
        number = len(self._response.output) + 1
        return (
            b'event: response.created\ndata: {"type":"response.created","sequence_number":0,"response":%b}\n\n%b'
            b'event: response.%b\ndata: {"type":"response.%b","sequence_number":%d,"response":%b}\n\n'
            % (document, items, status.encode(), status.encode(), number, document)
        )


class NativeAssembler:
    """A stream that the provider sent although a whole response was asked for."""

    __slots__ = ("_relay",)

    def __init__(self, changes: Mapping[str, bytes], keep: Callable[[bytes], None] | None) -> None:
        self._relay = NativeRelay(changes, keep)

    @property
    def head(self) -> bytes:
        return JSON_HEAD

    @property
    def usage(self) -> Usage | None:
        return self._relay.usage

    @property
    def choices(self) -> int:
        return self._relay.choices

    def delivered(self) -> str:
        return self._relay.delivered()

    def feed(self, data: bytes) -> None:
        self._relay.feed(data)

    def finish(self) -> bytes:
        self._relay.finish()
        return b""

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        event: Event = EVENT.decode(payload_of(self._relay.end(members, counted)))
        return bytes(event.response)


def _item_event(at: int, raw: Raw) -> bytes:
    return (
        b'event: response.output_item.done\ndata: {"type":"response.output_item.done","sequence_number":%d,'
        b'"output_index":%d,"item":%b}\n\n' % (at + 1, at, raw)
    )


def _words_of(item: Item) -> list[str]:
    said = [item.name, item.arguments or "", item.input or ""]
    for part in (*(item.summary or ()), *(item.content or ())):
        said += (part.text or "", part.refusal or "")
    return said


def _changed(document: bytes, model: Raw, changes: Mapping[str, bytes]) -> bytes:
    """The response with the model's name that the caller uses, and what else is ours; the rest byte for byte."""
    if len(changes) == 1:
        public = changes["model"]
        if model == _NULL:
            return document
        at = _model_at(document, model)
        if at >= 0:
            return b"".join((document[:at], public, document[at + len(model) :]))
        if bytes(model) == public:
            return document
    fields = _fields(document)
    # Providers may leave `background` out; the other members are ours only where they have them.
    there = {name: value for name, value in changes.items() if name in fields or name == "background"}
    return with_members(document, fields, there)


def _model_at(document: bytes, model: Raw) -> int:
    """Where the name of the model begins; -1: not where it is seen at once."""
    needle = _MODEL + bytes(model)
    at = document.find(needle)
    # Else one of them may stand inside of something.
    if at >= 0 and (document.find(b"{", 1, at) < 0 or document.find(needle, at + 8) < 0):
        return at + 8
    return -1


def _with_usage(
    document: bytes, usage: Raw, members: bytes, counted: Usage | None, *, may_be_priced: bool = True
) -> bytes:
    """The response with the cost in its usage. `counted`: the usage, where the provider reported none."""
    if counted is None:
        if usage == _NULL or not members:
            return document
        end = USAGE.end_in(document, usage, may_be_priced=may_be_priced)
        if end >= 0:
            return b"".join((document[:end], members, document[end:]))
    return with_members(document, _fields(document), {"usage": USAGE.shown(usage, members, counted)})


def _fields(document: bytes) -> dict[str, Raw]:
    try:
        return _members.decode(document)
    except (msgspec.DecodeError, RecursionError):
        raise UpstreamInvalid("The provider sent a response that breaks its protocol.") from None
