"""One small conversation with a tool in each API that callers speak, as their clients have it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

TOOL: Final = "get_weather"
QUESTION: Final = "What is the weather in Oslo? Call the tool get_weather with city Oslo, then answer in one sentence."
RESULT: Final = "Rain, 7 degrees."
DESCRIPTION: Final = "The weather in a city."
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "The name of the city."}},
    "required": ["city"],
}
OUTPUT_TOKENS: Final = 512

Events = Sequence[tuple[str, Any]]


@dataclass(slots=True)
class Turn:
    """What a model has answered. `calls`: (id, name, arguments as JSON text); `turn`: its answer as the next request
    must have it; `is_complete`: with all that its client waits for; `counts`: its usage is there."""

    text: str = ""
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    turn: list[Any] = field(default_factory=list)
    is_complete: bool = False
    counts: bool = False
    cost: bool = False
    error: str = ""


class Api(Protocol):
    """`needs`: what its clients wait for at the end of a stream, in a few words."""

    needs: str

    def path(self, model: str, *, stream: bool) -> str: ...

    def body(self, model: str, *, stream: bool, tools: bool) -> dict[str, Any]: ...

    def said(self, events: Events) -> Turn:
        """Of a stream."""

    def continued(self, body: dict[str, Any], said: Turn) -> dict[str, Any]:
        """The request with the results of the calls."""


class Chat:
    """OpenAI's chat completions. `base`: where its clients expect the API."""

    needs = "a chunk with finish_reason"

    def __init__(self, base: str = "/v1") -> None:
        self._base = base

    def path(self, model: str, *, stream: bool) -> str:
        del model, stream
        return self._base + "/chat/completions"

    def body(self, model: str, *, stream: bool, tools: bool) -> dict[str, Any]:
        made: dict[str, Any] = {
            "model": model, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": OUTPUT_TOKENS,
        }  # fmt: skip
        if stream:
            made |= {"stream": True, "stream_options": {"include_usage": True}}
        if tools:
            function = {"name": TOOL, "description": DESCRIPTION, "parameters": SCHEMA}
            made["tools"] = [{"type": "function", "function": function}]
        return made

    def said(self, events: Events) -> Turn:
        said = Turn()
        calls: dict[int, list[str]] = {}
        for _, chunk in events:
            said.error = said.error or _error(chunk)
            if isinstance(usage := chunk.get("usage"), dict):
                said.counts = usage.get("completion_tokens", 0) > 0
                said.cost = "cost" in usage
            for choice in chunk.get("choices") or ():
                delta = choice.get("delta") or {}
                said.text += delta.get("content") or ""
                said.is_complete = said.is_complete or choice.get("finish_reason") is not None
                for call in delta.get("tool_calls") or ():
                    known = calls.setdefault(call.get("index", 0), ["", "", ""])
                    function = call.get("function") or {}
                    known[0] = known[0] or call.get("id") or ""
                    known[1] += function.get("name") or ""
                    known[2] += function.get("arguments") or ""
        said.calls = [(one[0], one[1], one[2]) for one in calls.values()]
        made = [{"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in said.calls]
        said.turn = [{"role": "assistant", "content": said.text or None, "tool_calls": made}]
        return said

    def continued(self, body: dict[str, Any], said: Turn) -> dict[str, Any]:
        results = [{"role": "tool", "tool_call_id": call[0], "content": RESULT} for call in said.calls]
        return {**body, "messages": [*body["messages"], *said.turn, *results]}


class Messages:
    """Anthropic's Messages. `extra`: members that a client adds; `query`: behind the path; `notices`: messages of role
    `system` that it puts behind the user's."""

    needs = "message_start, content blocks and message_delta, each with its event: line"

    def __init__(self, query: str = "", notices: Sequence[str] = (), **extra: Any) -> None:
        self._query = query
        self._notices = [{"role": "system", "content": text} for text in notices]
        self._extra = extra

    def path(self, model: str, *, stream: bool) -> str:
        del model, stream
        return "/v1" + "/messages" + self._query

    def body(self, model: str, *, stream: bool, tools: bool) -> dict[str, Any]:
        made: dict[str, Any] = {
            "model": model, "messages": [{"role": "user", "content": QUESTION}, *self._notices],
            "max_tokens": OUTPUT_TOKENS, **self._extra,
        }  # fmt: skip
        if stream:
            made["stream"] = True
        if tools:
            made["tools"] = [{"name": TOOL, "description": DESCRIPTION, "input_schema": SCHEMA}]
        return made

    def said(self, events: Events) -> Turn:
        said = Turn()
        blocks: dict[int, dict[str, Any]] = {}
        names = []
        for name, event in events:
            names.append(name)
            said.error = said.error or _error(event)
            index = event.get("index", 0)
            if name == "content_block_start":
                blocks[index] = {**(event.get("content_block") or {}), "json": ""}
            elif name == "content_block_delta" and index in blocks:
                for member, text in (event.get("delta") or {}).items():
                    place = "json" if member == "partial_json" else member
                    if place != "type" and isinstance(text, str):
                        blocks[index][place] = str(blocks[index].get(place) or "") + text
            elif name == "message_delta":
                usage = event.get("usage") or {}
                said.counts, said.cost = usage.get("output_tokens", 0) > 0, "cost" in usage
        for block in blocks.values():
            arguments = block.pop("json")
            if block.get("type") == "tool_use":
                block["input"] = _object(arguments)
                said.calls.append((block.get("id", ""), block.get("name", ""), arguments or "{}"))
            said.text += block.get("text") or ""
        wanted = {"message_start", "content_block_start", "content_block_stop", "message_delta"}
        said.is_complete = wanted <= set(names)
        said.turn = [{"role": "assistant", "content": list(blocks.values())}]
        return said

    def continued(self, body: dict[str, Any], said: Turn) -> dict[str, Any]:
        results = [{"type": "tool_result", "tool_use_id": call[0], "content": RESULT} for call in said.calls]
        return {**body, "messages": [*body["messages"], *said.turn, {"role": "user", "content": results}]}


class Responses:
    """OpenAI's Responses, as Codex sends them."""

    needs = "response.output_item.done for each item, and response.completed"

    def path(self, model: str, *, stream: bool) -> str:
        del model, stream
        return "/v1" + "/responses"

    def body(self, model: str, *, stream: bool, tools: bool) -> dict[str, Any]:
        question = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": QUESTION}]}
        made: dict[str, Any] = {
            "model": model, "stream": stream, "input": [question], "store": False, "max_output_tokens": OUTPUT_TOKENS,
            "include": ["reasoning.encrypted_content"], "prompt_cache_key": "fairlead-doctor",
        }  # fmt: skip
        if tools:
            tool = {"type": "function", "name": TOOL, "description": DESCRIPTION, "parameters": SCHEMA, "strict": False}
            made |= {"tools": [tool], "tool_choice": "auto", "parallel_tool_calls": True}
        return made

    def newer_body(self, model: str) -> dict[str, Any]:
        """As Codex calls the newer models that it knows: the tools are the first item of the input, in a namespace."""
        made = self.body(model, stream=True, tools=True)
        tools = [{"type": "namespace", "name": "functions", "description": "Tools", "tools": made.pop("tools")}]
        first = {"type": "additional_tools", "role": "developer", "tools": tools}
        return {**made, "input": [first, *made["input"]], "parallel_tool_calls": False}

    def said(self, events: Events) -> Turn:
        said = Turn()
        for name, event in events:
            said.error = said.error or _error(event)
            if name == "response.output_item.done":
                item = event.get("item") or {}
                said.turn.append(item)
                if item.get("type") == "function_call":
                    said.calls.append((item.get("call_id", ""), item.get("name", ""), item.get("arguments", "")))
                for part in item.get("content") or ():
                    said.text += part.get("text") or ""
            elif name in ("response.completed", "response.incomplete"):
                usage = (event.get("response") or {}).get("usage") or {}
                said.is_complete = bool(said.turn)
                said.counts, said.cost = usage.get("output_tokens", 0) > 0, "cost" in usage
            elif name == "response.failed":
                said.error = str(((event.get("response") or {}).get("error") or {}).get("message"))
        return said

    def continued(self, body: dict[str, Any], said: Turn) -> dict[str, Any]:
        results = [{"type": "function_call_output", "call_id": call[0], "output": RESULT} for call in said.calls]
        return {**body, "input": [*body["input"], *said.turn, *results]}


class Gemini:
    """Gemini's generateContent, as Gemini CLI sends it."""

    needs = "a finishReason"

    def path(self, model: str, *, stream: bool) -> str:
        action = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/v1beta/models/{model}:{action}"

    def body(self, model: str, *, stream: bool, tools: bool) -> dict[str, Any]:
        del model, stream
        made: dict[str, Any] = {
            "contents": [{"role": "user", "parts": [{"text": QUESTION}]}],
            "systemInstruction": {"role": "user", "parts": [{"text": "You are a helpful agent."}]},
            "generationConfig": {"maxOutputTokens": OUTPUT_TOKENS, "thinkingConfig": {"includeThoughts": True}},
        }
        if tools:
            declared = {"name": TOOL, "description": DESCRIPTION, "parametersJsonSchema": SCHEMA}
            made["tools"] = [{"functionDeclarations": [declared]}]
        return made

    def said(self, events: Events) -> Turn:
        said = Turn()
        parts: list[Any] = []
        for _, document in events:
            said.error = said.error or _error(document)
            usage = document.get("usageMetadata") or {}
            said.counts = said.counts or usage.get("candidatesTokenCount", 0) > 0
            said.cost = said.cost or "cost" in usage
            for candidate in document.get("candidates") or ():
                said.is_complete = said.is_complete or candidate.get("finishReason") is not None
                parts += (candidate.get("content") or {}).get("parts") or []
        for part in parts:
            if call := part.get("functionCall"):
                said.calls.append((call.get("id", ""), call.get("name", ""), json.dumps(call.get("args") or {})))
            elif not part.get("thought"):
                said.text += part.get("text") or ""
        said.turn = [{"role": "model", "parts": [part for part in parts if not part.get("thought")]}]
        return said

    def continued(self, body: dict[str, Any], said: Turn) -> dict[str, Any]:
        results = [
            {"functionResponse": {"id": call[0], "name": call[1], "response": {"output": RESULT}}}
            for call in said.calls
        ]
        return {**body, "contents": [*body["contents"], *said.turn, {"role": "user", "parts": results}]}


def _error(event: Any) -> str:
    error = event.get("error") if isinstance(event, dict) else None
    return str(error.get("message") or error) if isinstance(error, dict) else ""


def _object(text: str) -> Any:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
