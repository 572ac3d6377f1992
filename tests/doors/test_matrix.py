"""Every door to every API of providers: what a request asks for arrives in the provider's words, or is named as left out, and
each kind of answer comes back in the door's words, streamed and whole."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from tests.e2e.published import CHECKS
from tests.e2e.speaking import DOORS
from tests.e2e.test_published_streams import refused_response
from tests.providers.recorded import events, frame, whole

from fairlead.doors.gemini.door import GOOGLE_GEMINI
from fairlead.doors.gemini.writer import GeminiWriter
from fairlead.doors.messages.door import ANTHROPIC_MESSAGES
from fairlead.doors.messages.writer import MessagesWriter
from fairlead.doors.openai_chat.door import OPENAI_CHAT
from fairlead.doors.responses.door import RESPONSES_DOOR
from fairlead.doors.responses.parse import read_responses
from fairlead.doors.responses.writer import ResponsesWriter
from fairlead.errors import FairleadError, NotCarried, UpstreamCut
from fairlead.http.request import Request
from fairlead.providers.dialect import Binding
from fairlead.providers.dialects import DIALECTS, VENDORS
from fairlead.testing import Fault, Reply, ToolCall
from fairlead.testing.gemini import GEMINI as SPOKEN_GEMINI
from fairlead.testing.messages import MESSAGES as SPOKEN_MESSAGES
from fairlead.testing.rendering import CHAT as SPOKEN_CHAT
from fairlead.testing.responses import RESPONSES as SPOKEN_RESPONSES
from fairlead.wire.apis import CHAT, GENERATE_CONTENT, MESSAGES, RESPONSES
from fairlead.wire.chat import parse_chat
from fairlead.wire.gemini.request import GENERATE, STREAM, parse_gemini
from fairlead.wire.messages.request import parse_messages

UPSTREAMS = {
    "openai": "gpt-5", "anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-pro",
    "bedrock": "anthropic.claude-sonnet-4-5-v1:0", "openai-responses": "gpt-5",
}  # fmt: skip
SAME = {("chat", "openai"), ("messages", "anthropic"), ("responses", "openai-responses"), ("gemini", "gemini")}
PNG, PDF, WAV = "iVBORw0KGgo=", "JVBERi0xLjQ=", "UklGRiQAAABXQVZF"
SCHEMA: Any = {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False,
}  # fmt: skip


def read_responses_body(body: bytes) -> Any:
    return read_responses(Request("POST", b"/v1/responses", [], body, "1.1"))


class Speaks(NamedTuple):
    """How a door reads a request, and writes answers."""

    api: str
    parse: Callable[[bytes, bool], Any]
    writer: Any


SPEAKS = {
    "chat": Speaks(OPENAI_CHAT.api, lambda body, _: parse_chat(body), OPENAI_CHAT.new_writer),
    "messages": Speaks(MESSAGES, lambda body, _: parse_messages(body), MessagesWriter),
    "responses": Speaks(RESPONSES, lambda body, _: read_responses_body(body), ResponsesWriter),
    "gemini": Speaks(
        GENERATE_CONTENT,
        lambda body, stream: parse_gemini(body, "public", STREAM if stream else GENERATE),
        GeminiWriter,
    ),
}
EVERYWHERE = [(door, dialect) for door in SPEAKS for dialect in UPSTREAMS]


def adapter(door: str, dialect: str) -> Any:
    row = DIALECTS[dialect]
    binding = Binding(
        row, "public", UPSTREAMS.get(dialect, "up"), {}, time.time, api=SPEAKS[door].api, new_writer=SPEAKS[door].writer,
        base_url="https://x", region="us-east-1", path=row.path_of(UPSTREAMS.get(dialect, "up")).split(b"?")[0],
    )  # fmt: skip
    made = VENDORS[row.speaks].operations[CHAT].adapter(binding)
    assert made is not None
    return made


def plain_body(door: str, *, stream: bool = False) -> dict[str, Any]:
    more: dict[str, Any] = {"messages": {"max_tokens": 4000}}.get(door, {})
    return {**DOORS[door].write("public", stream=stream), **more}


def thinking_body(door: str, *, stream: bool) -> dict[str, Any]:
    """The same, and thoughts are wanted, where they must be asked for."""
    more: dict[str, Any] = (
        {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}} if door == "gemini" else {}
    )
    return {**plain_body(door, stream=stream), **more}


# How users' messages are written at each door, of parts.
WITH_PARTS: dict[str, Callable[[list[Any]], dict[str, Any]]] = {
    "chat": lambda parts: {"messages": [{"role": "user", "content": parts}]},
    "messages": lambda parts: {"messages": [{"role": "user", "content": parts}]},
    "responses": lambda parts: {"input": [{"role": "user", "content": parts}]},
    "gemini": lambda parts: {"contents": [{"role": "user", "parts": parts}]},
}
IMAGES: dict[str, Any] = {
    "chat": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
    "messages": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
    "responses": {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"},
    "gemini": {"inlineData": {"mimeType": "image/png", "data": PNG}},
}
FILES: dict[str, Any] = {
    "chat": {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}},
    "messages": {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
    "responses": {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
    "gemini": {"inlineData": {"mimeType": "application/pdf", "data": PDF}},
}
SOUNDS: dict[str, Any] = {
    "chat": {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}},
    "responses": {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}},
    "gemini": {"inlineData": {"mimeType": "audio/wav", "data": WAV}},
}
TOOLS: dict[str, Any] = {
    "chat": [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": SCHEMA}}],
    "messages": [{"name": "look", "description": "Looks.", "input_schema": SCHEMA}],
    "responses": [{"type": "function", "name": "look", "description": "Looks.", "parameters": SCHEMA}],
    "gemini": [{"functionDeclarations": [{"name": "look", "description": "Looks.", "parametersJsonSchema": SCHEMA}]}],
}
ARGUMENTS = ('{"city": "Oslo"}', '{"city": "Rome"}')
# Two calls at once, the first of which has a picture in its result.
TURNS: dict[str, dict[str, Any]] = {
    "chat": {
        "messages": [
            {"role": "user", "content": "Look"},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": f"call_{at}", "type": "function", "function": {"name": "look", "arguments": one}}
                for at, one in enumerate(ARGUMENTS)
            ]},
            {"role": "tool", "tool_call_id": "call_0", "content": [{"type": "text", "text": "wet"}, IMAGES["chat"]]},
            {"role": "tool", "tool_call_id": "call_1", "content": "dry"},
        ],
    },
    "messages": {
        "messages": [
            {"role": "user", "content": "Look"},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": f"call_{at}", "name": "look", "input": json.loads(one)}
                for at, one in enumerate(ARGUMENTS)
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "call_0", "content": [
                    {"type": "text", "text": "wet"}, IMAGES["messages"],
                ]},
                {"type": "tool_result", "tool_use_id": "call_1", "content": "dry"},
            ]},
        ],
    },
    "responses": {
        "input": [
            {"role": "user", "content": "Look"},
            *({"type": "function_call", "call_id": f"call_{at}", "name": "look", "arguments": one}
              for at, one in enumerate(ARGUMENTS)),
            {"type": "function_call_output", "call_id": "call_0", "output": [
                {"type": "input_text", "text": "wet"}, IMAGES["responses"],
            ]},
            {"type": "function_call_output", "call_id": "call_1", "output": "dry"},
        ],
    },
    "gemini": {
        "contents": [
            {"role": "user", "parts": [{"text": "Look"}]},
            {"role": "model", "parts": [
                {"functionCall": {"id": f"call_{at}", "name": "look", "args": json.loads(one)}}
                for at, one in enumerate(ARGUMENTS)
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {
                    "id": "call_0", "name": "look", "response": {"output": "wet"}, "parts": [IMAGES["gemini"]],
                }},
                {"functionResponse": {"id": "call_1", "name": "look", "response": {"output": "dry"}}},
            ]},
        ],
    },
}  # fmt: skip
FORMATS: dict[str, dict[str, Any]] = {
    "chat": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}
    },
    "messages": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    "responses": {"text": {"format": {"type": "json_schema", "name": "place", "schema": SCHEMA, "strict": True}}},
    "gemini": {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}},
}
FORCED: dict[str, dict[str, Any]] = {
    "chat": {"tool_choice": {"type": "function", "function": {"name": "look"}}},
    "messages": {"tool_choice": {"type": "tool", "name": "look"}},
    "responses": {"tool_choice": {"type": "function", "name": "look"}},
    "gemini": {"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["look"]}}},
}
THOUGHT: dict[str, dict[str, Any]] = {
    "chat": {"reasoning_effort": "low"},
    "messages": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    "responses": {"reasoning": {"effort": "low"}},
    "gemini": {"generationConfig": {"thinkingConfig": {"thinkingBudget": 1024, "includeThoughts": True}}},
}
STOPS: dict[str, dict[str, Any]] = {
    "chat": {"stop": ["END"], "temperature": 0.5, "max_tokens": 4000},
    "messages": {"stop_sequences": ["END"], "temperature": 0.5},
    "gemini": {"generationConfig": {"stopSequences": ["END"], "temperature": 0.5, "maxOutputTokens": 4000}},
}
SYSTEM: dict[str, dict[str, Any]] = {
    "chat": {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]},
    "messages": {"system": "Be brief."},
    "responses": {"instructions": "Be brief."},
    "gemini": {"systemInstruction": {"parts": [{"text": "Be brief."}]}},
}
CACHED: dict[str, dict[str, Any]] = {
    "messages": {"system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]},
    "chat": {
        "messages": [
            {
                "role": "system",
                "content": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            },
            {"role": "user", "content": "Hi"},
        ],
    },
}


def with_result(door: str, part: Any) -> dict[str, Any]:
    """The same calls; the result of the first has this part behind its text."""
    turns = json.loads(json.dumps(TURNS[door]))
    match door:
        case "chat":
            turns["messages"][2]["content"][1] = part
        case "messages":
            turns["messages"][2]["content"][0]["content"][1] = part
        case "responses":
            turns["input"][3]["output"][1] = part
        case _:
            turns["contents"][2]["parts"][0]["functionResponse"]["parts"] = [part]
    return {**turns, "tools": TOOLS[door]}


def of_part(parts: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {door: WITH_PARTS[door]([part]) for door, part in parts.items()}


def with_tools(bodies: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {door: {**body, "tools": TOOLS[door]} for door, body in bodies.items()}


class Feature(NamedTuple):
    """`asked`: by door; `arrives`: by dialect, parts of the body that must be there. What cannot be said in a dialect
    has the name by which it is refused or left out, where that is one."""

    name: str
    asked: dict[str, dict[str, Any]]
    arrives: dict[str, list[Any]]
    refused: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


FEATURES = (
    Feature("system", SYSTEM, {
        "openai": [{"role": "system", "content": "Be brief."}], "anthropic": ["Be brief."],
        "gemini": [{"systemInstruction": {"parts": [{"text": "Be brief."}]}}],
        "bedrock": [{"system": [{"text": "Be brief."}]}], "openai-responses": ["Be brief."],
    }),
    Feature("image", of_part(IMAGES), {
        "openai": [{"image_url": {"url": f"data:image/png;base64,{PNG}"}}], "anthropic": [IMAGES["messages"]],
        "gemini": [IMAGES["gemini"]], "bedrock": [{"image": {"format": "png", "source": {"bytes": PNG}}}],
        "openai-responses": [IMAGES["responses"]],
    }),
    Feature("file", of_part(FILES), {
        "openai": [{"file": {"file_data": f"data:application/pdf;base64,{PDF}"}}],
        "anthropic": [FILES["messages"]], "gemini": [FILES["gemini"]],
        "bedrock": [{"document": {"format": "pdf", "source": {"bytes": PDF}}}],
        "openai-responses": [{"type": "input_file", "file_data": f"data:application/pdf;base64,{PDF}"}],
    }),
    Feature("audio", of_part(SOUNDS), {
        "openai": [SOUNDS["chat"]], "gemini": [SOUNDS["gemini"]], "openai-responses": [SOUNDS["responses"]],
    }, refused=("anthropic", "bedrock")),
    Feature("tools", with_tools({door: {} for door in SPEAKS}), {
        "openai": [{"name": "look", "description": "Looks.", "parameters": SCHEMA}],
        "anthropic": [{"name": "look", "description": "Looks.", "input_schema": SCHEMA}],
        "gemini": [{"name": "look", "description": "Looks."}],
        "bedrock": [{"toolSpec": {"name": "look", "description": "Looks.", "inputSchema": {"json": SCHEMA}}}],
        "openai-responses": [{"type": "function", "name": "look", "description": "Looks.", "parameters": SCHEMA}],
    }),
    Feature("a forced tool", with_tools(FORCED), {
        "openai": [{"tool_choice": {"function": {"name": "look"}}}], "anthropic": [{"tool_choice": {"name": "look"}}],
        "gemini": [{"mode": "ANY", "allowedFunctionNames": ["look"]}], "bedrock": [{"toolChoice": {"tool": {"name": "look"}}}],
        "openai-responses": [{"tool_choice": {"type": "function", "name": "look"}}],
    }),
    Feature("parallel calls, and results with an image", with_tools(TURNS), {
        "openai": [{"role": "tool", "tool_call_id": "call_0"}, {"role": "tool", "tool_call_id": "call_1"}, "wet", "dry"],
        "anthropic": [{"type": "tool_use", "id": "call_0", "input": {"city": "Oslo"}},
                      {"type": "tool_use", "id": "call_1", "input": {"city": "Rome"}},
                      {"type": "tool_result", "tool_use_id": "call_0"}, {"type": "tool_result", "tool_use_id": "call_1"},
                      IMAGES["messages"]],
        "gemini": [{"functionCall": {"name": "look", "args": {"city": "Oslo"}}},
                   {"functionCall": {"name": "look", "args": {"city": "Rome"}}}, IMAGES["gemini"]],
        "bedrock": [{"toolUse": {"toolUseId": "call_0", "name": "look", "input": {"city": "Oslo"}}},
                    {"toolUse": {"toolUseId": "call_1", "name": "look", "input": {"city": "Rome"}}},
                    {"toolResult": {"toolUseId": "call_0"}}, {"toolResult": {"toolUseId": "call_1"}},
                    {"image": {"format": "png", "source": {"bytes": PNG}}}],
        "openai-responses": [{"type": "function_call", "call_id": "call_0"}, {"type": "function_call", "call_id": "call_1"},
                             {"type": "function_call_output", "call_id": "call_0"}, IMAGES["responses"]],
    }),
    Feature("a schema", FORMATS, {
        "openai": [{"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}}],
        "anthropic": [{"format": {"type": "json_schema", "schema": SCHEMA}}],
        "gemini": [{"responseMimeType": "application/json"}],
        "bedrock": [{"outputConfig": {}}],
        "openai-responses": [{"text": {"format": {"type": "json_schema", "schema": SCHEMA}}}],
    }),
    Feature("reasoning", THOUGHT, {
        "openai": [{"reasoning_effort": "low"}], "anthropic": [{"thinking": {"type": "enabled"}}],
        "gemini": [{"thinkingConfig": {}}], "bedrock": [{"thinking": {"type": "enabled"}}],
        "openai-responses": [{"reasoning": {"effort": "low"}}],
    }),
    Feature("stop sequences", STOPS, {
        "openai": [{"stop": ["END"]}], "anthropic": [{"stop_sequences": ["END"], "temperature": 0.5, "max_tokens": 4000}],
        "gemini": [{"stopSequences": ["END"], "temperature": 0.5, "maxOutputTokens": 4000}],
        "bedrock": [{"stopSequences": ["END"], "temperature": 0.5, "maxTokens": 4000}],
    }, left_out=("openai-responses",)),
    Feature("a cached prompt", CACHED, {
        "anthropic": [{"cache_control": {"type": "ephemeral"}}], "bedrock": [{"cachePoint": {"type": "default"}}],
        "openai": ["Be brief."], "gemini": ["Be brief."], "openai-responses": ["Be brief."],
    }),
)  # fmt: skip
FEATURES += (
    Feature("a seed", {"chat": {"seed": 3}, "gemini": {"generationConfig": {"seed": 3}}}, {
        "openai": [{"seed": 3}], "gemini": [{"seed": 3}],
    }, left_out=("anthropic", "bedrock", "openai-responses")),
    Feature("top k", {"messages": {"top_k": 40}, "gemini": {"generationConfig": {"topK": 40}}}, {
        "anthropic": [{"top_k": 40}], "gemini": [{"topK": 40}], "bedrock": [{"top_k": 40}],
    }, left_out=("openai", "openai-responses")),
    Feature("a user", {"chat": {"user": "u-17"}, "messages": {"metadata": {"user_id": "u-17"}}, "responses": {"user": "u-17"}}, {
        "openai": ["u-17"], "openai-responses": ["u-17"], "anthropic": ["u-17"], "gemini": [], "bedrock": [],
    }, left_out=("gemini", "bedrock")),
)  # fmt: skip
FEATURES += (
    Feature("results with a file", {door: with_result(door, part) for door, part in FILES.items()}, {
        "openai": [{"role": "tool", "tool_call_id": "call_0"}, "wet", {"file_data": f"data:application/pdf;base64,{PDF}"}],
        "anthropic": [{"type": "tool_result", "tool_use_id": "call_0"}, "wet", FILES["messages"]],
        "gemini": ["wet", FILES["gemini"]], "bedrock": ["wet", {"document": {"format": "pdf", "source": {"bytes": PDF}}}],
        "openai-responses": [{"type": "function_call_output", "call_id": "call_0"}, "wet",
                             {"type": "input_file", "file_data": f"data:application/pdf;base64,{PDF}"}],
    }),
    Feature("audio", {door: with_result(door, part) for door, part in SOUNDS.items()}, {
        "openai": ["wet", SOUNDS["chat"]], "gemini": ["wet", SOUNDS["gemini"]],
        "openai-responses": ["wet", SOUNDS["responses"]],
    }, refused=("anthropic", "bedrock")),
)  # fmt: skip
ASKED = [(feature, door, dialect) for feature in FEATURES for door in feature.asked for dialect in UPSTREAMS]


def matches(value: Any, wanted: Any) -> bool:
    """Whether a value has everything that is wanted; a text may stand in a longer one."""
    if isinstance(wanted, dict):
        return isinstance(value, dict) and all(
            name in value and matches(value[name], one) for name, one in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(value, list) and len(value) >= len(wanted) and all(map(matches, value, wanted))
    if isinstance(wanted, str):
        return isinstance(value, str) and (value == wanted or (len(wanted) > 2 and wanted in value))
    return bool(value == wanted)


def holds(value: Any, wanted: Any) -> bool:
    if matches(value, wanted):
        return True
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(holds(one, wanted) for one in inside)


def sent(door: str, dialect: str, members: dict[str, Any], *, strict: bool = False) -> tuple[Any, Any]:
    """The body that the provider gets, and the call."""
    asked = {**plain_body(door), **members, **({"fairlead": {"strict": True}} if strict else {})}
    call = adapter(door, dialect).to_vendor(SPEAKS[door].parse(json.dumps(asked).encode(), False))
    return json.loads(b"".join(bytes(piece) for piece in call.body)), call


@pytest.mark.parametrize(
    ("feature", "door", "dialect"), ASKED, ids=[f"{feature.name}-{door}-{dialect}" for feature, door, dialect in ASKED]
)
def test_what_is_asked_for_arrives_or_is_named(feature: Feature, door: str, dialect: str) -> None:
    if dialect in feature.refused:
        assert feature.name in DIALECTS[dialect].incapable, "no deployment of it is a candidate: 400 names the modality"
        return
    body, call = sent(door, dialect, feature.asked[door])
    missing = [wanted for wanted in feature.arrives.get(dialect, ()) if not holds(body, wanted)]
    if dialect in feature.left_out:
        assert call.dropped
        with pytest.raises(NotCarried):
            sent(door, dialect, feature.asked[door], strict=True)
        return
    assert not missing, (missing, body)
    assert not call.dropped, call.dropped


@pytest.mark.parametrize("dialect", ["openai", "azure", "groq", "cerebras", "cohere"])
@pytest.mark.parametrize("door", SPEAKS)
def test_results_of_tools_are_text_alone_where_servers_take_nothing_else(door: str, dialect: str) -> None:
    """OpenAI: "For tool messages, only type `text` is supported." """
    body, call = sent(door, dialect, {**TURNS[door], "tools": TOOLS[door]})
    roles = [message["role"] for message in body["messages"]]
    assert roles == ["user", "assistant", "tool", "tool", "user"], "results first, and what belongs to them behind"
    for message in body["messages"][2:4]:
        content = message["content"]
        assert isinstance(content, str) or {part["type"] for part in content} == {"text"}
    said, picture = body["messages"][4]["content"]
    assert "call_0" in said["text"] or "look" in said["text"]
    assert picture["image_url"]["url"].endswith(PNG)
    assert not call.dropped


# What one call has used, in each provider's words: caches, a picture, reasoning. By class: input, cached_input,
# cache_write_5m, cache_write_1h, image, audio_input, output, reasoning, audio_output, request.
COUNTED: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "openai": (
        {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
         "prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 10, "image_tokens": 20},
         "completion_tokens_details": {"reasoning_tokens": 15}},
        (40, 30, 10, 0, 20, 0, 35, 15, 0, 1),
    ),
    "anthropic": (
        {"input_tokens": 60, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 10,
         "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 6}, "output_tokens": 50,
         "output_tokens_details": {"thinking_tokens": 15}},
        (60, 30, 4, 6, 0, 0, 35, 15, 0, 1),
    ),
    "gemini": (
        {"promptTokenCount": 100, "cachedContentTokenCount": 30, "candidatesTokenCount": 35, "thoughtsTokenCount": 15,
         "totalTokenCount": 150,
         "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 80}, {"modality": "IMAGE", "tokenCount": 20}]},
        (50, 30, 0, 0, 20, 0, 35, 15, 0, 1),
    ),
    "openai-responses": (
        {"input_tokens": 100, "input_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 10},
         "output_tokens": 50, "output_tokens_details": {"reasoning_tokens": 15}, "total_tokens": 150},
        (60, 30, 10, 0, 0, 0, 35, 15, 0, 1),
    ),
    "bedrock": (
        {"inputTokens": 60, "cacheReadInputTokens": 30, "cacheWriteInputTokens": 10, "outputTokens": 50,
         "totalTokens": 150, "cacheDetails": [{"ttl": "1h", "inputTokens": 6}, {"ttl": "5m", "inputTokens": 4}]},
        (60, 30, 4, 6, 0, 0, 50, 0, 0, 1),
    ),
}  # fmt: skip
SPOKEN = {
    "openai": SPOKEN_CHAT, "anthropic": SPOKEN_MESSAGES, "gemini": SPOKEN_GEMINI, "openai-responses": SPOKEN_RESPONSES,
}  # fmt: skip


def counted(dialect: str) -> tuple[bytes, list[bytes]]:
    """An answer with this usage, whole and streamed."""
    usage = COUNTED[dialect][0]
    if dialect == "bedrock":
        message = {"role": "assistant", "content": [{"text": "Hi"}]}
        metrics = {"usage": usage, "metrics": {"latencyMs": 1}}
        return json.dumps({"output": {"message": message}, "stopReason": "end_turn", **metrics}).encode(), [
            frame("messageStart", {"role": "assistant"}),
            frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hi"}}),
            frame("contentBlockStop", {"contentBlockIndex": 0}), frame("messageStop", {"stopReason": "end_turn"}),
            frame("metadata", metrics),
        ]  # fmt: skip
    reply, asked = Reply("Hi", usage=usage), {"model": "up", "stream_options": {"include_usage": True}}
    return SPOKEN[dialect].whole(reply, asked, 1), SPOKEN[dialect].events(reply, asked, 1)


def shown(door: str, usage: Any) -> tuple[int, int, int]:
    """What callers are told: read from caches, written to them, reasoning."""
    match door:
        case "chat":
            inside = usage["prompt_tokens_details"]
            thought = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens", 0)
            return inside["cached_tokens"], inside.get("cache_write_tokens", 0), thought
        case "messages":
            thought = (usage.get("output_tokens_details") or {}).get("thinking_tokens", 0)
            return usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"], thought
        case "responses":
            inside = usage["input_tokens_details"]
            return (
                inside["cached_tokens"],
                inside["cache_write_tokens"],
                usage["output_tokens_details"]["reasoning_tokens"],
            )
        case _:
            return usage["cachedContentTokenCount"], 0, usage.get("thoughtsTokenCount", 0)


@pytest.mark.parametrize(("door", "dialect"), EVERYWHERE)
def test_caches_pictures_and_reasoning_are_of_the_same_class_at_every_door(door: str, dialect: str) -> None:
    """So they cost the same: a bill is made of nothing else."""
    body, blocks = counted(dialect)
    classes = COUNTED[dialect][1]
    one = adapter(door, dialect)
    call = one.to_vendor(SPEAKS[door].parse(json.dumps(plain_body(door)).encode(), False))
    answer = one.plain(call, body)
    assert answer.usage.classes == classes
    assert (answer.usage.prompt, answer.usage.completion, answer.usage.balanced) == (100, 50, True)
    document = json.loads(answer.end(b""))
    call = one.to_vendor(SPEAKS[door].parse(json.dumps(plain_body(door, stream=True)).encode(), True))
    relay = one.relay(call)
    for block in blocks:
        relay.feed(block)
    relay.finish()
    assert relay.usage.classes == classes, "streamed, too"
    read, *_ = classes[1:]
    written = classes[2] + classes[3] if door != "gemini" else 0
    found = document["usageMetadata"] if door == "gemini" else document["usage"]
    assert shown(door, found) == (read, written, classes[7])


CALLS = (ToolCall("get_weather", '{"city":"Oslo"}', "call_a"), ToolCall("get_weather", '{"city":"Rome"}', "call_b"))
# For Responses, of which there are no recordings: the same answers, scripted.
SCRIPTED = {
    "text": Reply("Héllo 🌍", prompt_tokens=25, completion_tokens=7),
    "tools": Reply("Let me look.", tool_calls=CALLS, prompt_tokens=80, completion_tokens=40),
    "reasoning": Reply("42", thinking="Let me think.", prompt_tokens=12, completion_tokens=30),
    "length": Reply("One two", finish_reason="length", prompt_tokens=9, completion_tokens=2),
}


class Wanted(NamedTuple):
    text: str
    finish: str
    prompt: int
    completion: int
    cities: tuple[str, ...] = ()
    thought: str = ""


ANSWERS = {
    "text": Wanted("Héllo 🌍", "stop", 25, 7),
    "tools": Wanted("Let me look.", "tool_calls", 80, 40, ("Oslo", "Rome")),
    "reasoning": Wanted("42", "stop", 12, 30, thought="Let me think."),
    "length": Wanted("One two", "length", 9, 2),
}
FINISHES = {
    "chat": {"stop": "stop", "tool_calls": "tool_calls", "length": "length"},
    "messages": {"stop": "stop", "tool_calls": "tool_calls", "length": "length"},
    "responses": {"stop": "stop", "tool_calls": "stop", "length": "incomplete"},
    "gemini": {"stop": "stop", "tool_calls": "stop", "length": "length"},
}


def answered(door: str, dialect: str, case: str) -> tuple[Any, Any]:
    """The provider's answer to a whole request, and to a streamed one, as the door writes them."""
    if dialect == "openai-responses":
        asked = {"model": "up"}
        body = SPOKEN_RESPONSES.whole(SCRIPTED[case], asked, 1)
        blocks = SPOKEN_RESPONSES.events(SCRIPTED[case], asked, 1)
    else:
        body, blocks = whole(dialect, case), events(dialect, case)
    one = adapter(door, dialect)
    call = one.to_vendor(SPEAKS[door].parse(json.dumps(thinking_body(door, stream=False)).encode(), False))
    document = json.loads(one.plain(call, body).end(b""))
    call = one.to_vendor(SPEAKS[door].parse(json.dumps(thinking_body(door, stream=True)).encode(), True))
    relay = one.relay(call)
    out = b"".join([relay.feed(block) for block in blocks]) + relay.finish() + relay.end(b"")
    return document, [line[6:] for line in out.split(b"\n") if line.startswith(b"data: ")]


