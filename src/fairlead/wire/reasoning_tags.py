"""Reasoning of another provider inside Anthropic's thinking blocks, so that a conversation can go on anywhere.

A block of Anthropic's own bears its signature as it is. What another provider must get back, and reasoning that nobody
has signed, is tagged: `fairlead:FORMAT:KIND:ID:VALUE`. Anthropic would refuse it, so that it is left out there.
"""

from __future__ import annotations

from typing import Any, Final

from fairlead.wire.answer import ReasoningState

ANTHROPIC: Final = "anthropic-claude-v1"
GEMINI: Final = "google-gemini-v1"
TAG: Final = "fairlead:"
# How a tagged value begins in JSON. Looking for its first part is four times as fast, because the last byte of that is
# rare in JSON.
NEEDLE: Final = b'"fairlead:'
QUICK_NEEDLE: Final = b'"fairlead'
# Reasoning without a signature.
UNSIGNED: Final = TAG
_SIGNATURE, _DATA, _CALL = "s", "d", "c"


def tagged(state: ReasoningState) -> str:
    """The value of `signature`, or of `data` of a redacted block, that stands for this in a Messages answer."""
    if state.format == ANTHROPIC:
        return state.signature or state.data
    kind, value = (_SIGNATURE, state.signature) if state.signature else (_DATA, state.data)
    return f"{TAG}{state.format}:{kind}:{state.id}:{value}"


def tagged_call(call_id: str, signature: str) -> str:
    """The data of a redacted block in front of a tool call that Gemini has signed: the call itself has no place for
    it."""
    return f"{TAG}{GEMINI}:{_CALL}:{call_id}:{signature}"


def signature_of_call(value: str) -> tuple[str, str] | None:
    """(id of a tool call, its signature); None for a tagged value of another kind."""
    form, kind, call_id, signature = [*value[len(TAG) :].split(":", 3), "", "", "", ""][:4]
    return (call_id, signature) if form == GEMINI and kind == _CALL else None


def is_tagged(value: str) -> bool:
    return value.startswith(TAG)


def reasoning_detail(text: str, value: str, *, redacted: bool) -> dict[str, Any] | None:
    """An entry of `reasoning_details` (OpenRouter's shape) for a block that came back; None for reasoning that is
    nobody's. `value`: its signature, or its data when it is `redacted`."""
    if not value:
        return None
    if not is_tagged(value):
        if redacted:
            return {"type": "reasoning.encrypted", "data": value, "format": ANTHROPIC}
        return {"type": "reasoning.text", "text": text, "signature": value, "format": ANTHROPIC}
    parts = value[len(TAG) :].split(":", 3)
    if len(parts) != 4:
        return None
    form, kind, item, rest = parts
    detail: dict[str, Any] = {"format": form}
    if item:
        detail["id"] = item
    if kind == _SIGNATURE:
        return {"type": "reasoning.text", "text": text, "signature": rest, **detail}
    return {"type": "reasoning.encrypted", "data": rest, **detail}
