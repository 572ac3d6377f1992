"""A scripted model that does as it is asked, in every API of providers: it calls the tools that it has, and writes what a
schema wants."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from fairlead.testing import Reply, ScriptedUpstream, ToolCall
from fairlead.testing.connection import Received, Wire

QUOTED = re.compile(r"'([^']+)'")
# `google-genai` sends the one in the middle.
GEMINI_SCHEMAS = ("parametersJsonSchema", "parameters_json_schema", "parameters")
HELLO = "Hello, how are you?"


class Asked(NamedTuple):
    """What a request comes to. `is_result`: its last turn is what a tool gave back. `tools`: those that may be called,
    and their schemas. `wanted`: the schema of a JSON answer; {}: any object."""

    text: str
    is_result: bool
    tools: dict[str, Any]
    wanted: Any = None


class Responder(ScriptedUpstream):
    """Answers by these rules: what a tool gave back is repeated; a tool is called where there is one; JSON is written
    where it is wanted; else it says hello."""

    async def answer(self, request: Received, wire: Wire) -> bool:
        path = request.path.partition("?")[0]
        for ending, reads in READERS.items():
            if path.endswith(ending):
                self.enqueue(reply_to(reads(request.json)))
        return await super().answer(request, wire)


def reply_to(asked: Asked) -> Reply:
    if asked.is_result:
        return Reply(text=f"The tool says: {asked.text}")
    for name, schema in asked.tools.items():
        return Reply(tool_calls=(ToolCall(name, dumps(value_for(schema or {}, asked.text))),))
    if asked.wanted == {}:
        return Reply(text=dumps(dict.fromkeys(QUOTED.findall(asked.text), "words")))
    return Reply(text=HELLO if asked.wanted is None else dumps(value_for(asked.wanted, asked.text)))


def of_chat(body: Any) -> Asked:
    last = body["messages"][-1]
    choice = body.get("tool_choice", "auto")
    tools = {tool["function"]["name"]: tool["function"].get("parameters") for tool in body.get("tools") or ()}
    if choice == "none":
        tools = {}
    elif isinstance(choice, dict) and choice["type"] == "allowed_tools":
        tools = only(tools, [tool["function"]["name"] for tool in choice["allowed_tools"]["tools"]])
    elif isinstance(choice, dict):
        tools = only(tools, [choice["function"]["name"]])
    shape = body.get("response_format") or {}
    kind = shape.get("type", "text")
    wanted = {"json_object": {}, "json_schema": shape.get("json_schema", {}).get("schema")}.get(kind)
    return Asked(text_of(last["content"]), last["role"] == "tool", tools, wanted)


def of_messages(body: Any) -> Asked:
    last = body["messages"][-1]["content"]
    results = [block for block in last if block["type"] == "tool_result"] if isinstance(last, list) else []
    choice = body.get("tool_choice") or {"type": "auto"}
    tools = {} if choice["type"] == "none" else {tool["name"]: tool["input_schema"] for tool in body.get("tools") or ()}
    if choice["type"] == "tool":
        tools = only(tools, [choice["name"]])
    shape = (body.get("output_config") or {}).get("format") or {}
    return Asked(text_of(results[-1]["content"] if results else last), bool(results), tools, shape.get("schema"))


def of_responses(body: Any) -> Asked:
    items = body["input"] if isinstance(body["input"], list) else [{"role": "user", "content": body["input"]}]
    is_result = items[-1].get("type") == "function_call_output"
    choice = body.get("tool_choice", "auto")
    tools = {} if choice == "none" else {tool["name"]: tool["parameters"] for tool in body.get("tools") or ()}
    if isinstance(choice, dict):
        tools = only(tools, [one["name"] for one in choice.get("tools") or [choice]])
    shape = (body.get("text") or {}).get("format") or {"type": "text"}
    wanted = {"json_object": {}, "json_schema": shape.get("schema")}.get(shape["type"])
    return Asked(text_of(items[-1]["output" if is_result else "content"]), is_result, tools, wanted)


def of_gemini(body: Any) -> Asked:
    parts = body["contents"][-1]["parts"]
    results = [part["functionResponse"]["response"] for part in parts if "functionResponse" in part]
    choice = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    tools = {
        function["name"]: next((function[name] for name in GEMINI_SCHEMAS if name in function), None)
        for tool in body.get("tools") or ()
        for function in tool.get("functionDeclarations") or ()
        if choice.get("mode") != "NONE"
    }
    if named := choice.get("allowedFunctionNames"):
        tools = only(tools, named)
    config = body.get("generationConfig") or {}
    wanted = config.get("responseJsonSchema") or config.get("responseSchema")
    if wanted is None and config.get("responseMimeType") == "application/json":
        wanted = {}
    text = dumps(results[-1]) if results else text_of(parts)
    return Asked(text, bool(results), tools, wanted)


READERS = {
    "/chat/completions": of_chat, "/messages": of_messages, "/responses": of_responses, ":generateContent": of_gemini,
    ":streamGenerateContent": of_gemini,
}  # fmt: skip


def only(tools: dict[str, Any], names: list[str]) -> dict[str, Any]:
    return {name: schema for name, schema in tools.items() if name in names}


def dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def text_of(content: Any) -> str:
    return content if isinstance(content, str) else " ".join(part.get("text") or "" for part in content)


def value_for(schema: Any, asked: str, root: Any = None) -> Any:
    """A value that conforms to `schema`: numbers and quoted words are those of the question."""
    root = root or schema
    if "$ref" in schema:
        return value_for(root["$defs"][schema["$ref"].rpartition("/")[2]], asked, root)
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if found := schema.get("anyOf") or schema.get("oneOf"):
        return value_for(next(one for one in found if one.get("type") != "null"), asked, root)
    kind = schema.get("type", "object")
    match (kind[0] if isinstance(kind, list) else kind).lower():  # Gemini's own are in capitals
        case "object":
            return {name: value_for(one, asked, root) for name, one in (schema.get("properties") or {}).items()}
        case "array":
            return [value_for(schema.get("items") or {"type": "string"}, asked, root)]
        case "integer":
            return int((re.findall(r"\d+", asked) or ["3"])[0])
        case "number":
            return float((re.findall(r"\d+", asked) or ["3"])[0])
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return (QUOTED.findall(asked) or [asked])[0]