def usage_of(door: str, whole_answer: Any) -> tuple[int, int]:
    """Tokens of the prompt and of the answer, with those of caches and of thinking."""
    if door == "gemini":
        usage = whole_answer["usageMetadata"]
        return usage["promptTokenCount"], usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0)
    usage = whole_answer["usage"]
    if door == "chat":
        return usage["prompt_tokens"], usage["completion_tokens"]
    caches = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
    return usage["input_tokens"] + sum(caches), usage["output_tokens"]


def usage_at_end(door: str, stream: list[Any]) -> tuple[int, int]:
    if door == "responses":
        return usage_of(door, stream[-1]["response"])
    if door == "messages":
        begun = stream[0]["message"]["usage"]  # what the end leaves out stays
        ended = next(event["usage"] for event in stream if event["type"] == "message_delta")
        return usage_of(door, {"usage": {**begun, **ended}})
    return usage_of(door, stream[-1])


@pytest.mark.parametrize("case", ANSWERS)
@pytest.mark.parametrize(("door", "dialect"), EVERYWHERE)
def test_each_kind_of_answer_comes_back_in_the_doors_words(door: str, dialect: str, case: str) -> None:
    wanted, spoken = ANSWERS[case], DOORS[door]
    document, lines = answered(door, dialect, case)
    stream = [json.loads(line) for line in lines if line != b"[DONE]"]
    if (door, dialect) not in SAME:  # what is passed on has the provider's own events
        CHECKS[door](stream, lines.count(b"[DONE]"), "complete")
    finish = FINISHES[door][wanted.finish]
    assert (spoken.text(document), spoken.finish(document)) == (wanted.text, finish)
    assert (spoken.streamed_text(stream), spoken.streamed_finish(stream)) == (wanted.text, finish)
    tokens = wanted.prompt, wanted.completion
    assert (usage_of(door, document), usage_at_end(door, stream)) == (tokens, tokens)
    assert (thought_of(door, document), thought_in(door, stream)) == (wanted.thought, wanted.thought)
    for shown in (document, stream):
        assert [city for city in ("Oslo", "Rome") if city in json.dumps(shown)] == list(wanted.cities)
    assert json.dumps(document).count("get_weather") == len(wanted.cities)


