"""What is kept of a prompt while it is answered, to count it when the provider does not."""

from __future__ import annotations

from typing import Final

from msgspec import Raw

from fairlead.wire.chat import ChatRequest

# The text of a longer prompt is not kept while its answer is streamed: thousands of streams may be open for an hour.
KEPT_PROMPT_BYTES: Final = 16_384


class Prompt:
    """Its JSON, or only how long it was."""

    __slots__ = ("length", "messages", "tools")

    def __init__(self, messages: Raw | None, tools: Raw | None, length: int) -> None:
        self.messages = messages
        self.tools = tools
        self.length = length


def kept_prompt(request: ChatRequest) -> Prompt:
    messages = request.messages
    tools = request.given.get("tools")
    length = len(messages) + (len(tools) if tools is not None else 0)
    return Prompt(messages, tools, length) if length <= KEPT_PROMPT_BYTES else Prompt(None, None, length)
