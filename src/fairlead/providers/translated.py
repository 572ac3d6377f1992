"""Chat at a provider whose API is not the caller's: the request in the vendor's words, and its answer through events.

A vendor brings what differs: a translator of requests, and the format of its answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, Protocol

import msgspec
from msgspec import Raw

from fairlead.errors import FairleadError, NotCarried, UpstreamInvalid
from fairlead.providers.call_shapes import TranslatedCall
from fairlead.providers.dialect import Binding, Clock
from fairlead.providers.event_answers import EventAnswer, EventRelay, OneTextAnswer
from fairlead.wire.answer import AnswerContext, AnswerFormat, AnswerWriter, OneText, WriterFactory
from fairlead.wire.chat_request import ChatRequest, RequestTemplate
from fairlead.wire.payload import ChatPayload
from fairlead.wire.plain import PlainTurns, chat_messages

_astuple: Final = msgspec.structs.astuple
# The parameters that every vendor with a dialect of its own has words for.
TRANSLATED = frozenset({
    "max_completion_tokens", "max_tokens", "parallel_tool_calls", "reasoning_effort", "response_format", "stop",
    "structured_outputs", "temperature", "tool_choice", "tools", "top_k", "top_p",
})  # fmt: skip


# Stands for a conversation while it is found out what a template becomes.
_MARKED: Final = PlainTurns([], [("user", Raw(b'"\\u0000conversation"'))])


class VendorRequest(Protocol):
    """One request in a vendor's words: a `Call` (routing/protocols.py). `prefill`: what its answer repeats of it;
    `choices`: how many answers were asked for there."""

    @property
    def body(self) -> list[bytes | memoryview]: ...

    @property
    def stream(self) -> bool: ...

    @property
    def dropped(self) -> tuple[str, ...]: ...

    @property
    def clamped(self) -> tuple[str, ...]: ...

    @property
    def choices(self) -> int: ...

    @property
    def prefill(self) -> str: ...

    @property
    def path(self) -> bytes | None: ...

    @property
    def headers(self) -> bytes: ...


class Translator(Protocol):
    """Requests in the format of one vendor, for one deployment. It keeps nothing of a call."""

    def to_vendor(self, request: ChatRequest, /) -> VendorRequest:
        """Raises InvalidRequest, in strict mode also for what cannot be carried."""

    def error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes, /) -> FairleadError: ...


class ReadyRequest:
    """What requests with one template become: `before` and `after` stand around the conversation. `call`: one of them,
    without a body."""

    __slots__ = ("after", "before", "call")

    def __init__(self, before: bytes, after: bytes, call: TranslatedCall) -> None:
        self.before = before
        self.after = after
        self.call = call


class TranslatedChat:
    """An adapter of the operation chat, for callers of any API. `public_model`: the name that they use; `clock`: for
    `created`.

    `turns` writes what stands in a request of the translator's for a conversation that is nothing but texts: ready JSON
    members, the one with the conversation first. None: such a request is translated like any other. `one_text` reads a
    whole answer that is one text and nothing else. None: nobody looks for such.
    """

    __slots__ = ("_answers", "_clock", "_new_writer", "_one_text", "_public", "_translator", "_turns", "stream_type")

    def __init__(
        self,
        public_model: str,
        translator: Translator,
        answers: AnswerFormat,
        new_writer: WriterFactory,
        clock: Clock,
        stream_type: bytes,
        turns: Callable[[PlainTurns], bytes] | None = None,
        one_text: Callable[[bytes], OneText | None] | None = None,
    ) -> None:
        self.stream_type = stream_type
        self._one_text = one_text
        self._turns = turns
        self._public = public_model
        self._translator = translator
        self._answers = answers
        self._new_writer = new_writer
        self._clock = clock

    def to_vendor(self, payload: ChatPayload) -> TranslatedCall:
        """Raises InvalidRequest, in strict mode also for what cannot be carried."""
        template, turns = payload.template, self._turns
        if template is None or turns is None:
            return self._translated(payload, payload.neutral())
        ready = template.memos.get(self)
        plain = payload.plain() if isinstance(ready, ReadyRequest) else None
        if plain is None or not isinstance(ready, ReadyRequest):
            request = payload.neutral()
            first = request.template
            if ready is None and first is not None and request.given is first.request.given:
                template.remember(self, self._ready(payload, first, turns))
            return self._translated(payload, request)
        same = ready.call
        return TranslatedCall(
            [b"".join((ready.before, turns(plain), ready.after))], same.stream, same.dropped,
            same.clamped, same.path, same.headers, same.prefill,
            AnswerContext(
                self._public, int(self._clock()), payload.include_usage, same.context.choices, payload.echo
            ),
        )  # fmt: skip

    def _translated(self, payload: ChatPayload, request: ChatRequest) -> TranslatedCall:
        lost = payload.lost
        if lost and request.strict:
            raise NotCarried(lost)
        made = self._translator.to_vendor(request)
        context = AnswerContext(self._public, int(self._clock()), payload.include_usage, made.choices, payload.echo)
        dropped = (*lost, *payload.named(made.dropped))
        return TranslatedCall(
            made.body, made.stream, dropped, payload.named(made.clamped), made.path, made.headers, made.prefill, context
        )

    def _ready(
        self, payload: ChatPayload, template: RequestTemplate, turns: Callable[[PlainTurns], bytes]
    ) -> ReadyRequest | Literal[False]:
        """What a request with this template becomes around its conversation; False: one is not like the other."""
        mark = turns(_MARKED)
        request = template.request.copy()
        request.messages = chat_messages(b"", _MARKED.turns)
        request.prefill = None
        call = self._translated(payload, request)
        before, found, after = b"".join(call.body).partition(mark)
        if not found or mark in after:
            return False
        call.body.clear()
        return ReadyRequest(before, after, call)

    def relay(self, call: TranslatedCall) -> EventRelay:
        choices = call.context.choices
        return EventRelay(self._answers.reader(choices, call.prefill), self._writer(call), choices)

    def assembler(self, call: TranslatedCall) -> EventAnswer:
        choices = call.context.choices
        return EventAnswer(self._writer(call), choices, reader=self._answers.reader(choices, call.prefill))

    def plain(self, call: TranslatedCall, body: bytes) -> EventAnswer | OneTextAnswer:
        if self._one_text is not None and not call.stream and call.context.choices == 1:
            found = self._one_text(body)
            if found is not None:
                return OneTextAnswer(self._writer(call), found)
        return EventAnswer(self._writer(call), call.context.choices, whole=self._answers.whole(body))

    def error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> FairleadError:
        return self._translator.error(status, headers, body)

    def _writer(self, call: TranslatedCall) -> AnswerWriter:
        return self._new_writer(call.context)


def translated_chat(
    binding: Binding,
    translator: Translator,
    answers: AnswerFormat,
    turns: Callable[[PlainTurns], bytes] | None = None,
    one_text: Callable[[bytes], OneText | None] | None = None,
) -> TranslatedChat:
    assert binding.new_writer is not None
    stream_type = binding.dialect.stream_type
    return TranslatedChat(
        binding.public_model,
        translator,
        answers,
        binding.new_writer,
        binding.clock,
        stream_type,
        turns,
        one_text,
    )


def arguments_of(raw: Raw) -> str:
    """An object in a vendor's document, which may be laid out for people, as the compact text of `arguments`."""
    return msgspec.json.format(bytes(raw), indent=-1).decode()


def said(decoder: msgspec.json.Decoder[Any], body: bytes) -> tuple[Any, ...] | None:
    """The members of a whole answer, to find out whether it is one text and nothing else; None: it breaks its protocol,
    which the reader of whole answers reports."""
    try:
        if not body.isascii():
            body.decode()
        found: tuple[Any, ...] = _astuple(decoder.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found


def text_in(raw: Raw) -> bytes:
    """The JSON of a text; nothing for an empty one, and for what is none."""
    text = bytes(raw)
    return text if len(text) > 2 and text[0] == 0x22 else b""


def decoded(decoder: msgspec.json.Decoder[Any], data: bytes, what: str) -> Any:
    """Raises UpstreamInvalid when `data` is not what the vendor should have sent."""
    try:
        if not data.isascii():
            data.decode()
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpstreamInvalid(f"The provider sent {what} that breaks its protocol.") from None
