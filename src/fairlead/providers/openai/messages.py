"""Messages rewritten for an upstream that cannot take them as they are. Nothing is decoded unless it must be."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Raw, Struct

from fairlead.errors import InvalidRequest
from fairlead.providers.tool_ids import short_id
from fairlead.wire.bounds import MOST_CONTROL_TOKENS
from fairlead.wire.chat_shapes import File, InputAudio
from fairlead.wire.messages.blocks import SEE_BELOW

NULL = Raw(b"null")
_EMPTY = Raw(b'""')
_TOOL, _USER = Raw(b'"tool"'), Raw(b'"user"')
# Longer messages are decoded at once: that costs less than looking for each name.
MOST_SEARCHED = 65_536
REASONING = frozenset({"reasoning", "reasoning_content", "reasoning_details"})

# Text that a tokenizer of the common families reads as a control token: Mistral's, and the marks of Llama, ChatML
# and Gemma templates. Written as tries, so that a text of nothing but brackets costs a step for each.
_NAMES = (
    "A(?:VAILABLE_TOOLS|RGS|UDIO)|BEGIN_AUDIO|CALL_ID|I(?:NST|MG(?:_BREAK|_END)?)|M(?:IDDLE|ODEL_SETTINGS)|PREFIX|"
    "S(?:YSTEM_PROMPT|UFFIX)|T(?:OOL_(?:RESULTS|CALLS|CONTENT)|HINK)"
)
_ANGLED = "bos|e(?:os|nd_of_turn)|pad|s(?:tart_of_turn)?|t(?:ool_(?:call|response)|hink)|unk"
_BRACKET = rf"\[(?=/?[ABCIMPST])(?=/?(?:{_NAMES})\])"
_ANGLE = rf"<(?=\||/?(?:{_ANGLED})>)"
CONTROL = re.compile(f"{_BRACKET}|{_ANGLE}")
_BRACKETS, _ANGLES = re.compile(_BRACKET.encode()), re.compile(_ANGLE.encode())
# An escape of ASCII that might hide a control token in a document's bytes.
_HIDDEN = re.compile(rb"\\(?:/|u00[2-7])")
WORD_JOINER = "\u2060"
_JOINER = WORD_JOINER.encode()
_encode = msgspec.json.encode


def neutral_text(text: str) -> str:
    """Puts an invisible character into what would be parsed as a control token."""
    return CONTROL.sub(lambda found: found[0] + WORD_JOINER, text)


def may_hold_control(raw: bytes | Raw) -> bool:
    view = memoryview(raw)
    return any(hint.search(view) is not None for hint in (_BRACKETS, _ANGLES, _HIDDEN))


def neutralise(raw: Raw) -> Raw:
    """The same JSON without control tokens in any string; `raw` itself when there is none.

    They are looked for in the bytes: what begins one stands nowhere but in a string, and needs no escape there."""
    text = bytes(raw)
    if _HIDDEN.search(text) is not None:
        text = _encode(msgspec.json.decode(raw))
    changed = text.replace(b"<|", b"<" + _JOINER + b"|")
    if b"[" in text:
        changed = _limited(_BRACKETS.subn(b"[" + _JOINER, changed, MOST_CONTROL_TOKENS))
    if b"<" in text:
        changed = _limited(_ANGLES.subn(b"<" + _JOINER, changed, MOST_CONTROL_TOKENS))
    return raw if changed == text else Raw(changed)


def _limited(done: tuple[bytes, int]) -> bytes:
    if done[1] >= MOST_CONTROL_TOKENS:
        raise InvalidRequest(
            f"There are {MOST_CONTROL_TOKENS:,} or more control tokens such as [INST] in the messages or tools.",
            param="messages",
        )
    return done[0]


def without_members(raw: Raw, refused: frozenset[str], needles: tuple[bytes, ...]) -> tuple[Raw, bool]:
    """The messages without these members, of their tool calls too, and whether reasoning was among them. Those that
    have none stay the bytes that they were. `needles`: the names as they stand in JSON."""
    if len(raw) < MOST_SEARCHED:
        text = bytes(raw)
        for needle in needles:
            if needle in text:
                break
        else:
            return raw, False
    changed = loses = False
    messages = msgspec.json.decode(raw, type=list[dict[str, Raw]])
    kept = []
    for message in messages:
        thought = False
        for name in refused & message.keys():
            value = message.pop(name)
            changed = True
            if name == "refusal" and value != NULL and message.get("content", NULL) in (NULL, _EMPTY):
                message["content"] = value
            thought = thought or (name in REASONING and len(value) > 2 and value != NULL)
        loses = loses or thought
        if thought and message.get("content", NULL) in (NULL, _EMPTY) and message.get("tool_calls", NULL) == NULL:
            continue  # it was nothing but reasoning
        kept.append(message)
        calls = message.get("tool_calls", NULL)
        if b'"extra_content"' in bytes(calls) and "extra_content" in refused:
            found = msgspec.json.decode(calls, type=list[dict[str, Raw]])
            for call in found:
                if call.pop("extra_content", NULL) != NULL:
                    changed = loses = True
            message["tool_calls"] = _encoded(found)
    return (_encoded(kept) if changed else raw), loses


def with_text_results(raw: Raw) -> Raw:
    """Results of tools as text alone: what else they hold follows in a message of the user's, with a sentence of whose
    it is. https://platform.openai.com/docs/api-reference/chat/create: "For tool messages, only type `text` is
    supported." """
    found: list[dict[str, Raw]] = []
    behind: list[Any] = []
    changed = False
    for message in msgspec.json.decode(raw, type=list[dict[str, Raw]]):
        is_result = message.get("role") == _TOOL
        if behind and not is_result:
            found.append({"role": _USER, "content": _encoded(behind)})
            behind = []
        content = message.get("content", NULL)
        if is_result and memoryview(content)[0] == 0x5B:
            parts = msgspec.json.decode(content, type=list[Raw])
            texts = [part for part in parts if _part.decode(part).type == "text"]
            if len(texts) < len(parts):
                call = msgspec.json.decode(message.get("tool_call_id", NULL), type=str | None)
                behind.append({"type": "text", "text": f"From the result of {call}:"})
                behind += [part for part in parts if _part.decode(part).type != "text"]
                message["content"] = _encoded(texts or SEE_BELOW)
                changed = True
        found.append(message)
    if behind:
        found.append({"role": _USER, "content": _encoded(behind)})
    return _encoded(found) if changed else raw


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


def with_mistral_parts(raw: Raw) -> Raw:
    """Files and audio in the parts that Mistral's API has for them: https://docs.mistral.ai/api"""
    messages = msgspec.json.decode(raw, type=list[dict[str, Raw]])
    for message in messages:
        content = message.get("content", NULL)
        if memoryview(content)[0] != 0x5B:
            continue
        parts = msgspec.json.decode(content, type=list[Raw])
        message["content"] = _encoded([_mistral_part(part) for part in parts])
    return _encoded(messages)


class _Part(Struct):
    type: str = ""
    file: File | None = None
    input_audio: InputAudio | None = None


_part = msgspec.json.Decoder(_Part)


def _mistral_part(raw: Raw) -> Any:
    part = _part.decode(raw)
    if part.input_audio is not None:
        return {"type": "input_audio", "input_audio": part.input_audio.data}
    if part.file is None:
        return raw
    if part.file.file_id is not None:
        return {"type": "file", "file_id": part.file.file_id}
    made = {"type": "document_url", "document_url": part.file.file_data}
    if part.file.filename is not None:
        made["document_name"] = part.file.filename
    return made


def _encoded(value: Any) -> Raw:
    return Raw(msgspec.json.encode(value))
