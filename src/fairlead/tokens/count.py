"""How many tokens a text or a chat has. Slow (a millisecond per 2 KB, and a load at first): to be run in a thread.

Text that looks like a control token is counted as the text that it is, as engines encode it.
Sources: mistral-common's V11 layout for Tekken models; OpenAI's cookbook for chats of its models.
"""

from __future__ import annotations

import json
import re
from typing import Literal, NamedTuple

import msgspec
from msgspec import Raw

from fairlead.tokens.vocabulary import encoding

# Of a text or a chat. What is longer is estimated: counting it would keep a core busy for many seconds.
MOST_COUNTED_CHARACTERS = 1_000_000
# A run without a space is one piece to a tokenizer, and the work grows with its square: it is counted in parts.
LONGEST_PIECE = 4_096
# An image whose size nobody looked at: 1024 x 768 in Mistral's patches.
IMAGE_TOKENS = 1_064
OPENAI_MESSAGE_TOKENS = 3
OPENAI_REPLY_TOKENS = 3

_TEKKEN = re.compile(
    r"mistral-(?:small|medium|large|nemo|tiny)|ministral|pixtral|devstral|magistral|codestral-2[5-9]|voxtral|fairlead-demo",
    re.IGNORECASE,
)
_NOT_TEKKEN = re.compile(r"mistral-(?:small|medium|large)-(?:2402|2407|2409)", re.IGNORECASE)
_O200K = re.compile(r"gpt-(?:4o|4\.1|4\.5|5)|chatgpt|gpt-oss|(?:^|/)o[134](?:-|$)", re.IGNORECASE)
_CL100K = re.compile(r"gpt-(?:3\.5|4)", re.IGNORECASE)


class Counted(NamedTuple):
    tokens: int
    provenance: Literal["counted", "estimated"]


def family_of(model: str) -> str | None:
    """The vocabulary of a model by its id at the provider; None when it is not one of ours."""
    if _TEKKEN.search(model):
        return None if _NOT_TEKKEN.search(model) else "tekken"
    if _O200K.search(model):
        return "o200k_base"
    return "cl100k_base" if _CL100K.search(model) else None


def estimate(text: str) -> int:
    """A quarter of a token for an ASCII character, three quarters for any other."""
    other = 0 if text.isascii() else len(text) - len(text.encode("ascii", "ignore"))  # not in a loop: it may be 32 MB
    return (len(text) - other + 3 * other + 3) // 4


def count_text(family: str | None, text: str) -> Counted:
    """The tokens of a text alone."""
    if family is None or len(text) > MOST_COUNTED_CHARACTERS:
        return Counted(estimate(text), "estimated")
    vocabulary = encoding(family)
    if len(text) <= LONGEST_PIECE:
        return Counted(len(vocabulary.encode_ordinary(text)), "counted")
    return Counted(sum(len(vocabulary.encode_ordinary(part)) for part in _parts(text)), "counted")


def _parts(text: str) -> list[str]:
    """Cut before a space where there is one, which is where a tokenizer cuts too."""
    parts = []
    at = 0
    while len(text) - at > LONGEST_PIECE:
        cut = text.rfind(" ", at + 1, at + LONGEST_PIECE)
        cut = cut if cut > at else at + LONGEST_PIECE
        parts.append(text[at:cut])
        at = cut
    parts.append(text[at:])
    return parts


class _Function(msgspec.Struct, frozen=True):
    name: str = ""
    arguments: str = ""


class _Call(msgspec.Struct):
    id: str = ""
    function: _Function = _Function()


class _Message(msgspec.Struct):
    role: str = "user"
    content: Raw = Raw(b"null")
    name: str | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None


class _Part(msgspec.Struct):
    type: str = ""
    text: str | None = None


_messages = msgspec.json.Decoder(list[_Message])
_parts_of = msgspec.json.Decoder(list[_Part])
_string = msgspec.json.Decoder(str)


def count_chat(family: str | None, messages: bytes, tools: bytes | None = None) -> Counted:
    """The tokens of a prompt, from the JSON of an OpenAI chat request. What cannot be decoded (half a surrogate pair in
    a text, arrays a thousand levels deep) is estimated from its bytes."""
    try:
        return _count_chat(family, messages, tools)
    except (msgspec.DecodeError, RecursionError):
        written = bytes(messages) + bytes(tools or b"")
        return Counted(estimate(written.decode("utf-8", "replace")), "estimated")


def _count_chat(family: str | None, messages: bytes, tools: bytes | None) -> Counted:
    found = _messages.decode(messages)
    given = None if tools is None else _compact(tools)
    total = 0
    exact = family is not None
    left = MOST_COUNTED_CHARACTERS

    def text(value: str) -> int:
        nonlocal exact, left
        counted = count_text(family if len(value) <= left else None, value)
        if counted.provenance == "counted":
            left -= len(value)
        exact &= counted.provenance == "counted"
        return counted.tokens

    for at, message in enumerate(found):
        body, images, others = _content(message.content)
        total += text(body) + images * IMAGE_TOKENS
        exact &= not images and not others
        total += sum(text(call.function.name) + text(call.function.arguments) for call in message.tool_calls or ())
        if family == "tekken":
            total += _tekken_frame(message, last=at == len(found) - 1)
            # Engines shorten ids to nine characters, each in its own way: all come to about the same.
            total += sum(text(call.id[-9:]) for call in message.tool_calls or ())
            total += text((message.tool_call_id or "")[-9:])
        else:
            total += OPENAI_MESSAGE_TOKENS + text(message.role) + (1 + text(message.name) if message.name else 0)
    if given:
        total += text(given) + 2
        exact &= family == "tekken"
    total += 1 if family == "tekken" else OPENAI_REPLY_TOKENS
    return Counted(total, "counted" if exact else "estimated")


def _tekken_frame(message: _Message, *, last: bool) -> int:
    """Control tokens around a message: `[INST]`, `[/INST]`, `</s>` and so on."""
    if message.role == "assistant":
        return 3 * len(message.tool_calls or ()) + (0 if last and not message.tool_calls else 1)
    return 3 if message.role == "tool" else 2


def _content(content: Raw) -> tuple[str, int, int]:
    """Text, number of images, and number of other parts of a message."""
    first = memoryview(content)[0]
    if first == 0x22:
        return _string.decode(content), 0, 0
    if first != 0x5B:
        return "", 0, 0
    parts = _parts_of.decode(content)
    images = sum(part.type == "image_url" for part in parts)
    others = sum(part.type not in ("text", "refusal", "image_url") for part in parts)
    return "".join(part.text or "" for part in parts), images, others


def _compact(tools: bytes) -> str:
    """Tools as most templates write them; as they came where there are numbers that nothing can hold."""
    try:
        given = msgspec.json.decode(tools)
    except msgspec.DecodeError:
        return bytes(tools).decode()
    return json.dumps(given, ensure_ascii=False) if given else ""
