"""Messages without the reasoning that another provider made, or none: Anthropic refuses a signature that is not its
own."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from fairlead.wire.messages.decoding import LIST, decoded, first_byte
from fairlead.wire.messages.shapes import NULL
from fairlead.wire.reasoning_tags import NEEDLE, is_tagged

_messages: Final = msgspec.json.Decoder(list[dict[str, Raw]])
_blocks: Final = msgspec.json.Decoder(list[Raw])
_members: Final = msgspec.json.Decoder(dict[str, Raw])
_citations: Final = msgspec.json.Decoder(list[Raw])
_encode: Final = msgspec.json.encode


class _Message(msgspec.Struct, gc=False):
    role: str = ""
    content: Raw = NULL


class _Thinking(msgspec.Struct, gc=False):
    type: str = ""


class _Value(msgspec.Struct, gc=False):
    type: str = ""
    signature: str = ""
    data: str = ""


_value: Final = msgspec.json.Decoder(_Value)
_roles: Final = msgspec.json.Decoder(list[_Message])
_values: Final = msgspec.json.Decoder(list[_Value])
_thinking: Final = msgspec.json.Decoder(_Thinking)


def without_tagged(messages: Raw) -> bytes:
    """Blocks without a tag stay the bytes that they were; a message that has no other is left out. Where there is no
    such block, everything stays."""
    kept = []
    changed = False
    for message in decoded(_messages, messages, "messages"):
        content = message.get("content", NULL)
        if NEEDLE in bytes(content) and first_byte(content) == LIST:
            before = _blocks.decode(content)
            blocks = [_without_citations(block) for block in before if not _is_tagged(block)]
            if blocks != before:
                changed = True
                if not blocks:
                    continue
                message["content"] = Raw(_encode(blocks))
        kept.append(message)
    return _encode(kept) if changed else bytes(messages)


def thinks_with_budget(thinking: Raw) -> bool:
    return bool(thinking != NULL and decoded(_thinking, thinking, "thinking").type == "enabled")


def is_unthought_loop(messages: Raw) -> bool:
    """The conversation ends with results of tools, and what the assistant has begun with those tools has no thought of
    Anthropic's at its beginning. https://platform.claude.com/docs/en/build-with-claude/extended-thinking"""
    thought = True
    for message in reversed(decoded(_roles, messages, "messages")):
        blocks = _values.decode(message.content) if first_byte(message.content) == LIST else []
        if message.role == "user":
            if not any(block.type == "tool_result" for block in blocks):
                break
        elif message.role == "assistant":
            own = [one for one in blocks if not is_tagged(one.signature or one.data)]
            thought = bool(own) and own[0].type in ("thinking", "redacted_thinking")
            if thought:
                break
    return not thought


def _is_tagged(block: Raw) -> bool:
    if NEEDLE not in bytes(block):
        return False
    value = _value.decode(block)
    return value.type in ("thinking", "redacted_thinking") and is_tagged(value.signature or value.data)


def _without_citations(block: Raw) -> Raw:
    text = bytes(block)
    if NEEDLE not in text or b'"citations"' not in text:
        return block
    members = _members.decode(block)
    if first_byte(members.get("citations", NULL)) != LIST:
        return block
    citations = [one for one in _citations.decode(members["citations"]) if NEEDLE not in bytes(one)]
    if citations:
        members["citations"] = Raw(_encode(citations))
    else:
        del members["citations"]
    return Raw(_encode(members))
