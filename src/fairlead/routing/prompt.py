"""What is kept of a prompt while it is answered, to count it when the provider does not."""

from __future__ import annotations

from typing import Final

from msgspec import Raw

from fairlead.wire.chat import ChatRequest

# The text of a longer prompt is not kept while its answer is streamed: thousands of streams may be open for an hour.
KEPT_PROMPT_BYTES: Final = 16_384


class Prompt:
    """Its JSON with the other members of its request, or only how long both are."""

    __slots__ = ("given", "length", "messages")

    def __init__(self, messages: Raw | None, given: dict[str, Raw] | None, length: int) -> None:
        self.messages = messages
        self.given = given
        self.length = length


def kept_prompt(request: ChatRequest) -> Prompt:
    messages = request.messages
    others = request.other_bytes
    length = len(messages) + others
    if length > KEPT_PROMPT_BYTES:
        return Prompt(None, None, length)
    return Prompt(messages, request.given if others else None, length)
