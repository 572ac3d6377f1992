"""A Messages request in OpenAI's shape, which every translator reads. Pure.

What OpenAI's shape has no words for is left out and named (`Chat.lost`). What would make another request of it - tools
that only Anthropic runs, files that only Anthropic has, conversations that only Anthropic keeps - is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw

from fairlead.errors import InvalidRequest
from fairlead.wire.chat import parse_chat
from fairlead.wire.chat_request import ChatRequest
from fairlead.wire.messages.blocks import ELSEWHERE, Turns, only_anthropic, short_name
from fairlead.wire.messages.decoding import decoded
from fairlead.wire.messages.shapes import (
    NULL,
    Message,
    Metadata,
    OutputConfig,
    Stops,
    Thinking,
    Tool,
    ToolChoice,
)

# As they are, in a neutral request.
_SAME: Final = ("temperature", "top_p", "top_k", "stream", "fairlead", "provider", "models")
# Read here, or without any effect on an answer.
_KNOWN: Final = frozenset({
    *_SAME, "model", "messages", "max_tokens", "system", "tools", "tool_choice", "stop_sequences", "thinking",
    "output_config", "metadata", "cache_control", "thread", "mcp_servers",
})  # fmt: skip
_EFFORTS: Final = {"low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
# Thinking budgets in tokens, up to which an effort is meant; more is "high".
_BUDGETS: Final = ((4_096, "low"), (12_288, "medium"))
# OpenAI refuses a longer `user`.
LONGEST_USER: Final = 64

_messages: Final = msgspec.json.Decoder(list[Message])
_tools: Final = msgspec.json.Decoder(list[Tool])
_choice: Final = msgspec.json.Decoder(ToolChoice)
_thinking: Final = msgspec.json.Decoder(Thinking)
_output: Final = msgspec.json.Decoder(OutputConfig)
_metadata: Final = msgspec.json.Decoder(Metadata)
_stops: Final = msgspec.json.Decoder(Stops)
_members: Final = msgspec.json.Decoder(dict[str, Raw])
_encode: Final = msgspec.json.encode


class Chat(NamedTuple):
    """`lost`: what could not be said; `tool_names`: names that were too long, by what they were shortened to; `system`:
    the first message, where the operator of the caller says something."""

    request: ChatRequest
    lost: tuple[str, ...]
    tool_names: dict[str, str]
    system: dict[str, Any] | None


def to_chat(fields: Mapping[str, Raw], cap: int) -> Chat:
    """Raises InvalidRequest, and UnsupportedContent for what only a provider of the same API could serve. `cap`: of the
    answer, 0: none."""
    _refuse_what_only_anthropic_has(fields)
    lost = [name[:64] for name, raw in fields.items() if name not in _KNOWN and raw != NULL]
    names: dict[str, str] = {}
    body: dict[str, Any] = {"model": fields.get("model", NULL)}
    if body["model"] == NULL:
        del body["model"]
    turns = Turns(names)
    if _given(fields, "system"):
        turns.add_system(fields["system"])
    for at, message in enumerate(decoded(_messages, fields["messages"], "messages")):
        turns.add(message, f"messages.{at}.content")
    body["messages"] = turns.written()
    body.update((name, fields[name]) for name in _SAME if _given(fields, name))
    if cap:
        body["max_tokens"] = cap
    if _given(fields, "stop_sequences"):
        stops = [stop for stop in decoded(_stops, fields["stop_sequences"], "stop_sequences") if stop]
        if stops:
            body["stop"] = stops
    if _given(fields, "tools"):
        _write_tools(fields, body, names, lost)
    _write_reasoning(fields, body)
    _write_user(fields, body)
    return Chat(
        parse_chat(_encode(body)), tuple(dict.fromkeys([*lost, *turns.lost])), {v: k for k, v in names.items()},
        turns.system_message(),
    )  # fmt: skip


def _given(fields: Mapping[str, Raw], name: str) -> bool:
    return fields.get(name, NULL) != NULL


def _refuse_what_only_anthropic_has(fields: Mapping[str, Raw]) -> None:
    if _given(fields, "thread"):
        # Anthropic's own words for programs: its SDK then sends the whole conversation.
        error = InvalidRequest(
            "thread: this model's provider keeps no conversations. Send the full conversation without `thread`.",
            param="thread",
        )
        error.details = {"details": {"error_code": "thread_unsupported_request"}}
        error.policy = ELSEWHERE
        raise error
    if _given(fields, "mcp_servers"):
        raise only_anthropic("mcp_servers", "MCP servers")


def _write_tools(fields: Mapping[str, Raw], body: dict[str, Any], names: dict[str, str], lost: list[str]) -> None:
    tools: list[Tool] = decoded(_tools, fields["tools"], "tools")
    written = []
    for at, tool in enumerate(tools):
        if tool.type not in (None, "custom"):
            raise only_anthropic(f"tools.{at}", f"the tool {tool.type!r}")
        function: dict[str, Any] = {"name": short_name(tool.name, names)}
        if tool.description:
            function["description"] = tool.description
        if tool.input_schema != NULL:
            function["parameters"] = tool.input_schema
        if tool.strict is not None:
            function["strict"] = tool.strict
        lost += _lost_of(tool)
        written.append({"type": "function", "function": function})
    if not written:
        return
    body["tools"] = written
    if _given(fields, "tool_choice"):
        _write_choice(decoded(_choice, fields["tool_choice"], "tool_choice"), body, names)


def _lost_of(tool: Tool) -> list[str]:
    found = []
    if tool.defer_loading:
        found.append("tools.defer_loading")
    if tool.allowed_callers not in (NULL, Raw(b'["direct"]')):
        found.append("tools.allowed_callers")
    if tool.input_examples != NULL:
        found.append("tools.input_examples")
    return found


def _write_choice(choice: ToolChoice, body: dict[str, Any], names: dict[str, str]) -> None:
    if choice.type == "tool":
        if choice.name is None:
            raise InvalidRequest("tool_choice.name: Field required.", param="tool_choice")
        body["tool_choice"] = {"type": "function", "function": {"name": short_name(choice.name, names)}}
    else:
        body["tool_choice"] = {"auto": "auto", "any": "required", "none": "none"}[choice.type]
    if choice.disable_parallel_tool_use:
        body["parallel_tool_calls"] = False


def _write_reasoning(fields: Mapping[str, Raw], body: dict[str, Any]) -> None:
    effort: str | None = None
    thinks = True
    if _given(fields, "thinking"):
        thinking: Thinking = decoded(_thinking, fields["thinking"], "thinking")
        thinks = thinking.type != "disabled"
        if thinking.type == "enabled" and thinking.budget_tokens is not None:
            effort = next((word for most, word in _BUDGETS if thinking.budget_tokens <= most), "high")
    if _given(fields, "output_config"):
        output: OutputConfig = decoded(_output, fields["output_config"], "output_config")
        if output.effort is not None:
            effort = _EFFORTS.get(output.effort, effort)
        if output.format is not None:
            body["response_format"] = _response_format(output.format.type, output.format.schema)
    if effort is not None and thinks:
        body["reasoning_effort"] = effort


def _response_format(kind: str, schema: Raw) -> dict[str, Any]:
    if kind != "json_schema":
        raise InvalidRequest("output_config.format.type: must be 'json_schema'.", param="output_config")
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def _write_user(fields: Mapping[str, Raw], body: dict[str, Any]) -> None:
    if not _given(fields, "metadata"):
        return
    user: str | None = decoded(_metadata, fields["metadata"], "metadata").user_id
    if user:
        body["user"] = user if len(user) <= LONGEST_USER else sha256(user.encode()).hexdigest()
