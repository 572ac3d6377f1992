"""What comes back from everyone who speaks OpenAI's dialect: whole answers, and streams, relayed or gathered."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.errors import UpstreamCut, UpstreamInvalid
from fairlead.providers.native_answers import LastMember
from fairlead.providers.openai.errors import event_error
from fairlead.providers.openai.shapes import (
    NULL,
    CallDelta,
    Chunk,
    FullChoice,
    FullChunk,
    Plain,
    PlainChoice,
    UpstreamCall,
    Words,
)
from fairlead.providers.repeated import RepeatedEvent
from fairlead.providers.sse import EventReader
from fairlead.wire.heads import JSON_HEAD, STREAM_HEAD
from fairlead.wire.usage import Usage, usage_as_openai, usage_from_openai

# In a variable of this module's own, which compiled code reads without a look-up.
_NULL: Final[Raw] = NULL

DONE: Final = b"[DONE]"
DONE_EVENT: Final = b"data: [DONE]\n\n"
# In `usage` these are ours: what the caller pays, not what the provider asks of us.
OUR_USAGE_MEMBERS: Final = ("cost", "cost_usd", "cost_details", "usage_source")
_PLACE: Final = LastMember("usage")
_encode: Final = msgspec.json.encode


def _said(words: Words) -> list[str]:
    said = [
        _text(raw)
        for raw in (words.content, words.reasoning_content if words.reasoning_content != _NULL else words.reasoning)
        if raw != _NULL
    ]
    if words.tool_calls != _NULL:
        try:
            for call in msgspec.json.decode(words.tool_calls, type=list[CallDelta]):
                if call.function is not None:
                    said += (call.function.name or "", call.function.arguments or "")
        except msgspec.DecodeError:
            said.append(_text(words.tool_calls))
    return said


def _text(raw: Raw) -> str:
    """A string's text; anything else as it is written."""
    try:
        return msgspec.json.decode(raw, type=str)
    except msgspec.DecodeError:
        return bytes(raw).decode("utf-8", "replace")


_plain: Final = msgspec.json.Decoder(Plain)
_chunk: Final = msgspec.json.Decoder(Chunk)
_members: Final = msgspec.json.Decoder(dict[str, Raw])


def _with_model(document: bytes, model: Raw, public: bytes) -> bytes:
    """The document with another name of the model; the rest byte for byte."""
    if bytes(model) == public:
        return document
    if model != _NULL:
        for separator in (b":", b": "):
            old = b'"model"' + separator + bytes(model)
            if old in document:
                return document.replace(old, b'"model":' + public, 1)
    fields = _members.decode(document)
    fields["model"] = Raw(public)
    return _encode(fields)


def _usage(raw: Raw) -> Usage | None:
    return None if raw == _NULL else usage_from_openai(raw)


def _check_complete(finished: set[int], begun: set[int] | None, choices: int, ended: bool) -> None:
    """Raises UpstreamCut for an answer that ended too early. A provider that ignores `n` gives fewer choices than were
    asked for: complete when it has said itself that this was all, and every choice that it began is finished."""
    if not finished or (len(finished) < choices and not ended) or (begun is not None and begun - finished):
        raise UpstreamCut("The provider's stream ended before the answer was complete.")


class PlainAnswer:
    """A whole answer in one document. `end` gives it with the members that its usage gets.

    What stands from `start` to `stop` is replaced by `model`.
    """

    __slots__ = ("_answer", "_body", "_model", "_priced", "_start", "_stop")

    def __init__(self, body: bytes, answer: Plain, start: int, stop: int, model: bytes) -> None:
        self._body = body
        self._answer = answer
        self._start = start
        self._stop = stop
        self._model = model
        self._priced = True  # its usage has a cost of its own, until it is known to have none

    @property
    def usage(self) -> Usage | None:
        usage = _usage(self._answer.usage)
        if usage is not None:
            self._priced = usage.priced
        return usage

    @property
    def choices(self) -> int:
        return len(self._answer.choices)

    @property
    def head(self) -> bytes:
        return JSON_HEAD

    def delivered(self) -> str:
        """Everything that the model wrote."""
        said = []
        for choice in self._answer.choices:
            try:
                message = msgspec.json.decode(choice, type=PlainChoice).message
            except msgspec.DecodeError:
                continue
            said += _said(message)
        return "".join(said)

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        body, start, stop = self._body, self._start, self._stop
        usage = self._answer.usage
        if counted is not None or (members and self._priced and _has_cost(usage)):
            document = b"".join((body[:start], self._model, body[stop:]))
            return _with_usage(document, _shown_usage(usage, members, counted))
        end = _end_of_usage(body, usage) if members else -1
        if end > stop:
            return b"".join((body[:start], self._model, body[stop:end], members, body[end:]))
        document = b"".join((body[:start], self._model, body[stop:]))
        return _with_cost(document, usage, members)


