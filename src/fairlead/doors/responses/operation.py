"""Chat by Responses requests: the same operation, whose questions are answered without a translation where that can
be, because providers of the same API get the request as it came."""

from __future__ import annotations

from typing import Final

from fairlead.doors.responses.request import ResponsesRequest
from fairlead.doors.responses.shapes import PARAMETERS, TRUE, ZERO
from fairlead.doors.responses.to_chat import SAME
from fairlead.errors import CallerError
from fairlead.operations.chat.operation import CHAT
from fairlead.routing.demand import Demand
from fairlead.routing.media_tokens import MOST_FILE_TOKENS, MOST_IMAGE_TOKENS_OF
from fairlead.routing.needs import (
    JSON_OBJECT,
    JSON_SCHEMA,
    LOGPROBS,
    MEDIA_NEEDS,
    PARALLEL_TOOLS,
    PARAMETER_BITS,
    TOOLS,
)
from fairlead.routing.prompt import TEMPLATE_TOKENS, DeferredPrompt, Prompt
from fairlead.tokens import Counted, count_text
from fairlead.wire.chat_request import ChatRequest
from fairlead.wire.notes import notes_in_members

# As of chat: the text of a longer prompt is not kept while its answer is streamed.
KEPT_PROMPT_BYTES: Final = 16_384
# What comes into a prompt beside the input.
_IN_PROMPT: Final = ("instructions", "tools", "text", "prompt")


class ResponsesChat:
    """Its payload is a `ResponsesRequest`."""

    __slots__ = ()
    name: Final = CHAT.name
    modes: Final = CHAT.modes

    def demand(self, payload: ResponsesRequest) -> Demand:
        if payload.rewritten is not None:
            return CHAT.demand(payload.rewritten).carried_by(self, payload)
        text = _input_bytes(payload)
        formatted = _format_of(payload)
        return Demand(
            self, payload, payload.model, needs_of(payload, formatted), payload.found.media, text,
            text + _other_bytes(payload), payload.cap, 1, payload.stream, payload.strict, payload.emulate,
            formatted in ("json_object", "json_schema"), payload.fallbacks, payload.preferences,
        ).noted(notes_in_members(payload.noted))  # fmt: skip

    def affinity(self, payload: ResponsesRequest) -> int:
        return payload.found.affinity

    def media_tokens(self, payload: ResponsesRequest, image_tokens: int) -> int:
        if payload.rewritten is not None:
            return CHAT.media_tokens(payload.rewritten, image_tokens)
        return payload.found.images * image_tokens + payload.found.files * MOST_FILE_TOKENS

    def count(self, payload: ResponsesRequest, family: str | None, whole: bool) -> Counted:
        try:
            return CHAT.count(payload.neutral(), family, whole)
        except CallerError:
            text = bytes(payload.input)
            if whole:
                text += b"".join([payload.given[name] for name in _IN_PROMPT if name in payload.given])
            return Counted(count_text(family, text.decode("utf-8", "replace")).tokens, "estimated")

    def kept(self, payload: ResponsesRequest) -> Prompt:
        if payload.rewritten is not None:
            return CHAT.kept(payload.rewritten)
        length = _input_bytes(payload) + _other_bytes(payload)
        most = length + TEMPLATE_TOKENS + self.media_tokens(payload, max(MOST_IMAGE_TOKENS_OF.values()))
        if length > KEPT_PROMPT_BYTES or payload.found.media:
            return Prompt(length, most, payload.cap, 1)
        request = payload.snapshot()
        return DeferredPrompt(length, most, request.cap, lambda: CHAT.kept(request.neutral()))

    def is_empty(self, text: str) -> bool:
        return CHAT.is_empty(text)

    def probe(self, model: str) -> ChatRequest:
        return CHAT.probe(model)


def _input_bytes(payload: ResponsesRequest) -> int:
    return len(payload.input) + sum(map(len, payload.history))


def _other_bytes(payload: ResponsesRequest) -> int:
    return sum(len(payload.given[name]) for name in _IN_PROMPT if name in payload.given)


def _format_of(payload: ResponsesRequest) -> str:
    raw = payload.given.get("text")
    if raw is None:
        return "text"
    shape = PARAMETERS["text"].decoder.decode(raw).format
    return "text" if shape is None else shape.type


def needs_of(payload: ResponsesRequest, formatted: str) -> int:
    """Capabilities and parameters that a request asks for, as chat's."""
    needs = 0
    for bit, need in MEDIA_NEEDS.items():
        if payload.found.media & bit:
            needs |= need
    given = payload.given
    for name in given:
        if name in SAME:
            needs |= PARAMETER_BITS[name]
    if payload.cap:
        needs |= PARAMETER_BITS["max_completion_tokens"]
    if payload.found.tools:
        needs |= TOOLS
    if "tools" in given:
        needs |= TOOLS | PARAMETER_BITS["tools"]
        if given.get("parallel_tool_calls") == TRUE:
            needs |= PARALLEL_TOOLS
    if formatted != "text":
        needs |= PARAMETER_BITS["response_format"] | (JSON_SCHEMA if formatted == "json_schema" else JSON_OBJECT)
    if given.get("top_logprobs", ZERO) != ZERO:
        needs |= LOGPROBS | PARAMETER_BITS["logprobs"]
    if "reasoning" in given:
        needs |= PARAMETER_BITS["reasoning_effort"]
    return needs


RESPONSES_CHAT: Final = ResponsesChat()
