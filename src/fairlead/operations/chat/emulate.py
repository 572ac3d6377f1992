"""What a deployment lacks, emulated where that is honest: JSON by checking it, `n` by as many calls. Pure.

JSON: the schema is put into words, the answer is checked (`fairlead.schemas`), and once it may be repaired.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw, Struct

from fairlead.errors import InvalidRequest, UpstreamInvalid
from fairlead.routing.needs import CHOICES, JSON_OBJECT, JSON_SCHEMA
from fairlead.routing.protocols import Answer
from fairlead.wire.chat import ChatRequest
from fairlead.wire.heads import JSON_HEAD, STREAM_HEAD
from fairlead.wire.usage import TokenClasses, Usage

ANY_OBJECT: Final = b'{"type":"object"}'
_encode = msgspec.json.encode


class _Schema(Struct):
    schema: Raw = Raw(b"{}")


class _Format(Struct):
    type: str
    json_schema: _Schema | None = None


_format = msgspec.json.Decoder(_Format)


class Emulated(NamedTuple):
    """What is emulated: the schema of the answer as JSON (None: none), and calls in place of `n`."""

    schema: bytes | None
    calls: int
    names: tuple[str, ...]


def emulated(request: ChatRequest, missing: int, allowed: int) -> Emulated | None:
    """What is emulated at a deployment that misses these; None when it is nothing, or may not be. With a schema, `n` is
    emulated too: each answer is checked by itself. Raises InvalidRequest for a response_format that cannot be read."""
    as_json = bool(missing & (JSON_SCHEMA | JSON_OBJECT)) and bool(allowed & JSON_SCHEMA)
    by_calls = bool(missing & CHOICES & allowed)
    if not as_json and not by_calls:
        return None
    by_calls = by_calls or (as_json and request.choices > 1)
    names = []
    schema: bytes | None = None
    if as_json:
        try:
            wanted = _format.decode(request.given["response_format"])
        except (msgspec.DecodeError, RecursionError):
            raise InvalidRequest("response_format cannot be read.", param="response_format") from None
        schema = ANY_OBJECT
        if wanted.type == "json_schema":
            given = b"null" if wanted.json_schema is None else bytes(wanted.json_schema.schema)
            schema = b"{}" if given == b"null" else given
        names.append(wanted.type)
    if by_calls:
        names.append("n")
    return Emulated(schema, request.choices if by_calls else 1, tuple(names))


def inner_request(request: ChatRequest, wanted: Emulated) -> ChatRequest:
    """The request that the deployment gets: whole, one choice, the schema in words."""
    given = dict(request.given)
    if wanted.calls > 1:
        given.pop("n", None)
    messages = request.messages
    if wanted.schema is not None:
        given.pop("response_format", None)
        words = (
            "Answer with one JSON document and nothing else, no code fence and no words around it. "
            "It must conform to this JSON schema: " + wanted.schema.decode()
        )
        messages = _with(messages, {"role": "system", "content": words}, first=True)
    choices = 1 if wanted.calls > 1 else request.choices
    inner = request.copy()
    inner.messages, inner.given, inner.choices = messages, given, choices
    inner.stream = inner.include_usage = False
    return inner


def repair_request(inner: ChatRequest, text: str, complaint: str) -> ChatRequest:
    """Asks once more, with what was wrong."""
    messages = _with(inner.messages, {"role": "assistant", "content": text}, first=False)
    words = f"That does not conform: {complaint} Answer again, with the corrected JSON document alone."
    messages = _with(messages, {"role": "user", "content": words}, first=False)
    again = inner.copy()
    again.messages, again.prefill = messages, None
    return again


def _with(messages: Raw, message: dict[str, str], *, first: bool) -> Raw:
    listed = msgspec.json.decode(messages, type=list[Raw])
    one = Raw(_encode(message))
    return Raw(_encode([one, *listed] if first else [*listed, one]))


def without_fence(text: str) -> str:
    """Models like to put JSON into a code fence: what stands in it."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```") and "\n" in text:
        return text[text.index("\n") + 1 : -3].strip()
    return text


