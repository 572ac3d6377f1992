"""Chat as the middle knows it: its demand, and what is asked of its payload."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct

from fairlead.operations.chat.prompt import count_prompt, kept_prompt, media_tokens
from fairlead.routing.demand import Demand
from fairlead.routing.needs import (
    CHOICES,
    JSON_OBJECT,
    JSON_SCHEMA,
    LOGPROBS,
    MEDIA_NEEDS,
    PARALLEL_TOOLS,
    PARAMETER_BITS,
    PREFILL,
    TOOLS,
    TRUE,
    UNKNOWN_PARAMETER,
)
from fairlead.routing.prompt import Prompt
from fairlead.tokens import Counted, count_chat
from fairlead.wire.apis import CHAT as CHAT_NAME
from fairlead.wire.chat import parse_chat
from fairlead.wire.chat_request import NOT_IN_PROMPT, ChatRequest
from fairlead.wire.notes import MEMBERS, notes_in_members

MODES: Final[frozenset[str]] = frozenset({"chat"})
_NOTED: Final[frozenset[str]] = MEMBERS
PROBE_MESSAGES: Final = [{"role": "user", "content": "Say OK."}]


class _Kind(Struct):
    type: str = ""


def needs_of(request: ChatRequest) -> int:
    """Capabilities and parameters that a request asks for."""
    needs = 0
    if request.media:
        for bit, need in MEDIA_NEEDS.items():
            if request.media & bit:
                needs |= need
    if request.prefill is not None:
        needs |= PREFILL
    if request.choices > 1:
        needs |= CHOICES
    given = request.given
    if given:
        for name in given:
            needs |= PARAMETER_BITS.get(name, UNKNOWN_PARAMETER)
        if "tools" in given:
            needs |= TOOLS
            if given.get("parallel_tool_calls") == TRUE:
                needs |= PARALLEL_TOOLS
        if "response_format" in given:
            kind = msgspec.json.decode(given["response_format"], type=_Kind).type
            needs |= JSON_SCHEMA if kind == "json_schema" else JSON_OBJECT if kind == "json_object" else 0
        if given.get("logprobs") == TRUE:
            needs |= LOGPROBS
    return needs


class Chat:
    """Its payload is a `ChatRequest`."""

    __slots__ = ()
    name: Final = CHAT_NAME
    modes: Final = MODES

    def demand(self, payload: Any) -> Demand:
        request: ChatRequest = payload
        template = request.template
        if template is None or request.prefill is not None:
            needs = needs_of(request)
        else:
            needs = template.needs
            if needs < 0:
                needs = template.needs = needs_of(request)
        text = len(request.messages)
        other = request.other_bytes
        demand = Demand(
            self, request, request.model, needs, request.media, text, text + other, request.cap, request.choices,
            request.stream, request.strict, request.emulate, other > 0 and "response_format" in request.given,
            request.fallbacks, request.preferences,
        )  # fmt: skip
        if request.session or not _NOTED.isdisjoint(request.given):
            demand.notes = notes_in_members(request.given, request.session)
        return demand

    def affinity(self, payload: Any) -> int:
        """A number for the conversation that this request continues: that of its first user message."""
        request: ChatRequest = payload
        return hash(bytes(request.opening)) or 1

    def media_tokens(self, payload: Any, image_tokens: int) -> int:
        request: ChatRequest = payload
        return media_tokens(request.messages if request.outline is None else request.outline, image_tokens)

    def count(self, payload: Any, family: str | None, whole: bool) -> Counted:
        request: ChatRequest = payload
        if not whole:
            return count_chat(family, request.messages, request.given.get("tools"))
        names: Iterable[str] = [name for name in request.given if name not in NOT_IN_PROMPT]
        return count_prompt(family, request.messages, request.given, names)

    def kept(self, payload: Any) -> Prompt:
        return kept_prompt(payload)

    def is_empty(self, text: str) -> bool:
        return not text

    def probe(self, model: str) -> ChatRequest:
        """The smallest call: for one word."""
        return parse_chat(msgspec.json.encode({"model": model, "messages": PROBE_MESSAGES, "max_tokens": 1}))


CHAT: Final = Chat()
