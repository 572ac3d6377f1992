"""Gemini's generateContent: https://ai.google.dev/api/generate-content, on Google's API and, by base URL, on Vertex."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct

from fairlead.errors import FairleadError, UpstreamCut, UpstreamFailed
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
    read_conversation,
    read_wishes,
    refuse_when_strict,
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
from fairlead.wire.usage import Usage, usage_from_gemini

# Google's own table for reasoning_effort: https://ai.google.dev/gemini-api/docs/openai
BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576, "xhigh": 24_576}
LEVELS = {"minimal": "minimal", "low": "low", "medium": "medium", "high": "high", "xhigh": "high"}
# Gemini 3 refuses a call in the history without its signature; this stands for one that it never made itself.
# https://ai.google.dev/gemini-api/docs/thought-signatures
UNSIGNED = "skip_thought_signature_validator"
REFUSED = frozenset({
    "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION",
})  # fmt: skip
_VERSION = re.compile(r"gemini-(\d+)")
_encode = msgspec.json.encode
_raw = msgspec.json.Decoder(Raw)


def version_of(model: str) -> int | None:
    found = _VERSION.search(model)
    return None if found is None else int(found[1])


def to_body(model: str, conversation: Conversation, wishes: Wishes, lost: Losses) -> dict[str, Any]:
    """The request in Gemini's words; what it cannot carry is added to `lost`."""
    signed = (version_of(model) or 0) >= 3
    body: dict[str, Any] = {"contents": [_content(turn, signed) for turn in conversation.turns]}
    if conversation.system:
        body["systemInstruction"] = {"parts": [{"text": part.text} for part in conversation.system]}
    if wishes.tools:
        body["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in wishes.tools]}]
        if wishes.tool_choice is not None:
            mode = {"none": "NONE", "auto": "AUTO", "required": "ANY"}[wishes.tool_choice]
            config: dict[str, Any] = {"mode": mode}
            if wishes.forced_tool is not None:
                config["allowedFunctionNames"] = [wishes.forced_tool]
            body["toolConfig"] = {"functionCallingConfig": config}
        if not wishes.parallel_tool_calls:
            lost.dropped.append("parallel_tool_calls")
    if generation := _generation(model, wishes, lost):
        body["generationConfig"] = generation
    return body


def _generation(model: str, wishes: Wishes, lost: Losses) -> dict[str, Any]:
    values = {
        "maxOutputTokens": wishes.max_tokens,
        "temperature": wishes.temperature,
        "topP": wishes.top_p,
        "topK": wishes.top_k,
        "frequencyPenalty": wishes.frequency_penalty,
        "presencePenalty": wishes.presence_penalty,
        "stopSequences": wishes.stop or None,
        "candidateCount": wishes.n if wishes.n > 1 else None,
        "seed": wishes.seed,
    }
    if wishes.seed is not None and not -(2**31) <= wishes.seed < 2**31:
        lost.dropped.append("seed")
        del values["seed"]
    found: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    if wishes.schema is not None:
        found["responseMimeType"] = "application/json"
        found["responseJsonSchema"] = wishes.schema
    elif wishes.json_object:
        found["responseMimeType"] = "application/json"
    thinking = _thinking(model, wishes.reasoning_effort, lost)
    if thinking is not None:
        found["thinkingConfig"] = thinking
    return found


def _thinking(model: str, effort: str | None, lost: Losses) -> dict[str, Any] | None:
    """A level from Gemini 3 on, a budget of tokens before."""
    if effort is None:
        return None
    if (version_of(model) or 3) >= 3:
        if effort not in LEVELS:  # Gemini 3 cannot be told not to think
            lost.dropped.append("reasoning_effort")
            return None
        if LEVELS[effort] != effort:
            lost.clamped.append("reasoning_effort")
        return {"includeThoughts": True, "thinkingLevel": LEVELS[effort]}
    if effort not in BUDGETS:
        lost.dropped.append("reasoning_effort")
        return None
    return {"includeThoughts": effort != "none", "thinkingBudget": BUDGETS[effort]}


def _content(turn: Turn, signed: bool) -> dict[str, Any]:
    parts = [made for part in turn.parts for made in _parts(part)]
    # The first call of a turn bears the signature, also for those beside it.
    first = next((part for part in parts if "functionCall" in part), None)
    if signed and first is not None and "thoughtSignature" not in first:
        first["thoughtSignature"] = UNSIGNED
    return {"role": "model" if turn.role == "assistant" else "user", "parts": parts}


def _parts(part: Part) -> list[dict[str, Any]]:
    if isinstance(part, Text):
        return [{"text": part.text}]
    if isinstance(part, Media):
        return [_media(part)]
    if isinstance(part, ToolUse):
        made: dict[str, Any] = {"functionCall": {"id": part.id, "name": part.name, "args": part.arguments}}
        if part.signature is not None:
            made["thoughtSignature"] = part.signature
        return [made]
    if isinstance(part, ToolResult):
        response = {"functionResponse": {"id": part.id, "name": part.name, "response": _response(part.text)}}
        return [response, *(_media(one) for one in part.media)]
    return []  # another vendor's thought


def _media(part: Media) -> dict[str, Any]:
    """Bytes, or an address that Google fetches: https://ai.google.dev/gemini-api/docs/file-input-methods"""
    if not part.url:
        return {"inlineData": {"mimeType": part.mime, "data": part.data}}
    data = {"fileUri": part.url}
    if part.mime:
        data["mimeType"] = part.mime
    return {"fileData": data}


def _response(text: str) -> Raw | dict[str, Any]:
    """A result must be an object: text that is none is put into one."""
    try:
        if text.lstrip()[:1] == "{":
            return _raw.decode(text)
    except (msgspec.DecodeError, RecursionError):
        pass
    return {"result": text}


def _declaration(tool: Any) -> dict[str, Any]:
    function = tool.function
    made: dict[str, Any] = {"name": function.name}
    if function.description is not None:
        made["description"] = function.description
    if function.parameters != NULL:
        made["parametersJsonSchema"] = function.parameters
    return made


# --- answers


class _FunctionCall(Struct):
    name: str
    id: str | None = None
    args: Raw = Raw(b"{}")


class _AnswerPart(Struct, rename="camel"):
    text: str | None = None
    thought: bool = False
    thought_signature: str | None = None
    function_call: _FunctionCall | None = None


class _AnswerContent(Struct):
    parts: list[_AnswerPart] = []


class _Candidate(Struct, rename="camel"):
    index: int = 0
    content: _AnswerContent = msgspec.field(default_factory=_AnswerContent)
    finish_reason: str | None = None


class _Feedback(Struct, rename="camel"):
    block_reason: str | None = None


class _Answer(Struct, rename="camel"):
    candidates: list[_Candidate] = []
    usage_metadata: Raw = NULL
    response_id: str = ""
    prompt_feedback: _Feedback | None = None
    error: Raw = NULL


class _Code(Struct):
    code: int = 500


_answer = msgspec.json.Decoder(_Answer)


class _Candidates:
    """Documents, one after the other, become pieces: each stream event is a document like the whole answer."""

    __slots__ = ("calls", "finished", "id", "usage_raw")

    def __init__(self) -> None:
        self.calls: dict[int, int] = {}
        self.finished: set[int] = set()
        self.id = ""
        self.usage_raw = NULL

    @property
    def usage(self) -> Usage | None:
        return None if self.usage_raw == NULL else usage_from_gemini(self.usage_raw)

    def take(self, payload: bytes) -> list[Piece]:
        answer: _Answer = decoded(_answer, payload, "an answer")
        if answer.error != NULL:
            raise _failure(answer.error)
        self.id = self.id or answer.response_id
        if answer.usage_metadata != NULL:
            self.usage_raw = Raw(bytes(answer.usage_metadata))
        pieces = [piece for candidate in answer.candidates for piece in self._candidate(candidate)]
        blocked = answer.prompt_feedback is not None and answer.prompt_feedback.block_reason is not None
        if blocked and not answer.candidates:
            self.finished.add(0)
            pieces.append(Piece(finish="content_filter"))
        return pieces

    def _candidate(self, candidate: _Candidate) -> list[Piece]:
        index = candidate.index
        pieces: list[Piece] = []
        for part in candidate.content.parts:
            if part.function_call is not None:
                number = self.calls.get(index, 0)
                self.calls[index] = number + 1
                call = part.function_call
                pieces.append(
                    Piece(
                        index, call=number, call_id=call.id or f"call_{self.id}_{number}", call_name=call.name,
                        arguments=arguments_of(call.args), signature=part.thought_signature,
                    )
                )  # fmt: skip
            elif part.text and part.thought:
                pieces.append(Piece(index, reasoning=part.text))
            elif part.text:
                pieces.append(Piece(index, content=part.text))
        if candidate.finish_reason is not None:
            self.finished.add(index)
            pieces.append(Piece(index, finish=self._finish(candidate.finish_reason, index)))
        return pieces

    def _finish(self, reason: str, index: int) -> str:
        if reason == "STOP":
            return "tool_calls" if self.calls.get(index) else "stop"
        if reason == "MAX_TOKENS":
            return "length"
        if reason in REFUSED:
            return "content_filter"
        raise UpstreamFailed(f"The provider's model ended with {reason[:64]}.")


def _failure(error: Raw) -> FairleadError:
    try:
        status = msgspec.json.decode(error, type=_Code).code
    except msgspec.DecodeError:
        status = 500
    return upstream_error(status, (), b'{"error":%b}' % bytes(error))


def from_document(body: bytes) -> Whole:
    """A whole answer. Raises UpstreamInvalid, or the error that it holds."""
    candidates = _Candidates()
    pieces = candidates.take(body)
    return Whole(candidates.id, pieces, candidates.usage)


class ContentReader:
    """Reads a stream of documents: complete when every candidate has its finish reason."""

    __slots__ = ("_candidates", "_choices", "_events")

    def __init__(self, choices: int) -> None:
        self._events = EventReader()
        self._candidates = _Candidates()
        self._choices = choices

    @property
    def id(self) -> str:
        return self._candidates.id

    @property
    def done(self) -> bool:
        return len(self._candidates.finished) >= self._choices

    @property
    def usage(self) -> Usage | None:
        return self._candidates.usage

    def feed(self, data: bytes) -> list[Piece]:
        return [piece for payload in self._events.feed(data) for piece in self._candidates.take(payload)]

    def last(self) -> list[Piece]:
        pieces = [] if self.done else self.feed(b"\n\n")
        if not self._candidates.finished:  # fewer than asked for: it does not give as many
            raise UpstreamCut("The provider's stream ended before the answer was complete.")
        return pieces


class Gemini:
    """The dialect bound to one deployment."""

    __slots__ = ("_clock", "_defaults", "_dialect", "_public", "_stream_path", "_upstream_model", "_whole_path")

    def __init__(
        self,
        dialect: Dialect,
        public_model: str,
        upstream_model: str,
        defaults: Mapping[str, Raw] | None = None,
        *,
        clock: Clock,
    ) -> None:
        self._dialect = dialect
        self._public = public_model
        self._upstream_model = upstream_model.removeprefix("models/")
        self._defaults = dict(defaults or {})
        self._clock = clock
        start = f"/models/{quote(self._upstream_model, safe='')}".encode()
        self._whole_path = start + b":generateContent"
        self._stream_path = start + b":streamGenerateContent?alt=sse"

    def to_vendor(self, request: ChatRequest) -> TranslatedCall:
        """Raises InvalidRequest, in strict mode also for what cannot be carried."""
        wishes, lost = read_wishes(request, self._defaults, self._dialect.carries or frozenset())
        body = to_body(self._upstream_model, read_conversation(request), wishes, lost)
        refuse_when_strict(request, lost)
        return TranslatedCall(
            [_encode(body)], request.stream, tuple(lost.dropped), request.include_usage, wishes.n, int(self._clock()),
            self._stream_path if request.stream else self._whole_path, clamped=tuple(lost.clamped),
        )  # fmt: skip

    def relay(self, call: TranslatedCall) -> TranslatedRelay:
        return TranslatedRelay(self._public, call, ContentReader(call.choices))

    def assembler(self, call: TranslatedCall) -> TranslatedAnswer:
        return TranslatedAnswer(self._public, call, reader=ContentReader(call.choices))

    def plain(self, call: TranslatedCall, body: bytes) -> TranslatedAnswer:
        return TranslatedAnswer(self._public, call, whole=from_document(body))

    def error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> FairleadError:
        return upstream_error(status, headers, body)
