"""Messages of nothing but a role and a text, in each API: whatever has more is of another shape."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct


class PlainTurn(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Of chat completions, and of Anthropic's Messages."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Raw


class PlainItem(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Of Responses."""

    role: Literal["user", "assistant"]
    content: Raw
    type: Literal["message"] = "message"


class PlainPart(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    text: Raw


class PlainContent(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Of Gemini's."""

    role: Literal["user", "model"]
    parts: Annotated[list[PlainPart], Meta(min_length=1, max_length=1)]
