"""Anthropic's Messages API: https://platform.claude.com/docs/en/api/messages, and everyone who speaks it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from fairlead.errors import FairleadError, UpstreamCut
from fairlead.providers.conversation import (
    Conversation,
    Losses,
    Media,
    Part,
    Text,
    ToolResult,
    ToolUse,
    Turn,
    Wishes,
    parameters_of,
    plain_id,
    read_conversation,
    read_wishes,
    refuse_when_strict,
    text_of_file,
)
from fairlead.providers.dialects import Dialect
from fairlead.providers.failures import upstream_error
from fairlead.providers.sse import EventReader
from fairlead.providers.translated import (
    Clock,
    Piece,
    TranslatedAnswer,
    TranslatedCall,
    TranslatedRelay,
    Whole,
    arguments_of,
    decoded,
)
from fairlead.wire.chat import ChatRequest
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.usage import Usage, usage_from_anthropic

# `max_tokens` must be said: this when neither the caller nor the catalogue does.
OUTPUT_TOKENS = 4096
LEAST_BUDGET_TOKENS = 1024
BUDGETS = {"minimal": 1024, "low": 4096, "medium": 12_288, "high": 24_576, "xhigh": 32_768, "max": 32_768}
EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
# https://platform.claude.com/docs/en/api/errors
STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
FORMAT = "anthropic-claude-v1"
_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d)(?:[-.](\d)(?!\d))?")
_encode = msgspec.json.encode


def version_of(model: str) -> tuple[int, int] | None:
    """(4, 5) for claude-sonnet-4-5-20250929; None for a model that is not Claude."""
    found = _VERSION.search(model)
    return None if found is None else (int(found[1]), int(found[2] or 0))


def thinking_of(
    wishes: Wishes, model: str, most: int, prefilled: bool, lost: Losses
) -> tuple[dict[str, Any] | None, str | None]:
    """(`thinking`, `effort`) for the wanted effort: a budget of tokens up to Claude 4.5, a word from 4.6 on.

    https://platform.claude.com/docs/en/build-with-claude/extended-thinking and .../effort
    """
    effort = wishes.reasoning_effort
    if effort is None:
        return None, None
    if effort == "none":
        return {"type": "disabled"}, None
    version = version_of(model)
    forced = wishes.tool_choice == "required"
    if effort not in BUDGETS or forced or prefilled:
        lost.dropped.append("reasoning_effort")  # thinking goes neither with a forced tool nor with a prefill
        return None, None
    if version is not None and version >= (4, 6):
        thinking = {"type": "adaptive"} if version < (4, 7) else {"type": "adaptive", "display": "summarized"}
        if EFFORTS[effort] != effort:
            lost.clamped.append("reasoning_effort")
        return thinking, EFFORTS[effort]
    budget = min(BUDGETS[effort], most - 1)
    if budget < LEAST_BUDGET_TOKENS:
        lost.dropped.append("reasoning_effort")
        return None, None
    if budget < BUDGETS[effort]:
        lost.clamped.append("reasoning_effort")
    return {"type": "enabled", "budget_tokens": budget}, None


def sampling_of(wishes: Wishes, model: str, thinks: bool, lost: Losses) -> dict[str, Any]:
    """`temperature`, `top_p`, `top_k` as Claude takes them: at most 1, not both, none with thinking or from 4.7 on."""
    version = version_of(model)
    given = {name: getattr(wishes, name) for name in ("temperature", "top_p", "top_k")}
    found = {name: value for name, value in given.items() if value is not None}
    if thinks or (version is not None and version >= (4, 7)):
        lost.dropped += found
        return {}
    if "temperature" in found and "top_p" in found:
        lost.dropped.append("top_p")
        del found["top_p"]
    if found.get("temperature", 0) > 1:
        lost.clamped.append("temperature")
        found["temperature"] = 1
    return found


def to_body(
    model: str, conversation: Conversation, wishes: Wishes, most: int, stream: bool, lost: Losses
) -> dict[str, Any]:
    """The request in Anthropic's words; what it cannot carry is added to `lost`."""
    limit = wishes.max_tokens or most
    messages = turns_for_claude(conversation)
    prefilled = bool(conversation.turns) and conversation.turns[-1].role == "assistant"
    thinking, effort = thinking_of(wishes, model, limit, prefilled, lost)
    thinks = thinking is not None and thinking["type"] != "disabled"
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": limit,
        "messages": [{"role": turn.role, "content": [_block(part) for part in turn.parts]} for turn in messages],
        **sampling_of(wishes, model, thinks, lost),
    }
    if conversation.system:
        body["system"] = [_block(part) for part in conversation.system]
    if wishes.stop:
        body["stop_sequences"] = wishes.stop
    if thinking is not None:
        body["thinking"] = thinking
    output: dict[str, Any] = {} if effort is None else {"effort": effort}
    if wishes.schema is not None:
        output["format"] = {"type": "json_schema", "schema": wishes.schema}
    elif wishes.json_object:
        lost.dropped.append("response_format.json_object")
    if output:
        body["output_config"] = output
    if wishes.tools:
        body["tools"] = [_tool(tool) for tool in wishes.tools]
        if wishes.tool_choice is not None or not wishes.parallel_tool_calls:
            body["tool_choice"] = _choice(wishes)
    if wishes.user is not None:
        body["metadata"] = {"user_id": wishes.user}
    if stream:
        body["stream"] = True
    return body


