"""Bedrock's Converse: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct

from fairlead.errors import FairleadError, UnsupportedContent, UpstreamCut, UpstreamInvalid
from fairlead.providers.anthropic.request import OUTPUT_TOKENS, sampling_of, thinking_of, turns_for_claude
from fairlead.providers.bedrock.event_stream import Frame, FrameReader
from fairlead.providers.bedrock.sigv4 import Signer
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
)
from fairlead.providers.dialects import Dialect
from fairlead.providers.failures import upstream_error
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
from fairlead.wire.usage import Usage, usage_from_bedrock

FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
# Exceptions, in a stream or in the header x-amzn-errortype, by the status that they stand for.
STATUSES = {
    "ValidationException": 400,
    "AccessDeniedException": 403,
    "ExpiredTokenException": 403,
    "UnrecognizedClientException": 403,
    "ResourceNotFoundException": 404,
    "ThrottlingException": 429,
    "ServiceQuotaExceededException": 429,
    "ModelNotReadyException": 429,
    "ModelErrorException": 500,
    "ModelStreamErrorException": 500,
    "ModelTimeoutException": 500,
    "InternalServerException": 500,
    "ServiceUnavailableException": 503,
}
DOCUMENT_FORMATS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
VIDEO_FORMATS = {"quicktime": "mov", "x-matroska": "mkv", "x-flv": "flv", "x-ms-wmv": "wmv", "3gpp": "three_gp"}
_NO_NAME = re.compile(r"[^A-Za-z0-9 ()\[\]-]")
FORMAT = "bedrock-converse-v1"
CACHE_POINT: dict[str, Any] = {"cachePoint": {"type": "default"}}
# A history with tools needs their declarations; this one says nothing about the arguments.
ANY_ARGUMENTS: dict[str, Any] = {"json": {"type": "object"}}
_encode = msgspec.json.encode


def is_claude(model: str) -> bool:
    return "anthropic." in model or "claude" in model


def to_body(model: str, conversation: Conversation, wishes: Wishes, most: int, lost: Losses) -> dict[str, Any]:
    """The request in Converse's words; what it or the model cannot carry is added to `lost`."""
    turns = turns_for_claude(conversation) if is_claude(model) else conversation.turns
    body: dict[str, Any] = {"messages": [_message(turn) for turn in turns]}
    if conversation.system:
        body["system"] = [block for part in conversation.system for block in _with_cache(part, {"text": part.text})]
    extra: dict[str, Any] = {}
    output: dict[str, Any] = {}
    if is_claude(model):
        prefilled = bool(conversation.turns) and conversation.turns[-1].role == "assistant"
        thinking, effort = thinking_of(wishes, model, wishes.max_tokens or most, prefilled, lost)
        thinks = thinking is not None and thinking["type"] != "disabled"
        sampling = sampling_of(wishes, model, thinks, lost)
        if thinking is not None:
            extra["thinking"] = thinking
        if effort is not None:
            output["effort"] = effort
        if "top_k" in sampling:
            extra["top_k"] = sampling.pop("top_k")
    else:
        given = {"temperature": wishes.temperature, "top_p": wishes.top_p}
        sampling = {name: value for name, value in given.items() if value is not None}
        if wishes.top_k is not None:
            lost.dropped.append("top_k")
        if wishes.reasoning_effort is not None and "gpt-oss" in model:
            extra["reasoning_effort"] = wishes.reasoning_effort
        elif wishes.reasoning_effort is not None:
            lost.dropped.append("reasoning_effort")
    inference: dict[str, Any] = {
        {"temperature": "temperature", "top_p": "topP"}[name]: value for name, value in sampling.items()
    }
    if wishes.max_tokens is not None or "thinking" in extra:
        inference["maxTokens"] = wishes.max_tokens or most
    if wishes.stop:
        inference["stopSequences"] = wishes.stop
    if inference:
        body["inferenceConfig"] = inference
    if tools := _tools(conversation, wishes, lost):
        body["toolConfig"] = tools
    if wishes.schema is not None:
        schema = {"schema": bytes(wishes.schema).decode(), "name": wishes.schema_name}
        output["textFormat"] = {"type": "json_schema", "structure": {"jsonSchema": schema}}
    elif wishes.json_object:
        lost.dropped.append("response_format.json_object")
    if output:
        body["outputConfig"] = output
    if extra:
        body["additionalModelRequestFields"] = extra
    return body


