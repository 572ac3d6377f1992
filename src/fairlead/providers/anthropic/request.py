"""A chat request in the format of the Messages API. Pure."""

from __future__ import annotations

from base64 import b64decode
from typing import Any, Final

from msgspec import Raw

from fairlead.errors import InvalidRequest
from fairlead.providers.claude import sampling_of, thinking_of, turns_for_claude
from fairlead.providers.conversation import Losses, parameters_of
from fairlead.providers.conversation_shapes import Conversation, Media, Part, Text, ToolResult, ToolUse, Wishes
from fairlead.providers.tool_ids import plain_id
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.plain import PlainTurns

_USER: Final = b'{"role":"user","content":[{"type":"text","text":'
_ASSISTANT: Final = b'{"role":"assistant","content":[{"type":"text","text":'


def to_body(
    model: str, conversation: Conversation, wishes: Wishes, most: int, stream: bool, lost: Losses
) -> dict[str, Any]:
    """The request in Anthropic's words; what it cannot carry is added to `lost`."""
    limit = wishes.max_tokens or most
    messages = turns_for_claude(conversation)
    thinking, effort = thinking_of(wishes, model, limit, conversation, lost)
    thinks = thinking is not None and thinking["type"] != "disabled"
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": limit,
        "messages": [{"role": turn.role, "content": [_block(part) for part in turn.parts]} for turn in messages],
        **sampling_of(wishes, model, thinks, lost),
    }
    if conversation.system:
        body["system"] = [_block(part) for part in conversation.system]
    if wishes.stop:
        body["stop_sequences"] = wishes.stop
    if thinking is not None:
        body["thinking"] = thinking
    output: dict[str, Any] = {} if effort is None else {"effort": effort}
    if wishes.schema is not None:
        output["format"] = {"type": "json_schema", "schema": wishes.schema}
    elif wishes.json_object:
        lost.dropped.append("response_format.json_object")
    if output:
        body["output_config"] = output
    if wishes.tools:
        body["tools"] = [_tool(tool) for tool in wishes.tools]
        if wishes.tool_choice is not None or not wishes.parallel_tool_calls:
            body["tool_choice"] = _choice(wishes)
    if wishes.user is not None:
        body["metadata"] = {"user_id": wishes.user}
    if stream:
        body["stream"] = True
    return body


def _block(part: Part) -> dict[str, Any]:
    block: dict[str, Any]
    if isinstance(part, Text):
        block = {"type": "text", "text": part.text}
    elif isinstance(part, Media):
        block = _media(part)
    elif isinstance(part, ToolUse):
        return {"type": "tool_use", "id": plain_id(part.id), "name": part.name, "input": part.arguments}
    elif isinstance(part, ToolResult):
        content: Any = part.text
        if part.media:
            content = [{"type": "text", "text": part.text}] if part.text else []
            content += [_media(one) for one in part.media]
        block = {"type": "tool_result", "tool_use_id": plain_id(part.id), "content": content}
    elif part.data:
        return {"type": "redacted_thinking", "data": part.data}
    else:
        return {"type": "thinking", "thinking": part.text, "signature": part.signature}
    if part.cache != NULL:
        block["cache_control"] = part.cache
    return block


def _media(part: Media) -> dict[str, Any]:
    """An image or a document. https://platform.claude.com/docs/en/build-with-claude/vision and .../pdf-support"""
    if part.url:
        source = {"type": "url", "url": part.url}
    elif part.mime == "text/plain":
        source = {"type": "text", "media_type": part.mime, "data": _text_of_file(part)}
    else:
        source = {"type": "base64", "media_type": part.mime, "data": part.data}
    if part.kind == "image":
        return {"type": "image", "source": source}
    document: dict[str, Any] = {"type": "document", "source": source}
    if part.name:
        document["title"] = part.name[:500]
    return document


def _tool(tool: Any) -> dict[str, Any]:
    function = tool.function
    made: dict[str, Any] = {"name": function.name, "input_schema": parameters_of(function)}
    if function.description is not None:
        made["description"] = function.description
    if function.strict:
        made["strict"] = True
    return made


def _choice(wishes: Wishes) -> dict[str, Any]:
    if wishes.tool_choice == "none":
        return {"type": "none"}
    choice: dict[str, Any] = {"type": "any" if wishes.tool_choice == "required" else "auto"}
    if wishes.forced_tool is not None:
        choice = {"type": "tool", "name": wishes.forced_tool}
    if not wishes.parallel_tool_calls:
        choice["disable_parallel_tool_use"] = True
    return choice


def _text_of_file(part: Media) -> str:
    """What a text file says. Raises InvalidRequest when it is not UTF-8 in base64."""
    try:
        return b64decode(part.data, validate=True).decode()
    except ValueError:
        raise InvalidRequest("A text file must be UTF-8 in base64.", param="messages") from None


def written_turns(plain: PlainTurns) -> bytes:
    """`messages` and `system` of a conversation that is nothing but texts, as ready members."""
    pieces: list[bytes | Raw] = []
    before = b'"messages":['
    for role, text in plain.turns:
        pieces += (before, _USER if role == "user" else _ASSISTANT, text)
        before = b"}]},"
    pieces.append(b"}]}]")
    before = b',"system":[{"type":"text","text":'
    for _, text in plain.system:
        pieces += (before, text)
        before = b'},{"type":"text","text":'
    if plain.system:
        pieces.append(b"}]")
    return b"".join(pieces)
