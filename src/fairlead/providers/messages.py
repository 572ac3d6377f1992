"""Messages rewritten for an upstream that cannot take them as they are. Nothing is decoded unless it must be."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

NULL = Raw(b"null")
SHORT_ID = re.compile(r"[A-Za-z0-9]{9}")
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

# Text that a tokenizer of the common families reads as a control token: Mistral's, and the marks of Llama, ChatML
# and Gemma templates.
_NAMES = (
    "INST|AVAILABLE_TOOLS|TOOL_RESULTS|SYSTEM_PROMPT|TOOL_CALLS|TOOL_CONTENT|ARGS|CALL_ID|IMG|IMG_BREAK|IMG_END|"
    "PREFIX|MIDDLE|SUFFIX|THINK|AUDIO|BEGIN_AUDIO|MODEL_SETTINGS"
)
_ANGLED = "s|unk|pad|bos|eos|start_of_turn|end_of_turn|tool_call|tool_response|think"
CONTROL = re.compile(rf"\[(?=/?(?:{_NAMES})\])|<(?=/?(?:{_ANGLED})>|\|)")
# The same in a document's bytes, or an escape of ASCII that might hide it.
_HINT = re.compile(rf"\[/?(?:{_NAMES})\]|</?(?:{_ANGLED})>|<\||\\/|\\u00[2-7]".encode())
WORD_JOINER = "\u2060"


def short_id(tool_id: str) -> str:
    """A tool call's id in nine letters and digits, always the same for the same id."""
    if SHORT_ID.fullmatch(tool_id):
        return tool_id
    number = int.from_bytes(hashlib.sha256(tool_id.encode("utf-8", "surrogatepass")).digest()[:8], "big")
    letters = []
    for _ in range(9):
        number, digit = divmod(number, 62)
        letters.append(ALPHABET[digit])
    return "".join(letters)


def neutral_text(text: str) -> str:
    """Puts an invisible character into what would be parsed as a control token."""
    return CONTROL.sub(lambda found: found[0] + WORD_JOINER, text)


def may_hold_control(raw: bytes | Raw) -> bool:
    return _HINT.search(memoryview(raw)) is not None


def neutralise(raw: Raw) -> Raw:
    """The same JSON without control tokens in any string; `raw` itself when there is none."""
    if not may_hold_control(raw):
        return raw
    value = msgspec.json.decode(raw)
    changed = _map_strings(value, neutral_text)
    return raw if changed == value else Raw(msgspec.json.encode(changed))


def _map_strings(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_map_strings(item, change) for item in value]
    if isinstance(value, dict):
        return {change(key): _map_strings(item, change) for key, item in value.items()}
    return value


def with_short_ids(raw: Raw) -> Raw:
    """Tool-call ids in the nine characters that Mistral's templates demand, alike in calls and results."""
    messages = msgspec.json.decode(raw, type=list[dict[str, Raw]])
    for message in messages:
        if "tool_call_id" in message and message["tool_call_id"] != NULL:
            message["tool_call_id"] = _encoded(short_id(msgspec.json.decode(message["tool_call_id"], type=str)))
        if "tool_calls" in message and message["tool_calls"] != NULL:
            calls = msgspec.json.decode(message["tool_calls"], type=list[dict[str, Raw]])
            for call in calls:
                call["id"] = _encoded(short_id(msgspec.json.decode(call["id"], type=str)))
            message["tool_calls"] = _encoded(calls)
    return _encoded(messages)


def with_prefix_mark(raw: Raw) -> Raw:
    """Mistral's API continues a last assistant message only when it says `prefix: true`."""
    messages = msgspec.json.decode(raw, type=list[dict[str, Raw]])
    messages[-1]["prefix"] = Raw(b"true")
    return _encoded(messages)


def _encoded(value: Any) -> Raw:
    return Raw(msgspec.json.encode(value))
