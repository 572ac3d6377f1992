"""Messages and their content blocks as OpenAI's messages and parts. Pure."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.errors import FailurePolicy, InvalidRequest, UnsupportedContent
from fairlead.wire.bounds import LONGEST_FUNCTION_NAME
from fairlead.wire.messages.decoding import OBJECT, STRING, decoded, first_byte
from fairlead.wire.messages.shapes import NULL, Block, Citations, Message, Source
from fairlead.wire.reasoning_tags import is_tagged, reasoning_detail, signature_of_call

# Claude Code's first system block: it is for Anthropic's bill, and different in each call.
BILLING_HEADER: Final = "x-anthropic-billing-header:"
# The text of a tool's result that is nothing but images: those follow in a message of the user's.
SEE_BELOW: Final = "The result is shown in the next message."
IMAGE_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
# Others may serve it.
ELSEWHERE: Final = FailurePolicy(elsewhere=True)
_blocks: Final = msgspec.json.Decoder(list[Block])
_source: Final = msgspec.json.Decoder(Source)
_string: Final = msgspec.json.Decoder(str)
_citations: Final = msgspec.json.Decoder(Citations)

Part = dict[str, Any]


def only_anthropic(where: str, what: str) -> UnsupportedContent:
    """Says that the caller must choose another model. Deployments that could serve the call are tried first."""
    error = UnsupportedContent(
        f"{where}: {what} cannot be sent to this model's provider, only to one that speaks Anthropic's API.",
        param=where.partition(".")[0],
    )
    error.policy = ELSEWHERE
    return error


def short_name(name: str, names: dict[str, str]) -> str:
    """The name of a tool as OpenAI takes it; `names` remembers those that had to be shortened."""
    if len(name) <= LONGEST_FUNCTION_NAME:
        return name
    if name not in names:
        digest = sha256(name.encode()).hexdigest()[:8]
        names[name] = f"{name[: LONGEST_FUNCTION_NAME - 9]}_{digest}"
    return names[name]


class Turns:
    """Messages as they are read, one after the other. System messages, wherever they stand, become the first message:
    templates of many models refuse one in the middle, and as a user's it would drown the question."""

    __slots__ = ("_messages", "_names", "_system", "lost")

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names
        self._system: list[Part] = []
        self._messages: list[dict[str, Any]] = []
        self.lost: list[str] = []

    def system_message(self) -> dict[str, Any] | None:
        return {"role": "system", "content": _content(self._system)} if self._system else None

    def written(self) -> list[dict[str, Any]]:
        system = self.system_message()
        return self._messages if system is None else [system, *self._messages]

    def add_system(self, content: Raw, where: str = "system") -> None:
        for part in _text_parts(content, where):
            if not part["text"].startswith(BILLING_HEADER):
                self._system.append(part)

    def add(self, message: Message, where: str) -> None:
        if message.role == "system":
            self.add_system(message.content, where)
        elif first_byte(message.content) == STRING:
            self._messages.append({"role": message.role, "content": message.content})
        elif message.role == "assistant":
            self._add_assistant(decoded(_blocks, message.content, where), where)
        else:
            self._add_user(decoded(_blocks, message.content, where), where)

    def _add_user(self, blocks: list[Block], where: str) -> None:
        """Results of tools first, as OpenAI wants them; their images behind them, in the user's message."""
        parts: list[Part] = []
        for at, block in enumerate(blocks):
            here = f"{where}.{at}"
            if block.type == "tool_result":
                parts += self._add_result(block, here)
        for at, block in enumerate(blocks):
            if block.type != "tool_result":
                parts += self._parts(block, f"{where}.{at}")
        if parts:
            self._messages.append({"role": "user", "content": _content(parts)})

    def _add_result(self, block: Block, where: str) -> list[Part]:
        """Gives what of a result is no text, with a sentence of whose it is."""
        if not block.tool_use_id:
            raise InvalidRequest(f"{where}.tool_use_id: Field required.", param="messages")
        parts = [] if block.content == NULL else self._parts_of(block.content, f"{where}.content")
        texts = [part for part in parts if part["type"] == "text"]
        others = [part for part in parts if part["type"] != "text"]
        if block.cache_control != NULL and texts:
            texts[-1]["cache_control"] = block.cache_control
        content: Any = _content(texts) if texts else SEE_BELOW if others else ""
        self._messages.append({"role": "tool", "tool_call_id": block.tool_use_id, "content": content})
        return [{"type": "text", "text": f"From the result of {block.tool_use_id}:"}, *others] if others else []

    def _add_assistant(self, blocks: list[Block], where: str) -> None:
        texts: list[str] = []
        details: list[dict[str, Any]] = []
        calls: list[dict[str, Any]] = []
        signatures: dict[str, str] = {}
        words: list[str] = []
        for at, block in enumerate(blocks):
            if block.type == "text":
                texts.append(block.text or "")
            elif block.type == "tool_use":
                calls.append(self._call(block, f"{where}.{at}", signatures))
            elif block.type in ("thinking", "redacted_thinking"):
                self._take_reasoning(block, details, signatures, words)
            else:
                self.lost.append(f"messages.{block.type[:64]}")
        message: dict[str, Any] = {"role": "assistant", "content": "".join(texts)}
        if details:
            message["reasoning_details"] = details
        if words:
            message["reasoning_content"] = "".join(words)
        if calls:
            message["tool_calls"] = calls
            message["content"] = message["content"] or None
        self._messages.append(message)

    def _take_reasoning(
        self, block: Block, details: list[dict[str, Any]], signatures: dict[str, str], words: list[str]
    ) -> None:
        """`words`: those that nobody has signed."""
        redacted = block.type == "redacted_thinking"
        value = block.data if redacted else block.signature
        if redacted and is_tagged(value) and (signed := signature_of_call(value)) is not None:
            signatures[signed[0]] = signed[1]
        elif (detail := reasoning_detail(block.thinking, value, redacted=redacted)) is not None:
            details.append(detail)
        elif block.thinking:
            words.append(block.thinking)

    def _call(self, block: Block, where: str, signatures: dict[str, str]) -> dict[str, Any]:
        if not block.id or not block.name:
            raise InvalidRequest(f"{where}: a tool_use needs an id and a name.", param="messages")
        if block.input != NULL and first_byte(block.input) != OBJECT:
            raise InvalidRequest(f"{where}.input: must be an object.", param="messages")
        arguments = "{}" if block.input == NULL else bytes(block.input).decode()
        call: dict[str, Any] = {
            "id": block.id,
            "type": "function",
            "function": {"name": short_name(block.name, self._names), "arguments": arguments},
        }
        if block.id in signatures:
            call["extra_content"] = {"google": {"thought_signature": signatures[block.id]}}
        return call

    def _parts_of(self, content: Raw, where: str) -> list[Part]:
        if first_byte(content) == STRING:
            return _text_parts(content, where)
        parts: list[Part] = []
        for at, block in enumerate(decoded(_blocks, content, where)):
            parts += self._parts(block, f"{where}.{at}")
        return parts

    def _parts(self, block: Block, where: str) -> list[Part]:
        if block.type == "text":
            return [_text(block.text or "", block.cache_control)] if block.text else []
        if block.type == "image":
            return [_image(decoded(_source, block.source, f"{where}.source"), block.cache_control, where)]
        if block.type == "document":
            return self._document(block, where)
        if block.type == "search_result":
            return self._search_result(block, where)
        raise only_anthropic(where, f"a block of type {block.type[:64]!r}")

    def _document(self, block: Block, where: str) -> list[Part]:
        source: Source = decoded(_source, block.source, f"{where}.source")
        if block.citations != NULL and decoded(_citations, block.citations, f"{where}.citations").enabled:
            self.lost.append("citations")
        if source.type == "text":
            return [_text(_headed(block, source.data), block.cache_control)]
        if source.type == "content":
            heading = _headed(block, "")
            parts = self._parts_of(source.content, f"{where}.source.content")
            return [_text(heading, NULL), *parts] if heading else parts
        if source.type == "base64":
            file = {
                "file_data": f"data:{source.media_type or 'application/pdf'};base64,{source.data}",
                "filename": block.title or "document.pdf",
            }
        elif source.type == "url":
            file = {"file_data": source.url, "filename": block.title or source.url.rpartition("/")[2] or "document"}
        else:
            raise only_anthropic(f"{where}.source", f"a source of type {source.type[:64]!r}")
        part: Part = {"type": "file", "file": {**file, "filename": file["filename"][:1024]}}
        if block.cache_control != NULL:
            part["cache_control"] = block.cache_control
        return [_text(block.context, NULL), part] if block.context else [part]

    def _search_result(self, block: Block, where: str) -> list[Part]:
        address = decoded(_string, block.source, f"{where}.source")
        heading = "\n".join(line for line in (block.title, address) if line)
        parts = [] if block.content == NULL else self._parts_of(block.content, f"{where}.content")
        return [_text(heading, NULL), *parts]