def plain_answer(body: bytes, model: Raw, needle: bytes, public: bytes, replacement: bytes) -> PlainAnswer:
    """An answer in one document. `model`: what the upstream calls it, `needle`: how that stands in the document."""
    try:
        answer = _plain.decode(body)
        if not body.isascii():
            body.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpstreamInvalid("The provider's answer is not a chat completion.") from None
    if answer.error != _NULL:
        raise event_error(answer.error)
    if not answer.choices:
        raise UpstreamInvalid("The provider's answer has no choices.")
    at = body.find(needle) if answer.model == model else -1
    if at < 0:
        return PlainAnswer(_with_model(body, answer.model, public), answer, 0, 0, b"")
    return PlainAnswer(body, answer, at, at + len(needle), replacement)


def _end_of_usage(document: bytes, usage: Raw) -> int:
    """Where the closing brace of the usage stands, when that is where it is expected; -1 elsewhere."""
    if usage == _NULL:
        return -1
    start = _PLACE.find(document, usage)
    return start + len(usage) - 1 if start >= 0 else -1


def _with_cost(document: bytes, usage: Raw, members: bytes) -> bytes:
    """The document with more members in its usage; the rest byte for byte."""
    if usage == _NULL or not members:
        return document
    end = _end_of_usage(document, usage)
    if end >= 0:
        return b"".join((document[:end], members, document[end:]))
    fields = _members.decode(document)
    fields["usage"] = Raw(bytes(usage)[:-1] + members + b"}")
    return _encode(fields)


def _has_cost(usage: Raw) -> bool:
    """Whether a provider's usage has, or may have, a cost of its own."""
    text = bytes(usage)
    return b'"cost' in text or b"\\" in text


def _shown_usage(usage: Raw, members: bytes, counted: Usage | None) -> Raw:
    """The usage that the caller sees: the provider's without its own cost, or what was counted here in its place."""
    if counted is not None:
        return Raw(usage_as_openai(counted)[:-1] + members + b"}")
    if members and _has_cost(usage):
        fields = _members.decode(usage)
        for name in OUR_USAGE_MEMBERS:
            fields.pop(name, None)
        usage = Raw(_encode(fields))
    return Raw(bytes(usage)[:-1] + members + b"}") if members else usage


def _with_usage(document: bytes, usage: Raw) -> bytes:
    fields = _members.decode(document)
    fields["usage"] = usage
    return _encode(fields)


def _check_utf8(payload: bytes) -> None:
    if not payload.isascii():
        try:
            payload.decode()
        except UnicodeDecodeError:
            raise UpstreamInvalid("The provider sent an event that is not valid UTF-8.") from None


def _decode_chunk(payload: bytes) -> Chunk:
    _check_utf8(payload)
    try:
        chunk = _chunk.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        raise UpstreamInvalid("The provider sent an event that is not a chat completion chunk.") from None
    if chunk.error != _NULL:
        raise event_error(chunk.error)
    return chunk