def turns_for_claude(conversation: Conversation) -> list[Turn]:
    """The turns; a prefill must not end with white space."""
    turns = conversation.turns
    if not turns or turns[-1].role != "assistant" or not isinstance(last := turns[-1].parts[-1], Text):
        return turns
    text = last.text.rstrip()
    ending: list[Part] = [Text(text, last.cache)] if text else []
    parts = [*turns[-1].parts[:-1], *ending]
    return [*turns[:-1], Turn("assistant", parts)] if parts else turns[:-1]


def _block(part: Part) -> dict[str, Any]:
    block: dict[str, Any]
    if isinstance(part, Text):
        block = {"type": "text", "text": part.text}
    elif isinstance(part, Media):
        block = _media(part)
    elif isinstance(part, ToolUse):
        return {"type": "tool_use", "id": plain_id(part.id), "name": part.name, "input": part.arguments}
    elif isinstance(part, ToolResult):
        content: Any = part.text
        if part.media:
            content = [{"type": "text", "text": part.text}] if part.text else []
            content += [_media(one) for one in part.media]
        block = {"type": "tool_result", "tool_use_id": plain_id(part.id), "content": content}
    elif part.data:
        return {"type": "redacted_thinking", "data": part.data}
    else:
        return {"type": "thinking", "thinking": part.text, "signature": part.signature}
    if part.cache != NULL:
        block["cache_control"] = part.cache
    return block


def _media(part: Media) -> dict[str, Any]:
    """An image or a document. https://platform.claude.com/docs/en/build-with-claude/vision and .../pdf-support"""
    if part.url:
        source = {"type": "url", "url": part.url}
    elif part.mime == "text/plain":
        source = {"type": "text", "media_type": part.mime, "data": text_of_file(part)}
    else:
        source = {"type": "base64", "media_type": part.mime, "data": part.data}
    if part.kind == "image":
        return {"type": "image", "source": source}
    document: dict[str, Any] = {"type": "document", "source": source}
    if part.name:
        document["title"] = part.name[:500]
    return document


def _tool(tool: Any) -> dict[str, Any]:
    function = tool.function
    made: dict[str, Any] = {"name": function.name, "input_schema": parameters_of(function)}
    if function.description is not None:
        made["description"] = function.description
    if function.strict:
        made["strict"] = True
    return made