def thought_of(door: str, whole_answer: Any) -> str:
    match door:
        case "chat":
            return whole_answer["choices"][0]["message"].get("reasoning_content") or ""
        case "messages":
            return "".join(block.get("thinking", "") for block in whole_answer["content"])
        case "responses":
            items = [item for item in whole_answer["output"] if item["type"] == "reasoning"]
            return "".join(part["text"] for item in items for part in (*item["summary"], *(item.get("content") or ())))
        case _:
            parts = whole_answer["candidates"][0]["content"]["parts"]
            return "".join(part["text"] for part in parts if part.get("thought"))


def thought_in(door: str, stream: list[Any]) -> str:
    match door:
        case "chat":
            deltas = [choice["delta"] for chunk in stream for choice in chunk["choices"]]
            return "".join(delta.get("reasoning_content") or "" for delta in deltas)
        case "messages":
            return "".join(event["delta"].get("thinking", "") for event in stream if "delta" in event)
        case "responses":
            return thought_of(door, stream[-1]["response"])
        case _:
            return "".join(thought_of(door, document) for document in stream)


def chunk(delta: dict[str, str], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    made = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [choice]}
    return b"data: %b\n\n" % json.dumps(made).encode()


BLOCKED: dict[str, tuple[Any, list[bytes]]] = {
    "openai": (
        {"id": "c", "object": "chat.completion", "created": 1, "model": "up", "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "No"}, "finish_reason": "content_filter"},
        ]},
        [chunk({"role": "assistant", "content": "No"}, None), chunk({}, "content_filter"), b"data: [DONE]\n\n"],
    ),
    "anthropic": (
        json.loads(SPOKEN_MESSAGES.whole(Reply("No", finish_reason="refusal"), {"model": "up"}, 1)),
        SPOKEN_MESSAGES.events(Reply("No", finish_reason="refusal"), {"model": "up"}, 1),
    ),
    "gemini": (
        json.loads(SPOKEN_GEMINI.whole(Reply("No", finish_reason="content_filter"), {}, 1)),
        SPOKEN_GEMINI.events(Reply("No", finish_reason="content_filter"), {}, 1),
    ),
    "bedrock": (
        {"output": {"message": {"role": "assistant", "content": [{"text": "No"}]}}, "stopReason": "guardrail_intervened",
         "usage": {"inputTokens": 3, "outputTokens": 1, "totalTokens": 4}, "metrics": {"latencyMs": 1}},
        [frame("messageStart", {"role": "assistant"}),
         frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "No"}}),
         frame("contentBlockStop", {"contentBlockIndex": 0}), frame("messageStop", {"stopReason": "guardrail_intervened"}),
         frame("metadata", {"usage": {"inputTokens": 3, "outputTokens": 1, "totalTokens": 4}, "metrics": {"latencyMs": 1}})],
    ),
}  # fmt: skip
# How each door says that an answer was blocked.
BLOCKED_AS = {
    "chat": '"content_filter"', "messages": '"refusal"', "responses": '{"reason":"content_filter"}', "gemini": '"SAFETY"',
}  # fmt: skip