def _message(turn: Turn) -> dict[str, Any]:
    return {"role": turn.role, "content": [block for part in turn.parts for block in _blocks(part)]}


def _blocks(part: Part) -> list[dict[str, Any]]:
    if isinstance(part, Text):
        return _with_cache(part, {"text": part.text})
    if isinstance(part, Media):
        return _with_cache(part, _media(part))
    if isinstance(part, ToolUse):
        return [{"toolUse": {"toolUseId": plain_id(part.id), "name": part.name, "input": part.arguments}}]
    if isinstance(part, ToolResult):
        content: list[dict[str, Any]] = [{"text": part.text}] if part.text else []
        content += [_media(one) for one in part.media]
        content = content or [{"json": {}}]
        return _with_cache(part, {"toolResult": {"toolUseId": plain_id(part.id), "content": content}})
    if part.data:
        return [{"reasoningContent": {"redactedContent": part.data}}]
    return [{"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.signature}}}]


def _media(part: Media) -> dict[str, Any]:
    """An image, a video or a document: Converse names formats by their own words, and documents by plain names.

    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html"""
    source = {"bytes": part.data}
    kind = part.mime.partition("/")[2]
    if part.kind == "image":
        return {"image": {"format": kind, "source": source}}
    if part.kind == "video":
        return {"video": {"format": VIDEO_FORMATS.get(kind, kind), "source": source}}
    form = DOCUMENT_FORMATS.get(part.mime)
    if form is None:
        raise UnsupportedContent(f"Bedrock takes no files of type {part.mime!r}.", param="messages")
    name = " ".join(_NO_NAME.sub(" ", part.name.rpartition(".")[0] or part.name).split())[:200]
    return {"document": {"format": form, "name": name or "document", "source": source}}


def _with_cache(part: Text | Media | ToolResult, block: dict[str, Any]) -> list[dict[str, Any]]:
    return [block] if part.cache == NULL else [block, CACHE_POINT]


def _tools(conversation: Conversation, wishes: Wishes, lost: Losses) -> dict[str, Any] | None:
    before = conversation.tool_names
    if wishes.tools and not wishes.parallel_tool_calls:
        lost.dropped.append("parallel_tool_calls")
    if not wishes.tools or (wishes.tool_choice == "none" and not before):
        return (
            {"tools": [{"toolSpec": {"name": name, "inputSchema": ANY_ARGUMENTS}} for name in before]}
            if before
            else None
        )
    config: dict[str, Any] = {"tools": [_tool(tool) for tool in wishes.tools]}
    if wishes.tool_choice == "none":  # there is no word for it
        lost.dropped.append("tool_choice.none")
    elif wishes.forced_tool is not None:
        config["toolChoice"] = {"tool": {"name": wishes.forced_tool}}
    elif wishes.tool_choice == "required":
        config["toolChoice"] = {"any": {}}
    elif wishes.tool_choice == "auto":
        config["toolChoice"] = {"auto": {}}
    return config


def _tool(tool: Any) -> dict[str, Any]:
    function = tool.function
    made: dict[str, Any] = {"name": function.name, "inputSchema": {"json": parameters_of(function)}}
    if function.description:
        made["description"] = function.description
    if function.strict:
        made["strict"] = True
    return {"toolSpec": made}


# --- answers


class _ReasoningText(Struct):
    text: str = ""
    signature: str = ""


class _Reasoning(Struct, rename="camel"):
    """In a stream the members stand here, in a document in `reasoningText`."""

    text: str = ""
    signature: str = ""
    redacted_content: str = ""
    reasoning_text: _ReasoningText | None = None


class _ToolUse(Struct, rename="camel"):
    tool_use_id: str = ""
    name: str = ""
    input: Raw = Raw(b"{}")


class _Block(Struct, rename="camel"):
    text: str | None = None
    tool_use: _ToolUse | None = None
    reasoning_content: _Reasoning | None = None


class _Message(Struct):
    content: list[_Block] = []


class _Output(Struct):
    message: _Message = msgspec.field(default_factory=_Message)


class _Document(Struct, rename="camel"):
    output: _Output = msgspec.field(default_factory=_Output)
    stop_reason: str | None = None
    usage: Raw = NULL


class _Event(Struct, rename="camel"):
    """Any event of a stream: its name is in the frame's headers."""

    content_block_index: int = 0
    start: _Block | None = None
    delta: _Block | None = None
    stop_reason: str | None = None
    usage: Raw = NULL


_document = msgspec.json.Decoder(_Document)
_event = msgspec.json.Decoder(_Event)
_string = msgspec.json.Decoder(str)


def _finish(reason: str) -> str:
    if reason in ("malformed_model_output", "malformed_tool_use"):
        raise UpstreamInvalid(f"The provider's model ended with {reason}.")
    return FINISHES.get(reason, "stop")


def _thought(text: str, signature: str, redacted: str, index: int) -> list[Piece]:
    if redacted:
        return [Piece(detail={"type": "reasoning.encrypted", "data": redacted, "format": FORMAT, "index": index})]
    if signature:
        detail = {"type": "reasoning.text", "text": text, "signature": signature, "format": FORMAT, "index": index}
        return [Piece(detail=detail)]
    return []


def from_document(body: bytes) -> Whole:
    """A whole answer. Raises UpstreamInvalid."""
    document: _Document = decoded(_document, body, "an answer")
    pieces: list[Piece] = []
    calls = 0
    for index, block in enumerate(document.output.message.content):
        if block.tool_use is not None:
            use = block.tool_use
            arguments = arguments_of(use.input)
            pieces.append(Piece(call=calls, call_id=use.tool_use_id, call_name=use.name, arguments=arguments))
            calls += 1
        elif block.reasoning_content is not None:
            thought = block.reasoning_content.reasoning_text or _ReasoningText()
            pieces.append(Piece(reasoning=thought.text))
            pieces += _thought(thought.text, thought.signature, block.reasoning_content.redacted_content, index)
        elif block.text:
            pieces.append(Piece(content=block.text))
    if document.stop_reason is not None:
        pieces.append(Piece(finish=_finish(document.stop_reason)))
    return Whole("", pieces, usage_from_bedrock(document.usage) if document.usage != NULL else None)


class ConverseReader:
    """Reads a stream of frames: complete with `messageStop`, done with the `metadata` that bears the usage."""

    __slots__ = ("_calls", "_frames", "_stopped", "_thoughts", "_usage_raw", "done", "id")

    def __init__(self) -> None:
        self._frames = FrameReader()
        self._calls: dict[int, int] = {}
        self._thoughts: dict[int, list[str]] = {}
        self._usage_raw = NULL
        self._stopped = False
        self.id = ""
        self.done = False

    @property
    def usage(self) -> Usage | None:
        return None if self._usage_raw == NULL else usage_from_bedrock(self._usage_raw)

    def feed(self, data: bytes) -> list[Piece]:
        return [piece for frame in self._frames.feed(data) for piece in self._take(frame)]

    def last(self) -> list[Piece]:
        if not self._stopped or self._frames.in_the_middle:
            raise UpstreamCut("The provider's stream ended before the answer was complete.")
        return []

    def _take(self, frame: Frame) -> list[Piece]:
        kind = frame.headers.get(":message-type", "event")
        if kind != "event":
            name = frame.headers.get(":exception-type") or frame.headers.get(":error-code") or ""
            raise _failure(name, frame.payload)
        event: _Event = decoded(_event, frame.payload, "an event")
        name = frame.headers.get(":event-type", "")
        index = event.content_block_index
        if name == "contentBlockDelta" and event.delta is not None:
            return self._delta(event.delta, index)
        if name == "contentBlockStart" and event.start is not None and event.start.tool_use is not None:
            number = self._calls[index] = len(self._calls)
            use = event.start.tool_use
            return [Piece(call=number, call_id=use.tool_use_id, call_name=use.name)]
        if name == "contentBlockStop":
            text, signature, redacted = self._thoughts.pop(index, ("", "", ""))
            return _thought(text, signature, redacted, index)
        if name == "messageStop" and event.stop_reason is not None:
            self._stopped = True
            return [Piece(finish=_finish(event.stop_reason))]
        if name == "metadata":
            self.done = self._stopped
            self._usage_raw = Raw(bytes(event.usage))
        return []

    def _delta(self, delta: _Block, index: int) -> list[Piece]:
        if delta.text:
            return [Piece(content=delta.text)]
        if delta.tool_use is not None and index in self._calls:
            arguments = decoded(_string, bytes(delta.tool_use.input), "a tool call")
            return [Piece(call=self._calls[index], arguments=arguments)] if arguments else []
        thought = delta.reasoning_content
        if thought is not None:
            kept = self._thoughts.setdefault(index, ["", "", ""])
            kept[0] += thought.text
            kept[1] += thought.signature
            kept[2] += thought.redacted_content
            return [Piece(reasoning=thought.text)] if thought.text else []
        return []


def _failure(
    name: str, payload: bytes, headers: Sequence[tuple[bytes, bytes]] = (), status: int = 500
) -> FairleadError:
    named = name.partition(":")[0].rpartition("#")[2]
    return upstream_error(STATUSES.get(named[:1].upper() + named[1:], status), headers, payload)


class BedrockConverse:
    """The dialect bound to one deployment. `signer` is None where an API key (a bearer token) is sent instead."""

    __slots__ = (
        "_clock", "_defaults", "_dialect", "_most", "_prefix", "_public", "_signer", "_stream_path", "_upstream_model",
        "_whole_path",
    )  # fmt: skip

    def __init__(
        self,
        dialect: Dialect,
        public_model: str,
        upstream_model: str,
        defaults: Mapping[str, Raw] | None = None,
        *,
        clock: Clock,
        signer: Signer | None = None,
        prefix: str = "",
        most_output: int | None = None,
    ) -> None:
        self._dialect = dialect
        self._public = public_model
        self._upstream_model = upstream_model
        self._defaults = dict(defaults or {})
        self._clock = clock
        self._signer = signer
        self._prefix = prefix
        self._most = most_output or OUTPUT_TOKENS
        self._whole_path = f"/model/{quote(upstream_model, safe='')}/converse"
        self._stream_path = self._whole_path + "-stream"

    def to_vendor(self, request: ChatRequest) -> TranslatedCall:
        """Raises InvalidRequest, in strict mode also for what cannot be carried."""
        wishes, lost = read_wishes(request, self._defaults, self._dialect.carries or frozenset())
        body = _encode(to_body(self._upstream_model, read_conversation(request), wishes, self._most, lost))
        refuse_when_strict(request, lost)
        path = self._stream_path if request.stream else self._whole_path
        now = self._clock()
        headers = b"" if self._signer is None else self._signer.headers("POST", self._prefix + path, (body,), now)
        return TranslatedCall(
            [body], request.stream, tuple(lost.dropped), request.include_usage, 1, int(now), path.encode(), headers,
            clamped=tuple(lost.clamped),
        )  # fmt: skip

    def relay(self, call: TranslatedCall) -> TranslatedRelay:
        return TranslatedRelay(self._public, call, ConverseReader())

    def assembler(self, call: TranslatedCall) -> TranslatedAnswer:
        return TranslatedAnswer(self._public, call, reader=ConverseReader())

    def plain(self, call: TranslatedCall, body: bytes) -> TranslatedAnswer:
        return TranslatedAnswer(self._public, call, whole=from_document(body))

    def error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> FairleadError:
        name = next((value.decode("latin-1") for key, value in headers if key == b"x-amzn-errortype"), "")
        return _failure(name, body, headers, status)