def _choice(wishes: Wishes) -> dict[str, Any]:
    if wishes.tool_choice == "none":
        return {"type": "none"}
    choice: dict[str, Any] = {"type": "any" if wishes.tool_choice == "required" else "auto"}
    if wishes.forced_tool is not None:
        choice = {"type": "tool", "name": wishes.forced_tool}
    if not wishes.parallel_tool_calls:
        choice["disable_parallel_tool_use"] = True
    return choice


# --- answers


class _Error(Struct):
    type: str = "api_error"
    message: str = ""


class _Block(Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""
    id: str = ""
    name: str = ""
    input: Raw = Raw(b"{}")


class _Message(Struct):
    id: str = ""
    type: str = ""
    content: list[_Block] = []
    stop_reason: str | None = None
    usage: Raw = NULL
    error: _Error | None = None


class _Delta(Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class _Event(Struct):
    type: str
    index: int = 0
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: Raw = NULL
    error: _Error | None = None


_message = msgspec.json.Decoder(_Message)
_event = msgspec.json.Decoder(_Event)
_members = msgspec.json.Decoder(dict[str, Raw])


def _failure(error: _Error) -> FairleadError:
    status = STATUSES.get(error.type, 500)
    return upstream_error(status, (), _encode({"error": {"type": error.type, "message": error.message}}))


def _finish(reason: str) -> str:
    return FINISHES.get(reason, "stop")


def _thought_detail(text: str, signature: str, index: int) -> dict[str, Any]:
    return {"type": "reasoning.text", "text": text, "signature": signature, "format": FORMAT, "index": index}


def _redacted_detail(data: str, index: int) -> dict[str, Any]:
    return {"type": "reasoning.encrypted", "data": data, "format": FORMAT, "index": index}


def from_document(body: bytes) -> Whole:
    """A whole answer. Raises UpstreamInvalid, or the error that it holds."""
    message: _Message = decoded(_message, body, "an answer")
    if message.error is not None:
        raise _failure(message.error)
    pieces: list[Piece] = []
    calls = 0
    for index, block in enumerate(message.content):
        if block.type == "text":
            pieces.append(Piece(content=block.text))
        elif block.type == "thinking":
            detail = _thought_detail(block.thinking, block.signature, index) if block.signature else None
            pieces.append(Piece(reasoning=block.thinking, detail=detail))
        elif block.type == "redacted_thinking":
            pieces.append(Piece(detail=_redacted_detail(block.data, index)))
        elif block.type == "tool_use":
            arguments = arguments_of(block.input)
            pieces.append(Piece(call=calls, call_id=block.id, call_name=block.name, arguments=arguments))
            calls += 1
    if message.stop_reason is not None:
        pieces.append(Piece(finish=_finish(message.stop_reason)))
    return Whole(message.id, pieces, usage_from_anthropic(message.usage) if message.usage != NULL else None)


class MessageReader:
    """Reads a stream of Messages events: complete only with `message_stop`."""

    __slots__ = ("_calls", "_events", "_thoughts", "_usage", "done", "id")

    def __init__(self) -> None:
        self._events = EventReader()
        self._calls: dict[int, int] = {}
        self._thoughts: dict[int, list[str]] = {}
        self._usage: dict[str, Raw] = {}
        self.id = ""
        self.done = False

    @property
    def usage(self) -> Usage | None:
        return usage_from_anthropic(_encode(self._usage)) if self._usage else None

    def feed(self, data: bytes) -> list[Piece]:
        pieces: list[Piece] = []
        for payload in self._events.feed(data):
            if self.done:
                break
            pieces += self._take(decoded(_event, payload, "an event"))
        return pieces

    def last(self) -> list[Piece]:
        pieces = [] if self.done else self.feed(b"\n\n")
        if not self.done:
            raise UpstreamCut("The provider's stream ended before the answer was complete.")
        return pieces

    def _take(self, event: _Event) -> list[Piece]:
        kind = event.type
        if kind == "content_block_delta" and event.delta is not None:
            return self._delta(event.delta, event.index)
        if kind == "content_block_start" and event.content_block is not None:
            return self._start(event.content_block, event.index)
        if kind == "content_block_stop":
            return self._stop(event.index)
        if kind == "message_start" and event.message is not None:
            self.id = event.message.id
            self._count(event.message.usage)
        elif kind == "message_delta":
            self._count(event.usage)
            if event.delta is not None and event.delta.stop_reason is not None:
                return [Piece(finish=_finish(event.delta.stop_reason))]
        elif kind == "message_stop":
            self.done = True
        elif kind == "error":
            raise _failure(event.error or _Error())
        return []  # a ping, or something newer

    def _start(self, block: _Block, index: int) -> list[Piece]:
        if block.type == "tool_use":
            number = self._calls[index] = len(self._calls)
            return [Piece(call=number, call_id=block.id, call_name=block.name)]
        if block.type == "thinking":
            self._thoughts[index] = [block.thinking, block.signature]
            return [Piece(reasoning=block.thinking)] if block.thinking else []
        if block.type == "redacted_thinking":
            return [Piece(detail=_redacted_detail(block.data, index))]
        return [Piece(content=block.text)] if block.text else []

    def _delta(self, delta: _Delta, index: int) -> list[Piece]:
        if delta.type == "text_delta":
            return [Piece(content=delta.text)] if delta.text else []
        if delta.type == "input_json_delta" and index in self._calls:
            return [Piece(call=self._calls[index], arguments=delta.partial_json)] if delta.partial_json else []
        if delta.type == "thinking_delta" and index in self._thoughts:
            self._thoughts[index][0] += delta.thinking
            return [Piece(reasoning=delta.thinking)] if delta.thinking else []
        if delta.type == "signature_delta" and index in self._thoughts:
            self._thoughts[index][1] += delta.signature
        return []

    def _stop(self, index: int) -> list[Piece]:
        text, signature = self._thoughts.pop(index, ("", ""))
        return [Piece(detail=_thought_detail(text, signature, index))] if signature else []

    def _count(self, usage: Raw) -> None:
        """Counts are cumulative: what comes later stands, and what it leaves out stays."""
        if usage != NULL:
            found = decoded(_members, bytes(usage), "usage")
            self._usage.update((name, Raw(bytes(raw))) for name, raw in found.items() if raw != NULL)


class AnthropicMessages:
    """The dialect bound to one deployment. `most_output`: the model's own limit, where it is known."""

    __slots__ = ("_clock", "_defaults", "_dialect", "_most", "_public", "_upstream_model")

    def __init__(
        self,
        dialect: Dialect,
        public_model: str,
        upstream_model: str,
        defaults: Mapping[str, Raw] | None = None,
        *,
        clock: Clock,
        most_output: int | None = None,
    ) -> None:
        self._dialect = dialect
        self._public = public_model
        self._upstream_model = upstream_model
        self._defaults = dict(defaults or {})
        self._clock = clock
        self._most = most_output or OUTPUT_TOKENS

    def to_vendor(self, request: ChatRequest) -> TranslatedCall:
        """Raises InvalidRequest, in strict mode also for what cannot be carried."""
        wishes, lost = read_wishes(request, self._defaults, self._dialect.carries or frozenset())
        body = to_body(self._upstream_model, read_conversation(request), wishes, self._most, request.stream, lost)
        refuse_when_strict(request, lost)
        return TranslatedCall(
            [_encode(body)], request.stream, tuple(lost.dropped), request.include_usage, 1, int(self._clock()),
            clamped=tuple(lost.clamped),
        )  # fmt: skip

    def relay(self, call: TranslatedCall) -> TranslatedRelay:
        return TranslatedRelay(self._public, call, MessageReader())

    def assembler(self, call: TranslatedCall) -> TranslatedAnswer:
        return TranslatedAnswer(self._public, call, reader=MessageReader())

    def plain(self, call: TranslatedCall, body: bytes) -> TranslatedAnswer:
        return TranslatedAnswer(self._public, call, whole=from_document(body))

    def error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> FairleadError:
        return upstream_error(status, headers, body)