class EmulatedAnswer:
    """An answer that was put together here, as any other one. `usage`: what the caller pays for."""

    __slots__ = ("document", "usage")

    def __init__(self, document: dict[str, Any], usage: Usage | None) -> None:
        self.document = document
        self.usage = usage

    @property
    def head(self) -> bytes:
        return JSON_HEAD

    @property
    def stream_head(self) -> bytes:
        return STREAM_HEAD

    @property
    def choices(self) -> int:
        return len(self.document["choices"])

    def delivered(self) -> str:
        return "".join(str(choice["message"].get("content") or "") for choice in self.document["choices"])

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        document = dict(self.document)
        document["usage"] = self._shown(members, counted)
        return _encode(document)

    def _shown(self, members: bytes, counted: Usage | None) -> Raw:
        used = self.usage if counted is None else counted
        assert used is not None
        return Raw(
            b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d%b}'
            % (used.prompt, used.completion, used.prompt + used.completion, members)
        )

    def stream(self, members: bytes, counted: Usage | None = None, *, include_usage: bool) -> bytes:
        """The whole answer as the events of a stream."""
        document = self.document
        frame = {
            "id": document.get("id"),
            "object": "chat.completion.chunk",
            "created": document.get("created") or int(time.time()),
            "model": document.get("model"),
        }
        events: list[Any] = []
        for choice in document["choices"]:
            message, index = choice["message"], choice["index"]
            delta = {name: value for name, value in message.items() if value is not None}
            delta |= {"role": "assistant", "content": message.get("content")}
            if message.get("tool_calls"):
                delta["tool_calls"] = [{**call, "index": at} for at, call in enumerate(message["tool_calls"])]
            events.append({**frame, "choices": [{"index": index, "delta": delta, "finish_reason": None}]})
            last = {"index": index, "delta": {}, "finish_reason": choice.get("finish_reason") or "stop"}
            events.append({**frame, "choices": [last]})
        if include_usage:
            events.append({**frame, "choices": [], "usage": self._shown(members, counted)})
        return b"".join(b"data: %b\n\n" % _encode(event) for event in events) + b"data: [DONE]\n\n"


def as_events(answer: Answer) -> EmulatedAnswer:
    """A whole answer to someone who asked for a stream. Raises UpstreamInvalid when it is not a chat completion."""
    try:
        document = msgspec.json.decode(answer.end(b""))
    except (msgspec.DecodeError, RecursionError):
        document = None
    choices = document.get("choices") if isinstance(document, dict) else None
    if not isinstance(choices, list) or not all(map(_is_choice, choices)):
        raise UpstreamInvalid("The provider's answer is not a chat completion.")
    for at, choice in enumerate(choices):
        choice["index"] = at
    return EmulatedAnswer(document, answer.usage)


class Whole(NamedTuple):
    """The answer to one call: its document with one choice, and what the provider reports that it used."""

    document: dict[str, Any]
    usage: Usage | None

    @property
    def message(self) -> dict[str, Any]:
        found: dict[str, Any] = self.document["choices"][0]["message"]
        return found

    @property
    def text(self) -> str:
        return without_fence(self.message.get("content") or "")

    def with_text(self, text: str, usage: Usage | None) -> Whole:
        """The same with another text and usage."""
        self.message["content"] = text
        return Whole(self.document, usage)


def whole(body: bytes, usage: Usage | None) -> Whole:
    """The first choice of an answer. Raises UpstreamInvalid when it is not a chat completion."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        document = None
    choices = document.get("choices") if isinstance(document, dict) else None
    choice: Any = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict) or not _is_usable(message, choice):
        raise UpstreamInvalid("The provider's answer is not a chat completion.")
    return Whole({**document, "choices": [choice]}, usage)


def _is_choice(choice: Any) -> bool:
    message = choice.get("message") if isinstance(choice, dict) else None
    return isinstance(message, dict) and _is_usable(message, choice)


def _is_usable(message: dict[str, Any], choice: Any) -> bool:
    calls = message.get("tool_calls")
    return (
        isinstance(message.get("content"), str | None)
        and isinstance(choice.get("finish_reason"), str | None)
        and (calls is None or (isinstance(calls, list) and all(isinstance(call, dict) for call in calls)))
    )


def joined(found: Sequence[Whole]) -> EmulatedAnswer:
    """The answers of several calls as the choices of one. Its usage is that of all calls; None when one is unknown."""
    choices = [one.document["choices"][0] for one in found]
    for index, choice in enumerate(choices):
        choice["index"] = index
    return EmulatedAnswer({**found[0].document, "choices": choices}, total([one.usage for one in found]))


def total(usages: Sequence[Usage | None]) -> Usage | None:
    """The usage of several calls; None when one is not known, or there is none."""
    used = [usage for usage in usages if usage is not None]
    if not used or len(used) < len(usages):
        return None
    if len(used) == 1:
        return used[0]
    classes = TokenClasses._make(map(sum, zip(*(usage.classes for usage in used), strict=True)))
    prompt, completion = sum(usage.prompt for usage in used), sum(usage.completion for usage in used)
    return Usage(classes, prompt, completion, all(usage.balanced for usage in used))


def repaired(first: Usage | None, second: Usage | None) -> Usage | None:
    """What the caller pays for an answer that was repaired: its own prompt, and the answer that it gets."""
    if first is None or second is None:
        return None
    tokens = first.tokens._replace(
        output=second.tokens.output, reasoning=second.tokens.reasoning, audio_output=second.tokens.audio_output
    )
    return Usage(tokens, first.prompt, second.completion, first.balanced)
