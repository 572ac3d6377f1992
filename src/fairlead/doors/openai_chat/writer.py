"""Answers as OpenAI's chat completions: chunks for a stream, one document for the rest.

Reasoning is told as DeepSeek and vLLM do (`reasoning_content`), what a provider must get back as OpenRouter does
(`reasoning_details`), Gemini's signature of a tool call as Google does in its OpenAI-compatible API.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.doors.openai_chat.errors import error_event
from fairlead.errors import FairleadError
from fairlead.wire.answer import (
    AnswerContext,
    Citation,
    Event,
    Finish,
    Logprobs,
    Media,
    OneText,
    Reasoning,
    ReasoningState,
    Refusal,
    Start,
    Text,
    ToolArguments,
    ToolCall,
)
from fairlead.wire.heads import STREAM_HEAD
from fairlead.wire.usage import Usage, usage_as_openai

DONE_EVENT: Final = b"data: [DONE]\n\n"
_encode: Final = msgspec.json.encode
_FIRST: Final = Start()
_CHOICES: Final = b'"choices":[]'
# A chunk that has nothing but text: what `_chunk` would write, in a third of the time.
_TEXT: Final = b'%b{"index":%d,"delta":{"content":%b},"logprobs":null,"finish_reason":null}%b'


class ChatWriter:
    """An `AnswerWriter`."""

    __slots__ = ("_after", "_before", "_begun", "_context", "_custom", "_start")
    stream_head: Final = STREAM_HEAD

    def __init__(self, context: AnswerContext) -> None:
        self._context = context
        self._start = _FIRST
        self._begun: set[int] = set()
        self._custom: set[tuple[int, int]] = set()  # the calls of tools that take free text
        self._before = self._after = b""  # what stands around the choice of a chunk

    def write(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if type(event) is Text and event.choice in self._begun:  # as most are
                out.append(_TEXT % (self._before, event.choice, _encode(event.text), self._after))
            elif isinstance(event, Start):
                self._start = event
            elif isinstance(event, Logprobs):
                out.append(self._chunk(event.choice, {}, _logprobs(event), None))
            elif members := self._members(event):
                out.append(self._chunk(event.choice, members, None, None))
        return b"".join(out)

    def finish(self, finishes: Sequence[Finish]) -> bytes:
        return b"".join([self._chunk(finish.choice, {}, None, finish.reason) for finish in finishes])

    def end(self, usage: Usage | None, members: bytes) -> bytes:
        if not self._context.include_usage or usage is None:
            return DONE_EVENT
        chunk = self._frame("chat.completion.chunk", [])
        chunk["usage"] = _usage(usage, members)
        return b"data: %b\n\n%b" % (_encode(chunk), DONE_EVENT)

    def error(self, error: FairleadError) -> bytes:
        return error_event(error)

    def whole(self, events: Sequence[Event], usage: Usage | None, members: bytes) -> bytes:
        choices: dict[int, _WrittenChoice] = {}
        for event in events:
            if isinstance(event, Start):
                self._start = event
                continue
            choice = choices.get(event.choice)
            if choice is None:
                choice = choices[event.choice] = _WrittenChoice()
            choice.take(event)
        answer = self._frame("chat.completion", [one.written(index) for index, one in sorted(choices.items())])
        if usage is not None:
            answer["usage"] = _usage(usage, members)
        return _encode(answer)

    def one_text(self, found: OneText, usage: Usage | None, members: bytes) -> bytes:
        created: int = found.created or self._context.created
        return (
            b'{"id":%b,"object":"chat.completion","created":%b,"model":%b,"choices":[{"index":0,"message":'
            b'{"role":"assistant","content":%b,"refusal":null},"logprobs":null,"finish_reason":"%b"}]%b%b}'
            % (
                _encode(found.id), str(created).encode(), _encode(self._context.model), found.text,
                found.reason.encode(), found.details,
                b"" if usage is None else b',"usage":%b%b}' % (usage_as_openai(usage)[:-1], members),
            )
        )  # fmt: skip

    def _members(self, event: Event) -> dict[str, Any]:
        """What an event adds to a `delta`; nothing where OpenAI has no word for it."""
        if isinstance(event, Text):
            return {"content": event.text}
        if isinstance(event, ToolArguments):
            if (event.choice, event.call) in self._custom:
                return {"tool_calls": [{"index": event.call, "custom": {"input": event.text}}]}
            return {"tool_calls": [{"index": event.call, "function": {"arguments": event.text}}]}
        if isinstance(event, Reasoning):
            return {"reasoning_content": event.text}
        if isinstance(event, ToolCall):
            if event.kind == "custom":
                self._custom.add((event.choice, event.call))
            return {"tool_calls": [_call(event)]}
        return _rare(event)

    def _chunk(self, choice: int, members: dict[str, Any], logprobs: Any, finish_reason: str | None) -> bytes:
        if choice not in self._begun:
            self._begun.add(choice)
            members = {"role": "assistant", **members}
        if not self._before:
            frame = b"data: %b\n\n" % _encode(self._frame("chat.completion.chunk", []))
            before, mark, after = frame.partition(_CHOICES)
            self._before, self._after = before + mark[:-1], mark[-1:] + after
        written = {"index": choice, "delta": members, "logprobs": logprobs, "finish_reason": finish_reason}
        return b"".join((self._before, _encode(written), self._after))

    def _frame(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        start, context = self._start, self._context
        return {
            "id": start.id,
            "object": kind,
            "created": start.created or context.created,
            "model": context.model,
            "choices": choices,
            **(start.details or {}),
        }


class _WrittenChoice:
    """One choice of a whole answer. Its texts are one, as OpenAI has no parts."""

    __slots__ = (
        "annotations",
        "audio",
        "calls",
        "content",
        "details",
        "finish",
        "images",
        "logprobs",
        "reasoning",
        "refusal",
    )

    def __init__(self) -> None:
        self.content = self.reasoning = self.refusal = ""
        self.details: list[dict[str, Any]] = []
        self.calls: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.images: list[dict[str, Any]] = []
        self.audio: dict[str, Any] | None = None
        self.logprobs: dict[str, Any] | None = None
        self.finish: str | None = None

    def take(self, event: Event) -> None:
        if isinstance(event, Text):
            self.content += event.text
        elif isinstance(event, Reasoning):
            self.reasoning += event.text
        elif isinstance(event, ReasoningState):
            self.details.append(_detail(event))
        elif isinstance(event, ToolCall):
            call = _call(event)
            del call["index"]
            self.calls.append(call)
        elif isinstance(event, Finish):
            self.finish = event.reason
        elif isinstance(event, Refusal):
            self.refusal += event.text
        elif isinstance(event, Citation):
            self.annotations.append(_annotation(event))
        elif isinstance(event, Logprobs):
            self.logprobs = _logprobs(event)
        elif isinstance(event, Media) and event.kind == "image":
            self.images.append(_image(event))
        elif isinstance(event, Media):
            self.audio = _audio(event)

    def written(self, index: int) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self.content, "refusal": self.refusal or None}
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        if self.details:
            message["reasoning_details"] = self.details
        if self.refusal:
            message["content"] = self.content or None
        if self.calls:
            message["content"] = self.content or None
            message["tool_calls"] = self.calls
        if self.annotations:
            message["annotations"] = self.annotations
        if self.images:
            message["images"] = self.images
        if self.audio is not None:
            message["audio"] = self.audio
        return {"index": index, "message": message, "logprobs": self.logprobs, "finish_reason": self.finish}


def _rare(event: Event) -> dict[str, Any]:
    if isinstance(event, ReasoningState):
        return {"reasoning_details": [_detail(event)]}
    if isinstance(event, Refusal):
        return {"refusal": event.text}
    if isinstance(event, Citation):
        return {"annotations": [_annotation(event)]}
    if isinstance(event, Media):
        return {"images": [_image(event)]} if event.kind == "image" else {"audio": _audio(event)}
    return {}


def _call(event: ToolCall) -> dict[str, Any]:
    call: dict[str, Any] = {"index": event.call, "id": event.id, "type": event.kind}
    if event.signature is not None:
        call["extra_content"] = {"google": {"thought_signature": event.signature}}
    arguments = "input" if event.kind == "custom" else "arguments"
    call[event.kind] = {"name": event.name, arguments: event.arguments}
    return call


def _detail(event: ReasoningState) -> dict[str, Any]:
    made: dict[str, Any]
    if event.data:
        made = {"type": "reasoning.encrypted", "data": event.data, "format": event.format, "index": event.part}
    else:
        made = {
            "type": "reasoning.text", "text": event.text, "signature": event.signature, "format": event.format,
            "index": event.part,
        }  # fmt: skip
    if event.id:
        made["id"] = event.id
    return made


def _annotation(event: Citation) -> dict[str, Any]:
    cited: dict[str, Any] = {"url": event.url, "title": event.title}
    if event.start >= 0:
        cited |= {"start_index": event.start, "end_index": event.end}
    if event.cited:
        cited["content"] = event.cited
    return {"type": "url_citation", "url_citation": cited}


def _image(event: Media) -> dict[str, Any]:
    url = event.url or f"data:{event.mime or 'image/png'};base64,{event.data}"
    return {"type": "image_url", "image_url": {"url": url}}


def _audio(event: Media) -> dict[str, Any]:
    found = {
        "id": event.id, "data": event.data, "transcript": event.transcript, "expires_at": event.expires_at or None,
    }  # fmt: skip
    return {name: value for name, value in found.items() if value}


def _logprobs(event: Logprobs) -> dict[str, Any]:
    return {"content": list(event.content) or None, "refusal": list(event.refusal) or None}


def _usage(usage: Usage, members: bytes) -> Raw:
    return Raw(usage_as_openai(usage)[:-1] + members + b"}")