@pytest.mark.parametrize("dialect", BLOCKED)
@pytest.mark.parametrize("door", SPEAKS)
def test_a_blocked_answer_is_no_complete_one_at_any_door(door: str, dialect: str) -> None:
    document, blocks = BLOCKED[dialect]
    one = adapter(door, dialect)
    call = one.to_vendor(SPEAKS[door].parse(json.dumps(plain_body(door)).encode(), False))
    written = one.plain(call, json.dumps(document).encode()).end(b"")
    assert BLOCKED_AS[door] in written.decode().replace(": ", ":")
    assert DOORS[door].text(json.loads(written)) == "No"
    call = one.to_vendor(SPEAKS[door].parse(json.dumps(plain_body(door, stream=True)).encode(), True))
    relay = one.relay(call)
    out = b"".join([relay.feed(block) for block in blocks]) + relay.finish() + relay.end(b"")
    assert BLOCKED_AS[door] in out.decode().replace(": ", ":")


def refused(dialect: str) -> tuple[Any, list[bytes]]:
    """A refusal as OpenAI's two APIs write it, whole and streamed."""
    if dialect == "openai":
        message = {"role": "assistant", "content": None, "refusal": "I can't do that."}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        document: Any = {"id": "c", "object": "chat.completion", "created": 1, "model": "up", "choices": [choice]}
        blocks = [chunk({"role": "assistant", "refusal": "I can't "}, None), chunk({"refusal": "do that."}, None)]
        return document, [*blocks, chunk({}, "stop"), b"data: [DONE]\n\n"]
    blocks = [block + b"\n\n" for block in REFUSED_RESPONSE.encode().split(b"\n\n") if block]
    return json.loads(blocks[-1].partition(b"data: ")[2])["response"], blocks