class ChatRelay:
    """The upstream's stream becomes the caller's: the public name of the model, usage when asked, one `[DONE]`.

    `feed` takes a block as it was read and gives what to send on. Every event is read as far as needed to know that
    it is one; an event that is none, an error event, and an end without a finish reason raise UpstreamError. The end
    itself is held back for `end`, because the cost stands in it.
    """

    __slots__ = (
        "_begun",
        "_call",
        "_finished",
        "_first",
        "_last",
        "_model_at",
        "_needle",
        "_public",
        "_reader",
        "_repeated",
        "_replacement",
        "_said",
        "_strip",
        "_usage_raw",
        "_words",
        "done",
    )  # fmt: skip

    def __init__(self, public: bytes, call: UpstreamCall) -> None:
        self._public = public
        self._call = call
        self._said: list[str] = []
        self._words = bytearray()
        self._reader = EventReader()
        self._repeated = RepeatedEvent()
        self._needle = b""
        self._model_at = 0
        self._replacement = b'"model":' + public
        self._finished: set[int] = set()
        self._begun: set[int] | None = set() if call.choices > 1 else None
        self._usage_raw = _NULL
        self._first: bytes = b""
        self._last: bytes = b""
        self._strip: dict[int, str] | None = {} if call.prefill else None
        self.done = False

    def feed(self, data: bytes) -> bytes:
        out: list[bytes] = []
        repeated = self._repeated
        for payload in self._reader.feed(data):
            if self.done:
                break
            text = repeated.text_of(payload)
            if text is not None:
                self._words += text
                out += (repeated.shown_before, text, repeated.shown_after)
                continue
            if payload == DONE:
                self.done = True
                break
            chunk = _decode_chunk(payload)
            usage = chunk.usage
            is_given = len(usage) > 0
            is_null = not is_given or usage == _NULL
            if is_null and not chunk.choices:
                continue  # says nothing, and SDK users index choices[0]
            came = payload
            needle, at = self._needle, self._model_at
            end = at + len(needle)
            if needle and payload[at:end] == needle:  # where it stood in the event before
                payload = b"".join((payload[:at], self._replacement, payload[end:]))
            elif bytes(chunk.model) != self._public:
                payload = self._learn_model(payload, chunk.model)
            if not is_null:
                payload = self._take_usage(payload, chunk)
            elif is_given and not self._call.include_usage:
                payload = _without_null_usage(payload)
            for choice in chunk.choices:
                if self._begun is not None:
                    self._begun.add(choice.index)
                if choice.finish_reason is not None:
                    self._finished.add(choice.index)
                delta = choice.delta
                if delta is None:
                    continue
                content = delta.content
                if (
                    delta.tool_calls is _NULL
                    and delta.reasoning_content is _NULL
                    and delta.reasoning is _NULL
                    and len(content) > 1
                    and content != _NULL
                ):
                    text = bytes(content)
                    self._words += text[1:-1]
                else:
                    self._keep_words()
                    self._said += _said(delta)
            if self._strip is not None and chunk.choices:
                payload = self._without_prefill(payload)
            if payload:
                if not self._first:
                    self._first = payload
                out += (b"data: ", payload, b"\n\n")
                if text is not None and self._is_plain(chunk, text):
                    repeated.learn(came, b"data: %b\n\n" % payload, text)
        return b"".join(out)

    def _is_plain(self, chunk: Chunk, text: bytes) -> bool:
        """Whether an event is nothing but this text of the only choice, so that one like it says nothing else."""
        return (
            self._begun is None
            and self._strip is None
            and not self._finished
            and (len(chunk.usage) == 0 or chunk.usage == _NULL)
            and len(chunk.choices) == 1
            and text[:1] == b'"'
        )

    def _keep_words(self) -> None:
        """What was written so far, as text. Until somebody asks, it stays the JSON that it came as, without quotes."""
        if self._words:
            self._said.append(_text(Raw(b"".join((b'"', self._words, b'"')))))
            self._words.clear()

    def delivered(self) -> str:
        """Everything that the model has written so far."""
        self._keep_words()
        return "".join(self._said)

    @property
    def usage(self) -> Usage | None:
        return _usage(self._usage_raw)

    @property
    def choices(self) -> int:
        return len(self._finished)

    @property
    def head(self) -> bytes:
        return STREAM_HEAD

    @property
    def error_event(self) -> None:
        return None

    def finish(self) -> bytes:
        """The upstream's stream has ended properly: what of the answer is still to be sent. Raises UpstreamCut when
        it is not complete."""
        out = b"" if self.done else self.feed(b"\n\n")
        _check_complete(self._finished, self._begun, self._call.choices, self.done or self._usage_raw != _NULL)
        return out

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        """The last events of a complete answer: its usage, when it was asked for, and `[DONE]`."""
        if self._call.include_usage and (counted is not None or self._usage_raw != _NULL):
            return b"data: %b\n\n%b" % (self._usage_chunk(members, counted), DONE_EVENT)
        return DONE_EVENT

    def _learn_model(self, payload: bytes, model: Raw) -> bytes:
        if model != _NULL:
            for separator in (b":", b": "):
                needle = b'"model"' + separator + bytes(model)
                if needle in payload:
                    self._needle, self._model_at = needle, payload.find(needle)
                    return payload.replace(needle, self._replacement, 1)
        return _with_model(payload, model, self._public)

    def _take_usage(self, payload: bytes, chunk: Chunk) -> bytes:
        """Keeps the usage for the end, when its cost is known. Beside choices it is taken out, because OpenAI's SDKs
        expect it last and alone."""
        self._usage_raw = Raw(bytes(chunk.usage))
        self._last = payload
        if not chunk.choices:
            return b""
        fields = _members.decode(payload)
        fields.pop("usage", None)
        return _encode(fields)

    def _usage_chunk(self, members: bytes, counted: Usage | None) -> bytes:
        if counted is not None or (members and _has_cost(self._usage_raw)):
            last = _with_usage(self._last or self._first, _shown_usage(self._usage_raw, members, counted))
        else:
            last = _with_cost(self._last, self._usage_raw, members)
        if b'"choices":[]' in last:
            return last
        fields = _members.decode(last)
        fields["choices"] = Raw(b"[]")
        fields["model"] = Raw(self._public)
        return _encode(fields)

    def _without_prefill(self, payload: bytes) -> bytes:
        """Takes away what the upstream repeats of the caller's own text, in as many events as that takes."""
        chunk: dict[str, Any] = msgspec.json.decode(payload)
        rests = self._strip
        assert rests is not None
        for choice in chunk["choices"]:
            index = choice.get("index", 0)
            rest = rests.setdefault(index, self._call.prefill)
            delta = choice.get("delta")
            text = delta.get("content") if isinstance(delta, dict) else None
            if not rest or not isinstance(text, str):
                continue
            if text.startswith(rest):
                delta["content"] = text[len(rest) :]
                rests[index] = ""
            elif rest.startswith(text):
                delta["content"] = ""
                rests[index] = rest[len(text) :]
            else:  # it does not repeat it after all
                rests[index] = ""
        if len(rests) >= self._call.choices and not any(rests.values()):
            self._strip = None
        return _encode(chunk)


