"""Chat by Responses requests: the same operation, whose questions are answered without a translation where that can
be, because providers of the same API get the request as it came."""

from __future__ import annotations

from typing import Final

from fairlead.doors.responses.parse import IN_PROMPT
from fairlead.doors.responses.request import NOTHING_FOUND, ResponsesRequest
from fairlead.doors.responses.shapes import TRUE, ZERO
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

# As of chat: the text of a longer prompt is not kept while its answer is streamed.
KEPT_PROMPT_BYTES: Final = 16_384
_MOST_IMAGE_TOKENS: Final = max(MOST_IMAGE_TOKENS_OF.values())


class ResponsesChat:
    """Its payload is a `ResponsesRequest`."""

    __slots__ = ()
    name: Final = CHAT.name
    modes: Final = CHAT.modes

    def demand(self, payload: ResponsesRequest) -> Demand:
        if payload.rewritten is not None:
            return CHAT.demand(payload.rewritten).carried_by(self, payload)
        text = _input_bytes(payload)
        template, found, formatted = payload.template, payload.found, payload.formatted
        if template is None:
            needs = needs_of(payload, formatted)
        else:
            needs = template.needs
            if needs < 0:
                needs = template.needs = needs_of(payload, formatted)
        media: int = found.media
        if media:
            for bit, need in MEDIA_NEEDS.items():
                if media & bit:
                    needs |= need
        if found.tools:
            needs |= TOOLS
        demand = Demand(
            self, payload, payload.model, needs, media, text, text + payload.other_bytes, payload.cap, 1,
            payload.stream, payload.strict, payload.emulate, formatted == "json_object" or formatted == "json_schema",
            payload.fallbacks, payload.preferences,
        )  # fmt: skip
        demand.notes = payload.notes
        return demand

    def affinity(self, payload: ResponsesRequest) -> int:
        return hash(bytes(payload.found.opening)) or 1

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
                text += b"".join([payload.given[name] for name in IN_PROMPT if name in payload.given])
            return Counted(count_text(family, text.decode("utf-8", "replace")).tokens, "estimated")

    def kept(self, payload: ResponsesRequest) -> Prompt:
        if payload.rewritten is not None:
            return CHAT.kept(payload.rewritten)
        length = _input_bytes(payload) + payload.other_bytes
        most = length + TEMPLATE_TOKENS
        if payload.found.media:
            most += self.media_tokens(payload, _MOST_IMAGE_TOKENS)
        if length > KEPT_PROMPT_BYTES or payload.found.media:
            return Prompt(length, most, payload.cap, 1)
        return DeferredPrompt(length, most, payload.cap, _Later(payload))

    def is_empty(self, text: str) -> bool:
        return CHAT.is_empty(text)

    def probe(self, model: str) -> ChatRequest:
        return CHAT.probe(model)


class _Later:
    """Makes the prompt of a request, which may have been released by then. Nearly never called."""

    __slots__ = ("_body", "_fields", "_given", "_history", "_request")

    def __init__(self, request: ResponsesRequest) -> None:
        self._request = request
        self._body = request.body
        self._fields = request.fields
        self._given = request.given
        self._history = request.history

    def __call__(self) -> Prompt:
        same = self._request.copied(self._body, self._fields, self._given, NOTHING_FOUND)
        same.history = self._history
        return CHAT.kept(same.neutral())


def _input_bytes(payload: ResponsesRequest) -> int:
    found = len(payload.input)
    for item in payload.history:
        found += len(item)
    return found


def needs_of(payload: ResponsesRequest, formatted: str) -> int:
    """Capabilities and parameters that a request asks for beside its input, as chat's."""
    needs = 0
    given = payload.given
    for name in given:
        if name in SAME:
            needs |= PARAMETER_BITS[name]
    if payload.cap:
        needs |= PARAMETER_BITS["max_completion_tokens"]
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
