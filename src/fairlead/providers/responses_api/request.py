"""A chat request in the format of the Responses API. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.errors import InvalidRequest
from fairlead.providers.responses_api.reader import FORMAT
from fairlead.providers.responses_api.request_shapes import Details, Message, Part, Schema, Tool
from fairlead.wire.bounds import LONGEST_PARAMETER, MOST_REASONING_DETAILS
from fairlead.wire.chat import ChatRequest, tool_choice
from fairlead.wire.chat_shapes import NULL, File
from fairlead.wire.counting import holds_more
from fairlead.wire.plain import PlainTurns
from fairlead.wire.vocabulary import FOREIGN_REASONING

# Parameters of chat with the same name and meaning here.
SAME: Final = frozenset({
    "metadata", "parallel_tool_calls", "prompt_cache_key", "prompt_cache_retention", "safety_identifier",
    "service_tier", "store", "temperature", "top_logprobs", "top_p", "user",
})  # fmt: skip
CARRIES: Final = SAME | {
    "logprobs", "max_completion_tokens", "max_tokens", "reasoning_effort", "response_format", "stream_options",
    "structured_outputs", "tool_choice", "tools", "verbosity",
}  # fmt: skip
_encode: Final = msgspec.json.encode


_TRUE: Final = Raw(b"true")
_messages: Final = msgspec.json.Decoder(list[Message])
_details: Final = msgspec.json.Decoder(list[Details])
_parts: Final = msgspec.json.Decoder(list[Part])
_tools: Final = msgspec.json.Decoder(list[Tool])
_schema: Final = msgspec.json.Decoder(Schema)
_string: Final = msgspec.json.Decoder(str)
_object: Final = msgspec.json.Decoder(dict[str, Raw])


def to_items(request: ChatRequest, dropped: list[str]) -> list[dict[str, Any]]:
    """The messages as input items, in their order. `dropped` gets a name for reasoning that only another provider could
    read. Raises InvalidRequest."""
    try:
        crowded = len(request.messages) > LONGEST_PARAMETER and holds_more(
            _details, request.messages, MOST_REASONING_DETAILS
        )
        messages = [] if crowded else _messages.decode(request.messages)
        if crowded or sum(len(one.reasoning_details or ()) for one in messages) > MOST_REASONING_DETAILS:
            raise InvalidRequest(
                f"The messages have more than {MOST_REASONING_DETAILS:,} reasoning_details.", param="messages"
            )
        if any(_loses_reasoning(message) for message in messages):
            dropped.append(FOREIGN_REASONING)
        return [item for message in messages for item in _items(message)]
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequest(f"messages cannot be translated: {str(error)[:200]}.", param="messages") from None


def _loses_reasoning(message: Message) -> bool:
    if message.reasoning_details:
        return any(detail.format != FORMAT or not detail.data for detail in message.reasoning_details)
    return (len(message.reasoning_content) > 2 and message.reasoning_content != NULL) or any(
        call.extra_content != NULL for call in message.tool_calls or ()
    )


def _items(message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        output = _content(message.content, "input_text")
        yield {"type": "function_call_output", "call_id": message.tool_call_id, "output": output}
        return
    for detail in message.reasoning_details or ():
        if detail.format == FORMAT and detail.data:
            item = {"type": "reasoning", "summary": [], "encrypted_content": detail.data}
            yield {**item, "id": detail.id} if detail.id else item
    if message.content != NULL:
        content = _content(message.content, "output_text" if message.role == "assistant" else "input_text")
        if content or message.role != "assistant":
            yield {"type": "message", "role": message.role, "content": content}
    if message.refusal:  # beside the content, as in answers of chat completions
        part = {"type": "refusal", "refusal": message.refusal}
        yield {"type": "message", "role": message.role, "content": [part]}
    for call in message.tool_calls or ():
        yield {
            "type": "function_call", "call_id": call.id, "name": call.function.name,
            "arguments": call.function.arguments or "{}",
        }  # fmt: skip


def _content(raw: Raw, text_type: str) -> Any:
    if raw == NULL:
        return ""
    if memoryview(raw)[0] == 0x22:
        return raw
    return [_part(part, text_type) for part in _parts.decode(raw)]


def _part(part: Part, text_type: str) -> dict[str, Any]:
    if part.image_url is not None:
        return {"type": "input_image", "image_url": part.image_url.url, "detail": part.image_url.detail or "auto"}
    if part.file is not None:
        return _file(part.file)
    if part.input_audio != NULL:
        return {"type": "input_audio", "input_audio": part.input_audio}
    if part.refusal is not None:
        return {"type": "refusal", "refusal": part.refusal}
    return {"type": text_type, "text": part.text or ""}


def _file(file: File) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "input_file"}
    if file.file_id is not None:
        made["file_id"] = file.file_id
    elif file.file_data is not None and file.file_data.startswith("data:"):
        made |= {"file_data": file.file_data, "filename": file.filename or "file"}
        return made
    else:
        made["file_url"] = file.file_data
    return made


def to_members(given: Mapping[str, Raw], carries: frozenset[str], dropped: list[str]) -> dict[str, Any]:
    """Everything but the model, the input and `stream`. `dropped` gets the names of what cannot be said."""
    members: dict[str, Any] = {"store": False}
    for name, raw in given.items():
        if name not in carries:
            dropped.append(name[:64])
        elif name in SAME:
            members[name] = raw
    include = ["reasoning.encrypted_content"]
    if given.get("logprobs") == _TRUE and "logprobs" in carries:
        include.append("message.output_text.logprobs")
    members["include"] = include
    for name in ("max_tokens", "max_completion_tokens"):
        if name in given and name in carries:
            members["max_output_tokens"] = given[name]
    if "reasoning_effort" in given and "reasoning_effort" in carries:
        members["reasoning"] = {"effort": given["reasoning_effort"], "summary": "auto"}
    text = _text(given, carries, dropped)
    if text:
        members["text"] = text
    if "tools" in given and "tools" in carries:
        members["tools"] = [_tool(tool) for tool in _tools.decode(given["tools"])]
        if "tool_choice" in given and "tool_choice" in carries:
            members["tool_choice"] = _choice(given["tool_choice"])
    return members


def _text(given: Mapping[str, Raw], carries: frozenset[str], dropped: list[str]) -> dict[str, Any]:
    text: dict[str, Any] = {}
    if "verbosity" in given and "verbosity" in carries:
        text["verbosity"] = given["verbosity"]
    if "response_format" in given and "response_format" in carries:
        shape = _schema.decode(given["response_format"])
        if shape.json_schema is not None:
            text["format"] = {"type": "json_schema", **_with_schema(shape.json_schema)}
        elif shape.type != "text":
            text["format"] = {"type": shape.type}
    elif "structured_outputs" in given and "structured_outputs" in carries:
        made = _constraint(given["structured_outputs"], dropped)
        if made is not None:
            text["format"] = made
    return text


def _with_schema(shape: dict[str, Raw]) -> dict[str, Raw]:
    return {"schema": Raw(b'{"type":"object"}'), **{name: raw for name, raw in shape.items() if raw != NULL}}


def _constraint(raw: Raw, dropped: list[str]) -> dict[str, Any] | None:
    """vLLM's `structured_outputs`, as far as a schema says the same."""
    (kind, value), *_ = [(name, one) for name, one in _object.decode(raw).items() if one != NULL]
    if kind == "json_object":
        return {"type": "json_object"}
    if kind != "json":
        dropped.append(f"structured_outputs.{kind}")
        return None
    schema = Raw(_string.decode(value).encode()) if memoryview(value)[0] == 0x22 else value
    return {"type": "json_schema", "name": "answer", "schema": schema}


def _tool(tool: Tool) -> dict[str, Any]:
    """Without `strict`, a function is strict here and is not in chat."""
    return {"type": "function", "strict": False, "parameters": None, **tool.function}


def _choice(raw: Raw) -> Any:
    choice = tool_choice(raw)
    if isinstance(choice, str):
        return choice
    if choice.function is not None:
        return {"type": "function", "name": choice.function.name}
    allowed = choice.allowed_tools
    tools = [{"type": "function", "name": tool.function.name} for tool in allowed.tools]
    return {"type": "allowed_tools", "mode": allowed.mode, "tools": tools}


def written_turns(plain: PlainTurns) -> bytes:
    """`input` of a conversation that is nothing but texts, as a ready member."""
    pieces: list[bytes | Raw] = []
    before = b'"input":['
    for role, text in (*plain.system, *plain.turns):
        pieces += (before, b'{"type":"message","role":"', role.encode(), b'","content":', text)
        before = b"},"
    pieces.append(b"}]")
    return b"".join(pieces)
