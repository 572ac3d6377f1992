"""Chat that a caller asked for in another API than chat completions: the same operation, by the neutral request."""

from __future__ import annotations

from typing import Final

from fairlead.operations.chat.operation import CHAT
from fairlead.routing.demand import Demand
from fairlead.routing.prompt import Prompt
from fairlead.tokens import Counted
from fairlead.wire.chat_request import ChatRequest
from fairlead.wire.payload import ChatPayload


class ForeignChat:
    """Its payload is any `ChatPayload`. A door that knows more of its own requests, without translating them, may have
    an operation of its own beside this one; both are chat by their name."""

    __slots__ = ()
    name: Final = CHAT.name
    modes: Final = CHAT.modes

    def demand(self, payload: ChatPayload) -> Demand:
        return CHAT.demand(payload.neutral()).carried_by(self, payload)

    def affinity(self, payload: ChatPayload) -> int:
        return CHAT.affinity(payload.neutral())

    def media_tokens(self, payload: ChatPayload, image_tokens: int) -> int:
        return CHAT.media_tokens(payload.neutral(), image_tokens)

    def count(self, payload: ChatPayload, family: str | None, whole: bool) -> Counted:
        return CHAT.count(payload.neutral(), family, whole)

    def kept(self, payload: ChatPayload) -> Prompt:
        return CHAT.kept(payload.neutral())

    def is_empty(self, text: str) -> bool:
        return CHAT.is_empty(text)

    def probe(self, model: str) -> ChatRequest:
        return CHAT.probe(model)


FOREIGN_CHAT: Final = ForeignChat()