def _without_null_usage(payload: bytes) -> bytes:
    for null in (b',"usage":null', b', "usage": null'):
        if null in payload:
            return payload.replace(null, b"", 1)
    return payload


_full_chunk: Final = msgspec.json.Decoder(FullChunk)


class _Gathered:
    """One choice as it grows."""

    __slots__ = ("calls", "content", "finish_reason", "logprobs", "reasoning", "refusal")

    def __init__(self) -> None:
        self.content: list[str] = []
        self.refusal: list[str] = []
        self.reasoning: list[str] = []
        self.calls: dict[int, dict[str, Any]] = {}
        self.logprobs: list[Raw] | None = None
        self.finish_reason: str | None = None

    def take(self, choice: FullChoice) -> None:
        delta = choice.delta
        if delta is not None:
            if delta.content is not None:
                self.content.append(delta.content)
            if delta.refusal is not None:
                self.refusal.append(delta.refusal)
            reasoning = delta.reasoning_content if delta.reasoning_content is not None else delta.reasoning
            if reasoning is not None:
                self.reasoning.append(reasoning)
            for call in delta.tool_calls or ():
                self._take_call(call)
        if choice.logprobs is not None and choice.logprobs.content is not None:
            self.logprobs = [*(self.logprobs or ()), *(Raw(bytes(item)) for item in choice.logprobs.content)]
        if choice.finish_reason is not None:
            self.finish_reason = choice.finish_reason

    def _take_call(self, call: CallDelta) -> None:
        entry = self.calls.setdefault(
            call.index, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        )
        if call.id:
            entry["id"] = call.id
        if call.function is not None:
            if call.function.name and not entry["function"]["name"]:
                entry["function"]["name"] = call.function.name
            entry["function"]["arguments"] += call.function.arguments or ""

    def texts(self) -> list[str]:
        called = [text for call in self.calls.values() for text in call["function"].values()]
        return [*self.reasoning, *self.content, *self.refusal, *called]

    def message(self, prefill: str) -> dict[str, Any]:
        content: str | None = "".join(self.content).removeprefix(prefill)
        calls = [self.calls[index] for index in sorted(self.calls)]
        message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": "".join(self.refusal) or None}
        if self.reasoning:
            message["reasoning_content"] = "".join(self.reasoning)
        if calls:
            message["content"] = content or None
            message["tool_calls"] = calls
        return message


