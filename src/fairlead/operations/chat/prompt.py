"""The prompt of a chat: what it comes to at most, what of it is kept while it is answered, and how it is counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Raw, Struct

from fairlead.routing.media_tokens import (
    MOST_AUDIO_TOKENS,
    MOST_FILE_TOKENS,
    MOST_IMAGE_TOKENS_OF,
    MOST_VIDEO_TOKENS,
)
from fairlead.routing.prompt import TEMPLATE_TOKENS, Prompt
from fairlead.tokens import Counted, count_chat, count_text
from fairlead.wire.chat_request import ChatRequest

# The text of a longer prompt is not kept while its answer is streamed: thousands of streams may be open for an hour.
KEPT_PROMPT_BYTES: Final = 16_384
# What beside the messages is charged for as a part of the prompt when nobody reports how long it was.
COUNTED: Final = ("tools", "documents", "response_format")


class _Message(Struct, gc=False):
    content: Raw = Raw(b"null")


class _Part(Struct, gc=False):
    type: str = ""


_messages: Final = msgspec.json.Decoder(list[_Message])
_parts: Final = msgspec.json.Decoder(list[_Part])
# What is written into the messages has been counted with them.
_BOUNDS: Final = {
    "text": 0, "refusal": 0, "input_audio": 0, "video_url": MOST_VIDEO_TOKENS, "audio_url": MOST_AUDIO_TOKENS,
}  # fmt: skip
_IMAGES: Final = ("image_url", "image", "input_image")


def media_tokens(messages: Raw, image_tokens: int) -> int:
    """The most tokens of everything in checked messages that is not text. `image_tokens`: of one image."""
    total = 0
    for message in _messages.decode(messages):
        if memoryview(message.content)[0] == 0x5B:
            for part in _parts.decode(message.content):
                total += image_tokens if part.type in _IMAGES else _BOUNDS.get(part.type, MOST_FILE_TOKENS)
    return total


class KeptChat(Prompt):
    """The prompt's JSON with the other members of its request; a longer one is estimated by its length alone."""

    __slots__ = ("given", "messages")

    def __init__(
        self, messages: Raw, given: dict[str, Raw] | None, length: int, most: int, cap: int, choices: int
    ) -> None:
        super().__init__(length, most, cap, choices)
        self.messages = messages
        self.given = given

    def count(self, family: str | None) -> Counted:
        try:
            return count_prompt(family, self.messages, self.given, COUNTED)
        except (msgspec.DecodeError, RecursionError):
            return super().count(family)


def kept_prompt(request: ChatRequest) -> Prompt:
    messages = request.messages
    others = request.other_bytes
    length = len(messages) + others
    most = length + TEMPLATE_TOKENS
    if request.media:
        most += media_tokens(
            messages if request.outline is None else request.outline, max(MOST_IMAGE_TOKENS_OF.values())
        )
    if length > KEPT_PROMPT_BYTES:
        return Prompt(length, most, request.cap, request.choices)
    return KeptChat(messages, request.given if others else None, length, most, request.cap, request.choices)


def count_prompt(family: str | None, messages: Raw, given: Mapping[str, Raw] | None, names: Iterable[str]) -> Counted:
    """The tokens of a prompt with these members of its request: `tools` as a template writes them, the others as they
    are. Raises msgspec.DecodeError and RecursionError."""
    if given is None:
        return count_chat(family, messages)
    chat = count_chat(family, messages, given.get("tools"))
    tokens, exact = chat.tokens, chat.provenance == "counted"
    for name in names:
        if name in given and name != "tools":
            other = count_text(family, f"{name}: {bytes(given[name]).decode('utf-8', 'replace')}")
            tokens += other.tokens
            exact = exact and other.provenance == "counted"
    return Counted(tokens, "counted" if exact else "estimated")