REFUSED_RESPONSE = str(refused_response().body)


@pytest.mark.parametrize("dialect", ["openai", "openai-responses"])
@pytest.mark.parametrize("door", SPEAKS)
def test_a_refusal_is_one_at_every_door_and_for_whoever_goes_on(door: str, dialect: str) -> None:
    document, blocks = refused(dialect)
    one = adapter(door, dialect)
    call = one.to_vendor(SPEAKS[door].parse(json.dumps(plain_body(door)).encode(), False))
    answer = json.loads(one.plain(call, json.dumps(document).encode()).end(b""))
    call = one.to_vendor(SPEAKS[door].parse(json.dumps(plain_body(door, stream=True)).encode(), True))
    relay = one.relay(call)
    out = b"".join([relay.feed(block) for block in blocks]) + relay.finish() + relay.end(b"")
    lines = [line[6:] for line in out.split(b"\n") if line.startswith(b"data: ")]
    CHECKS[door]([json.loads(line) for line in lines if line != b"[DONE]"], lines.count(b"[DONE]"), "complete")
    sign = {"chat": '"refusal":', "responses": '"type":"refusal"'}.get(door, BLOCKED_AS[door])
    for written in (json.dumps(answer, separators=(",", ":")), out.decode().replace(": ", ":")):
        assert sign in written
    hello = {"role": "user", "content": "Hi"}
    parts = [{"text": "Hi"}]
    again: dict[str, Any] = {
        "chat": lambda: {"messages": [hello, answer["choices"][0]["message"], hello]},
        "messages": lambda: {"messages": [hello, {"role": "assistant", "content": answer["content"]}, hello]},
        "responses": lambda: {"input": [hello, *answer["output"], hello]},
        "gemini": lambda: {
            "contents": [{"role": "user", "parts": parts}, answer["candidates"][0]["content"], {"role": "user", "parts": parts}],
        },
    }[door]()  # fmt: skip
    for other in (*UPSTREAMS, "mistral", "groq"):
        body, _ = sent(door, other, again)
        assert "I can't do that." in json.dumps(body), (other, body)
        for message in body.get("messages", ()) if other in ("mistral", "groq") else ():
            assert message["content"], "an assistant's message has a content"