class ChatAssembler:
    """Collects a stream into the one document that the caller asked for."""

    __slots__ = ("_call", "_choices", "_done", "_head", "_public", "_reader", "_usage_raw")

    def __init__(self, public: bytes, call: UpstreamCall) -> None:
        self._public = public
        self._call = call
        self._reader = EventReader()
        self._choices: dict[int, _Gathered] = {}
        self._head: FullChunk | None = None
        self._usage_raw = _NULL
        self._done = False

    @property
    def done(self) -> bool:
        return self._done

    def feed(self, data: bytes) -> None:
        for payload in self._reader.feed(data):
            if self._done:
                return
            if payload == DONE:
                self._done = True
                return
            self._take(payload)

    def _take(self, payload: bytes) -> None:
        _check_utf8(payload)
        try:
            chunk = _full_chunk.decode(payload)
        except (msgspec.DecodeError, RecursionError):
            raise UpstreamInvalid("The provider sent an event that is not a chat completion chunk.") from None
        if chunk.error != _NULL:
            raise event_error(chunk.error)
        if self._head is None:
            self._head = chunk
        if chunk.usage != _NULL:
            self._usage_raw = Raw(bytes(chunk.usage))
        for choice in chunk.choices:
            gathered = self._choices.get(choice.index)
            if gathered is None:
                gathered = self._choices[choice.index] = _Gathered()
            gathered.take(choice)

    @property
    def usage(self) -> Usage | None:
        return _usage(self._usage_raw)

    @property
    def choices(self) -> int:
        return len(self._choices)

    @property
    def head(self) -> bytes:
        return JSON_HEAD

    def delivered(self) -> str:
        """Everything that the model has written so far."""
        return "".join(text for one in self._choices.values() for text in one.texts())

    def finish(self) -> bytes:
        """Raises UpstreamCut when a choice has no finish reason. There is nothing to be sent before `end`."""
        if not self._done:
            self.feed(b"\n\n")
        finished = {index for index, one in self._choices.items() if one.finish_reason is not None}
        ended = self._done or self._usage_raw != _NULL
        _check_complete(finished, set(self._choices), self._call.choices, ended)
        return b""

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        """The complete answer, its usage with these members."""
        head = self._head
        assert head is not None
        answer: dict[str, Any] = {
            "id": head.id,
            "object": "chat.completion",
            "created": head.created,
            "model": Raw(self._public),
            "choices": [
                {
                    "index": index,
                    "message": self._choices[index].message(self._call.prefill),
                    "logprobs": None
                    if self._choices[index].logprobs is None
                    else {"content": self._choices[index].logprobs, "refusal": None},
                    "finish_reason": self._choices[index].finish_reason,
                }
                for index in sorted(self._choices)
            ],
        }
        if counted is not None or self._usage_raw != _NULL:
            answer["usage"] = _shown_usage(self._usage_raw, members, counted)
        if head.service_tier is not None:
            answer["service_tier"] = head.service_tier
        answer["system_fingerprint"] = head.system_fingerprint
        return _encode(answer)