def _headed(block: Block, text: str) -> str:
    return "\n".join(line for line in (block.title, block.context, text) if line)


def _text_parts(content: Raw, where: str) -> list[Part]:
    """Texts alone: of a system prompt, or of a plain result."""
    if first_byte(content) == STRING:
        text = decoded(_string, content, where)
        return [_text(text, NULL)] if text else []
    parts = []
    for at, block in enumerate(decoded(_blocks, content, where)):
        if block.type != "text":
            raise InvalidRequest(f"{where}.{at}.type: must be 'text'.", param=where.partition(".")[0])
        if block.text:
            parts.append(_text(block.text, block.cache_control))
    return parts


def _text(text: str, cache: Raw) -> Part:
    return {"type": "text", "text": text} if cache == NULL else {"type": "text", "text": text, "cache_control": cache}


def _content(parts: list[Part]) -> Any:
    """A lone text is a string, which every template takes."""
    if len(parts) == 1 and parts[0]["type"] == "text" and "cache_control" not in parts[0]:
        return parts[0]["text"]
    return parts


def _image(source: Source, cache: Raw, where: str) -> Part:
    if source.type == "url":
        url = source.url
    elif source.type == "base64":
        if source.media_type not in IMAGE_TYPES:
            raise InvalidRequest(
                f"{where}.source.media_type: must be one of {', '.join(sorted(IMAGE_TYPES))}.", param="messages"
            )
        url = f"data:{source.media_type};base64,{source.data}"
    else:
        raise only_anthropic(f"{where}.source", f"a source of type {source.type[:64]!r}")
    part: Part = {"type": "image_url", "image_url": {"url": url}}
    return part if cache == NULL else {**part, "cache_control": cache}


__all__ = ["ELSEWHERE", "Turns", "only_anthropic", "short_name"]
