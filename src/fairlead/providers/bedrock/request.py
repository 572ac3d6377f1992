"""A chat request in Converse's words. Pure."""

from __future__ import annotations

import re
from typing import Any

from fairlead.errors import UnsupportedContent
from fairlead.providers.claude import sampling_of, thinking_of, turns_for_claude
from fairlead.providers.conversation import Losses, parameters_of
from fairlead.providers.conversation_shapes import Conversation, Media, Part, Text, ToolResult, ToolUse, Turn, Wishes
from fairlead.providers.tool_ids import plain_id
from fairlead.wire.chat_shapes import NULL

DOCUMENT_FORMATS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
VIDEO_FORMATS = {"quicktime": "mov", "x-matroska": "mkv", "x-flv": "flv", "x-ms-wmv": "wmv", "3gpp": "three_gp"}
_NO_NAME = re.compile(r"[^A-Za-z0-9 ()\[\]-]")
CACHE_POINT: dict[str, Any] = {"cachePoint": {"type": "default"}}
# A history with tools needs their declarations; this one says nothing about the arguments.
ANY_ARGUMENTS: dict[str, Any] = {"json": {"type": "object"}}


def is_claude(model: str) -> bool:
    return "anthropic." in model or "claude" in model


def to_body(model: str, conversation: Conversation, wishes: Wishes, most: int, lost: Losses) -> dict[str, Any]:
    """The request in Converse's words; what it or the model cannot carry is added to `lost`."""
    turns = turns_for_claude(conversation) if is_claude(model) else conversation.turns
    body: dict[str, Any] = {"messages": [_message(turn) for turn in turns]}
    if conversation.system:
        body["system"] = [block for part in conversation.system for block in _with_cache(part, {"text": part.text})]
    extra: dict[str, Any] = {}
    output: dict[str, Any] = {}
    if is_claude(model):
        thinking, effort = thinking_of(wishes, model, wishes.max_tokens or most, conversation, lost)
        thinks = thinking is not None and thinking["type"] != "disabled"
        sampling = sampling_of(wishes, model, thinks, lost)
        if thinking is not None:
            extra["thinking"] = thinking
        if effort is not None:
            output["effort"] = effort
        if "top_k" in sampling:
            extra["top_k"] = sampling.pop("top_k")
    else:
        given = {"temperature": wishes.temperature, "top_p": wishes.top_p}
        sampling = {name: value for name, value in given.items() if value is not None}
        if wishes.top_k is not None:
            lost.dropped.append("top_k")
        if wishes.reasoning_effort is not None and "gpt-oss" in model:
            extra["reasoning_effort"] = wishes.reasoning_effort
        elif wishes.reasoning_effort is not None:
            lost.dropped.append("reasoning_effort")
    inference: dict[str, Any] = {
        {"temperature": "temperature", "top_p": "topP"}[name]: value for name, value in sampling.items()
    }
    if wishes.max_tokens is not None or "thinking" in extra:
        inference["maxTokens"] = wishes.max_tokens or most
    if wishes.stop:
        inference["stopSequences"] = wishes.stop
    if inference:
        body["inferenceConfig"] = inference
    if tools := _tools(conversation, wishes, lost):
        body["toolConfig"] = tools
    if wishes.schema is not None:
        schema = {"schema": bytes(wishes.schema).decode(), "name": wishes.schema_name}
        output["textFormat"] = {"type": "json_schema", "structure": {"jsonSchema": schema}}
    elif wishes.json_object:
        lost.dropped.append("response_format.json_object")
    if output:
        body["outputConfig"] = output
    if extra:
        body["additionalModelRequestFields"] = extra
    return body


def _message(turn: Turn) -> dict[str, Any]:
    return {"role": turn.role, "content": [block for part in turn.parts for block in _blocks(part)]}


def _blocks(part: Part) -> list[dict[str, Any]]:
    if isinstance(part, Text):
        return _with_cache(part, {"text": part.text})
    if isinstance(part, Media):
        return _with_cache(part, _media(part))
    if isinstance(part, ToolUse):
        return [{"toolUse": {"toolUseId": plain_id(part.id), "name": part.name, "input": part.arguments}}]
    if isinstance(part, ToolResult):
        content: list[dict[str, Any]] = [{"text": part.text}] if part.text else []
        content += [_media(one) for one in part.media]
        content = content or [{"json": {}}]
        return _with_cache(part, {"toolResult": {"toolUseId": plain_id(part.id), "content": content}})
    if part.data:
        return [{"reasoningContent": {"redactedContent": part.data}}]
    return [{"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.signature}}}]


def _media(part: Media) -> dict[str, Any]:
    """An image, a video or a document: Converse names formats by their own words, and documents by plain names.

    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html"""
    source = {"bytes": part.data}
    kind = part.mime.partition("/")[2]
    if part.kind == "image":
        return {"image": {"format": kind, "source": source}}
    if part.kind == "video":
        return {"video": {"format": VIDEO_FORMATS.get(kind, kind), "source": source}}
    form = DOCUMENT_FORMATS.get(part.mime)
    if form is None:
        raise UnsupportedContent(f"Bedrock takes no files of type {part.mime!r}.", param="messages")
    name = " ".join(_NO_NAME.sub(" ", part.name.rpartition(".")[0] or part.name).split())[:200]
    return {"document": {"format": form, "name": name or "document", "source": source}}


def _with_cache(part: Text | Media | ToolResult, block: dict[str, Any]) -> list[dict[str, Any]]:
    return [block] if part.cache == NULL else [block, CACHE_POINT]


def _tools(conversation: Conversation, wishes: Wishes, lost: Losses) -> dict[str, Any] | None:
    before = conversation.tool_names
    if wishes.tools and not wishes.parallel_tool_calls:
        lost.dropped.append("parallel_tool_calls")
    if not wishes.tools or (wishes.tool_choice == "none" and not before):
        return (
            {"tools": [{"toolSpec": {"name": name, "inputSchema": ANY_ARGUMENTS}} for name in before]}
            if before
            else None
        )
    config: dict[str, Any] = {"tools": [_tool(tool) for tool in wishes.tools]}
    if wishes.tool_choice == "none":  # there is no word for it
        lost.dropped.append("tool_choice.none")
    elif wishes.forced_tool is not None:
        config["toolChoice"] = {"tool": {"name": wishes.forced_tool}}
    elif wishes.tool_choice == "required":
        config["toolChoice"] = {"any": {}}
    elif wishes.tool_choice == "auto":
        config["toolChoice"] = {"auto": {}}
    return config


def _tool(tool: Any) -> dict[str, Any]:
    function = tool.function
    made: dict[str, Any] = {"name": function.name, "inputSchema": {"json": parameters_of(function)}}
    if function.description:
        made["description"] = function.description
    if function.strict:
        made["strict"] = True
    return {"toolSpec": made}
