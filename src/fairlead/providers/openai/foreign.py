"""Requests that were translated from another API, as OpenAI's own servers take them: without the members of messages
that are only for other providers, which strict servers refuse (Groq: "property 'cache_control' is unsupported")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.errors import FairleadError
from fairlead.providers.openai.adapter import OpenAIChat
from fairlead.providers.openai.shapes import DetailText, UpstreamCall
from fairlead.wire.chat_request import ChatRequest
from fairlead.wire.plain import PlainTurns
from fairlead.wire.vocabulary import FOREIGN_REASONING

# Of a message, of a part of its content, of a tool call.
_OF_MESSAGE, _OF_PART, _OF_CALL = "reasoning_details", "cache_control", "extra_content"
_NEEDLES: Final = tuple(b'"%b"' % name.encode() for name in (_OF_MESSAGE, _OF_PART, _OF_CALL))
_USER: Final = b'{"role":"user","content":'
_ASSISTANT: Final = b'{"role":"assistant","content":'
_details: Final = msgspec.json.Decoder(list[DetailText] | None)
_list: Final = msgspec.json.Decoder(list[dict[str, Raw]])
_encode: Final = msgspec.json.encode
_WORDS: Final = "reasoning_content"


class ForeignCallers:
    """A `Translator` for one deployment. `takes_words`: it takes `reasoning_content` in messages of the assistant, and
    some models want what they have thought back (DeepSeek, Kimi: 400 without it)."""

    __slots__ = ("_adapter", "_keeps", "_takes_words")

    def __init__(self, adapter: OpenAIChat, *, keeps_marks: bool, takes_words: bool = False) -> None:
        self._adapter = adapter
        self._keeps = keeps_marks
        self._takes_words = takes_words

    def to_vendor(self, request: ChatRequest) -> UpstreamCall:
        """Raises InvalidRequest, in strict mode also for what cannot be carried."""
        if request.template is not None:  # what has a template is nothing but texts
            return self._adapter.to_vendor(request)
        loses = False
        text = bytes(request.messages)
        if self._takes_words and _NEEDLES[0] in text:
            request = request.copy()
            request.messages = with_words(request.messages)
        if self._keeps:
            return self._adapter.to_vendor(request)
        if any(needle in text for needle in _NEEDLES):
            request = request.copy()
            request.messages, loses = plain(request.messages)
        call = self._adapter.to_vendor(request)
        if not loses or FOREIGN_REASONING in call.dropped:
            return call
        return msgspec.structs.replace(call, dropped=(*call.dropped, FOREIGN_REASONING))

    def error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> FairleadError:
        return self._adapter.error(status, headers, body)


def plain(messages: Raw) -> tuple[Raw, bool]:
    """The messages without these members, and whether reasoning was among them; a lone text is a string again."""
    found = _list.decode(messages)
    loses = False
    for message in found:
        lost = message.pop(_OF_MESSAGE, None) is not None and _WORDS not in message
        loses = loses or lost
        content = message.get("content")
        if content is not None and memoryview(content)[0] == 0x5B:
            message["content"] = _plain_content(content)
        calls = message.get("tool_calls")
        if calls is not None and memoryview(calls)[0] == 0x5B:
            loses = loses or b'"extra_content"' in bytes(calls)
            message["tool_calls"] = _without(calls, _OF_CALL)
    return Raw(_encode(found)), loses


def with_words(messages: Raw) -> Raw:
    """The messages with the words of signed reasoning where every server reads them, too."""
    found = _list.decode(messages)
    for message in found:
        details = message.get(_OF_MESSAGE)
        if details is not None and _WORDS not in message:
            words = "".join([detail.text or "" for detail in _details.decode(details) or ()])
            if words:
                message[_WORDS] = Raw(_encode(words))
    return Raw(_encode(found))


def _plain_content(content: Raw) -> Raw:
    parts: list[Any] = _list.decode(content)
    for part in parts:
        part.pop(_OF_PART, None)
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        text: Raw = parts[0]["text"]
        return text
    return Raw(_encode(parts))


def _without(raw: Raw, name: str) -> Raw:
    items = _list.decode(raw)
    for item in items:
        item.pop(name, None)
    return Raw(_encode(items))


def written_turns(plain: PlainTurns) -> bytes:
    """`messages` of a conversation that is nothing but texts, as a ready member."""
    pieces: list[bytes | Raw] = []
    before = b'"messages":['
    for role, text in plain.system:
        pieces += (before, b'{"role":"', role.encode(), b'","content":', text)
        before = b"},"
    for role, text in plain.turns:
        pieces += (before, _USER if role == "user" else _ASSISTANT, text)
        before = b"},"
    pieces.append(b"}]")
    return b"".join(pieces)