def vendor_error(dialect: str, status: int, message: str) -> bytes:
    match dialect:
        case "anthropic":
            return SPOKEN_MESSAGES.error_body(status, message)
        case "gemini":
            return SPOKEN_GEMINI.error_body(status, message)
        case "bedrock":
            return json.dumps({"message": message}).encode()
        case _:
            return SPOKEN_RESPONSES.error_body(status, message)


WRITES_ERRORS: dict[str, Any] = {
    "chat": OPENAI_CHAT, "messages": ANTHROPIC_MESSAGES, "responses": RESPONSES_DOOR, "gemini": GOOGLE_GEMINI,
}  # fmt: skip
ERRORS: dict[int, dict[str, str]] = {
    400: {"chat": "invalid_request_error", "messages": "invalid_request_error", "gemini": "INVALID_ARGUMENT"},
    429: {"chat": "rate_limit_error", "messages": "rate_limit_error", "gemini": "RESOURCE_EXHAUSTED"},
    500: {"chat": "upstream_error", "messages": "api_error", "gemini": "UNAVAILABLE"},
    401: {"chat": "upstream_error", "messages": "api_error", "gemini": "UNAVAILABLE"},
}


@pytest.mark.parametrize("status", ERRORS)
@pytest.mark.parametrize(("door", "dialect"), EVERYWHERE)
def test_errors_come_back_in_the_doors_words(door: str, dialect: str, status: int) -> None:
    error = adapter(door, dialect).error(status, (), vendor_error(dialect, status, "not with key sk-123"))
    body = json.loads(WRITES_ERRORS[door].error(error)[1])
    found = body["error"]
    kind = found["status"] if door == "gemini" else found["type"]
    wanted = ERRORS[status].get(door, ERRORS[status]["chat"])
    if (door, dialect) not in SAME or status == 401:  # what the same API says is passed on
        assert kind == wanted, body
    assert found["message"]
    if status == 401:
        assert "sk-123" not in json.dumps(body), "what is said of the operator's key is not the caller's"
    if status == 400:
        assert "not with key" in found["message"]


