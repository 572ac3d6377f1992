"""OpenAI's completions at everyone who has them. Streams and whole answers are passed on as those of chat are
(`answers.py`); here is what differs: where the text stands, and that an answer may begin with its prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from fairlead.errors import FairleadError, NotTranslated, UpstreamCut, UpstreamInvalid
from fairlead.providers.dialect import USUAL, Binding, OperationAPI
from fairlead.providers.failures import upstream_error
from fairlead.providers.openai.answers import DONE, ChatRelay, PlainAnswer, plain_answer
from fairlead.providers.openai.errors import event_error
from fairlead.providers.openai.shapes import Index, UpstreamCall
from fairlead.providers.sse import EventReader
from fairlead.providers.unstreamed import body_of, document, members_for
from fairlead.wire.apis import COMPLETIONS
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.completions import CompletionsRequest
from fairlead.wire.heads import EVENT_STREAM, JSON_HEAD
from fairlead.wire.usage import Usage, usage_as_openai, usage_from_openai

_encode: Final = msgspec.json.encode
# Of the sampling: no other price, and no other cap.
HARMLESS: Final = frozenset({
    "guided_choice", "guided_grammar", "guided_json", "guided_regex", "ignore_eos", "min_p", "min_tokens",
    "repetition_penalty", "response_format", "structured_outputs", "top_k",
})  # fmt: skip
# Without these an answer would be another one than was asked for.
ESSENTIAL: Final = ("best_of", "echo", "logprobs", "n", "suffix")
INCLUDE_USAGE: Final = Raw(b'{"include_usage":true}')


class CompletionCall(UpstreamCall, frozen=True, gc=False, kw_only=True):
    """`request`: what it was made of."""

    request: Any


class _Logprobs(Struct):
    text_offset: list[Raw] = []
    token_logprobs: list[Raw] = []
    tokens: list[Raw] = []
    top_logprobs: list[Raw] | None = None


class _Choice(Struct):
    index: Index = 0
    text: str | None = None
    finish_reason: str | None = None


class _Chunk(Struct):
    choices: list[_Choice] = []


class _FullChoice(_Choice):
    logprobs: _Logprobs | None = None


class _FullChunk(Struct):
    choices: list[_FullChoice] = []
    id: str = ""
    created: int = 0
    system_fingerprint: str | None = None
    usage: Raw = NULL
    error: Raw = NULL


_chunk: Final = msgspec.json.Decoder(_Chunk)
_full_chunk: Final = msgspec.json.Decoder(_FullChunk)


class OpenAICompletions:
    """An `Adapter`."""

    stream_type: Final = EVENT_STREAM

    def __init__(self, binding: Binding) -> None:
        self._binding = binding
        self._public = _encode(binding.public_model)
        self._model = Raw(_encode(binding.upstream_model))
        self._carried = binding.dialect.carried.get(COMPLETIONS, USUAL)

    def to_vendor(self, request: CompletionsRequest) -> CompletionCall:
        """Raises NotTranslated for what this upstream has no word for and the answer depends on."""
        dialect = self._binding.dialect
        missing = [name for name in ESSENTIAL if name in self._carried.lacks and name in request.given]
        if self._carried.as_chat and (request.prompts.texts is None or len(request.prompts) > 1):
            raise NotTranslated(("prompt",), "This model's provider completes one text at a time.")
        if missing:
            raise NotTranslated(missing, f"This model's provider does not offer {missing[0]} for completions.")
        members, dropped = members_for(request, dialect, COMPLETIONS, HARMLESS)
        for name, neutral in dialect.neutral.items():
            members.setdefault(name, Raw(neutral))
        if "repeat_penalty" in members:
            members.setdefault("repeat_last_n", Raw(b"-1"))  # the whole context, as the others do it
        stream = request.stream or dialect.always_streams
        if request.made > request.n:
            stream = False  # it is not known which of them are the best before all are there
        if stream:
            members["stream"] = Raw(b"true")
            if dialect.asks_usage:
                members["stream_options"] = INCLUDE_USAGE
        prompt = request.prompts.raw
        if self._carried.as_chat and request.prompts.texts is not None:
            prompt = Raw(_encode(request.prompts.texts[0]))
        body = body_of(self._binding.upstream_model, members, prompt=prompt)
        return CompletionCall(
            body, stream, dropped, request.include_usage, request.answers, "", self._binding.path, request=request
        )

    def relay(self, call: CompletionCall) -> CompletionRelay:
        return CompletionRelay(self._public, call, self._text_events())

    def assembler(self, call: CompletionCall) -> CompletionAssembler:
        return CompletionAssembler(self._public, call)  # of engines alone, which write completions as such

    def _text_events(self) -> TextEvents | None:
        return TextEvents() if self._carried.as_chat else None

    def plain(self, call: CompletionCall, body: bytes) -> CompletionAnswer:
        """Raises UpstreamError."""
        if self._carried.as_chat:
            body = _as_text(body)
        needle = b'"model":%b' % bytes(self._model)
        whole = plain_answer(body, self._model, needle, self._public, b'"model":%b' % self._public)
        chunk: _Chunk = document(_chunk, body, "completion")
        if any(choice.text is None for choice in chunk.choices):
            raise UpstreamInvalid("The provider's answer is not a completion.")
        return CompletionAnswer(call.request, whole, chunk)

    def error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> FairleadError:
        return upstream_error(status, headers, body)


class _ChatText(Struct):
    content: str | None = None


class _ChatChoice(Struct):
    index: Index = 0
    message: _ChatText | None = None
    delta: _ChatText | None = None
    finish_reason: str | None = None


class _ChatDocument(Struct):
    id: str = ""
    created: int = 0
    model: str = ""
    choices: list[_ChatChoice] = []
    usage: Raw = NULL
    error: Raw = NULL


_chat_document: Final = msgspec.json.Decoder(_ChatDocument)


def _as_text(body: bytes) -> bytes:
    """A chat completion, or a chunk of one, as a completion."""
    found: _ChatDocument = document(_chat_document, body, "completion")
    if found.error != NULL:
        return body
    made: dict[str, Any] = {"id": found.id, "object": "text_completion", "created": found.created, "model": found.model}
    made["choices"] = [
        {
            "index": one.index,
            "text": ((one.message or one.delta or _ChatText()).content) or "",
            "logprobs": None,
            "finish_reason": one.finish_reason,
        }
        for one in found.choices
    ]
    if found.usage != NULL:
        made["usage"] = found.usage
    return _encode(made)


class TextEvents:
    """The events of a chat as those of a completion."""

    def __init__(self) -> None:
        self._reader = EventReader()

    def feed(self, data: bytes) -> bytes:
        found = [payload if payload == DONE else _as_text(payload) for payload in self._reader.feed(data)]
        return b"".join([b"data: %b\n\n" % payload for payload in found])


class _Written:
    """What was written behind the prompts, text by text."""

    def __init__(self, request: CompletionsRequest) -> None:
        self._prompts = request.prompts.texts if request.echo else None
        self._n = request.n
        self.texts: dict[int, list[str]] = {}

    def add(self, choices: Sequence[_Choice]) -> None:
        for choice in choices:
            if choice.text:
                self.texts.setdefault(choice.index, []).append(choice.text)

    def text(self) -> str:
        return "".join(self._without_prompt(at, "".join(pieces)) for at, pieces in self.texts.items())

    def _without_prompt(self, at: int, text: str) -> str:
        if self._prompts is None:
            return text
        prompt = self._prompts[at // self._n] if at // self._n < len(self._prompts) else ""
        return "" if prompt.startswith(text) else text.removeprefix(prompt)


def _choices(found: int, request: CompletionsRequest) -> int:
    """How many are complete, of all that were written for them."""
    return request.choices if found >= request.answers else found


class CompletionAnswer:
    """An `Answer` in one document."""

    head: Final = JSON_HEAD

    def __init__(self, request: CompletionsRequest, whole: PlainAnswer, chunk: _Chunk) -> None:
        self._request = request
        self._whole = whole
        self._written = _Written(request)
        self._written.add(chunk.choices)

    @property
    def usage(self) -> Usage | None:
        return self._whole.usage

    @property
    def choices(self) -> int:
        return _choices(self._whole.choices, self._request)

    def delivered(self) -> str:
        return self._written.text()

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        return self._whole.end(members, counted)


class CompletionRelay:
    """A `Relay`: that of chat, which keeps what is written where completions have it."""

    error_event: Final = None

    def __init__(self, public: bytes, call: CompletionCall, text_events: TextEvents | None = None) -> None:
        self._text_events = text_events
        self._relay = ChatRelay(public, call)
        self._request: CompletionsRequest = call.request
        self._written = _Written(call.request)
        self._reader = EventReader()

    @property
    def done(self) -> bool:
        return self._relay.done

    @property
    def head(self) -> bytes:
        return self._relay.head

    @property
    def usage(self) -> Usage | None:
        return self._relay.usage

    @property
    def choices(self) -> int:
        return _choices(self._relay.choices, self._request)

    def feed(self, data: bytes) -> bytes:
        if self._text_events is not None:
            data = self._text_events.feed(data)
        out = self._relay.feed(data)
        for payload in self._reader.feed(out):
            try:
                self._written.add(_chunk.decode(payload).choices)
            except (msgspec.DecodeError, RecursionError):
                raise UpstreamInvalid("The provider sent an event that is not part of a completion.") from None
        return out

    def delivered(self) -> str:
        return self._written.text()

    def finish(self) -> bytes:
        rest = b"" if self._text_events is None or self.done else self.feed(b"\n\n")
        return rest + self._relay.finish()

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        return self._relay.end(members, counted)


class _Gathered:
    """One choice as it grows."""

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self.pieces: list[str] = []
        self.logprobs: _Logprobs | None = None

    def take(self, choice: _FullChoice) -> None:
        if choice.text:
            self.pieces.append(choice.text)
        if choice.finish_reason is not None:
            self.finish_reason = choice.finish_reason
        more = choice.logprobs
        if more is None:
            return
        if self.logprobs is None:
            self.logprobs = _Logprobs(top_logprobs=None if more.top_logprobs is None else [])
        kept = self.logprobs
        kept.text_offset += [Raw(bytes(one)) for one in more.text_offset]
        kept.token_logprobs += [Raw(bytes(one)) for one in more.token_logprobs]
        kept.tokens += [Raw(bytes(one)) for one in more.tokens]
        if more.top_logprobs is not None:
            kept.top_logprobs = (kept.top_logprobs or []) + [Raw(bytes(one)) for one in more.top_logprobs]


class CompletionAssembler:
    """An `Assembler`: the stream as the one document that the caller asked for."""

    head: Final = JSON_HEAD

    def __init__(self, public: bytes, call: CompletionCall) -> None:
        self._public = public
        self._request: CompletionsRequest = call.request
        self._written = _Written(call.request)
        self._reader = EventReader()
        self._found: dict[int, _Gathered] = {}
        self._first: _FullChunk | None = None
        self._usage = NULL
        self.done = False

    def feed(self, data: bytes) -> None:
        for payload in self._reader.feed(data):
            if self.done:
                return
            if payload == DONE:
                self.done = True
                return
            self._take(document(_full_chunk, payload, "completion"))

    def _take(self, chunk: _FullChunk) -> None:
        if chunk.error != NULL:
            raise event_error(chunk.error)
        if self._first is None:
            self._first = chunk
        if chunk.usage != NULL:
            self._usage = Raw(bytes(chunk.usage))
        self._written.add(chunk.choices)
        for choice in chunk.choices:
            self._found.setdefault(choice.index, _Gathered()).take(choice)

    @property
    def usage(self) -> Usage | None:
        return None if self._usage == NULL else usage_from_openai(self._usage)

    @property
    def choices(self) -> int:
        return _choices(len(self._found), self._request)

    def delivered(self) -> str:
        return self._written.text()

    def finish(self) -> bytes:
        """Raises UpstreamCut when a choice has no finish reason."""
        if not self.done:
            self.feed(b"\n\n")
        finished = [one for one in self._found.values() if one.finish_reason is not None]
        ended = self.done or self._usage != NULL
        if not finished or len(finished) < len(self._found) or (len(finished) < self._request.answers and not ended):
            raise UpstreamCut("The provider's stream ended before the answer was complete.")
        return b""

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        first = self._first
        assert first is not None
        answer: dict[str, Any] = {
            "id": first.id,
            "object": "text_completion",
            "created": first.created,
            "model": Raw(self._public),
            "choices": [
                {
                    "index": index,
                    "text": "".join(one.pieces),
                    "logprobs": one.logprobs,
                    "finish_reason": one.finish_reason,
                }
                for index, one in sorted(self._found.items())
            ],
        }
        usage = counted or self.usage
        if usage is not None:
            answer["usage"] = Raw(usage_as_openai(usage)[:-1] + members + b"}")
        if first.system_fingerprint is not None:
            answer["system_fingerprint"] = first.system_fingerprint
        return _encode(answer)


API: Final = OperationAPI(COMPLETIONS, OpenAICompletions, path="/completions")
