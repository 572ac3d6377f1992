"""Requests of callers of other APIs, for providers that refuse what their own API does not have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from fairlead.errors import FairleadError
from fairlead.providers.openai.adapter import OpenAIChat, UpstreamCall
from fairlead.wire.chat_request import ChatRequest

# What other providers must get back of their reasoning (`providers/conversation.py`): members of messages and of calls.
_NEEDLES: Final = (b'"reasoning_details"', b'"extra_content"')
_messages: Final = msgspec.json.Decoder(list[dict[str, Raw]])
_calls: Final = msgspec.json.Decoder(list[dict[str, Raw]])


class WithoutReasoning:
    """A `Translator`: the chat of a provider, less what only another one could read."""

    __slots__ = ("_chat",)

    def __init__(self, chat: OpenAIChat) -> None:
        self._chat = chat

    def to_vendor(self, request: ChatRequest) -> UpstreamCall:
        messages = bytes(request.messages)
        if any(needle in messages for needle in _NEEDLES):
            request = request.copy()
            request.messages = _plain(request.messages)
        return self._chat.to_vendor(request)

    def error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> FairleadError:
        return self._chat.error(status, headers, body)


def _plain(raw: Raw) -> Raw:
    messages = _messages.decode(raw)
    for message in messages:
        message.pop("reasoning_details", None)
        if "tool_calls" in message:
            calls = _calls.decode(message["tool_calls"])
            for call in calls:
                call.pop("extra_content", None)
            message["tool_calls"] = Raw(msgspec.json.encode(calls))
    return Raw(msgspec.json.encode(messages))