@pytest.mark.parametrize(("door", "dialect"), [one for one in EVERYWHERE if one not in SAME])
def test_a_cut_stream_ends_with_the_error_of_the_door_wherever_it_is_cut(door: str, dialect: str) -> None:
    blocks = (
        SPOKEN_RESPONSES.events(SCRIPTED["tools"], {}, 1) if dialect == "openai-responses" else events(dialect, "tools")
    )
    for after in range(1, len(blocks)):
        one = adapter(door, dialect)
        relay = one.relay(one.to_vendor(SPEAKS[door].parse(json.dumps(plain_body(door, stream=True)).encode(), True)))
        out = b"".join([relay.feed(block) for block in blocks[:after]])
        if not out:
            continue  # nothing has left: the caller gets a status, or another candidate's answer
        try:
            relay.finish()
        except UpstreamCut as error:
            out += (relay.error_event or WRITES_ERRORS[door].error_event)(error)
        else:
            assert after > len(blocks) - 4, "what comes behind the finish reason takes nothing away"
            continue
        lines = [line[6:] for line in out.split(b"\n") if line.startswith(b"data: ")]
        CHECKS[door]([json.loads(line) for line in lines if line != b"[DONE]"], lines.count(b"[DONE]"), "error")


FAILING = Reply("One two three four five six.", fault=Fault.ERROR_EVENT, after_chunks=7)


