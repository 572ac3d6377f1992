"""What is kept of a prompt while it is answered, to count it when the provider does not."""

from __future__ import annotations

from typing import Final

from msgspec import Raw

from fairlead.routing.media_tokens import MOST_IMAGE_TOKENS_OF, media_tokens
from fairlead.wire.chat import ChatRequest

# The text of a longer prompt is not kept while its answer is streamed: thousands of streams may be open for an hour.
KEPT_PROMPT_BYTES: Final = 16_384


# What a provider's template and its own words may add to a prompt: Anthropic's for tools are about 700 tokens.
TEMPLATE_TOKENS: Final = 4_096


class Prompt:
    """Its JSON with the other members of its request, or only how long both are. `most`: the tokens that it can come
    to; `cap`: those of each of `choices` answers; 0: none was given."""

    __slots__ = ("cap", "choices", "given", "length", "messages", "most")

    def __init__(
        self, messages: Raw | None, given: dict[str, Raw] | None, length: int, most: int, cap: int, choices: int
    ) -> None:
        self.messages = messages
        self.given = given
        self.length = length
        self.most = most
        self.cap = cap
        self.choices = choices


def kept_prompt(request: ChatRequest) -> Prompt:
    messages = request.messages
    others = request.other_bytes
    length = len(messages) + others
    most = length + TEMPLATE_TOKENS
    if request.media:
        most += media_tokens(messages, max(MOST_IMAGE_TOKENS_OF.values()))
    if length > KEPT_PROMPT_BYTES:
        return Prompt(None, None, length, most, request.cap, request.choices)
    return Prompt(messages, request.given if others else None, length, most, request.cap, request.choices)
