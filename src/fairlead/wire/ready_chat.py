"""What requests of one template become in OpenAI's shape, when their conversations are nothing but texts."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.wire.chat_request import ChatRequest, RequestTemplate
from fairlead.wire.plain import PlainTurns, chat_messages, plain_turns

_SOMETHING: Final = b'{"role":"user","content":"x"}'
_encode: Final = msgspec.json.encode


class ReadyChat:
    """What the requests of a template become in OpenAI's shape, when their conversations are plain. `template`: of that
    shape; `system`: what stands there before the conversation, and `spoken` the same apart, None: it is no text; `lost`
    and `kept`: what the translation left out, and what the door keeps of it for the answer."""

    __slots__ = ("kept", "lost", "spoken", "system", "template")

    def __init__(
        self,
        template: RequestTemplate,
        system: bytes,
        lost: tuple[str, ...],
        kept: Any,
        spoken: list[tuple[str, Raw]] | None,
    ) -> None:
        self.template = template
        self.system = system
        self.spoken = spoken
        self.lost = lost
        self.kept = kept

    def told(self, turns: PlainTurns) -> PlainTurns | None:
        """With what the operator says before it; None as for `around`, and where that is no text."""
        role, _ = turns.turns[-1]
        if self.spoken is None or turns.system or role != "user":
            return None
        return PlainTurns(self.spoken, turns.turns)

    def around(self, turns: PlainTurns) -> ChatRequest | None:
        """None for what ends with the assistant's words, or has the operator's among the others."""
        role, _ = turns.turns[-1]
        if turns.system or role != "user":
            return None
        request = self.template.around(chat_messages(self.system, turns.turns), None, turns.opening)
        if self.spoken is not None:
            request.told = PlainTurns(self.spoken, turns.turns)
        return request


def ready_chat(request: ChatRequest, system: Any, lost: tuple[str, ...], kept: Any) -> ReadyChat | None:
    """Of a request that was translated. `system`: its first message, where the operator says something; None: nothing.
    None: others with the same template may become something else."""
    template = request.template
    if template is None or request.prefill is not None:
        return None
    if system is None:
        return ReadyChat(template, b"", lost, kept, [])
    spoken = plain_turns(Raw(b"[%b,%b]" % (_encode(system), _SOMETHING)))
    return ReadyChat(template, _encode(system) + b",", lost, kept, None if spoken is None else spoken.system)