def failing(dialect: str) -> list[bytes]:
    """A stream that has brought words, and then the vendor's error."""
    if dialect == "bedrock":
        words = [frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": f"{at} "}}) for at in range(4)]
        return [frame("messageStart", {"role": "assistant"}), *words, events(dialect, "error")[-1]]
    return SPOKEN[dialect].events(FAILING, {"model": "up"}, 1)


@pytest.mark.parametrize(("door", "dialect"), [one for one in EVERYWHERE if one not in SAME])
def test_an_error_in_the_middle_is_the_error_of_the_door(door: str, dialect: str) -> None:
    one = adapter(door, dialect)
    relay = one.relay(one.to_vendor(SPEAKS[door].parse(json.dumps(plain_body(door, stream=True)).encode(), True)))
    out = b""
    with pytest.raises(FairleadError) as caught:
        for block in failing(dialect):
            out += relay.feed(block)
        relay.finish()
    assert out, "words have left before"
    assert caught.value.policy.elsewhere, "another candidate may go on"
    out += (relay.error_event or WRITES_ERRORS[door].error_event)(caught.value)
    lines = [line[6:] for line in out.split(b"\n") if line.startswith(b"data: ")]
    found = [json.loads(line) for line in lines if line != b"[DONE]"]
    CHECKS[door](found, lines.count(b"[DONE]"), "error")
    assert DOORS[door].errors(found)
    assert DOORS[door].streamed_text(found)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("door", "dialect"), EVERYWHERE)
def test_an_answer_without_a_word_is_an_answer(door: str, dialect: str, stream: bool) -> None:
    if dialect == "bedrock":
        usage = {"usage": {"inputTokens": 3, "outputTokens": 0, "totalTokens": 3}, "metrics": {"latencyMs": 1}}
        message = {"role": "assistant", "content": []}
        body = json.dumps({"output": {"message": message}, "stopReason": "end_turn", **usage}).encode()
        blocks = [
            frame("messageStart", {"role": "assistant"}), frame("messageStop", {"stopReason": "end_turn"}),
            frame("metadata", usage),
        ]  # fmt: skip
    else:
        reply, asked = Reply("", prompt_tokens=3, completion_tokens=0), {"model": "up"}
        body, blocks = SPOKEN[dialect].whole(reply, asked, 1), SPOKEN[dialect].events(reply, asked, 1)
    one, spoken = adapter(door, dialect), DOORS[door]
    call = one.to_vendor(SPEAKS[door].parse(json.dumps(plain_body(door, stream=stream)).encode(), stream))
    if not stream:
        document = json.loads(one.plain(call, body).end(b""))
        assert (spoken.text(document) or "", spoken.finish(document)) in (("", "stop"), ("None", "stop"))
        return
    relay = one.relay(call)
    out = b"".join([relay.feed(block) for block in blocks]) + relay.finish() + relay.end(b"")
    lines = [line[6:] for line in out.split(b"\n") if line.startswith(b"data: ")]
    found = [json.loads(line) for line in lines if line != b"[DONE]"]
    if (door, dialect) not in SAME:
        CHECKS[door](found, lines.count(b"[DONE]"), "complete")
    assert (spoken.streamed_text(found), spoken.streamed_finish(found)) == ("", "stop")


@pytest.mark.parametrize("door", SPEAKS)
def test_one_request_is_the_same_at_every_candidate_that_it_falls_back_on(door: str) -> None:
    """A call that fails goes to the next provider with the payload that it came with, whoever was tried before."""
    body = json.dumps({**plain_body(door), **with_result(door, IMAGES[door])}).encode()
    tried = SPEAKS[door].parse(body, False)
    for dialect in (*UPSTREAMS, *reversed(UPSTREAMS)):
        fresh = adapter(door, dialect).to_vendor(SPEAKS[door].parse(body, False))
        again = adapter(door, dialect).to_vendor(tried)
        assert b"".join(map(bytes, again.body)) == b"".join(map(bytes, fresh.body)), dialect
        assert (again.dropped, again.clamped, again.path) == (fresh.dropped, fresh.clamped, fresh.path), dialect
