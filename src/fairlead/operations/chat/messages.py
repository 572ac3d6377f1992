"""Chat that was asked for in Anthropic's Messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Raw

from fairlead.operations.chat.native import NativeChat
from fairlead.operations.chat.prompt import kept_prompt
from fairlead.routing.needs import JSON_SCHEMA, PARAMETER_BITS, TOOLS
from fairlead.routing.prompt import Prompt
from fairlead.wire.messages.neutral import to_chat
from fairlead.wire.native import NativeRequest

# What its parameters are in the words by which deployments are chosen (`wire/vocabulary.py`).
_WORDS: Final[Mapping[str, int]] = {
    "max_tokens": PARAMETER_BITS["max_tokens"],
    "stop_sequences": PARAMETER_BITS["stop"],
    "temperature": PARAMETER_BITS["temperature"],
    "top_p": PARAMETER_BITS["top_p"],
    "top_k": PARAMETER_BITS["top_k"],
    "tools": PARAMETER_BITS["tools"] | TOOLS,
    "tool_choice": PARAMETER_BITS["tool_choice"],
}
_FORMAT: Final = b'"format"'


class MessagesChat(NativeChat):
    """Its payload is a `MessagesRequest`."""

    __slots__ = ()

    def parameters(self, payload: NativeRequest) -> int:
        needs = 0
        for name in payload.fields:
            needs |= _WORDS.get(name, 0)
        if self.is_formatted(payload):
            needs |= JSON_SCHEMA | PARAMETER_BITS["response_format"]
        return needs

    def is_formatted(self, payload: NativeRequest) -> bool:
        output = payload.fields.get("output_config")
        return output is not None and _FORMAT in bytes(output)

    def later(self, payload: NativeRequest) -> Callable[[], Prompt]:
        return _Later(payload.fields, payload.cap)


class _Later:
    """Cheaper to make than a `partial`, and nearly never called."""

    __slots__ = ("_cap", "_fields")

    def __init__(self, fields: Mapping[str, Raw], cap: int) -> None:
        self._fields = fields
        self._cap = cap

    def __call__(self) -> Prompt:
        return kept_prompt(to_chat(self._fields, self._cap).request)


MESSAGES_CHAT: Final = MessagesChat()
